//! The change feed: what follows a position, in commit order and without holes.

use crate::Drive;
use crate::model::{Caller, LoggedChange, Result, ShareId};
use crate::services::access::{self, Right};

/// A page of changes.
#[derive(Clone, Debug)]
pub struct Changes {
    /// In order.
    pub changes: Vec<LoggedChange>,
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
    access::any_share(&mut *rows, caller, share, Right::Read).await?;
    let mut page = rows.changes(caller.tenant, after, limit + 1).await?;
    let has_more = page.len() > limit as usize;
    page.truncate(limit as usize);
    let cursor = page.last().map_or(after, |last| last.position);
    page.retain(|change| change.share_id == share);
    Ok(Changes { changes: page, cursor, has_more })
}
