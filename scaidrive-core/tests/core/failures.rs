//! Parts that fail in the worst moment: each mutation is applied once or not at all, and its caller is told the
//! truth.

use std::collections::BTreeSet;
use std::io::Cursor;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use futures_util::{StreamExt, stream};
use scaidrive_core::config::ObjectsConfig;
use scaidrive_core::model::{Error, Result};
use scaidrive_core::services::files::{self, NewFile};
use scaidrive_core::services::folders;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::backends::{House, mariadb, name};

impl House {
    async fn create(&self, text: &str, size: usize) -> Result<()> {
        let new = NewFile {
            share: self.share.id,
            folder: None,
            name: name(text),
            mime_type: None,
            modified_at: None,
        };
        let bytes = vec![text.len() as u8; size];
        files::create(&self.drive, &self.caller, new, Cursor::new(bytes)).await.map(drop)
    }

    async fn names(&self) -> BTreeSet<String> {
        let walked = folders::walk(&self.drive, &self.caller, self.share.id, None).await.unwrap();
        let names: Vec<String> = walked.iter().map(|found| found.node.name.to_string()).collect();
        let distinct: BTreeSet<String> = names.iter().cloned().collect();
        assert_eq!(names.len(), distinct.len(), "nothing is there twice");
        distinct
    }
}

/// Stands between the drive and MariaDB and breaks connections in the middle of COMMIT, while it is told to:
/// by turns before the server sees it, and after, before its answer gets back.
pub(crate) struct Breaker {
    pub(crate) breaking: AtomicBool,
    commits: AtomicU32,
    pub(crate) broken: AtomicU32,
}

impl Breaker {
    /// Stands before a database; returns the address that leads to it through this.
    pub(crate) async fn before(url: &str) -> (Arc<Self>, String) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (credentials, rest) = url.split_once('@').unwrap();
        let (server, database) = rest.split_once('/').unwrap();
        let through =
            format!("{credentials}@{}/{database}?ssl-mode=DISABLED", listener.local_addr().unwrap());
        let breaker = Arc::new(Self {
            breaking: AtomicBool::new(false),
            commits: AtomicU32::new(0),
            broken: AtomicU32::new(0),
        });
        tokio::spawn(Arc::clone(&breaker).serve(listener, server.to_owned()));
        (breaker, through)
    }

    async fn serve(self: Arc<Self>, listener: TcpListener, server: String) {
        while let Ok((client, _)) = listener.accept().await {
            let server = TcpStream::connect(&server).await.unwrap();
            let breaker = Arc::clone(&self);
            // Either way the connection ends is one the test wants.
            tokio::spawn(async move { drop(breaker.pass(client, server).await) });
        }
    }

    async fn pass(&self, mut client: TcpStream, mut server: TcpStream) -> std::io::Result<()> {
        let (mut from_client, mut from_server) = (vec![0; 1 << 16], vec![0; 1 << 16]);
        loop {
            tokio::select! {
                read = client.read(&mut from_client) => {
                    let bytes = &from_client[..read?];
                    if bytes.is_empty() {
                        return Ok(());
                    }
                    let is_commit = bytes.windows(6).any(|part| part == b"COMMIT");
                    let breaks = if is_commit { self.decide() } else { None };
                    match breaks {
                        Some(true) => return Ok(()),
                        Some(false) => {
                            server.write_all(bytes).await?;
                            // The server has done it once it answers; nobody hears of that.
                            let _ = server.read(&mut from_server).await?;
                            return Ok(());
                        }
                        None => server.write_all(bytes).await?,
                    }
                }
                read = server.read(&mut from_server) => match read? {
                    0 => return Ok(()),
                    length => client.write_all(&from_server[..length]).await?,
                },
            }
        }
    }
}

