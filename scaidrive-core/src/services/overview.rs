//! Many nodes at once: which of them listings show a caller, and where they lie.
//!
//! A node is shown if it and everything above it can be read. What lies above many nodes is mostly the same, so it is
//! read once and judged once, with a statement or two whatever the depth.

use std::collections::HashMap;

use super::access::{self, Right, Standpoint};
use crate::model::acl::Inherited;
use crate::model::{Caller, Node, NodeId, ParentId, ResourceId, Result, Share, ShareId};
use crate::ports::Reads;
use crate::ports::metadata::SeenEntry;

/// Shares that a caller may read, and where it stands in each.
pub(super) type Shares = HashMap<ShareId, (Share, Standpoint)>;

/// No way up is longer; a loop, should one ever exist, ends here.
const LONGEST_WAY: usize = 1000;

/// Nodes of these shares with all above them, as a caller sees them.
pub(super) struct Overview<'s> {
    shares: &'s Shares,
    nodes: HashMap<NodeId, Node>,
    entries: HashMap<ResourceId, Vec<SeenEntry>>,
    judged: HashMap<NodeId, Judged>,
}

/// What is known of a node.
#[derive(Clone, Copy, Default)]
struct Judged {
    /// What it passes on; nothing where it is not shown.
    below: Option<Inherited>,
    /// Whether neither it nor anything above it is in the trash.
    is_live: bool,
}

impl<'s> Overview<'s> {
    /// Looks at these nodes, and at `known` ones that were read already.
    pub(super) async fn look(
        rows: &mut dyn Reads,
        caller: &Caller,
        shares: &'s Shares,
        mut ids: Vec<NodeId>,
        known: &[Node],
    ) -> Result<Self> {
        ids.extend(known.iter().filter_map(|node| node.parent.folder()).map(NodeId::from));
        ids.sort_unstable();
        ids.dedup();
        let read = rows.ancestry(caller.tenant, &ids).await?;
        let nodes: HashMap<NodeId, Node> =
            read.into_iter().chain(known.iter().cloned()).map(|node| (node.id, node)).collect();
        let has_entries = |node: &&Node| {
            shares.get(&node.share).is_some_and(|(share, _)| share.has_acl) && !caller.is_admin()
        };
        let with_entries: Vec<ResourceId> =
            nodes.values().filter(has_entries).map(|node| node.id.into()).collect();
        let entries = access::entries_by_resource(rows, caller, &with_entries).await?;
        Ok(Self { shares, nodes, entries, judged: HashMap::new() })
    }

    /// Returns a node that listings show, in the trash or not.
    pub(super) fn shown(&mut self, id: NodeId) -> Option<&Node> {
        self.judge(id).below?;
        self.nodes.get(&id)
    }

    /// Tells whether listings show a node, and neither it nor anything above it is in the trash.
    pub(super) fn is_listed(&mut self, id: NodeId) -> bool {
        let judged = self.judge(id);
        judged.is_live && judged.below.is_some()
    }

    /// Returns where a node that is shown lies.
    pub(super) fn path(&self, id: NodeId) -> String {
        let mut names = Vec::new();
        let mut next = self.nodes.get(&id);
        while let Some(node) = next.filter(|_| names.len() < LONGEST_WAY) {
            names.push(node.name.as_str());
            next = node.parent.folder().and_then(|parent| self.nodes.get(&parent.into()));
        }
        names.iter().rev().map(|name| format!("/{name}")).collect()
    }

    /// Judges a node from the nearest above it that was judged before.
    fn judge(&mut self, id: NodeId) -> Judged {
        let mut way = Vec::new();
        let mut next = Some(id);
        while let Some(at) = next.filter(|at| !self.judged.contains_key(at) && way.len() < LONGEST_WAY) {
            way.push(at);
            next = self.nodes.get(&at).and_then(|node| node.parent.folder()).map(NodeId::from);
        }
        for at in way.into_iter().rev() {
            let judged = self.nodes.get(&at).map_or_else(Judged::default, |node| self.judge_one(node));
            self.judged.insert(at, judged);
        }
        self.judged.get(&id).copied().unwrap_or_default()
    }

    /// Judges a node whose parent was judged.
    fn judge_one(&self, node: &Node) -> Judged {
        let Some((_, standpoint)) = self.shares.get(&node.share) else { return Judged::default() };
        let above = match node.parent {
            ParentId::Root(share) if share == node.share => Judged {
                below: standpoint.rights().has(Right::Read).then(|| standpoint.below_root()),
                is_live: true,
            },
            ParentId::Root(_) => Judged::default(),
            ParentId::Folder(parent) => self.judged.get(&parent.into()).copied().unwrap_or_default(),
        };
        let is_live = above.is_live && node.trashed_at.is_none();
        let Some(inherited) = above.below else { return Judged { below: None, is_live } };
        let entries = self.entries.get(&node.id.into()).map(Vec::as_slice).unwrap_or_default();
        let level = standpoint.level(entries, node.inherit_acl);
        let is_shown = standpoint.decide(inherited, &level).has(Right::Read);
        Judged { below: is_shown.then(|| inherited.through(&level)), is_live }
    }
}
