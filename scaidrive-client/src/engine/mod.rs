//! Brings the directory and the share together, round after round.
//!
//! A round is: settle what was sent before and not answered; follow the feed; look at the directory; plan; carry out.
//! It may be cut off anywhere. What was done is found again by the next round, what was agreed is remembered only
//! after it is durable here and acknowledged there, and changes are written down with their ids before they are sent,
//! so that sending them again has no effect again.

mod control;
mod fetch;
mod follow;
mod look;
mod observe;
mod outcome;
mod run;
mod send;
mod take;

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::chunker::Chunking;
use crate::error::{Error, Result};
use crate::fs::LocalFs;
use crate::model::{DeviceId, ShareId, Timestamp, TreePath};
use crate::plan::{Naming, Note, Signature};
use crate::remote::{Device, Remote, Strategy};
use crate::scan::Contents;
use crate::state::{Log, Record, State, Store};
use crate::system::System;

pub use control::{Control, Controller};
pub use observe::{Event, Moved, Observer, Silent};
pub use run::Nudge;

/// A step that fails so often for reasons that may pass is not tried again for a while.
const MOST_FAILURES: u32 = 3;

/// What a client can be told.
#[derive(Clone, Debug)]
pub struct Options {
    /// The device's name for people; it is part of the names of conflict copies.
    pub device_name: String,
    /// How the server settles conflicts.
    pub strategy: Strategy,
    /// Transfers on their way at once.
    pub transfers: usize,
    /// Whether as many files may be deleted on the server as are gone here, however many.
    pub may_delete_many: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            device_name: "this device".to_owned(),
            strategy: Strategy::KeepBoth,
            transfers: 4,
            may_delete_many: false,
        }
    }
}

/// What a client works with.
#[derive(Clone, Debug)]
pub struct Ports {
    /// The server.
    pub remote: Arc<dyn Remote>,
    /// The directory.
    pub fs: Arc<dyn LocalFs>,
    /// Time and chance.
    pub system: Arc<dyn System>,
    /// Who watches.
    pub observer: Arc<dyn Observer>,
}

/// What a round came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Round {
    /// Steps that were taken.
    pub taken: usize,
    /// Steps that were not, and will be tried again.
    pub failed: usize,
    /// What cannot be synced as it is.
    pub notes: Vec<Note>,
    /// Files that changed while they were read.
    pub unread: usize,
}

impl Round {
    /// Tells whether both sides agree, as far as they can.
    pub fn is_settled(&self) -> bool {
        self.taken == 0 && self.failed == 0
    }
}

/// A client of one share in one directory.
#[derive(Debug)]
pub struct Engine {
    ports: Ports,
    options: Options,
    control: Control,
    store: Store,
    share: ShareId,
    device: DeviceId,
    contents: Contents,
    chunking: Option<Chunking>,
    /// Steps that are not tried again for now, and why.
    held: BTreeMap<Signature, Note>,
    failures: BTreeMap<Signature, u32>,
    /// Names the changes of this run: a number that no other run has, and how many there were.
    run: u64,
    changes: u64,
    acknowledged: Option<i64>,
}

impl Engine {
    /// Opens a directory that belongs to a share, or shall from now on.
    ///
    /// # Errors
    /// `OtherShare` for a directory that belongs to another share already.
    pub fn open(
        ports: Ports,
        log: Box<dyn Log>,
        share: ShareId,
        options: Options,
        control: Control,
    ) -> Result<Self> {
        let mut store = Store::open(log).map_err(|error| Error::State(error.to_string()))?;
        if let Some(other) = store.state().share.clone().filter(|other| *other != share) {
            return Err(Error::OtherShare(other.to_string()));
        }
        let device = match store.state().device.clone() {
            Some(device) => device,
            None => {
                let device =
                    DeviceId::new(format!("{:016x}{:016x}", ports.system.random(), ports.system.random()));
                let opened = Record::Opened { share: share.clone(), device: device.clone() };
                store.commit(vec![opened]).map_err(|error| Error::local(&TreePath::root(), error))?;
                device
            }
        };
        let contents = Contents::of(&store.state().synced);
        Ok(Self {
            run: ports.system.random(),
            ports,
            options,
            control,
            store,
            share,
            device,
            contents,
            chunking: None,
            held: BTreeMap::new(),
            failures: BTreeMap::new(),
            changes: 0,
            acknowledged: None,
        })
    }

