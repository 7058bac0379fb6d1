//! What a user sees of itself: shares, usage, recent files, favourites.

use std::collections::HashMap;

use async_trait::async_trait;
use serde::Serialize;

use super::access::{self, Located, Right};
use super::mutation::{self, Mutation, Tx};
use super::shares::{self, MyShare};
use crate::Drive;
use crate::model::{
    AuditCategory, AuditEvent, Caller, Error, FileInfo, FolderInfo, NodeId, QuotaTarget, Result, Timestamp,
    UsageTarget, User, UserId,
};
use crate::ports::Reads;

/// Returns the caller's user.
pub async fn get(drive: &Drive, caller: &Caller) -> Result<User> {
    drive.read().await?.user(caller.tenant, &caller.user).await?.ok_or(Error::NotFound)
}

/// Returns the shares the caller can see, with its role in each.
pub async fn my_shares(drive: &Drive, caller: &Caller) -> Result<Vec<MyShare>> {
    shares::mine(drive, caller).await
}

/// What a user uses of what it may.
#[derive(Clone, Debug, Serialize)]
pub struct MyQuota {
    /// The user.
    pub user_id: UserId,
    /// Bytes charged to it.
    pub used_bytes: i64,
    /// Its limit; nothing for none.
    pub quota_bytes: Option<u64>,
    /// How much of the limit is used; nothing for none.
    pub percent_used: Option<f64>,
}

/// Returns what the caller uses.
pub async fn quota(drive: &Drive, caller: &Caller) -> Result<MyQuota> {
    let mut rows = drive.read().await?;
    let usage = rows.usage(caller.tenant, &UsageTarget::User(caller.user.clone())).await?;
    let quota = rows.quota(caller.tenant, &QuotaTarget::User(caller.user.clone())).await?;
    let quota_bytes = quota.filter(|quota| !quota.exempt).and_then(|quota| quota.limits.limit_bytes);
    let used_bytes = usage.total_bytes();
    // Hundredths of a percent are as exact as anybody reads.
    let percent = |limit: u64| (used_bytes as f64 / limit as f64 * 10_000.0).round() / 100.0;
    let percent_used = quota_bytes.filter(|limit| *limit > 0).map(percent);
    Ok(MyQuota { user_id: caller.user.clone(), used_bytes, quota_bytes, percent_used })
}

/// Returns the files the caller changed last, as far as listings show them, newest first.
pub async fn recent(drive: &Drive, caller: &Caller, limit: u32) -> Result<Vec<FileInfo>> {
    let mut rows = drive.read().await?;
    let nodes = rows.recent(caller.tenant, &caller.user, limit).await?;
    let ids: Vec<NodeId> = nodes.iter().map(|node| node.id).collect();
    let mut seen = listed(&mut *rows, caller, &ids).await?;
    Ok(ids.iter().filter_map(|id| seen.remove(id)?.file_info()).collect())
}

/// A favourite, with what it is now.
#[derive(Clone, Debug, Serialize)]
pub struct Favorite {
    /// The file or folder.
    pub resource_id: NodeId,
    /// When it was marked.
    pub created_at: Timestamp,
    /// What it is now, if it is a file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<FileInfo>,
    /// What it is now, if it is a folder.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub folder: Option<FolderInfo>,
}

/// Returns the caller's favourites that listings show it, newest first; the others stay marked until it may see them
/// again.
pub async fn favorites(drive: &Drive, caller: &Caller) -> Result<Vec<Favorite>> {
    let mut rows = drive.read().await?;
    let marked = rows.favorites(caller.tenant, &caller.user).await?;
    let ids: Vec<NodeId> = marked.iter().map(|(id, _)| *id).collect();
    let seen = listed(&mut *rows, caller, &ids).await?;
    let favorite = |(id, created_at): &(NodeId, Timestamp)| {
        let located = seen.get(id)?;
        let (file, folder) = (located.file_info(), located.folder_info());
        Some(Favorite { resource_id: *id, created_at: *created_at, file, folder })
    };
    Ok(marked.iter().filter_map(favorite).collect())
}

/// Returns those of these nodes that are live and that listings show the caller.
async fn listed(rows: &mut dyn Reads, caller: &Caller, ids: &[NodeId]) -> Result<HashMap<NodeId, Located>> {
    let all = access::locate_all(rows, caller, ids).await?;
    let seen = all
        .into_iter()
        .filter(|found| found.is_listed() && found.trashed_at().is_none() && !found.share.is_deleted);
    Ok(seen.map(|found| (found.node().id, found)).collect())
}

/// Marks or unmarks a favourite; doing it twice is as good as once.
pub async fn set_favorite(drive: &Drive, caller: &Caller, id: NodeId, on: bool) -> Result<()> {
    mutation::run(drive, caller, SetFavorite { id, on }).await
}

struct SetFavorite {
    id: NodeId,
    on: bool,
}

#[async_trait]
impl Mutation for SetFavorite {
    type Output = ();

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<()> {
        if self.on {
            access::node(tx.rows, tx.caller, self.id, Right::Read).await?;
        }
        tx.rows.set_favorite(tx.caller.tenant, &tx.caller.user, self.id, self.on, tx.now).await?;
        let kind = match self.id {
            NodeId::File(_) => crate::model::ResourceKind::File,
            NodeId::Folder(_) => crate::model::ResourceKind::Folder,
        };
        let action = if self.on { "favorite.set" } else { "favorite.unset" };
        tx.audit(AuditEvent::new(AuditCategory::FileAccess, action, kind, self.id));
        tx.created(self.id);
        Ok(())
    }
}
