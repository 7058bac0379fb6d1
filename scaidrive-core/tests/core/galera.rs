//! A Galera cluster: every transaction and every look goes to the next node in turn, as through a proxy that knows nothing
//! of what it passes on; and nodes die. `tests/run --galera` starts one; then all that runs on "both" databases runs on
//! it too.

use std::collections::BTreeSet;
use std::io::Cursor;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::{StreamExt, stream};
use scaidrive_core::Ports;
use scaidrive_core::adapters::local::SystemClock;
use scaidrive_core::adapters::sql::SqlStore;
use scaidrive_core::config::{Config, ObjectsConfig};
use scaidrive_core::model::{Caller, Error, FileId, ParentId, Result, ShareRole, Timestamp};
use scaidrive_core::ports::{MetadataStore, Reads, WriteUnit};
use scaidrive_core::services::collect::{self, Plan};
use scaidrive_core::services::files::{self, NewFile};
use scaidrive_core::services::members::{self, NewMember};
use scaidrive_core::services::moves::{self, Target};
use scaidrive_core::services::{feed, folders, shares, trash};

use crate::backends::{House, ask_mariadb, name, rounds, var};
use crate::feed_races::{Battlefield, is_of_a_break};

/// Nodes of one database, asked in turn.
#[derive(Debug)]
pub(crate) struct Cluster {
    nodes: Vec<SqlStore>,
    is_down: Vec<AtomicBool>,
    next: AtomicUsize,
    dir: String,
}

impl Cluster {
    /// Makes an empty database on the cluster of the tests; nothing without one.
    pub(crate) async fn new() -> Option<(Arc<Self>, Vec<String>)> {
        let (urls, dir) = (var("GALERA_URLS")?, var("GALERA_DIR")?);
        #[expect(clippy::disallowed_methods, reason = "names must differ between runs of the tests")]
        let name = format!("core_{}", ulid::Ulid::generate());
        ask_mariadb(&format!("{dir}/node0/sock"), &format!("CREATE DATABASE {name}"));
        let urls: Vec<String> = urls.split(' ').map(|url| format!("{url}{name}")).collect();
        let mut nodes = Vec::new();
        for (number, url) in urls.iter().enumerate() {
            // It has come there once this is answered.
            ask_mariadb(
                &format!("{dir}/node{number}/sock"),
                "SET SESSION wsrep_sync_wait = 1; SELECT 1 INTO @there",
            );
            nodes.push(SqlStore::open(url, Arc::new(SystemClock)).await.unwrap());
        }
        let is_down = nodes.iter().map(|_| AtomicBool::new(false)).collect();
        Some((Arc::new(Self { nodes, is_down, next: AtomicUsize::new(0), dir }), urls))
    }

    /// Returns the nodes that are not known to be down, the next one first.
    fn in_turn(&self) -> impl Iterator<Item = &SqlStore> {
        let first = self.next.fetch_add(1, Ordering::Relaxed);
        let numbers = (0..self.nodes.len()).map(move |step| (first + step) % self.nodes.len());
        numbers
            .filter(|number| !self.is_down[*number].load(Ordering::Relaxed))
            .map(|number| &self.nodes[number])
    }

    /// Asks one node alone from now on.
    fn ask_only(&self, number: usize) {
        for (other, is_down) in self.is_down.iter().enumerate() {
            is_down.store(other != number, Ordering::Relaxed);
        }
    }

    /// Kills a node without a warning, or starts it again; the proxy hears of it.
    async fn process(self: &Arc<Self>, act: &'static str, number: usize) {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/services/galera");
        let (node, dir) = (number.to_string(), self.dir.clone());
        let run = move || Command::new(script).args([act, &node, &dir]).status().unwrap().success();
        assert!(tokio::task::spawn_blocking(run).await.unwrap());
        self.is_down[number].store(act == "kill", Ordering::Relaxed);
    }
}

/// Tells whether another node may do better: nothing was done.
fn is_of_the_node(error: &Error) -> bool {
    matches!(error, Error::Database { .. } | Error::Unavailable { .. })
}

#[async_trait]
impl MetadataStore for Cluster {
    async fn read(&self) -> Result<Box<dyn Reads>> {
        let mut outcome = Err(Error::internal("no node is up"));
        for node in self.in_turn() {
            outcome = node.read().await;
            if !outcome.as_ref().is_err_and(is_of_the_node) {
                break;
            }
        }
        outcome
    }

    async fn snapshot(&self) -> Result<Box<dyn Reads>> {
        self.in_turn().next().unwrap().snapshot().await
    }

    async fn write(&self, unit: Arc<dyn WriteUnit>) -> Result<()> {
        let mut outcome = Err(Error::internal("no node is up"));
        for node in self.in_turn() {
            outcome = node.write(Arc::clone(&unit)).await;
            if !outcome.as_ref().is_err_and(is_of_the_node) {
                break;
            }
        }
        outcome
    }

    async fn now(&self) -> Result<Timestamp> {
        self.in_turn().next().unwrap().now().await
    }

