//! Carries out the steps that change the directory alone.

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;

use super::{Engine, Event, Round, blocking};
use crate::error::{Error, Result};
use crate::fs::{FoundKind, LocalFs};
use crate::ignore_rules::IgnoreRules;
use crate::model::{Kind, TreePath};
use crate::plan::{Ignore, LocalStep, Verdict};
use crate::state::Record;
use crate::trees::{Stamp, SyncedItem};

/// Why a step was not taken.
enum Failure {
    /// Something is not as the plan thought: the next plan knows.
    Changed,
    /// The file system refuses.
    Refused(io::Error),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::AlreadyExists
            | io::ErrorKind::NotFound
            | io::ErrorKind::NotADirectory
            | io::ErrorKind::DirectoryNotEmpty => Self::Changed,
            _ => Self::Refused(error),
        }
    }
}

/// What became of steps: as many as were taken, with what is to be remembered, and the first that was not.
struct Taken {
    records: Vec<Record>,
    count: usize,
    failure: Option<(LocalStep, Failure)>,
}

impl Engine {
    /// Takes steps in order, up to the first that cannot be taken: those after it may rely on it.
    pub(super) async fn take_here(
        &mut self,
        steps: Vec<LocalStep>,
        rules: &IgnoreRules,
        round: &mut Round,
    ) -> Result<()> {
        if steps.is_empty() {
            return Ok(());
        }
        for step in &steps {
            self.ports.observer.event(&Event::Here(verb(step), step.path()));
        }
        let (fs, rules) = (Arc::clone(&self.ports.fs), rules.clone());
        let taken = blocking(move || take_all(&*fs, &rules, steps)).await;
        let taken = taken.map_err(|error| Error::local(&TreePath::root(), error))?;
        round.taken += taken.count;
        let records = taken.records.into_iter().filter_map(|record| self.completed(record)).collect();
        self.commit(records)?;
        if let Some((step, failure)) = taken.failure {
            round.failed += 1;
            let (reason, is_final) = match failure {
                Failure::Changed => ("changes all the time".to_owned(), false),
                Failure::Refused(error) => (error.to_string(), true),
            };
            self.failed(step.signature(), step.path(), &reason, is_final);
        }
        Ok(())
    }

    /// Returns a record with what the step did not know: of an item that was moved only its place is new.
    fn completed(&self, record: Record) -> Option<Record> {
        let Record::Synced(item) = record else { return Some(record) };
        if item.stamp != Stamp::default() {
            return Some(Record::Synced(item));
        }
        let known = self.state().synced.get(&item.id)?.clone();
        Some(Record::Synced(SyncedItem { parent: item.parent, name: item.name, ..known }))
    }
}

fn verb(step: &LocalStep) -> &'static str {
    match step {
        LocalStep::MakeFolder { .. } => "made",
        LocalStep::Move { .. } => "moved",
        LocalStep::RemoveFile { .. } | LocalStep::RemoveFolder { .. } => "removed",
    }
}

fn take_all(fs: &dyn LocalFs, rules: &IgnoreRules, steps: Vec<LocalStep>) -> io::Result<Taken> {
    let mut taken = Taken { records: Vec::new(), count: 0, failure: None };
    let mut touched = BTreeSet::new();
    for step in steps {
        match take(fs, rules, &step) {
            Ok(record) => {
                touched.extend(folders(&step));
                taken.records.extend(record);
                taken.count += 1;
            }
            Err(failure) => {
                taken.failure = Some((step, failure));
                break;
            }
        }
    }
    fs.sync_folders(&touched)?;
    Ok(taken)
}

/// Returns the directories that a step changes.
fn folders(step: &LocalStep) -> Vec<TreePath> {
    let paths = match step {
        LocalStep::Move { from, to, .. } => vec![from, to],
        other => vec![other.path()],
    };
    paths.into_iter().filter_map(TreePath::parent).collect()
}

fn take(fs: &dyn LocalFs, rules: &IgnoreRules, step: &LocalStep) -> Result<Option<Record>, Failure> {
    match step {
        LocalStep::MakeFolder { id, parent, path } => {
            let stamp = fs.make_folder(path)?;
            let stamp = Stamp { key: stamp.key, ..Stamp::default() };
            let name = crate::model::nfc(path.name().unwrap_or_default());
            let item = SyncedItem { id: id.clone(), parent: parent.clone(), name, stamp, file: None };
            Ok(Some(Record::Synced(item)))
        }
        LocalStep::Move { id, from, to, stamp, follows } => {
            let found = fs.look(from)?.ok_or(Failure::Changed)?;
            if found.stamp.key != stamp.key {
                return Err(Failure::Changed);
            }
            fs.rename(from, to)?;
            let place = id.clone().zip(follows.clone());
            Ok(place.map(|(id, (parent, name))| {
                // Only the place is new: see `completed`.
                Record::Synced(SyncedItem { id, parent, name, stamp: Stamp::default(), file: None })
            }))
        }
        LocalStep::RemoveFile { id, path, stamp } => {
            if fs.remove_file(path, stamp)? {
                Ok(Some(Record::SyncedGone(id.clone())))
            } else {
                Err(Failure::Changed)
            }
        }
        LocalStep::RemoveFolder { id, path } => {
            remove_folder(fs, rules, path)?;
            Ok(Some(Record::SyncedGone(id.clone())))
        }
    }
}

/// Removes a directory that holds nothing but junk.
fn remove_folder(fs: &dyn LocalFs, rules: &IgnoreRules, path: &TreePath) -> Result<(), Failure> {
    let entries = fs.list(path)?;
    for entry in &entries {
        let is_junk = entry.kind == FoundKind::File
            && rules.verdict(&path.join(&entry.name), Kind::File) == Verdict::Junk;
        if !is_junk {
            return Err(Failure::Changed);
        }
    }
    for entry in entries {
        fs.remove_file(&path.join(&entry.name), &entry.stamp)?;
    }
    Ok(fs.remove_folder(path)?)
}
