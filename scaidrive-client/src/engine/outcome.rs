//! What becomes of changes that were sent, and what is to be remembered of that.

use std::sync::Arc;

use super::send::Created;
use super::{Engine, Event, Round, blocking};
use crate::error::Error;
use crate::model::{ItemId, VersionId, with_marker};
use crate::plan::{ParentRef, RemoteStep, Source, Target};
use crate::remote::{ConflictNotice, Outcome};
use crate::state::Record;
use crate::trees::{SyncedFile, SyncedItem};

impl Engine {
    /// Returns what is to be remembered of a change and what became of it.
    pub(super) async fn learn(
        &mut self,
        step: &RemoteStep,
        outcome: Option<Outcome>,
        created: &mut Created,
        round: &mut Round,
    ) -> Vec<Record> {
        match outcome {
            Some(Outcome::Applied { id, version, .. }) => {
                round.taken += 1;
                self.ports.observer.event(&Event::There(verb(step), step.path()));
                self.applied(step, id, version, created)
            }
            Some(Outcome::Conflict(notice)) => {
                round.taken += 1;
                self.conflict(step, &notice)
            }
            Some(Outcome::Refused(error)) => {
                round.failed += 1;
                self.refused(step, &error, created).await
            }
            None => {
                round.failed += 1;
                self.failed(
                    step.signature(),
                    step.path(),
                    "the server does not say what became of it",
                    false,
                );
                Vec::new()
            }
        }
    }

    fn applied(
        &self,
        step: &RemoteStep,
        id: ItemId,
        version: Option<VersionId>,
        created: &mut Created,
    ) -> Vec<Record> {
        match step {
            RemoteStep::CreateFolder { stamp, to, replaces, .. } => {
                created.insert(to.path.clone(), id.clone());
                let Some((parent, name)) = place(to, created) else { return Vec::new() };
                let item = SyncedItem { id: id.clone(), parent, name, stamp: *stamp, file: None };
                let replaced = replaces.clone().map(|old| Record::Replaced { old, new: id });
                replaced.into_iter().chain([Record::Synced(item)]).collect()
            }
            RemoteStep::CreateFile { source, to, replaces } => {
                let (Some(version), Some((parent, name))) = (version, place(to, created)) else {
                    return Vec::new();
                };
                let replaced = replaces.clone().filter(|old| *old != id).map(Record::SyncedGone);
                let item = file(id, parent, name, source, version);
                replaced.into_iter().chain([Record::Synced(item)]).collect()
            }
            RemoteStep::Edit { id: edited, source, .. } => {
                let (Some(version), Some(known)) = (version, self.state().synced.get(edited)) else {
                    return Vec::new();
                };
                // For a conflict copy: the local file is the copy from now on. It has the name that the other one
                // has on the server; that the copy has another one there is for the next plan to see.
                let item = file(id.clone(), known.parent.clone(), known.name.clone(), source, version);
                let copied = (id != *edited).then(|| Record::SyncedGone(edited.clone()));
                copied.into_iter().chain([Record::Synced(item)]).collect()
            }
            RemoteStep::Move { id: moved, to, .. } if *moved == id => self.moved(moved, to, created),
            // It was merged into another folder: the feed tells.
            RemoteStep::Move { .. } => Vec::new(),
            RemoteStep::Delete { id, .. } => vec![Record::SyncedAllGone(id.clone())],
        }
    }

    /// Returns what says that an item is agreed to be at a place.
    fn moved(&self, id: &ItemId, to: &Target, created: &Created) -> Vec<Record> {
        let known = self.state().synced.get(id).cloned().zip(place(to, created));
        known
            .map(|(known, (parent, name))| Record::Synced(SyncedItem { parent, name, ..known }))
            .into_iter()
            .collect()
    }

