//! The README's backup and restore, executed as written under load: what was acknowledged before is there afterwards.

use std::path::Path;
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::databases::{MariaDb, var};
use crate::server::{Server, noise, program, sha256};

const README: &str = include_str!("../../../README.md");

/// Clients that write meanwhile.
const WRITERS: u64 = 4;

/// A file that was acknowledged, and what became of it.
struct Written {
    id: String,
    checksum: String,
    at: Instant,
    /// When its removal began.
    removed: Option<Instant>,
}

/// Returns the commands between two marks of the README.
fn commands(name: &str) -> String {
    let (_, rest) = README.split_once(&format!("<!-- {name} -->")).unwrap();
    let (block, _) = rest.split_once(&format!("<!-- /{name} -->")).unwrap();
    block.lines().filter(|line| !line.starts_with("```")).collect::<Vec<_>>().join("\n")
}

/// Runs commands as an administrator would, in a directory.
fn run(commands: &str, dir: &Path, settings: &[(String, String)]) {
    let programs = program().parent().unwrap().to_owned();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let path = std::env::join_paths(std::iter::once(programs).chain(std::env::split_paths(&path))).unwrap();
    let mut shell = Command::new("bash");
    shell.args(["-euo", "pipefail", "-c", commands]).current_dir(dir).env_clear().env("PATH", path);
    let output = shell.env("HOME", dir).envs(settings.iter().cloned()).output().unwrap();
    assert!(output.status.success(), "{commands}\n{output:?}");
}

/// Writes, and removes some of it again, until told to stop.
async fn write(server: &Server, share: &str, writer: u64, all: &Mutex<Vec<Written>>, stop: &AtomicBool) {
    for number in 0.. {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        let bytes = noise(writer << 32 | number, 3000 + 500 * (number as usize % 40));
        let checksum = sha256(&bytes);
        let id = server.upload(share, None, &format!("{writer} {number}"), bytes).await.created().id();
        all.lock().unwrap().push(Written { id, checksum, at: Instant::now(), removed: None });
        if number % 5 == 4 {
            let removed = {
                let mut all = all.lock().unwrap();
                let place = (number as usize * 7919) % all.len();
                let chosen = all[place].removed.is_none().then_some(place);
                chosen.map(|place| {
                    all[place].removed = Some(Instant::now());
                    all[place].id.clone()
                })
            };
            if let Some(id) = removed {
                server.delete(&format!("/files/{id}?permanent=true")).await.gone_well();
            }
        }
    }
}

