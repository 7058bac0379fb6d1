//! What a device cannot know of: others' changes after the cursor that it told.
//!
//! A folder has no version, so nothing in a delete of it says what was in it. Where it is known how far the device has
//! read the feed, what came into the folder since, or was edited there, is an edit that the delete would beat. It is what
//! the batch tells, or else what the server holds for the device.

use std::collections::BTreeMap;

use super::Batch;
use super::worker::Worker;
use crate::model::{Caller, ChangeKind, Error, NodeId, Result, Timestamp};
use crate::ports::Reads;
use crate::ports::metadata::Seat;
use crate::services::access::Located;

/// Rows of the log looked at; a device that lacks more of them knows too little to delete a folder.
const MOST: u32 = 5000;

/// Returns how far the device of a batch has read the feed, if that is known at all.
///
/// # Errors
/// `Invalid` for a position that no feed has, `CursorExpired` for one beyond the head: taken at its word, it would say
/// that the device has read everything. One that the retained log does not reach any more is a device that knows little.
pub(super) async fn position(rows: &mut dyn Reads, caller: &Caller, batch: &Batch) -> Result<Option<i64>> {
    let Some(told) = batch.seen else {
        let seat =
            Seat { tenant: caller.tenant, user: &caller.user, device: &batch.device, share: batch.share };
        return Ok(rows.cursor(seat).await?.map(|cursor| cursor.position));
    };
    if told < 0 {
        return Err(Error::invalid("cursor", "must be a position of the feed, 0 or more", told));
    }
    if told > rows.head(caller.tenant).await? { Err(Error::CursorExpired) } else { Ok(Some(told)) }
}

/// Others' changes that the device has not read.
#[derive(Debug, Default)]
pub(super) struct Unseen {
    /// The items, each with the time of its last change.
    items: BTreeMap<NodeId, Timestamp>,
    /// Since when there may be any number more.
    all_since: Option<Timestamp>,
}

impl Worker<'_, '_> {
    /// Returns when something below a folder was changed last that the device has not read of; nothing if it has read
    /// of all, or did not tell how far it is.
    pub(super) async fn unseen_below(&mut self, folder: &Located) -> Result<Option<Timestamp>> {
        let Some(seen) = self.terms.seen else { return Ok(None) };
        if self.unseen.is_none() {
            self.unseen = Some(self.read_unseen(seen).await?);
        }
        let unseen = self.unseen.take().unwrap_or_default();
        let ids: Vec<NodeId> = unseen.items.keys().copied().collect();
        self.desk.look_at(self.tx, &ids).await?;
        let mut last = unseen.all_since;
        for (id, at) in &unseen.items {
            let found = self.desk.find(self.tx, *id).await?;
            let is_below =
                |found: &Located| found.is_within(folder.node().id) && found.trashed_at().is_none();
            if found.is_some_and(|found| is_below(&found)) {
                last = last.max(Some(*at));
            }
        }
        self.unseen = Some(unseen);
        Ok(last)
    }

    async fn read_unseen(&mut self, seen: i64) -> Result<Unseen> {
        let (tenant, share) = (self.tx.caller.tenant, self.desk.root().share.id);
        let page = self.tx.rows.log_page(tenant, Some(&[share]), seen, MOST).await?;
        let is_cut = seen < page.bounds.floor || page.rows.len() == MOST as usize;
        let mut unseen = Unseen { all_since: is_cut.then_some(self.tx.now), ..Unseen::default() };
        for change in page.rows.into_iter().map(|row| row.change) {
            let is_own = change.changed_by == self.tx.caller.user
                && change.metadata["device_id"] == self.terms.device.as_str();
            let Ok(id) = change.resource_id.parse::<NodeId>() else { continue };
            if !is_own && change.change_type != ChangeKind::Deleted {
                unseen.items.insert(id, change.changed_at);
            }
        }
        Ok(unseen)
    }
}
