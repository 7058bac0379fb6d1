//! Workers as processes, killed in the middle of whatever they do, or frozen until others have done their work: each job
//! takes effect exactly once.
//!
//! What a job does to the database is done once, whoever dies when. A mail is handed to another house: a worker that
//! dies between that and noting it leaves the mail to be sent again, under the key it had before, by which who delivers
//! tells that it is one mail. So here an effect is a key, and calls beyond those are counted aside.
//!
//! `SCAIDRIVE_TEST_JOBS` sets how many jobs there are; from 10,000 on workers are killed twenty times.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::{BuildHasher, RandomState};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use futures_util::{StreamExt, stream};
use scaidrive_core::config::Config;
use scaidrive_core::model::{Caller, JobState, Principal, Queue, ShareId, ShareRole, ShareType, UserId};
use scaidrive_core::ports::metadata::{AuditQuery, StoredJob};
use scaidrive_core::services::members::{self, NewMember};
use scaidrive_core::services::shares::{self, NewShare};

use scaidrive_core::services::tenants::{self, NewUser};
use scaidrive_core::services::{audit, feed, fsck, queue};
use scaidrive_core::{Drive, open};
use serde_json::Value;

use crate::databases::MariaDb;
use crate::scaisend::{Sent, recorder_that_takes, settings};
use crate::server::program;

/// Members of each share: as many people as there are.
const PEOPLE: usize = 25;

/// Workers at work beside the one that is frozen.
const WORKERS: usize = 2;

/// Jobs that a worker has under way at most.
const AT_ONCE: usize = 4;

/// How long a membership lasts: longer than it takes to make one.
const LASTS: Duration = Duration::from_secs(10);

fn var(name: &str) -> Option<String> {
    #[expect(clippy::disallowed_methods, reason = "tests learn from it how they are to be run")]
    std::env::var(name).ok()
}

fn jobs_wanted() -> usize {
    var("SCAIDRIVE_TEST_JOBS").map_or(1000, |text| text.parse().unwrap())
}

fn kills_wanted() -> usize {
    if jobs_wanted() < 10_000 { 10 } else { 20 }
}

/// Returns a number below another that nobody can foresee.
fn chance(below: usize) -> usize {
    usize::try_from(RandomState::new().hash_one(0) % below as u64).unwrap()
}

/// A database on which workers work, and what they are told.
struct Mill {
    workers: Vec<Child>,
    drive: Drive,
    caller: Caller,
    settings: Vec<(String, String)>,
    dir: tempfile::TempDir,
    /// Kept for what it holds.
    _database: MariaDb,
}

