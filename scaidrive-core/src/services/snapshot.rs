//! Snapshots: everything in a share that a reader may see, and the cursor to go on from.
//!
//! The cursor is read first, then the share is paged through by id in short reads, each judged by what is true then.
//! Changes carry full state and apply as upserts, so what happens in between is made right by replaying it.

use std::collections::HashMap;

use futures_util::stream::{self, BoxStream};
use futures_util::{StreamExt, TryStreamExt};
use serde::Serialize;
use serde_json::Value;

use super::access::{self, Right};
use super::overview::Overview;
use super::{identity, tree};
use crate::Drive;
use crate::model::{Caller, Node, NodeId, NodeKind, Result, ShareId, VersionId};

/// Nodes read at once.
const PAGE: u32 = 1000;

/// A file or folder with its full state.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SnapshotItem {
    /// File or folder.
    pub resource_type: NodeKind,
    /// Which.
    pub resource_id: NodeId,
    /// Where it lies.
    pub path: String,
    /// The current version of a file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version_id: Option<VersionId>,
    /// The rest, as the `metadata` of changes has it.
    #[serde(flatten)]
    pub state: Value,
}

/// A snapshot on its way.
pub struct Snapshot {
    /// Replaying the feed from here makes the snapshot exact.
    pub cursor: i64,
    /// Pages of all there is: folders first, each kind by id. An error ends them early.
    pub pages: BoxStream<'static, Result<Vec<SnapshotItem>>>,
}

/// Begins a snapshot of a share. No connection is held between pages, and no more than a page in memory.
pub async fn open(drive: &Drive, caller: &Caller, share: ShareId) -> Result<Snapshot> {
    let mut rows = drive.read().await?;
    access::share(&mut *rows, caller, share, Right::Read).await?;
    let cursor = rows.head(caller.tenant).await?;
    drop(rows);
    let walk = Walk { drive: drive.clone(), caller: caller.clone(), share };
    let start = Some(Place { kind: NodeKind::Folder, after: None });
    let pages = stream::try_unfold((walk, start), |(walk, place)| async move {
        let Some(place) = place else { return Ok(None) };
        let (items, next) = walk.page(place).await?;
        Ok(Some((items, (walk, next))))
    });
    let pages = pages.try_filter(|items| std::future::ready(!items.is_empty())).boxed();
    Ok(Snapshot { cursor, pages })
}

/// How far a walk is.
#[derive(Clone, Copy)]
struct Place {
    kind: NodeKind,
    after: Option<NodeId>,
}

impl Place {
    /// Returns where to go on after a page that ended with this node, or that was the last of its kind.
    fn next(self, last: Option<NodeId>) -> Option<Self> {
        match (last, self.kind) {
            (Some(_), kind) => Some(Self { kind, after: last }),
            (None, NodeKind::Folder) => Some(Self { kind: NodeKind::File, after: None }),
            (None, NodeKind::File) => None,
        }
    }
}

struct Walk {
    drive: Drive,
    caller: Caller,
    share: ShareId,
}

impl Walk {
    /// Reads a page; who has lost its right by now gets no more.
    async fn page(&self, place: Place) -> Result<(Vec<SnapshotItem>, Option<Place>)> {
        let mut rows = self.drive.read().await?;
        let nodes = rows.living(self.caller.tenant, self.share, place.kind, place.after, PAGE).await?;
        // Judged by what is true after the rows were read: what a revoke forbids is not among them then.
        let caller = identity::refreshed(&mut *rows, &self.caller).await?;
        let found = access::seen_share(&mut *rows, &caller, self.share, Right::Read).await?;
        let shares = HashMap::from([(self.share, found)]);
        let mut overview = Overview::look(&mut *rows, &caller, &shares, Vec::new(), &nodes).await?;
        let last = nodes.last().filter(|_| nodes.len() == PAGE as usize).map(|node| node.id);
        let listed = nodes.into_iter().filter(|node| overview.is_listed(node.id)).collect::<Vec<_>>();
        let items = listed.iter().map(|node| item(node, overview.path(node.id))).collect();
        Ok((items, place.next(last)))
    }
}

fn item(node: &Node, path: String) -> SnapshotItem {
    SnapshotItem {
        resource_type: node.kind(),
        resource_id: node.id,
        path,
        version_id: node.file.as_ref().map(|facts| facts.version_id),
        state: tree::state(node),
    }
}