    /// By all nodes at once, as replicas that are deployed together might.
    async fn migrate(&self) -> Result<()> {
        let all = futures_util::future::join_all(self.nodes.iter().map(MetadataStore::migrate)).await;
        all.into_iter().collect()
    }

    async fn pending_migrations(&self) -> Result<Vec<String>> {
        self.in_turn().next().unwrap().pending_migrations().await
    }

    async fn ping(&self) -> Result<()> {
        self.in_turn().next().unwrap().ping().await
    }

    async fn foreign_commit(&self) {
        std::future::pending::<()>().await;
    }

    async fn close(&self) {
        futures_util::future::join_all(self.nodes.iter().map(MetadataStore::close)).await;
    }
}

impl House {
    /// Returns a drive on a cluster; nothing without one.
    pub(crate) async fn on_galera(adjust: impl Fn(&mut Ports)) -> Option<Self> {
        Some(Self::on_cluster(adjust).await?.0)
    }

    async fn on_cluster(adjust: impl Fn(&mut Ports)) -> Option<(Self, Arc<Cluster>)> {
        let (cluster, urls) = Cluster::new().await?;
        let configure = |config: &mut Config| {
            config.database_url = Some(urls[0].clone());
            config.objects = ObjectsConfig::Memory;
        };
        let spread = |ports: &mut Ports| {
            ports.meta = Arc::clone(&cluster) as Arc<dyn MetadataStore>;
            adjust(ports);
        };
        Some((Self::build(configure, spread).await, cluster))
    }

