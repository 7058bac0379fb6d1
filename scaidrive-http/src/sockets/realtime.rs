//! The language of a client that shows what goes on: it names the shares that it looks at, and is told of files and
//! folders in them as they are now.

use std::collections::{BTreeMap, HashMap};

use scaidrive_core::model::{
    Caller, ChangeKind, Error, FeedRow, LoggedChange, NodeId, ResourceKind, Result, ShareId,
};
use scaidrive_core::services::feed::{self, Changes};
use scaidrive_core::services::live::{self, Item};
use serde_json::{Value, json};

use super::sync::force_sync;
use super::{PAGE, Said, Seen, Unseen, frame};
use crate::app::App;
use crate::nudges::Woken;

/// The most shares that one socket looks at.
const MOST_SHARES: usize = 1000;

/// What a client looks at, and how far it is in each share.
#[derive(Default)]
pub(crate) struct Watcher {
    shares: BTreeMap<ShareId, i64>,
    was_admin: bool,
}

impl Watcher {
    pub(super) fn open(&mut self, app: &App, caller: &Caller) -> Vec<Value> {
        self.was_admin = caller.is_admin();
        vec![frame("connected", json!({ "user_id": caller.user, "timestamp": app.drive.clock.now() }))]
    }

    pub(super) async fn answer(&mut self, app: &App, caller: &Caller, said: Said) -> Result<Value> {
        let (subscribes, named) = match said {
            Said::Subscribe(share) => (true, share),
            Said::Unsubscribe(share) => (false, share),
            Said::Ping => return Err(Error::internal("a ping is answered before it comes here")),
        };
        let missing = || Error::invalid("share_id", "is missing", Value::Null);
        let share: ShareId = named.ok_or_else(missing)?.parse().map_err(|_| Error::NotFound)?;
        if !subscribes {
            self.shares.remove(&share);
            return Ok(frame("unsubscribed", json!({ "share_id": share })));
        }
        // Who looks at it already goes on where it is.
        if !self.shares.contains_key(&share) {
            if self.shares.len() == MOST_SHARES {
                return Err(Error::invalid("share_id", format!("at most {MOST_SHARES} shares"), Value::Null));
            }
            let start = feed::start(&app.drive, caller, Some(share)).await?;
            self.shares.insert(share, start.cursor);
        }
        Ok(frame("subscribed", json!({ "share_id": share })))
    }

    pub(super) fn concerns(&self, share: ShareId) -> bool {
        self.shares.contains_key(&share)
    }

    pub(super) async fn look(
        &mut self,
        app: &App,
        caller: &Caller,
        woken: &Woken,
    ) -> std::result::Result<Seen, Unseen> {
        let (mut seen, mut more) = (Seen::default(), Woken::default());
        if std::mem::replace(&mut self.was_admin, caller.is_admin()) != caller.is_admin() {
            seen.frames.extend(self.shares.keys().map(force_sync));
        }
        let named = |share: &ShareId| woken.is_general || woken.shares.contains(share);
        let wanted: Vec<(ShareId, i64)> =
            self.shares.iter().filter(|(share, _)| named(share)).map(|(share, at)| (*share, *at)).collect();
        for (share, position) in wanted {
            // What does not fit into this page waits for the next one.
            if seen.frames.len() >= PAGE as usize
                || self.look_at(app, caller, (share, position), &mut seen).await?
            {
                more.shares.insert(share);
            }
        }
        seen.more = (!more.shares.is_empty()).then_some(more);
        Ok(seen)
    }

    /// Looks at one share; tells whether there is more.
    async fn look_at(
        &mut self,
        app: &App,
        caller: &Caller,
        (share, position): (ShareId, i64),
        seen: &mut Seen,
    ) -> Result<bool> {
        let page = match feed::changes(&app.drive, caller, share, position, PAGE).await {
            Err(Error::NotFound) => {
                self.shares.remove(&share);
                let fields = json!({ "share_id": share });
                seen.frames.extend([force_sync(&share), frame("unsubscribed", fields)]);
                return Ok(false);
            }
            Err(Error::CursorExpired) => {
                self.shares.insert(share, feed::start(&app.drive, caller, Some(share)).await?.cursor);
                seen.frames.push(force_sync(&share));
                return Ok(false);
            }
            page => page?,
        };
        self.shares.insert(share, page.cursor);
        let has_more = page.has_more;
        seen.frames.extend(events(app, caller, share, page).await?);
        Ok(has_more)
    }
}

/// Returns what a client is told of changes: files and folders as they are now, if they are still to be seen.
async fn events(app: &App, caller: &Caller, share: ShareId, page: Changes) -> Result<Vec<Value>> {
    let ids: Vec<NodeId> = page.changes.iter().filter_map(|row| row.resource_id().parse().ok()).collect();
    let items = live::items(&app.drive, caller, &ids).await?;
    let mut events = Vec::with_capacity(page.changes.len());
    for row in page.changes {
        match row {
            FeedRow::Tombstone(gone) => {
                events.extend(removed(share, gone.resource_type, &gone.resource_id));
            }
            FeedRow::Change(change) => events.extend(event(share, &change, &items)?),
        }
    }
    Ok(events)
}

fn removed(share: ShareId, kind: ResourceKind, id: &str) -> Option<Value> {
    let (event, field) = match kind {
        ResourceKind::File => ("file_deleted", "file_id"),
        ResourceKind::Folder => ("folder_deleted", "folder_id"),
        _ => return None,
    };
    Some(frame(event, json!({ "share_id": share, "data": { field: id } })))
}

fn event(share: ShareId, change: &LoggedChange, items: &HashMap<NodeId, Item>) -> Result<Option<Value>> {
    let is_new = change.change_type == ChangeKind::Created;
    if change.resource_type == ResourceKind::Share {
        // Who may see what, or whether there is anything to see: the client must look for itself.
        let concerns = change.is_access_change() || change.change_type != ChangeKind::Updated;
        return Ok(concerns.then(|| force_sync(&share)));
    }
    if change.change_type == ChangeKind::Deleted {
        return Ok(removed(share, change.resource_type, &change.resource_id));
    }
    let item = change.resource_id.parse().ok().and_then(|id: NodeId| items.get(&id));
    // Gone or moved away by now: a later row says so.
    let Some(item) = item.filter(|item| item.share() == share) else { return Ok(None) };
    let kind = match (item, is_new) {
        (Item::File(_), true) => "file_created",
        (Item::File(_), false) => "file_updated",
        (Item::Folder(_), true) => "folder_created",
        (Item::Folder(_), false) => "folder_updated",
    };
    let data = serde_json::to_value(item).map_err(|error| Error::internal(error.to_string()))?;
    Ok(Some(frame(kind, json!({ "share_id": share, "data": data }))))
}
