//! Steps of the local tree.

use std::collections::BTreeSet;

use super::super::LocalStep;
use super::super::graph::{Fate, Graph};
use super::super::virtual_tree::{Holder, VirtualTree};
use super::{Emitter, aside, note};
use crate::model::Kind;
use crate::trees::LocalKind;

/// Returns the local tree as it is.
pub(super) fn tree(graph: &Graph<'_>, key: fn(&str) -> String) -> VirtualTree {
    let mut tree = VirtualTree::new(key);
    let mut of_entry = vec![0; graph.local.nodes().len()];
    for (number, node) in graph.nodes.iter().enumerate().skip(1) {
        if let (Some(entry), Some(parent)) = (node.local, node.local_parent) {
            of_entry[entry] = number;
            tree.put(number, parent, &graph.local.nodes()[entry].name);
        }
    }
    for entry in graph.local.nodes().iter().skip(1) {
        // Junk goes with its directory, and gives way to nobody either.
        if let LocalKind::Other { .. } = entry.kind {
            tree.put_stranger(of_entry[entry.parent], &entry.name);
        }
    }
    tree
}

impl Emitter<'_> {
    /// Makes folders, moves and removes, until nothing more can be done.
    pub(super) fn change_here(&mut self) {
        let mut open: Vec<usize> = self.order.clone();
        open.retain(|node| self.is_open_here(*node));
        loop {
            let before = open.len();
            open.retain(|node| !self.place_here(*node));
            if open.len() == before {
                // Removing the deepest first empties the directories above.
                let mut left: Vec<usize> =
                    open.iter().rev().copied().filter(|node| !self.remove_here(*node)).collect();
                left.reverse();
                open = left;
            }
            if open.len() == before && !self.make_room_here(&open) {
                return;
            }
        }
    }

    /// Tells whether something has to be done to a node, apart from its content.
    fn is_open_here(&self, node: usize) -> bool {
        let wanted = &self.graph.nodes[node];
        match wanted.fate {
            Fate::Frozen => false,
            Fate::Drop => wanted.local.is_some(),
            Fate::Keep if wanted.local.is_some() => {
                // A file that is being written is left alone.
                let is_busy = wanted.kind == Kind::File && self.graph.local_hash(node).is_none();
                !wanted.is_stuck && !is_busy && !self.is_placed_here(node)
            }
            Fate::Keep => wanted.kind == Kind::Folder && !wanted.is_stuck,
        }
    }

    /// Brings a node to its place, if it can be brought there; tells whether it is done with.
    fn place_here(&mut self, node: usize) -> bool {
        let wanted = &self.graph.nodes[node];
        let is_ready = wanted.fate == Fate::Keep
            && self.here.has(wanted.parent)
            && !self.graph.may_hold_more(wanted.parent)
            && self.here.is_free_for(node, wanted.parent, &wanted.name)
            && !(self.here.has(node) && self.here.is_within(wanted.parent, node));
        if !is_ready {
            return false;
        }
        let (parent, name) = (wanted.parent, wanted.name.clone());
        let to = self.here.path(parent).join(&name);
        let step = match (self.graph.entry(node), wanted.remote) {
            (Some(entry), remote) => LocalStep::Move {
                id: wanted.id.cloned(),
                from: self.here.path(node),
                to,
                stamp: entry.stamp,
                follows: remote
                    .filter(|remote| wanted.remote_parent == Some(parent) && remote.name == name)
                    .map(|remote| (remote.parent.clone(), remote.name.clone())),
            },
            (None, Some(remote)) => {
                LocalStep::MakeFolder { id: remote.id.clone(), parent: remote.parent.clone(), path: to }
            }
            (None, None) => return true,
        };
        if !self.is_held(&step.signature()) {
            self.here.put(node, parent, &name);
            self.plan.local.push(step);
        }
        true
    }

    /// Removes a node, if nothing is in it; tells whether it is done with.
    fn remove_here(&mut self, node: usize) -> bool {
        let wanted = &self.graph.nodes[node];
        let (Fate::Drop, Some(id), Some(entry)) = (wanted.fate, wanted.id, self.graph.entry(node)) else {
            return false;
        };
        if self.here.children(node).any(|child| matches!(child, Holder::Node(_))) {
            return false;
        }
        let (id, path) = (id.clone(), self.here.path(node));
        let step = match wanted.kind {
            Kind::File => LocalStep::RemoveFile { id, path, stamp: entry.stamp },
            Kind::Folder => LocalStep::RemoveFolder { id, path },
        };
        if !self.is_held(&step.signature()) {
            self.here.take(node);
            self.plan.local.push(step);
        }
        true
    }

    /// Of nodes that wait for each other's places, moves one aside; tells whether there was one. A folder that is to
    /// go may wait for one that wants its very name.
    fn make_room_here(&mut self, open: &[usize]) -> bool {
        let waiting: BTreeSet<usize> = open.iter().copied().collect();
        for node in open {
            let wanted = &self.graph.nodes[*node];
            if wanted.fate != Fate::Keep || !self.here.has(wanted.parent) {
                continue;
            }
            let Some(holder) = self.here.holder(wanted.parent, &wanted.name) else { continue };
            let rival = match holder {
                Holder::Node(rival) => rival,
                Holder::Stranger(_) => {
                    let path = self.graph.shown_path(*node);
                    note(&mut self.plan, path, "not moved: something that is not synced has its place");
                    continue;
                }
            };
            let is_waiting = waiting.contains(&rival);
            if let (true, Some(entry), Some((parent, name))) =
                (is_waiting, self.graph.entry(rival), self.here.place(rival))
            {
                let aside = aside(&self.here, parent, name);
                let (from, stamp) = (self.here.path(rival), entry.stamp);
                let to = self.here.path(parent).join(&aside);
                let step = LocalStep::Move {
                    id: self.graph.nodes[rival].id.cloned(),
                    from,
                    to,
                    stamp,
                    follows: None,
                };
                if !self.is_held(&step.signature()) {
                    self.here.put(rival, parent, &aside);
                    self.plan.local.push(step);
                    return true;
                }
            }
        }
        false
    }
}
