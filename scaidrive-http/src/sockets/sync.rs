//! The language of a client that syncs: it follows every share that its user may read, kept up to date.

use std::collections::{BTreeMap, BTreeSet};

use scaidrive_core::model::{
    Caller, ChangeKind, DeviceId, Error, FeedRow, ResourceKind, Result, ShareId, Timestamp,
};
use scaidrive_core::services::{devices, feed};
use serde_json::{Value, json};

use super::{Ending, PAGE, Said, Seen, Unseen, frame};
use crate::app::App;
use crate::nudges::Woken;

/// What a device is told.
pub(crate) struct Follower {
    device: DeviceId,
    /// When each of its preferences was set; nothing where it was never registered.
    preferences: Option<BTreeMap<ShareId, Timestamp>>,
    /// Nothing until it subscribes.
    follows: Option<Follows>,
}

/// How far a socket is.
struct Follows {
    position: i64,
    shares: BTreeSet<ShareId>,
    is_admin: bool,
}

impl Follower {
    /// Returns what a device is told that has just come.
    pub(crate) const fn new(device: DeviceId) -> Self {
        Self { device, preferences: None, follows: None }
    }

    pub(super) async fn open(&mut self, app: &App, caller: &Caller) -> Result<Vec<Value>> {
        self.preferences = devices::preference_times(&app.drive, caller, &self.device).await?;
        Ok(Vec::new())
    }

    pub(super) async fn answer(&mut self, app: &App, caller: &Caller, said: &Said) -> Result<Value> {
        if matches!(said, Said::Unsubscribe(_)) {
            self.follows = None;
            return Ok(frame("unsubscribed", json!({})));
        }
        if self.follows.is_none() {
            let start = feed::start(&app.drive, caller, None).await?;
            let shares = start.shares.into_iter().collect();
            self.follows = Some(Follows { position: start.cursor, shares, is_admin: caller.is_admin() });
        }
        let cursor = self.follows.as_ref().map(|follows| follows.position);
        Ok(frame("subscribed", json!({ "cursor": cursor })))
    }

    pub(super) fn concerns(&self, share: ShareId) -> bool {
        self.follows.as_ref().is_some_and(|follows| follows.shares.contains(&share))
    }

    pub(super) async fn look(
        &mut self,
        app: &App,
        caller: &Caller,
        woken: &Woken,
    ) -> std::result::Result<Seen, Unseen> {
        let mut seen = Seen::default();
        if woken.is_general {
            self.look_at_device(app, caller, &mut seen).await?;
        }
        if let Some(follows) = &mut self.follows {
            follows.look(app, caller, &mut seen).await?;
        }
        Ok(seen)
    }

    /// Ends if the device was removed; tells what it shall want to have from now on.
    async fn look_at_device(
        &mut self,
        app: &App,
        caller: &Caller,
        seen: &mut Seen,
    ) -> std::result::Result<(), Unseen> {
        let now = devices::preference_times(&app.drive, caller, &self.device).await?;
        let Some(times) = &now else {
            return if self.preferences.is_some() { Err(Unseen::Ends(Ending::REMOVED)) } else { Ok(()) };
        };
        let before = self.preferences.take().unwrap_or_default();
        for (share, _) in times.iter().filter(|(share, at)| before.get(share) != Some(at)) {
            let fields = json!({ "share_id": share, "device_id": self.device });
            seen.frames.push(frame("sync_preference_updated", fields));
        }
        self.preferences = now;
        Ok(())
    }
}

impl Follows {
    async fn look(&mut self, app: &App, caller: &Caller, seen: &mut Seen) -> Result<()> {
        let page = match feed::changes(&app.drive, caller, None, self.position, PAGE).await {
            Err(Error::CursorExpired) => return self.start_again(app, caller, seen).await,
            page => page?,
        };
        let shares: BTreeSet<ShareId> = page.shares.into_iter().collect();
        let mut lost: BTreeSet<ShareId> = self.shares.difference(&shares).copied().collect();
        if self.is_admin != caller.is_admin() {
            // What it sees in any of them may be other than before.
            lost.extend(&shares);
        }
        seen.frames.extend(lost.iter().map(force_sync));
        for change in &page.changes {
            seen.frames.push(change_frame(change)?);
            seen.frames.extend(share_that_came_or_went(change).map(force_sync));
        }
        seen.more = page.has_more.then(|| Woken { shares: shares.clone(), is_general: false });
        *self = Self { position: page.cursor, shares, is_admin: caller.is_admin() };
        Ok(())
    }

    /// Goes on from the head: what lies between is not known any more, and the client must look for itself.
    async fn start_again(&mut self, app: &App, caller: &Caller, seen: &mut Seen) -> Result<()> {
        let start = feed::start(&app.drive, caller, None).await?;
        let shares: BTreeSet<ShareId> = start.shares.into_iter().collect();
        seen.frames.extend(self.shares.union(&shares).map(force_sync));
        *self = Self { position: start.cursor, shares, is_admin: caller.is_admin() };
        Ok(())
    }
}

/// Returns the frame that makes a client look at a share itself.
pub(super) fn force_sync(share: &ShareId) -> Value {
    frame("force_sync", json!({ "share_id": share }))
}

/// Returns the share that a change put into the trash, took out of it, or made.
fn share_that_came_or_went(row: &FeedRow) -> Option<&ShareId> {
    let FeedRow::Change(change) = row else { return None };
    let is_whole = change.resource_type == ResourceKind::Share && change.change_type != ChangeKind::Updated;
    is_whole.then_some(&change.share_id)
}

fn change_frame(change: &FeedRow) -> Result<Value> {
    let data = serde_json::to_value(change).map_err(|error| Error::internal(error.to_string()))?;
    Ok(frame("change", json!({ "share_id": change.share_id(), "data": data })))
}
