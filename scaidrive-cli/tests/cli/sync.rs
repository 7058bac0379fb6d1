//! `scaidrive sync` against a real server: real processes, real directories.

mod running;

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::program::{Drive, Ran, program};

/// A server on a drive of its own, with a share named `S`.
struct Server {
    drive: Drive,
    process: Child,
    url: String,
}

impl Server {
    fn start() -> Self {
        let drive = Drive::new();
        let (process, url) = Self::serve(&drive, "127.0.0.1:0");
        Self { drive, process, url }
    }

    /// Kills the server and starts it again at the same address.
    fn restart_after(&mut self, meanwhile: impl FnOnce()) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
        meanwhile();
        self.process = Self::serve(&self.drive, self.url.strip_prefix("http://").unwrap()).0;
    }

    fn serve(drive: &Drive, address: &str) -> (Child, String) {
        let server = Path::new(env!("CARGO_BIN_EXE_scaidrive")).with_file_name("scaidrive-server");
        assert!(server.exists(), "{} is not built: run `cargo build --workspace` first", server.display());
        let mut process = Command::new(server)
            .env_clear()
            .args(["serve", "--listen", address, "--metrics-listen", "127.0.0.1:0"])
            .env("SCAIDRIVE_DATA_DIR", drive.path("drive"))
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let first = BufReader::new(process.stdout.take().unwrap()).lines().next().unwrap().unwrap();
        let url = first.strip_prefix("ScaiDrive listens on ").unwrap().to_owned();
        (process, url)
    }

    fn token(&self, user: &str) -> String {
        self.drive.run(&["token", "create", "--user", user]).done().trim().to_owned()
    }

    fn device(&self, name: &str) -> Device<'_> {
        let dir = self.drive.path(name);
        fs::create_dir_all(&dir).unwrap();
        Device { server: self, name: name.to_owned(), dir, token: self.token("admin") }
    }
}

/// Syncs devices in turn until none of them has anything to do.
fn settle(devices: &[&Device<'_>]) {
    for _ in 0..10 {
        let changes = |device: &&Device<'_>| {
            let summary = device.sync(&[]);
            summary["changed_here"].as_u64().unwrap() + summary["changed_there"].as_u64().unwrap()
        };
        if devices.iter().map(changes).sum::<u64>() == 0 {
            return;
        }
    }
    panic!("the devices do not come to rest");
}

impl Drop for Server {
    /// A test that fails leaves no process behind.
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A directory that is synced.
struct Device<'s> {
    server: &'s Server,
    name: String,
    dir: PathBuf,
    token: String,
}

impl Device<'_> {
    fn command(&self, args: &[&str]) -> Command {
        let mut command = program(&["sync"]);
        command
            .arg(&self.dir)
            .args(["--share", "S", "--device-name", &self.name, "--server", &self.server.url])
            .args(args)
            .env("SCAIDRIVE_TOKEN", &self.token);
        command
    }

    fn run(&self, args: &[&str]) -> Ran {
        Ran(self.command(&[args, &["--once"]].concat()).output().unwrap())
    }

    /// Syncs once; returns what was done.
    fn sync(&self, args: &[&str]) -> Value {
        let ran = self.run(&[args, &["--json"]].concat());
        serde_json::from_slice(&ran.0.stdout).unwrap_or_else(|error| panic!("{error}: {ran:?}"))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        fs::create_dir_all(self.path(name).parent().unwrap()).unwrap();
        fs::write(self.path(name), bytes).unwrap();
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    /// Returns everything in the directory but what the client remembers.
    fn tree(&self) -> BTreeMap<String, Option<Vec<u8>>> {
        let (mut tree, mut open) = (BTreeMap::new(), vec![self.dir.clone()]);
        while let Some(dir) = open.pop() {
            for entry in fs::read_dir(dir).unwrap().map(Result::unwrap) {
                let path = entry.path();
                let name = path.strip_prefix(&self.dir).unwrap().display().to_string();
                if name == ".scaidrive" {
                    continue;
                }
                let is_dir = entry.file_type().unwrap().is_dir();
                tree.insert(name, (!is_dir).then(|| fs::read(&path).unwrap()));
                if is_dir {
                    open.push(path);
                }
            }
        }
        tree
    }
}

/// Returns bytes that do not repeat.
fn noise(seed: u32, length: u32) -> Vec<u8> {
    let mut state = seed.wrapping_mul(2_654_435_761) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state as u8
    };
    (0..length).map(|_| next()).collect()
}

