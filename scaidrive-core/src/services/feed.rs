//! The change feed: what follows a position, in commit order and without holes, as one reader may see it.
//!
//! Leaving out all that a reader may not see now would swallow exactly the rows that take things away. So a row that
//! makes or changes an unseen thing is left out, and one that moves, renames, deletes or re-protects it is cut down
//! to a tombstone: what the feed tells is what listing shows.

use std::collections::HashMap;

use crate::Drive;
use crate::model::{
    Caller, ChangeKind, Error, FeedRow, FolderId, LoggedChange, NodeId, ResourceKind, Result, ShareId,
};
use crate::ports::Reads;
use crate::ports::metadata::{LogPage, LogRow};
use crate::services::access::{self, Right};
use crate::services::overview::{Overview, Shares};
use crate::services::shares;

/// The longest page.
pub const PAGE: u32 = 5000;

/// A page of changes.
#[derive(Clone, Debug)]
pub struct Changes {
    /// In order.
    pub changes: Vec<FeedRow>,
    /// Where to go on: also past what the caller may not see, and past what happens in other shares.
    pub cursor: i64,
    /// Whether more is there already.
    pub has_more: bool,
    /// The shares that were looked at: those asked for that the caller may read now.
    pub shares: Vec<ShareId>,
}

/// Returns the position of the tenant's last change: where a reader starts that wants only what is new.
pub async fn head(drive: &Drive, caller: &Caller) -> Result<i64> {
    drive.read().await?.head(caller.tenant).await
}

/// Returns an empty page at the head, for who wants only what is new; fails as [`changes`] does.
pub async fn start(drive: &Drive, caller: &Caller, share: Option<ShareId>) -> Result<Changes> {
    let mut rows = drive.read().await?;
    let shares = readable(&mut *rows, caller, share).await?.into_keys().collect();
    let cursor = rows.head(caller.tenant).await?;
    Ok(Changes { changes: Vec::new(), cursor, has_more: false, shares })
}

/// Returns the changes after a position, looking at no more than `limit` rows: of one share, which may be in the trash,
/// or of all that the caller may read.
///
/// # Errors
/// `NotFound` for a share that the caller may not read; `CursorExpired` for a position that the retained log does not
/// reach, or that lies beyond its head.
pub async fn changes(
    drive: &Drive,
    caller: &Caller,
    share: impl Into<Option<ShareId>>,
    after: i64,
    limit: u32,
) -> Result<Changes> {
    let limit = limit.clamp(1, PAGE);
    let share = share.into();
    let mut rows = drive.read().await?;
    let mut shares = readable(&mut *rows, caller, share).await?;
    let asked: Vec<ShareId> = shares.keys().copied().collect();
    // Administrators read every share there is.
    let narrowed = (share.is_some() || !caller.is_admin()).then_some(asked.as_slice());
    let LogPage { bounds, rows: mut page } = rows.log_page(caller.tenant, narrowed, after, limit + 1).await?;
    if !(bounds.floor..=bounds.head).contains(&after) {
        return Err(Error::CursorExpired);
    }
    let has_more = page.len() > limit as usize;
    page.truncate(limit as usize);
    let cursor = page.last().filter(|_| has_more).map_or(bounds.head, |last| last.change.position);
    if !page.is_empty() {
        // Judged by what is true after the rows were read: what was written behind a revoke is not shown then.
        shares = readable(&mut *rows, caller, share).await?;
    }
    let changes = as_seen(&mut *rows, caller, &shares, page).await?;
    Ok(Changes { changes, cursor, has_more, shares: shares.into_keys().collect() })
}

/// Returns the shares that are asked for and that the caller may read.
async fn readable(rows: &mut dyn Reads, caller: &Caller, share: Option<ShareId>) -> Result<Shares> {
    if let Some(id) = share {
        let found = access::any_seen_share(rows, caller, id, Right::Read).await?;
        return Ok(HashMap::from([(id, found)]));
    }
    let visible = shares::visible(rows, caller, true).await?;
    Ok(visible.into_iter().map(|(share, standpoint)| (share.id, (share, standpoint))).collect())
}

/// Returns what the caller may see of these rows.
async fn as_seen(
    rows: &mut dyn Reads,
    caller: &Caller,
    shares: &Shares,
    page: Vec<LogRow>,
) -> Result<Vec<FeedRow>> {
    if caller.is_admin() {
        return Ok(page.into_iter().map(|row| FeedRow::Change(Box::new(row.change))).collect());
    }
    // Where nothing below the root ever had entries, the root decides for all.
    let is_fenced = |row: &&LogRow| shares.get(&row.change.share_id).is_some_and(|(share, _)| share.has_acl);
    let ids = page.iter().filter(is_fenced).flat_map(|row| [node(&row.change), parent(&row.change)]);
    let ids: Vec<NodeId> = ids.flatten().collect();
    let mut overview = Overview::look(rows, caller, shares, ids, &[]).await?;
    Ok(page.into_iter().filter_map(|row| shown(row, shares, &mut overview)).collect())
}

fn node(change: &LoggedChange) -> Option<NodeId> {
    change.resource_id.parse().ok()
}

/// Returns the folder that held the thing when the row was written: the row's path tells its name.
fn parent(change: &LoggedChange) -> Option<NodeId> {
    change.metadata["parent_id"].as_str()?.parse::<FolderId>().ok().map(NodeId::Folder)
}

fn shown(row: LogRow, shares: &Shares, overview: &mut Overview<'_>) -> Option<FeedRow> {
    let LogRow { mut change, is_in_share } = row;
    let (share, standpoint) = shares.get(&change.share_id)?;
    let is_seen = if change.resource_type == ResourceKind::Share {
        true
    } else if share.has_acl {
        is_seen_behind_fences(&mut change, overview)
    } else {
        is_in_share && standpoint.reads_below()
    };
    if is_seen {
        return Some(FeedRow::Change(Box::new(change)));
    }
    let stays_away = matches!(change.change_type, ChangeKind::Created | ChangeKind::Updated);
    (!stays_away || change.is_access_change()).then(|| FeedRow::Tombstone(change.tombstone()))
}

/// Tells whether a thing can be seen, and the place that its row names, too; then its paths are written anew.
///
/// A path of the past may name folders that are not for this reader to know. What the row says of the thing's name is
/// told below the place as it is called now.
fn is_seen_behind_fences(change: &mut LoggedChange, overview: &mut Overview<'_>) -> bool {
    let is_here = |found: &crate::model::Node| found.share == change.share_id;
    if !node(change).and_then(|id| overview.shown(id)).is_some_and(is_here) {
        return false;
    }
    let parent = parent(change);
    if !parent.is_none_or(|id| overview.shown(id).is_some_and(is_here)) {
        return false;
    }
    change.old_path = None;
    if let (Some(path), Some(name)) = (&mut change.new_path, change.metadata["name"].as_str()) {
        *path = format!("{}/{name}", parent.map(|id| overview.path(id)).unwrap_or_default());
    }
    true
}
