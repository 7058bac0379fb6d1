//! Clients that go on until they are stopped.

use std::fs;
use std::io::{BufRead, BufReader, Lines};
use std::process::{Child, ChildStderr, ChildStdout, Command, Stdio};

use super::{Device, Server, settle};
use crate::program::{Ran, program};

/// A device that goes on syncing.
struct Running {
    process: Child,
    lines: Lines<BufReader<ChildStdout>>,
    told: Lines<BufReader<ChildStderr>>,
}

impl Running {
    /// Starts a device, and waits until it is in step for the first time.
    fn start(device: &Device<'_>) -> Self {
        let marker = format!("started-{}", device.name);
        device.write(&marker, "");
        let mut command = device.command(&[]);
        let mut process = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let told = BufReader::new(process.stderr.take().unwrap()).lines();
        let mut running = Self { process, lines, told };
        running.next();
        running
    }

    /// Waits until something was synced.
    fn next(&mut self) -> String {
        self.lines.next().unwrap().unwrap()
    }

    /// Waits until it says this.
    fn wait_for(&mut self, told: &str) {
        assert!(
            self.told.by_ref().map(Result::unwrap).any(|line| line.contains(told)),
            "{told} is never told"
        );
    }

    fn signal(&self, name: &str) {
        let id = self.process.id().to_string();
        assert!(Command::new("kill").args(["-s", name, &id]).status().unwrap().success());
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn a_directory_belongs_to_one_share_and_one_process() {
    let server = Server::start();
    let device = server.device("one");
    settle(&[&device]);
    server.drive.run(&["share", "create", "T"]).done();
    let other = device.command(&["--share", "T", "--once"]).output();
    assert_ne!(other.unwrap().status.code(), Some(0), "clap takes one share alone");
    let command = program(&["sync"])
        .arg(&device.dir)
        .args(["--share", "T", "--once", "--server", &server.url])
        .env("SCAIDRIVE_TOKEN", &device.token)
        .output();
    assert!(Ran(command.unwrap()).ended(2).contains("belongs to another share"));
    let running = Running::start(&device);
    assert!(device.run(&[]).ended(8).contains("another process"));
    drop(running);
}

#[test]
fn what_changes_on_one_running_device_arrives_on_the_other() {
    let server = Server::start();
    let (one, other) = (server.device("one"), server.device("other"));
    let _first = Running::start(&one);
    let mut second = Running::start(&other);
    one.write("docs/plan.txt", "first");
    while !other.path("docs/plan.txt").exists() {
        second.next();
    }
    assert_eq!(other.read("docs/plan.txt"), "first");
    fs::rename(other.path("docs"), other.path("papers")).unwrap();
    one.write("new.txt", "new");
    while !other.path("new.txt").exists() {
        second.next();
    }
}

#[test]
fn a_client_that_is_told_to_stop_ends_well() {
    let server = Server::start();
    for signal in ["TERM", "INT"] {
        let mut running = Running::start(&server.device(signal));
        running.signal(signal);
        assert_eq!(running.process.wait().unwrap().code(), Some(0), "{signal}");
    }
}

#[test]
fn a_paused_client_does_nothing_until_it_may_go_on() {
    let server = Server::start();
    let (one, other) = (server.device("one"), server.device("other"));
    let mut running = Running::start(&one);
    running.signal("USR1");
    running.wait_for("paused");
    one.write("plan.txt", "first");
    settle(&[&other]);
    assert!(!other.path("plan.txt").exists());
    running.signal("USR1");
    running.wait_for("going on");
    running.next();
    settle(&[&other]);
    assert_eq!(other.read("plan.txt"), "first");
}

#[test]
fn a_server_that_comes_back_is_found_again() {
    let mut server = Server::start();
    let (url, token) = (server.url.clone(), server.token("admin"));
    let dir = server.drive.path("one");
    fs::create_dir_all(&dir).unwrap();
    fs::write(dir.join("a.txt"), "before").unwrap();
    let mut client = program(&["sync"]);
    client.arg(&dir).args(["--share", "S", "--server", &url]).env("SCAIDRIVE_TOKEN", token);
    let mut process = client.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
    lines.next().unwrap().unwrap();
    server.restart_after(|| fs::write(dir.join("b.txt"), "while it was away").unwrap());
    lines.next().unwrap().unwrap();
    process.kill().unwrap();
    process.wait().unwrap();
    assert!(server.drive.run(&["ls", "S"]).done().contains("b.txt"));
}