/// Does something while others write, before and after it, too; returns when it began, and all that was written.
async fn under_load(server: &Server, work: impl FnOnce() + Send + 'static) -> (Instant, Vec<Written>) {
    let share = server.share("Projects").await;
    let (all, stop) = (Mutex::new(Vec::new()), AtomicBool::new(false));
    let written = |count: usize| {
        let all = &all;
        async move {
            while all.lock().unwrap().len() < count {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
    };
    let load =
        futures_util::future::join_all((0..WRITERS).map(|writer| write(server, &share, writer, &all, &stop)));
    let rest = async {
        written(100).await;
        let (began, before) = (Instant::now(), all.lock().unwrap().len());
        tokio::task::spawn_blocking(work).await.unwrap();
        let so_far = all.lock().unwrap().len();
        assert!(so_far > before, "nobody wrote meanwhile");
        written(so_far + 20).await;
        stop.store(true, Ordering::Relaxed);
        began
    };
    let (_, began) = futures_util::join!(load, rest);
    (began, all.into_inner().unwrap())
}

/// Starts a server on what was restored into a directory; tokens of before are good there.
fn start(
    dir: tempfile::TempDir,
    token: String,
    database: Option<MariaDb>,
    settings: &[(String, String)],
) -> Server {
    // It has its administrator already.
    std::fs::write(dir.path().join("started"), "").unwrap();
    let mut server = Server::start_in(dir, database, &borrowed(settings));
    server.token = token;
    server
}

/// Checks that a restored server has what was there when the backup began, and can be written to.
async fn check(server: Server, began: Instant, all: &[Written]) {
    let must_be_there =
        |written: &&Written| written.at < began && written.removed.is_none_or(|removed| removed > began);
    let mut found = 0;
    for written in all.iter().filter(must_be_there) {
        let content = server.content(&written.id).await;
        if content.status == 404 && written.removed.is_some() {
            // Removed while the snapshot was taken.
            continue;
        }
        assert_eq!(sha256(&content.ok().bytes), written.checksum);
        found += 1;
    }
    assert!(found > 50, "{found}");
    let share = server.get("/shares").await.ok().json["shares"][0]["id"].as_str().unwrap().to_owned();
    server.upload(&share, None, "new", "x").await.created();
    let old = server.get(&format!("/sync/changes?share_id={share}&cursor=1")).await;
    old.refused(410, "CURSOR_EXPIRED");
    server.stop_and_check().await;
}

/// The settings of a place: a bucket of its own in the store of the tests, and how its tools find it.
fn settings(database: &MariaDb, dir: &Path, bucket: &str) -> Option<Vec<(String, String)>> {
    let (endpoint, region) = (var("S3_ENDPOINT")?, var("S3_REGION")?);
    let (access, secret) = (var("S3_ACCESS_KEY")?, var("S3_SECRET_KEY")?);
    let host = database.url.strip_prefix("mysql://").unwrap();
    let (login, rest) = host.split_once('@').unwrap();
    let ((user, password), (host, name)) = (login.split_once(':').unwrap(), rest.split_once('/').unwrap());
    let (host, port) = host.split_once(':').unwrap();
    std::fs::write(
        dir.join(".my.cnf"),
        format!("[client]\nuser={user}\npassword={password}\nhost={host}\nport={port}\nprotocol=tcp\n"),
    )
    .unwrap();
    let all = [
        ("DATABASE", name),
        ("BUCKET", bucket),
        ("SCAIDRIVE_DATABASE_URL", &database.url),
        ("SCAIDRIVE_S3_ENDPOINT", &endpoint),
        ("SCAIDRIVE_S3_BUCKET", bucket),
        ("SCAIDRIVE_S3_REGION", &region),
        ("SCAIDRIVE_S3_ACCESS_KEY", &access),
        ("SCAIDRIVE_S3_SECRET_KEY", &secret),
        ("SCAIDRIVE_SECRET_KEY", "the same before and after, since the audit is sealed with it"),
        ("RCLONE_CONFIG", "/dev/null"),
        ("RCLONE_CONFIG_STORE_TYPE", "s3"),
        ("RCLONE_CONFIG_STORE_PROVIDER", "Other"),
        ("RCLONE_CONFIG_STORE_ENDPOINT", &endpoint),
        ("RCLONE_CONFIG_STORE_REGION", &region),
        ("RCLONE_CONFIG_STORE_ACCESS_KEY_ID", &access),
        ("RCLONE_CONFIG_STORE_SECRET_ACCESS_KEY", &secret),
    ];
    Some(all.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec())
}

fn borrowed(settings: &[(String, String)]) -> Vec<(&str, &str)> {
    settings.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_and_a_bucket_copied_under_load_are_whole_when_restored_elsewhere() {
    let dir = tempfile::tempdir().unwrap();
    let (Some(database), Some(other)) = (MariaDb::create(), MariaDb::create()) else { return };
    let Some(here) = settings(&database, dir.path(), &format!("here-{}", std::process::id())) else { return };
    run("rclone mkdir \"store:$BUCKET\"", dir.path(), &here);
    let server = Server::start_on(Some(database), &borrowed(&here));
    server.lift_limits().await;
    let (place, known) = (dir.path().to_owned(), here.clone());
    let (began, all) = under_load(&server, move || run(&commands("backup"), &place, &known)).await;
    let (token, home) = (server.token.clone(), tempfile::tempdir().unwrap());
    std::fs::copy(server.dir.path().join("issuer.key"), home.path().join("issuer.key")).unwrap();
    server.stop_and_check().await;
    let there = settings(&other, dir.path(), &format!("there-{}", std::process::id())).unwrap();
    run("rclone mkdir \"store:$BUCKET\"", dir.path(), &there);
    run(&commands("restore"), dir.path(), &there);
    check(start(home, token, Some(other), &there), began, &all).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_directory_of_an_embedded_drive_copied_under_load_is_whole_when_restored() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start();
    server.lift_limits().await;
    let data = |dir: &Path| vec![("SCAIDRIVE_DATA_DIR".to_owned(), dir.to_str().unwrap().to_owned())];
    let here = data(server.dir.path());
    let place = dir.path().to_owned();
    let (began, all) = under_load(&server, move || run(&commands("embedded backup"), &place, &here)).await;
    let token = server.token.clone();
    server.stop_and_check().await;
    let there = dir.path().join("copy");
    let steps = commands("restore");
    let steps: Vec<&str> = steps.lines().filter(|line| line.starts_with("scaidrive ")).collect();
    assert_eq!(steps.len(), 3);
    run(&steps.join("\n"), dir.path(), &data(&there));
    let copied = tempfile::tempdir().unwrap();
    std::fs::rename(there, copied.path()).unwrap();
    check(start(copied, token, None, &[]), began, &all).await;
}
