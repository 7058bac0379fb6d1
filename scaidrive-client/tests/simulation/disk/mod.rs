//! A disk in memory, with a power supply that may fail after any operation.
//!
//! It is as mean as real ones: its clock ticks coarsely, so that two edits may leave the same stamp; it may give
//! numbers of removed files again; and what was not synced may be gone when the power comes back.

mod powered;

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;
use scaidrive_client::fs::{Found, FoundKind};
use scaidrive_client::model::{TreePath, fold};
use scaidrive_client::state::Record;
use scaidrive_client::trees::{FileKey, Stamp};

use crate::chance::Clock;

pub(crate) use powered::{DiskLog, Faults, Power, PoweredDisk};

/// One tick of the disk's clock, in nanoseconds; a little more than whole milliseconds, as real stamps are.
const TICK: i64 = 10_000_000;

/// What a disk holds at a number.
#[derive(Clone, Debug)]
struct Node {
    kind: NodeKind,
    modified: i64,
    changed: i64,
    born: i64,
}

#[derive(Clone, Debug)]
enum NodeKind {
    Folder(BTreeMap<String, u64>),
    File(Bytes),
}

#[derive(Clone, Debug)]
struct Content {
    nodes: BTreeMap<u64, Node>,
}

#[derive(Debug)]
struct State {
    now: Content,
    /// What is there even if the power fails.
    safe: Content,
    /// Lines of the log; they are synced one by one.
    lines: Vec<Vec<Record>>,
    manners: Manners,
    next: u64,
}

/// What a file system is like.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Manners {
    /// Whether numbers of removed files are given again, and nobody knows when a file came to be.
    pub(crate) reuses_numbers: bool,
    /// Whether `Plan` and `plan` are one name, as on Windows and macOS.
    pub(crate) folds: bool,
}

/// A disk. It outlives the devices' crashes.
#[derive(Clone, Debug)]
pub(crate) struct Disk {
    state: Arc<Mutex<State>>,
    pub(crate) clock: Clock,
}

const ROOT: u64 = 1;

impl Disk {
    pub(crate) fn new(clock: Clock, manners: Manners) -> Self {
        let root = Node { kind: NodeKind::Folder(BTreeMap::new()), modified: 0, changed: 0, born: 0 };
        let now = Content { nodes: BTreeMap::from([(ROOT, root)]) };
        let state = State { safe: now.clone(), now, lines: Vec::new(), manners, next: ROOT };
        Self { state: Arc::new(Mutex::new(state)), clock }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    fn tick(&self) -> i64 {
        self.clock.now() / TICK * TICK + 1
    }

    /// Connects the disk to a power supply, for one life of a device.
    pub(crate) fn powered(&self, power: &Arc<Power>) -> Arc<PoweredDisk> {
        Arc::new(PoweredDisk { disk: self.clone(), power: Arc::clone(power) })
    }

    /// The power failed: what was not synced is lost, or is not.
    pub(crate) fn recover(&self, loses_unsynced: bool) {
        let mut state = self.lock();
        if loses_unsynced {
            state.now = state.safe.clone();
        }
        state.safe = state.now.clone();
    }

    /// Forgets what the client remembers, as if somebody had removed its folder.
    pub(crate) fn forget_state(&self) {
        self.lock().lines.clear();
    }

    /// Does what a person or program does; that is synced at once.
    fn by_hand<T>(&self, act: impl FnOnce(&mut State, i64) -> io::Result<T>) -> io::Result<T> {
        let tick = self.tick();
        let mut state = self.lock();
        let done = act(&mut state, tick);
        state.safe = state.now.clone();
        done
    }

    pub(crate) fn write(&self, path: &TreePath, bytes: Bytes) -> io::Result<()> {
        self.by_hand(|state, tick| match state.find(path) {
            Some(number) => {
                let node = state.now.nodes.get_mut(&number).ok_or(io::ErrorKind::NotFound)?;
                (node.kind, node.modified, node.changed) = (NodeKind::File(bytes), tick, tick);
                Ok(())
            }
            None => state.create(path, NodeKind::File(bytes), tick).map(drop),
        })
    }

    pub(crate) fn make_folder(&self, path: &TreePath) -> io::Result<()> {
        self.by_hand(|state, tick| state.create(path, NodeKind::Folder(BTreeMap::new()), tick).map(drop))
    }

    /// Renames as POSIX does: over a file, if there is one.
    pub(crate) fn rename(&self, from: &TreePath, to: &TreePath) -> io::Result<()> {
        self.by_hand(|state, tick| {
            let number = state.find(from).ok_or(io::ErrorKind::NotFound)?;
            let above = (1..to.names().len()).map(|depth| to.names()[..depth].iter().cloned().collect());
            if from == to || above.into_iter().any(|above: TreePath| state.find(&above) == Some(number)) {
                return Err(io::ErrorKind::InvalidInput.into());
            }
            if let Some(old) = state.find(to).filter(|old| *old != number) {
                let is_file = |number: u64| matches!(state.now.nodes[&number].kind, NodeKind::File(_));
                if !is_file(old) || !state.find(from).is_some_and(is_file) {
                    return Err(io::ErrorKind::AlreadyExists.into());
                }
                state.unlink(to)?;
            }
            state.relink(from, to, tick)
        })
    }

    pub(crate) fn remove_all(&self, path: &TreePath) -> io::Result<()> {
        self.by_hand(|state, _| state.unlink(path))
    }

    /// Returns what is at a path: nothing, a folder, or bytes.
    pub(crate) fn text(&self, path: &TreePath) -> Option<Option<Bytes>> {
        let state = self.lock();
        match &state.now.nodes[&state.find(path)?].kind {
            NodeKind::File(bytes) => Some(Some(bytes.clone())),
            NodeKind::Folder(_) => Some(None),
        }
    }

    /// Tells whether two paths lead to one thing.
    pub(crate) fn is_same(&self, one: &TreePath, other: &TreePath) -> bool {
        let state = self.lock();
        state.find(one).is_some() && state.find(one) == state.find(other)
    }

    /// Returns all there is, by path; folders have no bytes.
    pub(crate) fn all(&self) -> BTreeMap<TreePath, Option<Bytes>> {
        let state = self.lock();
        let (mut all, mut open) = (BTreeMap::new(), vec![(TreePath::root(), ROOT)]);
        while let Some((path, number)) = open.pop() {
            match &state.now.nodes[&number].kind {
                NodeKind::File(bytes) => drop(all.insert(path, Some(bytes.clone()))),
                NodeKind::Folder(entries) => {
                    open.extend(entries.iter().map(|(name, number)| (path.join(name), *number)));
                    all.insert(path, None);
                }
            }
        }
        all.remove(&TreePath::root());
        all
    }
}

impl State {
    fn find(&self, path: &TreePath) -> Option<u64> {
        path.names().iter().try_fold(ROOT, |number, name| match &self.now.nodes[&number].kind {
            NodeKind::Folder(entries) => self.spelled(entries, name).map(|name| entries[&name]),
            NodeKind::File(_) => None,
        })
    }

