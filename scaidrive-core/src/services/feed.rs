//! The change feed: what follows a position, in commit order and without holes, as one reader may see it.
//!
//! Leaving out all that a reader may not see now would swallow exactly the rows that take things away. So a row that
//! makes or changes an unseen thing is left out, and one that moves, renames, deletes or re-protects it is cut down
//! to a tombstone: what the feed tells is what listing shows.

use std::collections::HashMap;

use crate::Drive;
use crate::model::{
    Caller, ChangeKind, FeedRow, FolderId, LoggedChange, NodeId, ResourceKind, Result, ShareId,
};
use crate::ports::Reads;
use crate::services::access::{self, Right};

/// A page of changes.
#[derive(Clone, Debug)]
pub struct Changes {
    /// In order.
    pub changes: Vec<FeedRow>,
    /// Where to go on: also past what the caller may not see.
    pub cursor: i64,
    /// Whether more is there already.
    pub has_more: bool,
}

/// Returns the position of the tenant's last change: where a reader starts that wants only what is new.
pub async fn head(drive: &Drive, caller: &Caller) -> Result<i64> {
    drive.read().await?.head(caller.tenant).await
}

/// Returns the changes of one share after a position, at most `limit` of the tenant's log at a time.
pub async fn changes(
    drive: &Drive,
    caller: &Caller,
    share: ShareId,
    after: i64,
    limit: u32,
) -> Result<Changes> {
    let mut rows = drive.read().await?;
    let share = access::any_share(&mut *rows, caller, share, Right::Read).await?;
    let mut page = rows.changes(caller.tenant, after, limit + 1).await?;
    let has_more = page.len() > limit as usize;
    page.truncate(limit as usize);
    let cursor = page.last().map_or(after, |last| last.position);
    page.retain(|change| change.share_id == share.id);
    let changes = if caller.is_admin() {
        page.into_iter().map(|change| FeedRow::Change(Box::new(change))).collect()
    } else {
        let seen = seen(&mut *rows, caller, &page).await?;
        page.into_iter().filter_map(|change| shown(change, &seen, share.has_acl)).collect()
    };
    Ok(Changes { changes, cursor, has_more })
}

/// The nodes that listings show a reader, and where.
type Seen = HashMap<NodeId, String>;

/// Returns which of the nodes and folders that these rows name listings show the caller.
async fn seen(rows: &mut dyn Reads, caller: &Caller, page: &[LoggedChange]) -> Result<Seen> {
    let mut ids: Vec<NodeId> = page.iter().filter_map(node).chain(page.iter().filter_map(parent)).collect();
    ids.sort_unstable();
    ids.dedup();
    let located = access::locate_all(rows, caller, &ids).await?;
    let listed = located.iter().filter(|found| found.is_listed());
    Ok(listed.map(|found| (found.node().id, found.path())).collect())
}

fn node(change: &LoggedChange) -> Option<NodeId> {
    change.resource_id.parse().ok()
}

/// Returns the folder that held the thing when the row was written: the row's path tells its name.
fn parent(change: &LoggedChange) -> Option<NodeId> {
    change.metadata["parent_id"].as_str()?.parse::<FolderId>().ok().map(NodeId::Folder)
}

fn shown(mut change: LoggedChange, seen: &Seen, has_acl: bool) -> Option<FeedRow> {
    let is_seen = change.resource_type == ResourceKind::Share
        || (node(&change).is_some_and(|id| seen.contains_key(&id))
            && parent(&change).is_none_or(|id| seen.contains_key(&id)));
    if is_seen {
        if has_acl {
            // Where it was may be a place that is not for this reader to know, and so may what was above it then.
            change.old_path = None;
            change.new_path = change.new_path.take().map(|then| path_now(&change, seen, then));
        }
        return Some(FeedRow::Change(Box::new(change)));
    }
    let stays_away = matches!(change.change_type, ChangeKind::Created | ChangeKind::Updated);
    (!stays_away || change.is_access_change()).then(|| FeedRow::Tombstone(change.tombstone()))
}

/// Returns the path of a row's item by what the folder is called today that held it.
fn path_now(change: &LoggedChange, seen: &Seen, then: String) -> String {
    let above = parent(change).and_then(|id| seen.get(&id)).map_or("", String::as_str);
    change.metadata["name"].as_str().map_or(then, |name| format!("{above}/{name}"))
}
