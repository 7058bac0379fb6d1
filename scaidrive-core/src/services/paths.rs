//! Paths instead of ids, for programs and people.

use super::access::{self, Located, Place, Right};
use super::shares;
use crate::Drive;
use crate::model::{Caller, Error, NodeId, ParentId, Result, Share, ShareId, SharePath};
use crate::ports::Reads;

/// Returns the share of that name (or id) that the caller can see.
pub async fn share_named(drive: &Drive, caller: &Caller, name: &str) -> Result<Share> {
    let mut rows = drive.read().await?;
    if let Ok(id) = name.parse::<ShareId>() {
        return access::share(&mut *rows, caller, id, Right::Read).await;
    }
    let all = shares::visible(&mut *rows, caller, false).await?;
    let mut named = all.into_iter().map(|(share, _)| share).filter(|share| share.name == name);
    match (named.next(), named.next()) {
        (Some(only), None) => Ok(only),
        (Some(_), Some(_)) => {
            Err(Error::invalid("share", "several shares have this name; give the id", name))
        }
        (None, _) => Err(Error::NotFound),
    }
}

/// Returns the id of the node at a path; nothing for the root.
pub async fn resolve(
    rows: &mut dyn Reads,
    caller: &Caller,
    share: ShareId,
    path: &SharePath,
) -> Result<Option<NodeId>> {
    access::share(rows, caller, share, Right::Read).await?;
    let mut parent = ParentId::Root(share);
    let mut found = None;
    for (at, name) in path.names().iter().enumerate() {
        let node = rows.child(caller.tenant, parent, &name.key()).await?.ok_or(Error::NotFound)?;
        found = Some(node.id);
        match node.id {
            NodeId::Folder(id) => parent = ParentId::Folder(id),
            NodeId::File(_) if at + 1 == path.names().len() => {}
            NodeId::File(_) => return Err(Error::NotFound),
        }
    }
    Ok(found)
}

/// Returns the node at a path on which the caller has `right`; the root is none.
pub async fn node(
    drive: &Drive,
    caller: &Caller,
    share: ShareId,
    path: &SharePath,
    right: Right,
) -> Result<Located> {
    let mut rows = drive.read().await?;
    let id = resolve(&mut *rows, caller, share, path).await?.ok_or(Error::NotFound)?;
    access::node(&mut *rows, caller, id, right).await
}

/// Returns the place at a path on which the caller has `right`: a folder, or the root.
pub async fn place(
    drive: &Drive,
    caller: &Caller,
    share: ShareId,
    path: &SharePath,
    right: Right,
) -> Result<Place> {
    let mut rows = drive.read().await?;
    match resolve(&mut *rows, caller, share, path).await? {
        None => access::place(&mut *rows, caller, share, None, right).await,
        Some(NodeId::Folder(id)) => access::place(&mut *rows, caller, share, Some(id), right).await,
        Some(NodeId::File(_)) => Err(Error::NotFound),
    }
}