    /// The server did not do it, and will not; what came in is kept there.
    fn conflict(&mut self, step: &RemoteStep, notice: &ConflictNotice) -> Vec<Record> {
        match (step, &notice.client_version_id) {
            // Its content is an older version by now: what is current there comes next.
            (RemoteStep::Edit { id, source, .. }, Some(version)) => {
                let known = self.state().synced.get(id).cloned();
                let item =
                    known.map(|known| file(known.id, known.parent, known.name, source, version.clone()));
                item.map(Record::Synced).into_iter().collect()
            }
            (RemoteStep::Delete { id, .. }, _) => vec![Record::SyncedAllGone(id.clone())],
            (RemoteStep::Edit { .. } | RemoteStep::CreateFile { .. }, _) => {
                self.failed(
                    step.signature(),
                    step.path(),
                    "waits on the server for somebody to decide",
                    true,
                );
                Vec::new()
            }
            // What the server has comes with the feed.
            _ => {
                self.failed(step.signature(), step.path(), "the server has it otherwise", false);
                Vec::new()
            }
        }
    }

    /// The server refuses: what is here stays here, and what is there comes back where it was changed.
    pub(super) async fn refused(
        &mut self,
        step: &RemoteStep,
        error: &Error,
        created: &Created,
    ) -> Vec<Record> {
        // What may well be otherwise once the feed was read again is tried again.
        let is_final = match error {
            Error::Denied(_) | Error::Full(_) => true,
            Error::Refused { status, .. } => *status != 409,
            _ => false,
        };
        match (step, error) {
            (RemoteStep::Edit { id, source, .. }, Error::Denied(_)) => {
                let is_aside = self.step_aside(source).await;
                self.tell(step, "kept beside the server's version: you may not change it");
                if is_aside { vec![Record::SyncedGone(id.clone())] } else { Vec::new() }
            }
            // Gone for good, or out of sight: what was an edit of it is a new file.
            (RemoteStep::Edit { id, .. }, Error::NotFound(_)) => vec![Record::SyncedGone(id.clone())],
            (RemoteStep::Delete { id, .. }, Error::Denied(_) | Error::Refused { .. }) => {
                self.tell(step, &format!("comes back: {error}"));
                vec![Record::SyncedAllGone(id.clone())]
            }
            (RemoteStep::Move { id, to, .. }, Error::Denied(_)) if place(to, created).is_some() => {
                self.tell(step, &format!("goes back to its place: {error}"));
                // As if it had been agreed to be where it is: so the server's place is the newer one.
                self.moved(id, to, created)
            }
            // The feed tells what became of it.
            (RemoteStep::Move { .. } | RemoteStep::Delete { .. }, Error::NotFound(_)) => {
                self.failed(step.signature(), step.path(), &error.to_string(), false);
                Vec::new()
            }
            _ => {
                self.failed(step.signature(), step.path(), &error.to_string(), is_final);
                Vec::new()
            }
        }
    }

    fn tell(&mut self, step: &RemoteStep, reason: &str) {
        self.failed(step.signature(), step.path(), reason, true);
    }

    /// Gives a file that may not be changed on the server another name here; tells whether that was possible.
    async fn step_aside(&mut self, source: &Source) -> bool {
        let (fs, marker, path) = (Arc::clone(&self.ports.fs), self.naming().marker, source.path.clone());
        blocking(move || {
            let (Some(folder), Some(name)) = (path.parent(), path.name()) else { return false };
            (1..100).any(|number| {
                let marker = if number == 1 { marker.clone() } else { format!("{marker} ({number})") };
                fs.rename(&path, &folder.join(&with_marker(name, &marker))).is_ok()
            })
        })
        .await
    }
}

fn verb(step: &RemoteStep) -> &'static str {
    match step {
        RemoteStep::CreateFolder { .. } | RemoteStep::CreateFile { .. } => "created",
        RemoteStep::Edit { .. } => "updated",
        RemoteStep::Move { .. } => "moved",
        RemoteStep::Delete { .. } => "deleted",
    }
}

/// Returns the place that something went to, if the folder that it went into has an id.
fn place(to: &Target, created: &Created) -> Option<(Option<ItemId>, String)> {
    let parent = match &to.parent {
        ParentRef::Root => None,
        ParentRef::Id(id) => Some(id.clone()),
        ParentRef::Created(path) => Some(created.get(path)?.clone()),
    };
    Some((parent, to.path.name()?.to_owned()))
}

fn file(id: ItemId, parent: Option<ItemId>, name: String, source: &Source, version: VersionId) -> SyncedItem {
    let file = SyncedFile { version, checksum: source.hash, is_settled: source.is_settled };
    SyncedItem { id, parent, name, stamp: source.stamp, file: Some(file) }
}
