//! What the client remembers between runs: the server's tree with its cursor, what was agreed on, and changes that
//! were sent and not answered.
//!
//! It is kept in memory and as a log of records that is appended to, and not in a database: the planner needs all of
//! it at once anyway, nobody queries it, and every change of it is one line with its own checksum, durable before
//! what it stands for counts as done. A line that was cut off by a crash is no line; what it said is found out again
//! from the server and the directory. See [`FileLog`].

mod log;

use std::io;

use serde::{Deserialize, Serialize};

use crate::model::{DeviceId, ItemId, ShareId};
use crate::remote::Batch;
use crate::trees::{RemoteItem, SyncedItem, Tree};

pub use log::{FileLog, Log};

/// Lines beyond so many, and beyond what is worth keeping, make the log be written anew.
const SPARE_LINES: usize = 10_000;

/// A change of what is remembered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Record {
    /// The directory belongs to this share, and syncs as this device.
    Opened {
        /// The share.
        share: ShareId,
        /// The device.
        device: DeviceId,
    },
    /// The server's tree is known up to here.
    Cursor(i64),
    /// An item is on the server.
    Remote(RemoteItem),
    /// An item is not on the server any more, nor what it held.
    RemoteGone(ItemId),
    /// Nothing is known of the server's tree.
    RemoteCleared,
    /// Both sides agree on an item.
    Synced(SyncedItem),
    /// Nothing is agreed about an item; what it held is not concerned.
    SyncedGone(ItemId),
    /// Nothing is agreed about an item nor what it held.
    SyncedAllGone(ItemId),
    /// An item has another id from now on.
    Replaced {
        /// The id that it had.
        old: ItemId,
        /// The id that it has.
        new: ItemId,
    },
    /// Nothing is agreed on any more.
    SyncedCleared,
    /// These changes are about to be sent.
    Sent(Box<Batch>),
    /// The changes that were sent were answered.
    Answered,
}

/// What is remembered.
#[derive(Clone, Debug, Default)]
pub struct State {
    /// The share, once there is one.
    pub share: Option<ShareId>,
    /// The device, once there is one.
    pub device: Option<DeviceId>,
    /// Up to where the server's tree is known.
    pub cursor: Option<i64>,
    /// The server's tree.
    pub remote: Tree<RemoteItem>,
    /// What was agreed on.
    pub synced: Tree<SyncedItem>,
    /// What was sent and not answered.
    pub sent: Option<Box<Batch>>,
}

impl State {
    /// Makes a record true.
    pub fn apply(&mut self, record: Record) {
        match record {
            Record::Opened { share, device } => (self.share, self.device) = (Some(share), Some(device)),
            Record::Cursor(cursor) => self.cursor = Some(cursor),
            Record::Remote(item) => self.remote.insert(item),
            Record::RemoteGone(id) => drop(self.remote.remove_all(&id)),
            Record::RemoteCleared => (self.remote, self.cursor) = (Tree::default(), None),
            Record::Synced(item) => self.synced.insert(item),
            Record::SyncedGone(id) => drop(self.synced.remove(&id)),
            Record::SyncedAllGone(id) => drop(self.synced.remove_all(&id)),
            Record::Replaced { old, new } => self.replace(&old, &new),
            Record::SyncedCleared => self.synced = Tree::default(),
            Record::Sent(batch) => self.sent = Some(batch),
            Record::Answered => self.sent = None,
        }
    }

    fn replace(&mut self, old: &ItemId, new: &ItemId) {
        let children: Vec<SyncedItem> = self.synced.children(Some(old)).cloned().collect();
        self.synced.remove(old);
        for child in children {
            self.synced.insert(SyncedItem { parent: Some(new.clone()), ..child });
        }
    }

    /// Returns the records that make this state.
    fn records(&self) -> Vec<Record> {
        let opened = self.share.clone().zip(self.device.clone());
        let opened = opened.map(|(share, device)| Record::Opened { share, device });
        let remote = self.remote.iter().cloned().map(Record::Remote);
        let synced = self.synced.iter().cloned().map(Record::Synced);
        let sent = self.sent.clone().map(Record::Sent);
        opened
            .into_iter()
            .chain(remote)
            .chain(synced)
            .chain(self.cursor.map(Record::Cursor))
            .chain(sent)
            .collect()
    }

    fn size(&self) -> usize {
        self.remote.len() + self.synced.len()
    }
}

/// What is remembered, and where it is kept.
#[derive(Debug)]
pub struct Store {
    state: State,
    log: Box<dyn Log>,
    lines: usize,
    spare: usize,
}

impl Store {
    /// Reads what was remembered.
    pub fn open(log: Box<dyn Log>) -> io::Result<Self> {
        Self::open_with(log, SPARE_LINES)
    }

    fn open_with(mut log: Box<dyn Log>, spare: usize) -> io::Result<Self> {
        let mut state = State::default();
        let lines = log.read()?;
        let count = lines.len();
        for record in lines.into_iter().flatten() {
            state.apply(record);
        }
        Ok(Self { state, log, lines: count, spare })
    }

    /// Returns what is remembered.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Makes records true, all or none of them whatever happens, and durable before this returns.
    pub fn commit(&mut self, records: Vec<Record>) -> io::Result<()> {
        if records.is_empty() {
            return Ok(());
        }
        self.log.append(&records)?;
        self.lines += 1;
        for record in records {
            self.state.apply(record);
        }
        if self.lines > self.spare + self.state.size() / 64 {
            self.log.replace(&self.state.records())?;
            self.lines = 0;
        }
        Ok(())
    }
}
