//! What of the things below a place the caller may read.

use std::collections::{BTreeMap, HashMap};

use super::{Standpoint, entries_by_resource};
use crate::model::acl::{Inherited, Level};
use crate::model::{Caller, Node, NodeId, ParentId, ResourceId, Result, Right};
use crate::ports::Reads;
use crate::ports::metadata::{ChildQuery, SeenEntry};

/// Judges what lies below a place level by level, with one query a level.
#[derive(Debug)]
pub struct Eyes {
    pub(super) standpoint: Standpoint,
    pub(super) has_acl: bool,
    pub(super) below: HashMap<ParentId, Inherited>,
}

impl Eyes {
    /// Keeps those of these children, of folders that were kept before, that the caller may read.
    pub async fn readable(
        &mut self,
        rows: &mut dyn Reads,
        caller: &Caller,
        nodes: Vec<Node>,
    ) -> Result<Vec<Node>> {
        let mut entries = self.entries(rows, caller, &nodes).await?;
        let mut kept = Vec::with_capacity(nodes.len());
        for node in nodes {
            let own = entries.remove(&node.id.into()).unwrap_or_default();
            if self.sees(&node, &own) {
                kept.push(node);
            }
        }
        Ok(kept)
    }

    /// Returns a page of the children of a place that was looked at before, and how many that was before those out of
    /// the caller's sight were left out: with one query.
    pub async fn page(
        &mut self,
        rows: &mut dyn Reads,
        caller: &Caller,
        query: &ChildQuery,
    ) -> Result<(Vec<Node>, Vec<Node>)> {
        let found = if self.has_acl && !self.standpoint.standing.is_tenant_admin {
            rows.seen_children(caller, query).await?
        } else {
            let plain = rows.children(caller.tenant, query).await?;
            plain.into_iter().map(|node| (node, Vec::new())).collect()
        };
        let (mut all, mut kept) = (Vec::with_capacity(found.len()), Vec::with_capacity(found.len()));
        for (node, entries) in found {
            if self.sees(&node, &entries) {
                kept.push(node.clone());
            }
            all.push(node);
        }
        Ok((all, kept))
    }

    /// Tells whether the caller may read a child of a folder that was kept, and remembers what it passes on.
    fn sees(&mut self, node: &Node, entries: &[SeenEntry]) -> bool {
        let Some(above) = self.below.get(&node.parent).copied() else { return false };
        let level = self.standpoint.level(entries, node.inherit_acl);
        if !self.standpoint.decide(above, &level).has(Right::Read) {
            return false;
        }
        if let NodeId::Folder(id) = node.id {
            self.below.insert(ParentId::Folder(id), above.through(&level));
        }
        true
    }

    async fn entries(
        &self,
        rows: &mut dyn Reads,
        caller: &Caller,
        nodes: &[Node],
    ) -> Result<HashMap<ResourceId, Vec<SeenEntry>>> {
        if !self.has_acl || self.standpoint.standing.is_tenant_admin {
            return Ok(HashMap::new());
        }
        let ids: Vec<ResourceId> = nodes.iter().map(|node| node.id.into()).collect();
        entries_by_resource(rows, caller, &ids).await
    }

    /// Counts the children of a place that the caller may read, up to `most` children.
    pub async fn count(
        &self,
        rows: &mut dyn Reads,
        caller: &Caller,
        parent: ParentId,
        include_trashed: bool,
        most: u64,
    ) -> Result<u64> {
        let above = self.below.get(&parent).copied().unwrap_or_default();
        if !self.has_acl || self.standpoint.standing.is_tenant_admin {
            let readable = self.standpoint.decide(above, &Level::default()).has(Right::Read);
            return if readable {
                rows.count_children(caller.tenant, parent, include_trashed, most).await
            } else {
                Ok(0)
            };
        }
        let most = u32::try_from(most).unwrap_or(u32::MAX);
        let mut children: BTreeMap<NodeId, (bool, Vec<SeenEntry>)> = BTreeMap::new();
        for (id, inherits, entry) in rows.fenced_children(caller, parent, include_trashed, most).await? {
            children.entry(id).or_insert((inherits, Vec::new())).1.extend(entry);
        }
        let reads = |(inherits, entries): &&(bool, Vec<SeenEntry>)| {
            self.standpoint.decide(above, &self.standpoint.level(entries, *inherits)).has(Right::Read)
        };
        Ok(children.values().filter(reads).count() as u64)
    }
}