    /// Returns what is remembered.
    pub fn state(&self) -> &State {
        self.store.state()
    }

    /// Lets steps be tried again that failed for good.
    pub fn try_again(&mut self) {
        self.held.clear();
        self.failures.clear();
    }

    /// Goes through everything once.
    pub async fn round(&mut self) -> Result<Round> {
        self.control.check().await?;
        self.greet().await?;
        let mut round = Round::default();
        self.settle_sent(&mut round).await?;
        self.follow().await?;
        let sight = self.look().await?;
        let plan = sight.plan;
        self.commit(plan.forgotten.iter().cloned().map(Record::SyncedGone).collect())?;
        self.commit(plan.agreed.iter().cloned().map(Record::Synced).collect())?;
        round.unread = sight.unread;
        let failed = round.failed;
        self.take_here(plan.local, &sight.rules, &mut round).await?;
        // Paths of what follows hold only if all of that was done.
        if round.failed == failed {
            self.send(plan.remote, &mut round).await?;
            self.fetch(plan.downloads, &sight.local, &mut round).await?;
        }
        self.acknowledge().await;
        round.notes = self.notes(sight.notes, plan.notes);
        Ok(round)
    }

    /// Makes the device known, and learns how contents are cut.
    async fn greet(&mut self) -> Result<()> {
        if self.chunking.is_some() {
            return Ok(());
        }
        let device = Device {
            device_id: self.device.clone(),
            device_name: self.options.device_name.clone(),
            platform: std::env::consts::OS.to_owned(),
            client_version: env!("CARGO_PKG_VERSION").to_owned(),
        };
        self.ports.remote.register(&device).await?;
        self.chunking = Some(self.ports.remote.chunking().await?);
        Ok(())
    }

    /// Tells the server how far this device is; it is for others to see, and nothing depends on it.
    async fn acknowledge(&mut self) {
        let Some(cursor) = self.state().cursor.filter(|cursor| self.acknowledged != Some(*cursor)) else {
            return;
        };
        if self.ports.remote.acknowledge(&self.share, &self.device, cursor).await.is_ok() {
            self.acknowledged = Some(cursor);
        }
    }

    fn commit(&mut self, records: Vec<Record>) -> Result<()> {
        self.store.commit(records).map_err(|error| Error::local(&TreePath::root(), error))
    }

    fn naming(&self) -> Naming {
        let day = Timestamp::from_micros(self.ports.system.now() / 1000).day();
        let clean = |letter: char| if "/\\:*?\"<>|".contains(letter) { '_' } else { letter };
        let device: String = self.options.device_name.chars().map(clean).collect();
        Naming {
            is_case_sensitive: self.ports.fs.is_case_sensitive(),
            is_windows: cfg!(windows),
            marker: format!(" (conflict, {}, {day})", device.trim()),
        }
    }

    /// Remembers that a step failed; for good, or too often, it is not proposed again for now.
    fn failed(&mut self, signature: Signature, path: &TreePath, reason: &str, is_final: bool) {
        let failures = self.failures.entry(signature.clone()).or_default();
        *failures += 1;
        if is_final || *failures >= MOST_FAILURES {
            self.held.insert(signature, Note { path: path.clone(), reason: reason.to_owned() });
        }
    }

    fn notes(&self, seen: Vec<Note>, planned: Vec<Note>) -> Vec<Note> {
        let mut notes: Vec<Note> =
            seen.into_iter().chain(planned).chain(self.held.values().cloned()).collect();
        notes.sort();
        notes.dedup();
        notes
    }
}

/// Does work that waits for the disk beside what waits for the network.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}