    /// Returns how a directory spells a name, if it has it.
    fn spelled(&self, entries: &BTreeMap<String, u64>, name: &str) -> Option<String> {
        if !self.manners.folds {
            return entries.contains_key(name).then(|| name.to_owned());
        }
        entries.keys().find(|entry| fold(entry) == fold(name)).cloned()
    }

    fn entries(&mut self, path: &TreePath) -> io::Result<&mut BTreeMap<String, u64>> {
        let number = self.find(path).ok_or(io::ErrorKind::NotFound)?;
        match &mut self.now.nodes.get_mut(&number).ok_or(io::ErrorKind::NotFound)?.kind {
            NodeKind::Folder(entries) => Ok(entries),
            NodeKind::File(_) => Err(io::ErrorKind::NotADirectory.into()),
        }
    }

    /// Takes a name out of the directory that has it.
    fn take(&mut self, path: &TreePath) -> io::Result<u64> {
        let folder = path.parent().unwrap_or_default();
        let entries = self.entries(&folder)?.clone();
        let name = self.spelled(&entries, path.name().unwrap_or_default()).ok_or(io::ErrorKind::NotFound)?;
        self.entries(&folder)?.remove(&name).ok_or(io::ErrorKind::NotFound.into())
    }

    fn number(&mut self) -> u64 {
        if self.manners.reuses_numbers {
            let nodes = &self.now.nodes;
            let is_free = |number: &u64| !nodes.contains_key(number);
            return (ROOT..=nodes.len() as u64 + ROOT).find(is_free).unwrap_or(ROOT);
        }
        self.next += 1;
        self.next
    }

    fn create(&mut self, path: &TreePath, kind: NodeKind, tick: i64) -> io::Result<u64> {
        if self.find(path).is_some() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let number = self.number();
        let name = path.name().unwrap_or_default().to_owned();
        self.entries(&path.parent().unwrap_or_default())?.insert(name, number);
        self.now.nodes.insert(number, Node { kind, modified: tick, changed: tick, born: tick });
        Ok(number)
    }

    fn unlink(&mut self, path: &TreePath) -> io::Result<()> {
        let mut open = vec![self.take(path)?];
        while let Some(number) = open.pop() {
            if let Some(Node { kind: NodeKind::Folder(entries), .. }) = self.now.nodes.remove(&number) {
                open.extend(entries.into_values());
            }
        }
        Ok(())
    }

    fn relink(&mut self, from: &TreePath, to: &TreePath, tick: i64) -> io::Result<()> {
        let number = self.find(from).ok_or(io::ErrorKind::NotFound)?;
        if self.find(to).is_some_and(|there| there != number) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        // The directory must be there before anything is taken out of another.
        self.entries(&to.parent().unwrap_or_default())?;
        self.take(from)?;
        let name = to.name().unwrap_or_default().to_owned();
        self.entries(&to.parent().unwrap_or_default())?.insert(name, number);
        if let Some(node) = self.now.nodes.get_mut(&number) {
            node.changed = tick;
        }
        Ok(())
    }

    fn stamp(&self, number: u64) -> Stamp {
        let node = &self.now.nodes[&number];
        let key = FileKey { number, born: (!self.manners.reuses_numbers).then_some(node.born) };
        let size = match &node.kind {
            NodeKind::File(bytes) => bytes.len() as u64,
            NodeKind::Folder(_) => 0,
        };
        Stamp { key, size, modified: node.modified, changed: node.changed }
    }

    fn found(&self, name: &str, number: u64) -> Found {
        let kind = match self.now.nodes[&number].kind {
            NodeKind::File(_) => FoundKind::File,
            NodeKind::Folder(_) => FoundKind::Folder,
        };
        Found { name: name.to_owned(), kind, stamp: self.stamp(number) }
    }
}