impl Breaker {
    /// Returns whether this commit is broken before it arrives, or after; nothing lets it pass.
    fn decide(&self) -> Option<bool> {
        let number = self.commits.fetch_add(1, Ordering::Relaxed);
        if !self.breaking.load(Ordering::Relaxed) || !number.is_multiple_of(3) {
            return None;
        }
        self.broken.fetch_add(1, Ordering::Relaxed);
        Some(number.is_multiple_of(2))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_killed_in_commit_is_applied_once_or_not_at_all() {
    let Some(url) = mariadb() else { return };
    let (breaker, through) = Breaker::before(&url).await;
    let configure = |config: &mut scaidrive_core::config::Config| {
        config.database_url = Some(through.clone());
        config.objects = ObjectsConfig::Memory;
    };
    let house = Arc::new(House::build(configure, |_| {}).await);
    breaker.breaking.store(true, Ordering::Relaxed);
    let write = |number: u32| {
        let house = Arc::clone(&house);
        async move { (format!("file {number}"), house.create(&format!("file {number}"), 100).await) }
    };
    let outcomes: Vec<_> = stream::iter((0..120).map(write)).buffer_unordered(6).collect().await;
    breaker.breaking.store(false, Ordering::Relaxed);
    let there = house.names().await;
    let mut done = 0;
    for (text, outcome) in outcomes {
        match outcome {
            Ok(()) => {
                done += 1;
                assert!(there.contains(&text), "{text} was promised");
            }
            // Told that it is not known, or that it did not work: then it must not be there, or say so.
            Err(Error::CommitUnknown { .. }) => {}
            Err(error) => {
                assert!(!there.contains(&text), "{text} is there, but its caller was told: {error:?}");
            }
        }
    }
    let broken = breaker.broken.load(Ordering::Relaxed);
    eprintln!("{broken} commits were broken; {done} of 120 writes got through");
    assert!(broken > 100 && done > 100, "{broken} broken, {done} done");
    house.check().await;
}

/// A small file system in memory, gone with the test.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn mount(megabytes: u32) -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let size = format!("size={megabytes}m");
        let mounted =
            Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(dir.path()).output();
        mounted.is_ok_and(|output| output.status.success()).then(|| Self(dir))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg("-l").arg(self.0.path()).status();
        assert!(unmounted.unwrap().success());
    }
}

async fn fill_the_disk(objects: ObjectsConfig, size: usize) {
    let Some(disk) = SmallDisk::mount(8) else {
        eprintln!("SKIPPED: no right to mount a small file system");
        return;
    };
    let ballast = disk.0.path().join("ballast");
    std::fs::write(&ballast, vec![0; 1 << 20]).unwrap();
    let configure = |config: &mut scaidrive_core::config::Config| {
        disk.0.path().clone_into(&mut config.data_dir);
        config.objects = objects.clone();
    };
    let house = Arc::new(House::build(configure, |_| {}).await);
    let write = |number: u32| {
        let house = Arc::clone(&house);
        async move { (format!("file {number:05}"), house.create(&format!("file {number:05}"), size).await) }
    };
    let mut outcomes: Vec<(String, Result<()>)> = Vec::new();
    let refused = std::cell::Cell::new(0);
    let numbers = stream::iter(0..100_000).take_while(|_| std::future::ready(refused.get() < 40));
    let mut writes = numbers.map(write).buffer_unordered(16);
    // To the last: one still under way would take the room that is made below.
    while let Some(outcome) = writes.next().await {
        refused.set(refused.get() + u32::from(outcome.1.is_err()));
        outcomes.push(outcome);
    }
    assert!(refused.get() >= 40, "the disk was full");
    for (text, outcome) in &outcomes {
        if let Err(error) = outcome {
            assert!(matches!(error, Error::Unavailable { .. }), "{text}: {error:?}");
        }
    }
    std::fs::remove_file(&ballast).unwrap();
    house.create("room again", size).await.expect("it goes on once there is room");
    let there = house.names().await;
    for (text, outcome) in &outcomes {
        assert_eq!(there.contains(text), outcome.is_ok(), "{text}: {outcome:?}");
    }
    house.check().await;
    house.drive.meta.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_under_the_database_fails_only_what_did_not_fit() {
    fill_the_disk(ObjectsConfig::Memory, 10).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_under_the_objects_fails_only_what_did_not_fit() {
    fill_the_disk(ObjectsConfig::Local, 100_000).await;
}
