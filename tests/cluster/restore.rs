//! An older database is restored while devices sync: they find together again, and nobody's edit is lost.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use serde_json::Value;

use crate::answers::{Caller, Tally};
use crate::cluster::{Cluster, Part, Tenant, await_that_or_tell, ran};
use crate::tree::Tree;

/// What stops while the database is restored.
const SERVERS: [&str; 5] = ["api-1", "api-2", "api-3", "worker-1", "worker-2"];

/// Files that are there before the dump.
const FILES: usize = 60;

/// A directory that is synced through nginx, by a process of its own.
struct Device<'c> {
    cluster: &'c Cluster,
    token: &'c str,
    name: &'static str,
    dir: PathBuf,
    process: Child,
}

impl<'c> Device<'c> {
    fn start(cluster: &'c Cluster, tenant: &'c Tenant, name: &'static str, beside: &Path) -> Self {
        let dir = beside.join(name);
        fs::create_dir(&dir).unwrap();
        let log = File::create(beside.join(format!("{name}.log"))).unwrap();
        let process =
            command(cluster, &tenant.token, name, &dir).stdout(Stdio::null()).stderr(log).spawn().unwrap();
        Self { cluster, token: &tenant.token, name, dir, process }
    }

    fn write(&self, file: &str, text: &str) {
        fs::write(self.dir.join(file), text).unwrap();
    }

    /// Stops it, and syncs once more; demands that nothing was left to do.
    fn check(&mut self) {
        assert!(Command::new("kill").arg(self.process.id().to_string()).status().unwrap().success());
        assert!(self.process.wait().unwrap().success(), "{}", self.name);
        let once = ran(command(self.cluster, self.token, self.name, &self.dir).args(["--once", "--json"]));
        let done: Value = serde_json::from_str(&once).unwrap();
        assert_eq!((&done["changed_here"], &done["changed_there"]), (&0.into(), &0.into()), "{done}");
    }

    /// Returns what is written in its files.
    fn texts(&self) -> BTreeSet<String> {
        let files = fs::read_dir(&self.dir).unwrap().map(|entry| entry.unwrap().path());
        files.filter(|path| path.is_file()).map(|path| fs::read_to_string(path).unwrap()).collect()
    }
}

impl Drop for Device<'_> {
    fn drop(&mut self) {
        // A test that fails leaves no process behind; one that was stopped is gone already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn command(cluster: &Cluster, token: &str, name: &str, dir: &Path) -> Command {
    let mut command = cluster.command("scaidrive");
    command.arg("sync").arg(dir).args(["--share", "S", "--device-name", name, "--server", &cluster.url]);
    command.arg("--allow-mass-delete").env("SCAIDRIVE_TOKEN", token);
    command
}

/// Waits until both hold the same, and all of these texts.
fn await_alike([first, second]: [&Device; 2], texts: &BTreeSet<String>) {
    let missing = |device: &Device| texts.difference(&device.texts()).take(3).cloned().collect::<Vec<_>>();
    let difference = || {
        let (one, other) = (Tree::of(&first.dir), Tree::of(&second.dir));
        let differ = if one == other { String::new() } else { one.difference(&other) };
        (missing(first), missing(second), differ)
    };
    await_that_or_tell(
        || difference() == Default::default(),
        || {
            let (first, second, differ) = difference();
            format!(
                "the first misses {first:?}, the second {second:?}; the second against the first: {differ}"
            )
        },
    );
}

/// Does to both what is known to the server when it is dumped.
fn work_before(first: &Device) -> BTreeSet<String> {
    let texts = (0..FILES).map(|number| format!("as dumped, {number}"));
    texts
        .enumerate()
        .map(|(number, text)| {
            first.write(&format!("file {number}"), &text);
            text
        })
        .collect()
}

/// Edits, adds, renames and deletes at both, files of their own from `from` on; returns what was written.
fn work(devices: [&Device; 2], when: &str, from: usize) -> BTreeSet<String> {
    let mut texts = BTreeSet::new();
    for (side, device) in devices.into_iter().enumerate() {
        let own = from + side * 10;
        for number in own..own + 5 {
            let text = format!("{when}, {}, {number}", device.name);
            device.write(&format!("file {number}"), &text);
            device.write(&format!("new {number} {when}"), &format!("new {text}"));
            texts.extend([format!("new {text}"), text]);
        }
        fs::rename(
            device.dir.join(format!("file {}", own + 5)),
            device.dir.join(format!("moved {when} {side}")),
        )
        .unwrap();
        fs::remove_file(device.dir.join(format!("file {}", own + 6))).unwrap();
    }
    texts
}

/// Stops the server, puts the dump in the place of the database as README says, and starts again.
fn restore(cluster: &Cluster, dump: &Path, meanwhile: impl FnOnce()) {
    let servers = SERVERS.map(|name| cluster.part(name));
    servers.iter().for_each(Part::tell_to_stop);
    servers.iter().for_each(Part::await_end);
    meanwhile();
    cluster.sql("mariadb", "DROP DATABASE scaidrive");
    let mut client = Command::new("mariadb");
    client.args(["--no-defaults", "-uroot", "--socket"]).arg(cluster.dir().join("mariadb.sock"));
    ran(client.stdin(File::open(dump).unwrap()));
    cluster.cli(&["migrate"]);
    cluster.cli(&["backup", "verify", "--deep"]);
    cluster.cli(&["restore", "finish"]);
    servers.iter().for_each(Part::start);
    cluster.await_ready();
}

fn dump(cluster: &Cluster, to: &Path) {
    let mut dump = Command::new("mariadb-dump");
    dump.args(["--no-defaults", "-uroot", "--single-transaction", "--databases", "scaidrive", "--socket"]);
    let status = dump.arg(cluster.dir().join("mariadb.sock")).stdout(File::create(to).unwrap()).status();
    assert!(status.unwrap().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn devices_find_together_again_after_an_older_database_was_restored() {
    let Some(cluster) = Cluster::open() else { return };
    let (tenant, beside) = (cluster.tenant(), tempfile::tempdir().unwrap());
    let caller = Caller::new(&cluster.url, &tenant.token, &Arc::new(Tally::default()));
    caller.share("S").await;
    tokio::task::block_in_place(|| {
        let mut first = Device::start(&cluster, &tenant, "first", beside.path());
        let mut second = Device::start(&cluster, &tenant, "second", beside.path());
        let mut texts = work_before(&first);
        await_alike([&first, &second], &texts);
        let dumped = beside.path().join("dump.sql");
        dump(&cluster, &dumped);
        texts = work([&first, &second], "after the dump", 0);
        await_alike([&first, &second], &texts);
        restore(&cluster, &dumped, || {
            texts.extend(work([&first, &second], "while it was away", 20));
            for device in [&first, &second] {
                let text = format!("on both sides, {}", device.name);
                device.write("file 50", &text);
                texts.insert(text);
            }
        });
        await_alike([&first, &second], &texts);
        first.check();
        second.check();
        assert!(Tree::of(&first.dir) == Tree::of(&second.dir));
        assert!(texts.is_subset(&second.texts()));
        eprintln!("{} edits are in both of {} files", texts.len(), Tree::of(&first.dir).len());
    });
    cluster.check();
    cluster.check_replica();
}