#[test]
fn two_devices_have_the_same_tree_whatever_happens_on_either() {
    let server = Server::start();
    let (one, other) = (server.device("one"), server.device("other"));
    one.write("docs/plan.txt", "first");
    one.write("docs/deep/er/large.bin", noise(1, 3_000_000));
    one.write("docs/empty.txt", "");
    fs::create_dir(one.path("nothing")).unwrap();
    for number in 0..300 {
        one.write(&format!("many/{number}.txt"), format!("content {number}"));
    }
    settle(&[&one, &other]);
    assert_eq!(one.tree(), other.tree());
    assert_eq!(other.tree().len(), 1 + 2 + 2 + 1 + 1 + 1 + 300);

    fs::rename(other.path("docs"), other.path("papers")).unwrap();
    one.write("docs/plan.txt", "second");
    let mut large = noise(1, 3_000_000);
    large.splice(1_000_000..1_000_010, *b"in the middle");
    other.write("papers/deep/er/large.bin", &large);
    fs::remove_dir_all(one.path("nothing")).unwrap();
    fs::remove_file(one.path("many/7.txt")).unwrap();
    let sent = other.sync(&[])["sent_bytes"].as_u64().unwrap();
    assert!((1..1_500_000).contains(&sent), "{sent} bytes for ten of three million");
    settle(&[&one, &other]);
    assert_eq!(one.tree(), other.tree());
    assert_eq!(other.read("papers/plan.txt"), "second");
    assert_eq!(fs::read(one.path("papers/deep/er/large.bin")).unwrap(), large);
    assert!(!other.path("nothing").exists() && !other.path("many/7.txt").exists());
}

#[test]
fn what_was_changed_on_both_sides_is_kept_twice() {
    let server = Server::start();
    let (one, other) = (server.device("one"), server.device("other"));
    one.write("plan.txt", "first");
    settle(&[&one, &other]);
    one.write("plan.txt", "of one device");
    other.write("plan.txt", "of the other");
    settle(&[&one, &other]);
    assert_eq!(one.tree(), other.tree());
    let contents: Vec<Vec<u8>> = one.tree().into_values().flatten().collect();
    assert_eq!(contents.len(), 2);
    assert!(contents.contains(&b"of one device".to_vec()) && contents.contains(&b"of the other".to_vec()));
    let copy = one.tree().into_keys().find(|name| name != "plan.txt").unwrap();
    assert!(copy.starts_with("plan (conflict, other, ") && copy.ends_with(").txt"), "{copy}");
}

#[test]
fn an_edit_and_a_removal_leave_the_edit() {
    let server = Server::start();
    let (one, other) = (server.device("one"), server.device("other"));
    one.write("docs/plan.txt", "first");
    one.write("docs/other.txt", "first");
    settle(&[&one, &other]);
    fs::remove_dir_all(one.path("docs")).unwrap();
    other.write("docs/plan.txt", "second");
    settle(&[&one, &other]);
    assert_eq!(one.tree(), other.tree());
    assert_eq!(one.read("docs/plan.txt"), "second");
}

#[test]
fn nothing_much_is_deleted_unless_that_is_meant() {
    let server = Server::start();
    let device = server.device("one");
    for number in 0..150 {
        device.write(&format!("{number}.txt"), number.to_string());
    }
    settle(&[&device]);
    (0..150).for_each(|number| fs::remove_file(device.path(&format!("{number}.txt"))).unwrap());
    let told = device.run(&[]).ended(6);
    assert!(told.contains("150 of 150 files") && told.contains("--allow-mass-delete"), "{told}");
    let before = server.drive.run(&["ls", "S"]).done();
    assert_eq!(before.lines().filter(|line| line.contains(".txt")).count(), 150);
    device.run(&["--allow-mass-delete"]).done();
    assert!(!server.drive.run(&["ls", "S"]).done().contains(".txt"));
}

#[test]
fn a_token_is_told_to_nobody() {
    let server = Server::start();
    let device = Device { token: "eyJ.not-a.token".to_owned(), ..server.device("one") };
    let told = device.run(&["-v"]).ended(7);
    assert!(!told.contains("not-a.token"), "{told}");
    let help =
        Ran(program(&["sync", "--help"]).env("SCAIDRIVE_TOKEN", "secret-token").output().unwrap()).done();
    assert!(!help.contains("secret-token"), "{help}");
}
