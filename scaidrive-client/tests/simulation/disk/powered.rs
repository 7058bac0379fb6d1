//! A disk in one life of a device: every operation takes power, and there may not be enough.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read, Write};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use scaidrive_client::fs::{Draft, Found, LocalFs, OpenFile};
use scaidrive_client::model::TreePath;
use scaidrive_client::state::{Log, Record};
use scaidrive_client::trees::Stamp;

use super::{Disk, NodeKind};

/// What is wrong with a disk in one life of a device.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Faults {
    /// Nothing.
    Nothing,
    /// The power fails after so many operations.
    PowerLost(i64),
    /// Every now and then, as this seed has it, an operation fails.
    Hiccups(u64),
}

/// A power supply, and what it makes of the disk.
#[derive(Debug)]
pub(crate) struct Power {
    left: AtomicI64,
    hiccups: Option<Mutex<fastrand::Rng>>,
}

/// More operations than any session needs.
const ENOUGH: i64 = 1 << 40;

/// Operations of which one fails, where some do.
const HICCUP: u32 = 30;

impl Power {
    pub(crate) fn new(faults: Faults) -> Arc<Self> {
        let left = if let Faults::PowerLost(left) = faults { left } else { ENOUGH };
        let hiccups = match faults {
            Faults::Hiccups(seed) => Some(Mutex::new(fastrand::Rng::with_seed(seed))),
            _ => None,
        };
        Arc::new(Self { left: AtomicI64::new(left), hiccups })
    }

    fn spend(&self) -> io::Result<()> {
        if self.left.fetch_sub(1, Ordering::SeqCst) <= 0 {
            return Err(io::Error::other("no power"));
        }
        match &self.hiccups {
            Some(dice) if dice.lock().unwrap().u32(..HICCUP) == 0 => Err(io::ErrorKind::StorageFull.into()),
            _ => Ok(()),
        }
    }

    pub(crate) fn is_gone(&self) -> bool {
        self.left.load(Ordering::SeqCst) < 0
    }
}

/// A disk in one life of a device.
#[derive(Debug)]
pub(crate) struct PoweredDisk {
    pub(super) disk: Disk,
    pub(super) power: Arc<Power>,
}

impl LocalFs for PoweredDisk {
    fn check(&self) -> io::Result<()> {
        self.power.spend()
    }

    fn list(&self, path: &TreePath) -> io::Result<Vec<Found>> {
        self.power.spend()?;
        let mut state = self.disk.lock();
        let entries = state.entries(path)?.clone();
        Ok(entries.iter().map(|(name, number)| state.found(name, *number)).collect())
    }

    fn look(&self, path: &TreePath) -> io::Result<Option<Found>> {
        self.power.spend()?;
        let state = self.disk.lock();
        Ok(state.find(path).map(|number| state.found(path.name().unwrap_or_default(), number)))
    }

    fn open(&self, path: &TreePath) -> io::Result<Box<dyn OpenFile>> {
        self.power.spend()?;
        let state = self.disk.lock();
        let number = state.find(path).ok_or(io::ErrorKind::NotFound)?;
        match &state.now.nodes[&number].kind {
            NodeKind::File(bytes) => {
                Ok(Box::new(MemoryFile { bytes: bytes.clone(), stamp: state.stamp(number), at: 0 }))
            }
            NodeKind::Folder(_) => Err(io::ErrorKind::IsADirectory.into()),
        }
    }

    fn draft(&self) -> io::Result<Box<dyn Draft>> {
        self.power.spend()?;
        Ok(Box::new(MemoryDraft {
            bytes: Vec::new(),
            disk: self.disk.clone(),
            power: Arc::clone(&self.power),
        }))
    }

    fn make_folder(&self, path: &TreePath) -> io::Result<Stamp> {
        self.power.spend()?;
        let tick = self.disk.tick();
        let mut state = self.disk.lock();
        let number = state.create(path, NodeKind::Folder(BTreeMap::new()), tick)?;
        Ok(state.stamp(number))
    }

    fn rename(&self, from: &TreePath, to: &TreePath) -> io::Result<()> {
        self.power.spend()?;
        let tick = self.disk.tick();
        self.disk.lock().relink(from, to, tick)
    }

    fn remove_file(&self, path: &TreePath, stamp: &Stamp) -> io::Result<bool> {
        self.power.spend()?;
        let mut state = self.disk.lock();
        let is_it = state.find(path).is_some_and(|number| state.stamp(number) == *stamp);
        if is_it { state.unlink(path).map(|()| true) } else { Ok(false) }
    }

    fn remove_folder(&self, path: &TreePath) -> io::Result<()> {
        self.power.spend()?;
        let mut state = self.disk.lock();
        if state.entries(path)?.is_empty() {
            state.unlink(path)
        } else {
            Err(io::ErrorKind::DirectoryNotEmpty.into())
        }
    }

    fn is_case_sensitive(&self) -> bool {
        !self.disk.lock().manners.folds
    }

    fn sync_folders(&self, _folders: &BTreeSet<TreePath>) -> io::Result<()> {
        self.power.spend()?;
        let mut state = self.disk.lock();
        state.safe = state.now.clone();
        Ok(())
    }
}

struct MemoryFile {
    bytes: Bytes,
    stamp: Stamp,
    at: usize,
}

impl Read for MemoryFile {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = buffer.len().min(self.bytes.len() - self.at);
        buffer[..count].copy_from_slice(&self.bytes[self.at..self.at + count]);
        self.at += count;
        Ok(count)
    }
}

impl OpenFile for MemoryFile {
    fn stamp(&self) -> io::Result<Stamp> {
        Ok(self.stamp)
    }

    fn seek(&mut self, offset: u64) -> io::Result<()> {
        self.at = self.bytes.len().min(offset as usize);
        Ok(())
    }
}

struct MemoryDraft {
    bytes: Vec<u8>,
    disk: Disk,
    power: Arc<Power>,
}

impl Write for MemoryDraft {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.power.spend()?;
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Draft for MemoryDraft {
    fn place(
        self: Box<Self>,
        path: &TreePath,
        over: Option<&Stamp>,
        modified: i64,
    ) -> io::Result<Option<Stamp>> {
        self.power.spend()?;
        let tick = self.disk.tick();
        let mut state = self.disk.lock();
        let there = state.find(path).map(|number| state.stamp(number));
        if there.as_ref() != over {
            return Ok(None);
        }
        if over.is_some() {
            state.unlink(path)?;
        }
        let number = state.create(path, NodeKind::File(self.bytes.into()), tick)?;
        if let Some(node) = state.now.nodes.get_mut(&number) {
            node.modified = modified;
        }
        Ok(Some(state.stamp(number)))
    }
}

/// The client's log on this disk. The power may fail before a line is written, and right after it.
#[derive(Debug)]
pub(crate) struct DiskLog {
    pub(crate) disk: Disk,
    pub(crate) power: Arc<Power>,
}

impl Log for DiskLog {
    fn read(&mut self) -> io::Result<Vec<Vec<Record>>> {
        Ok(self.disk.lock().lines.clone())
    }

    fn append(&mut self, records: &[Record]) -> io::Result<()> {
        self.power.spend()?;
        // Through JSON, as in a file.
        let line = serde_json::from_slice(&serde_json::to_vec(records)?)?;
        self.disk.lock().lines.push(line);
        self.power.spend()
    }

    fn replace(&mut self, records: &[Record]) -> io::Result<()> {
        self.power.spend()?;
        self.disk.lock().lines = vec![records.to_vec()];
        self.power.spend()
    }
}
