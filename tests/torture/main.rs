//! A server and two devices as real processes on real directories, under what programs do to directories; and the same
//! while all three are killed in turn. In the end both directories are alike, and as whoever worked in them left them.
//!
//! `SCAIDRIVE_TORTURE=long` makes it large: 20,000 files, 1 GiB. `SCAIDRIVE_TEST_PROGRAMS` names a directory of other
//! builds of the programs. What it took is told on standard error. Where `SCAIDRIVE_CLUSTER` names a cluster, that takes the
//! server's place: the devices sync through its nginx, and its api are killed in turn.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod acts;
#[expect(dead_code, unused_imports, reason = "the tests of the cluster need more of it")]
#[path = "../cluster/cluster.rs"]
mod cluster;
mod house;
mod line;
#[path = "../noise.rs"]
mod noise;
mod tree;

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use crate::acts::Acts;
use crate::cluster::variable;
use crate::house::{Device, House};
use crate::tree::Tree;

/// How large everything is.
struct Size {
    copied: usize,
    edited: usize,
    tracked: usize,
    renames: usize,
    large: usize,
    kills: usize,
}

fn size() -> Size {
    match variable("SCAIDRIVE_TORTURE").as_deref() {
        Some("long") => {
            Size { copied: 20_000, edited: 1000, tracked: 2000, renames: 400, large: 1 << 30, kills: 60 }
        }
        _ => Size { copied: 1000, edited: 200, tracked: 200, renames: 100, large: 64 << 20, kills: 9 },
    }
}

/// Waits until both devices hold this; tells what is missing where that takes very long.
fn await_tree(house: &House, wanted: &Tree) {
    const PATIENCE: Duration = Duration::from_secs(1800);
    let began = Instant::now();
    for device in house.devices() {
        loop {
            let looked = Instant::now();
            let found = Tree::of(device.dir());
            if found == *wanted {
                break;
            }
            let told = || format!("{}: {}", device.name, wanted.difference(&found));
            assert!(began.elapsed() < PATIENCE, "{}", told());
            // Looking at many files takes what those that sync them need.
            thread::sleep(Duration::from_millis(200) + looked.elapsed() * 3);
        }
    }
}

/// Does something to the first device's directory, and waits until the second has all of it.
fn act(house: &House, what: &str, work: impl FnOnce(&Path)) {
    let began = Instant::now();
    work(house.first.dir());
    let worked = began.elapsed();
    let wanted = Tree::of(house.first.dir());
    await_tree(house, &wanted);
    let (worked, all) = (worked.as_secs_f64(), began.elapsed().as_secs_f64());
    eprintln!("{what}: {} items, {worked:.1} s of work, alike after {all:.1} s", wanted.len());
}

/// Stops both devices and asks each once more: nothing is left to do, and there is no difference.
fn check(house: &House) {
    for device in house.devices() {
        device.stop();
    }
    for device in house.devices() {
        let done = device.sync_once();
        assert_eq!((&done["changed_here"], &done["changed_there"]), (&0.into(), &0.into()), "{done}");
    }
    house.diff();
    house.fsck();
}

#[test]
fn what_programs_do_in_one_directory_arrives_in_the_other() {
    let (house, size) = (House::new(), size());
    let acts = Acts::new(house.path("material"));
    house.devices().for_each(Device::start);
    act(&house, "cp -r", |dir| acts.copy(dir, size.copied));
    act(&house, "git clone", |dir| acts.clone(dir, size.tracked));
    for branch in ["one", "two", "main"] {
        act(&house, &format!("git checkout {branch}"), |dir| Acts::check_out(dir, branch));
    }
    act(&house, "sed -i", |dir| Acts::edit(dir, size.edited));
    act(&house, "renames", |dir| Acts::rename(dir, size.renames));
    act(&house, "rm -r", |dir| std::fs::remove_dir_all(dir.join("copied")).unwrap());
    check(&house);
    Acts::check_clone(house.second.dir());
}

#[test]
fn both_directories_are_alike_though_everything_is_killed_in_turn() {
    let (house, size) = (House::new(), size());
    let acts = Acts::new(house.path("material"));
    house.devices().for_each(Device::start);
    let began = Instant::now();
    thread::scope(|scope| {
        scope.spawn(|| kill_in_turn(&house, size.kills));
        let dir = house.first.dir();
        acts.copy(dir, size.copied);
        acts.clone(dir, size.tracked);
        Acts::edit(dir, size.edited);
        Acts::check_out(dir, "one");
        Acts::rename(dir, size.renames);
        acts.copy_again(dir, size.copied / 4);
        Acts::check_out(dir, "two");
    });
    eprintln!("{} kills in {:.1} s", size.kills, began.elapsed().as_secs_f64());
    // A device that was refused for long waits for long; one that was just started does not.
    for device in house.devices() {
        device.kill();
        device.start();
    }
    // Both must see this one, and so be at work, before they are told to stop: who has just begun dies of it.
    std::fs::write(house.first.dir().join("last"), "seen by both").unwrap();
    let wanted = Tree::of(house.first.dir());
    await_tree(&house, &wanted);
    eprintln!("{} items alike after {:.1} s", wanted.len(), began.elapsed().as_secs_f64());
    check(&house);
    Acts::check_clone(house.second.dir());
}

/// Kills the server and the devices in turn, each in the middle of whatever it does, and starts each again at once.
fn kill_in_turn(house: &House, kills: usize) {
    for number in 0..kills {
        // Not in step with anything: the times differ by amounts that nothing else has.
        thread::sleep(Duration::from_millis(300 + (number as u64 * 397) % 900));
        match number % 3 {
            0 => house.kill_server(),
            1 => house.first.kill(),
            _ => house.second.kill(),
        }
        match number % 3 {
            0 => house.start_server(),
            1 => house.first.start(),
            _ => house.second.start(),
        }
    }
}

#[test]
fn an_edit_of_a_large_file_sends_little_more_than_the_edit() {
    /// What a question, a batch and the ends of chunks cost beside the edit, whatever its size.
    const OVERHEAD: u64 = 4 << 20;
    const EDIT: usize = 2 << 20;
    let (house, size) = (House::new(), size());
    house.devices().for_each(Device::start);
    act(&house, "a large file", |dir| Acts::write_large(dir, size.large));
    house.devices().for_each(|device| device.line.forget());
    act(&house, "an edit in its middle", |dir| Acts::edit_large(dir, size.large / 2, EDIT));
    let (sent, received) = (house.first.line.sent(), house.second.line.received());
    eprintln!("of {EDIT} bytes in {}, {sent} were sent and {received} received", size.large);
    for bytes in [sent, received] {
        assert!(bytes > EDIT as u64, "the line counts what passes");
        assert!(bytes < 2 * EDIT as u64 + OVERHEAD, "{bytes} bytes for an edit of {EDIT}");
    }
    check(&house);
}