impl Mill {
    /// Returns a mill without work or workers whose mail goes to an address; nothing without MariaDB.
    async fn new(mail_to: &str) -> Option<Self> {
        let (database, dir) = (MariaDb::create()?, tempfile::tempdir().unwrap());
        let data = dir.path().display().to_string();
        let redis = var("SCAIDRIVE_TEST_REDIS_URL").map(|url| ("SCAIDRIVE_REDIS_URL".to_owned(), url));
        let own = [("SCAIDRIVE_DATABASE_URL", &*database.url), ("SCAIDRIVE_DATA_DIR", &*data)];
        let all = settings(mail_to).into_iter().chain(own).map(|(k, v)| (k.to_owned(), v.to_owned()));
        let settings: Vec<(String, String)> = all.chain(redis).collect();
        let lookup =
            |name: &str| settings.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone());
        let drive = open::open(&Config::from_lookup(lookup).unwrap()).await.unwrap();
        open::migrate(&drive).await.unwrap();
        let (tenant, admin, _) = tenants::bootstrap(&drive).await.unwrap();
        let caller = tenants::caller_for(&drive, tenant.id, &admin.id).await.unwrap();
        Some(Self { workers: Vec::new(), drive, caller, settings, dir, _database: database })
    }

    /// Makes memberships that end soon; each asks for a mail now and for its end to be told then.
    async fn fill(&self, memberships: usize) {
        let mut people = Vec::new();
        for number in 0..PEOPLE {
            let id: UserId = format!("usr_{number}").parse().unwrap();
            let email = Some(format!("{number}@example.org"));
            let new = NewUser { id: Some(id.clone()), email, ..NewUser::default() };
            tenants::create_user(&self.drive, &self.caller, new).await.unwrap();
            people.push(id);
        }
        let shares = stream::iter(0..memberships / PEOPLE).map(|number| self.share(number, &people));
        shares.buffer_unordered(8).collect::<Vec<()>>().await;
    }

    async fn share(&self, number: usize, people: &[UserId]) {
        let (name, share_type) = (format!("Share {number}"), ShareType::Project);
        let new = NewShare { name, share_type, owner: None, description: None, quota_bytes: None };
        let share: ShareId = shares::create(&self.drive, &self.caller, new).await.unwrap().id;
        for id in people {
            let expires_at = Some(self.drive.clock.now().plus(LASTS));
            let principal = Principal::User(id.clone());
            let new = NewMember { principal, role: ShareRole::Reader, expires_at };
            members::add(&self.drive, &self.caller, share, new).await.unwrap();
        }
    }

    /// Returns the jobs in a state that are there once.
    async fn jobs(&self, state: JobState) -> Vec<StoredJob> {
        let (mut all, mut after) = (Vec::new(), None);
        loop {
            let page = queue::list(&self.drive, state, after).await.unwrap();
            let Some(last) = page.last() else { return all };
            after = Some(last.job.id);
            all.extend(page.into_iter().filter(|found| found.job.every_secs.is_none()));
        }
    }

    async fn left(&self) -> usize {
        let counts = self.drive.read().await.unwrap().job_counts().await.unwrap();
        let ours = counts.into_iter().filter(|(queue, _)| *queue != Queue::Low);
        usize::try_from(ours.map(|(_, count)| count).sum::<i64>()).unwrap()
    }

    /// Returns once at most so many jobs are left.
    async fn until_left(&self, most: usize) {
        while self.left().await > most {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    fn start_worker(&self) -> Child {
        let log = std::fs::File::options().create(true).append(true).open(self.log()).unwrap();
        Command::new(program())
            .args(["worker", "--metrics-listen", "127.0.0.1:0"])
            .env_clear()
            .envs(self.settings.iter().cloned())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap()
    }

    fn log(&self) -> std::path::PathBuf {
        Path::new(self.dir.path()).join("workers.log")
    }

    fn start(&mut self) {
        self.workers = (0..=WORKERS).map(|_| self.start_worker()).collect();
    }

    /// Freezes the last worker, as a machine is that is moved, or lets it go on.
    fn signal_last(&self, signal: &str) {
        let last = self.workers.last().unwrap().id().to_string();
        assert!(Command::new("kill").args([signal, &last]).status().unwrap().success());
    }

    /// Kills workers without a warning, one at a time and at moments that nobody chose, while there is work.
    async fn kill_at_random(&mut self, jobs: usize, kills: usize) {
        for kill in 1..=kills {
            self.until_left(jobs - jobs * kill / (kills + 1)).await;
            tokio::time::sleep(Duration::from_millis(chance(100) as u64)).await;
            let victim = chance(WORKERS);
            self.workers[victim].kill().unwrap();
            self.workers[victim].wait().unwrap();
            assert!(self.left().await > 0, "it died at work");
            self.workers[victim] = self.start_worker();
            if kill == kills / 2 + 1 {
                self.signal_last("-STOP");
            }
        }
    }

    /// Asks the workers to stop, and waits until they have.
    fn stop(&mut self) {
        for mut worker in std::mem::take(&mut self.workers) {
            assert!(Command::new("kill").arg(worker.id().to_string()).status().unwrap().success());
            assert!(worker.wait().unwrap().success(), "a worker ends well when told to");
        }
    }

    /// Returns how often the end of each membership was told: by share and principal.
    async fn ends_told(&self) -> BTreeMap<(String, String), usize> {
        let mut told = BTreeMap::new();
        let mut query =
            AuditQuery { action: Some("member.expire".to_owned()), limit: 100, ..AuditQuery::default() };
        loop {
            let page = audit::find(&self.drive, &self.caller, query.clone()).await.unwrap();
            for event in page.events {
                let principal = event.payload["principal"].as_str().unwrap().to_owned();
                *told.entry((event.resource.id, principal)).or_default() += 1;
            }
            let Some(next) = page.next else { return told };
            query.after = Some(next);
        }
    }
}

impl Drop for Mill {
    /// A test that fails leaves no process behind.
    fn drop(&mut self) {
        for worker in &mut self.workers {
            let _ = worker.kill();
            let _ = worker.wait();
        }
    }
}

/// Demands that every job of mail have come under its own key, always with the same words; returns the calls beyond.
fn check_mail(jobs: &[StoredJob], sent: &Receiver<Sent>) -> usize {
    let mut by_key: HashMap<String, Vec<Value>> = HashMap::new();
    for mail in sent.try_iter() {
        by_key.entry(mail.key).or_default().push(mail.body);
    }
    let keys: BTreeSet<&str> = by_key.keys().map(String::as_str).collect();
    let wanted: BTreeSet<String> = jobs.iter().map(|job| job.job.id.to_string()).collect();
    assert_eq!(keys, wanted.iter().map(String::as_str).collect(), "each mail was sent, and no other");
    let said = by_key.values().map(|bodies| {
        assert!(bodies.iter().all(|body| *body == bodies[0]), "one key, one mail: {bodies:?}");
        format!("{} {}", bodies[0]["personalizations"], bodies[0]["subject"])
    });
    assert_eq!(said.collect::<BTreeSet<_>>().len(), jobs.len(), "to everybody about every share");
    by_key.values().map(|bodies| bodies.len() - 1).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_job_takes_effect_once_though_workers_are_killed_at_random() {
    let (url, sent) = recorder_that_takes(Duration::from_millis(20), &[]);
    let Some(mut mill) = Mill::new(&url).await else { return };
    let (jobs, kills) = (jobs_wanted(), kills_wanted());
    mill.fill(jobs / 2).await;
    let asked = mill.jobs(JobState::Waiting).await;
    let (mails, ends): (Vec<StoredJob>, Vec<StoredJob>) =
        asked.into_iter().partition(|job| job.job.queue == Queue::High);
    assert_eq!((mails.len(), ends.len()), (jobs / 2, jobs / 2));
    let head = feed::head(&mill.drive, &mill.caller).await.unwrap();
    let began = Instant::now();
    mill.start();
    mill.kill_at_random(jobs, kills).await;
    // What the dead and the frozen had under way comes back when their leases are over.
    mill.until_left(0).await;
    let took = began.elapsed();
    // The frozen one goes on with what is not its own any more.
    mill.signal_last("-CONT");
    mill.stop();
    let repeats = check_mail(&mails, &sent);
    assert!(repeats <= (kills + 1) * AT_ONCE, "{repeats} mails were sent again by {kills} deaths");
    let told = mill.ends_told().await;
    let twice: Vec<_> = told.iter().filter(|(_, times)| **times != 1).collect();
    assert!(twice.is_empty(), "told more than once: {twice:?}");
    assert_eq!(told.len(), ends.len(), "every end was told");
    let rows = feed::head(&mill.drive, &mill.caller).await.unwrap() - head;
    assert_eq!(usize::try_from(rows).unwrap(), ends.len(), "and feed readers heard each once");
    assert_eq!(mill.jobs(JobState::Dead).await, []);
    assert!(fsck::run(&mill.drive, mill.caller.tenant, true).await.unwrap().is_clean());
    eprintln!("{jobs} jobs in {:.1} s, {kills} kills, {repeats} mails sent again", took.as_secs_f64());
}