    /// Returns once so many more changes were made.
    async fn until_changed(&self, by: i64) {
        let start = feed::head(&self.drive, &self.caller).await.unwrap_or(0);
        while feed::head(&self.drive, &self.caller).await.unwrap_or(0) < start + by {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// A node in turn is killed under the others' hands, and comes back, until this is told to stop.
async fn kill_in_turn(house: Arc<House>, cluster: Arc<Cluster>, done: Arc<AtomicBool>) -> u32 {
    let mut kills = 0;
    while !done.load(Ordering::Relaxed) {
        let victim = kills as usize % cluster.nodes.len();
        cluster.process("kill", victim).await;
        kills += 1;
        // The others go on without it.
        let others = house.until_changed(30);
        drop(tokio::time::timeout(Duration::from_secs(20), others).await);
        cluster.process("start", victim).await;
    }
    kills
}

/// A cluster whose nodes die, until it is told to let them live.
struct Battered {
    house: Arc<House>,
    cluster: Arc<Cluster>,
    /// Somebody who is in no share.
    guest: Caller,
    done: Arc<AtomicBool>,
    killer: tokio::task::JoinHandle<u32>,
}

impl Battered {
    async fn new(adjust: impl Fn(&mut Ports)) -> Option<Self> {
        let Some((house, cluster)) = House::on_cluster(adjust).await else {
            eprintln!("SKIPPED: SCAIDRIVE_TEST_GALERA_URLS is not set: run tests/run --galera");
            return None;
        };
        let guest = house.person("guest", None).await;
        let (house, done) = (Arc::new(house), Arc::new(AtomicBool::new(false)));
        let killer = tokio::spawn(kill_in_turn(Arc::clone(&house), Arc::clone(&cluster), Arc::clone(&done)));
        Some(Self { house, cluster, guest, done, killer })
    }

    /// Lets all nodes live, and checks what each of them holds.
    async fn calm(self) -> (Arc<House>, Arc<Cluster>) {
        self.done.store(true, Ordering::Relaxed);
        let kills = self.killer.await.unwrap();
        eprintln!("{kills} kills");
        assert!(kills > 0, "nothing was battered");
        for number in 0..self.cluster.nodes.len() {
            self.cluster.ask_only(number);
            self.house.check().await;
        }
        (self.house, self.cluster)
    }

    async fn create(&self, text: &str) -> Result<FileId> {
        self.create_as(text, 0).await
    }

    /// Creates a file with one of a few contents.
    async fn create_as(&self, text: &str, content: u32) -> Result<FileId> {
        let bytes = Cursor::new(format!("content {content}").into_bytes());
        let (share, name) = (self.house.share.id, name(text));
        let new = NewFile { share, folder: None, name, mime_type: None, modified_at: None };
        Ok(files::create(&self.house.drive, &self.house.caller, new, bytes).await?.id)
    }
}

impl House {
    async fn all_names(&self) -> Vec<String> {
        let walked = folders::walk(&self.drive, &self.caller, self.share.id, None).await.unwrap();
        walked.iter().map(|found| found.node.name.to_string()).collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_position_is_missed_though_nodes_die() {
    let Some(battered) = Battered::new(|_| {}).await else { return };
    let field = Battlefield::of((*battered.house).clone(), true).await;
    let quiet = async { drop(battered.calm().await) };
    field.fight_until(quiet).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_is_on_every_node_once_though_nodes_die() {
    let Some(battered) = Battered::new(|_| {}).await else { return };
    let (mut acknowledged, mut broken) = (BTreeSet::new(), 0);
    let by = &battered;
    let write = async |number: u32| {
        let text = format!("file {number}");
        (by.create(&text).await, text)
    };
    let outcomes: Vec<_> = stream::iter(0..rounds(200) * 4).map(write).buffer_unordered(12).collect().await;
    for (outcome, text) in outcomes {
        match outcome {
            Ok(_) => drop(acknowledged.insert(text)),
            Err(error) if is_of_a_break(&error) => broken += 1,
            Err(error) => panic!("{error:?}"),
        }
    }
    eprintln!("{} writes were acknowledged, {broken} broke off", acknowledged.len());
    let (house, cluster) = battered.calm().await;
    for number in 0..cluster.nodes.len() {
        cluster.ask_only(number);
        let there = house.all_names().await;
        let distinct: BTreeSet<String> = there.iter().cloned().collect();
        assert_eq!(there.len(), distinct.len(), "nothing is there twice");
        assert!(acknowledged.is_subset(&distinct), "lost: {:?}", acknowledged.difference(&distinct));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn opposite_moves_detach_nothing_though_nodes_die() {
    let Some(battered) = Battered::new(|_| {}).await else { return };
    let (drive, caller, share) = (&battered.house.drive, &battered.house.caller, battered.house.share.id);
    let make = async |text| loop {
        match folders::create(drive, caller, share, None, name(text)).await {
            Ok(made) => break made.id,
            Err(error) => assert!(is_of_a_break(&error), "{error:?}"),
        }
    };
    let (a, b) = (make("A").await, make("B").await);
    let relocate = async |id, parent| {
        let moved = moves::folder(drive, caller, id, Target { parent, name: None }).await;
        let is_known = |error: &Error| matches!(error, Error::Cycle) || is_of_a_break(error);
        assert!(moved.as_ref().err().is_none_or(is_known), "{moved:?}");
    };
    for _ in 0..rounds(200) {
        tokio::join!(relocate(a, ParentId::Folder(b)), relocate(b, ParentId::Folder(a)));
        tokio::join!(relocate(a, ParentId::Root(share)), relocate(b, ParentId::Root(share)));
    }
    let (house, cluster) = battered.calm().await;
    for number in 0..cluster.nodes.len() {
        cluster.ask_only(number);
        let mut there = house.all_names().await;
        there.sort_unstable();
        assert_eq!(there, ["A", "B"], "nothing hangs in the air");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_node_lets_anybody_in_after_the_answer_to_a_revoke_though_nodes_die() {
    let Some(battered) = Battered::new(|_| {}).await else { return };
    let (drive, caller, share) = (&battered.house.drive, &battered.house.caller, battered.house.share.id);
    let guest = &battered.guest;
    let member =
        || NewMember { principal: "user:guest".parse().unwrap(), role: ShareRole::Reader, expires_at: None };
    let (mut seen, mut revoked) = (0, 0);
    for _ in 0..rounds(200) {
        let Ok(added) = members::add(drive, caller, share, member()).await else { continue };
        seen += u32::from(shares::get(drive, guest, share).await.is_ok());
        while let Err(error) = members::remove(drive, caller, share, added.id).await {
            assert!(is_of_a_break(&error), "{error:?}");
            if matches!(error, Error::NotFound) {
                break;
            }
        }
        revoked += 1;
        for _ in 0..3 {
            let late = shares::get(drive, guest, share).await;
            assert!(late.as_ref().err().is_some_and(is_of_a_break), "{late:?}");
        }
    }
    eprintln!("{revoked} were revoked, {seen} had read before");
    assert!(seen > 0 && revoked > 0);
    battered.calm().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn collection_takes_nothing_that_is_needed_though_nodes_die() {
    const GRACE: Duration = Duration::from_millis(200);
    let Some(battered) = Battered::new(|ports| ports.gc_grace = GRACE).await else { return };
    let (drive, caller) = (&battered.house.drive, &battered.house.caller);
    let (written, collected) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let plan = Plan { grace: GRACE, dry_run: false, quarantine: Duration::from_millis(5) };
    let collector = async {
        while written.load(Ordering::Relaxed) < 4 {
            match collect::run(drive, caller.tenant, plan).await {
                Ok(done) => drop(collected.fetch_add(done.chunks as usize, Ordering::Relaxed)),
                Err(error) => assert!(is_of_a_break(&error), "{error:?}"),
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let writers = futures_util::future::join_all((0..4).map(|writer| {
        let (battered, written) = (&battered, &written);
        async move {
            for round in 0..rounds(200) {
                // All write the same contents at about the same time; of every second nothing stays.
                let content = round / 10;
                let made = battered.create_as(&format!("{writer}-{round}"), content).await;
                let purged = match made {
                    Ok(id) if content % 2 == 1 || round % 3 > 0 => {
                        trash::delete(&battered.house.drive, &battered.house.caller, id.into(), true).await
                    }
                    other => other.map(drop),
                };
                assert!(purged.as_ref().err().is_none_or(is_of_a_break), "{purged:?}");
            }
            written.fetch_add(1, Ordering::Relaxed);
        }
    }));
    tokio::join!(collector, writers);
    eprintln!("{} chunks were collected", collected.load(Ordering::Relaxed));
    assert!(collected.into_inner() > 0, "the race was no race");
    battered.calm().await;
}
