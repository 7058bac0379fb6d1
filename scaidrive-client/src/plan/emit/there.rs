//! Changes to tell the server.

use std::collections::BTreeSet;

use super::super::graph::{Fate, Graph, Transfer};
use super::super::steps::Source;
use super::super::virtual_tree::{Holder, VirtualTree};
use super::super::{ParentRef, RemoteStep, Target};
use super::{Emitter, aside};
use crate::model::{Kind, fold};
use crate::trees::{Content, LocalKind};

/// Returns the server's tree as it is.
pub(super) fn tree(graph: &Graph<'_>) -> VirtualTree {
    let mut tree = VirtualTree::new(fold);
    for (number, node) in graph.nodes.iter().enumerate().skip(1) {
        if let (Some(remote), Some(parent)) = (node.remote, node.remote_parent) {
            tree.put(number, parent, &remote.name);
        }
    }
    for left_out in &graph.left_out {
        tree.put_stranger(left_out.folder, left_out.name);
    }
    tree
}

impl Emitter<'_> {
    /// Creates, moves, edits and deletes, until nothing more can be done.
    pub(super) fn change_there(&mut self) {
        let mut open: Vec<usize> = self.order.clone();
        open.retain(|node| self.is_open_there(*node));
        loop {
            let before = open.len();
            open.retain(|node| !self.place_there(*node));
            if open.len() == before {
                // Deleting the topmost first takes along what is in it.
                open.retain(|node| !self.delete_there(*node));
            }
            if open.len() == before && !self.make_room_there(&open) {
                break;
            }
        }
        for node in self.order.clone() {
            self.edit_there(node);
        }
    }

    /// Tells whether the server must be told of a node, apart from edits.
    fn is_open_there(&self, node: usize) -> bool {
        let wanted = &self.graph.nodes[node];
        match (wanted.fate, wanted.remote) {
            (Fate::Frozen, _) | (Fate::Drop, None) => false,
            (Fate::Drop, Some(_)) => true,
            // Nobody is told of a place that the local item could not be brought to.
            (Fate::Keep, None) => !wanted.is_stuck && self.is_placed_here(node),
            (Fate::Keep, Some(remote)) => {
                let is_placed = wanted.remote_parent == Some(wanted.parent) && remote.name == wanted.name;
                !is_placed && !wanted.is_stuck && self.is_placed_here(node)
            }
        }
    }

    /// Brings a node to its place on the server, if it can be brought there; tells whether it is done with.
    fn place_there(&mut self, node: usize) -> bool {
        let wanted = &self.graph.nodes[node];
        let (parent, name) = (wanted.parent, wanted.name.clone());
        let is_ready = wanted.fate == Fate::Keep
            && self.there.has(parent)
            && (wanted.is_contested || self.there.is_free_for(node, parent, &name))
            && !(self.there.has(node) && self.there.is_within(parent, node));
        if !is_ready {
            return false;
        }
        let Some(step) = self.placing(node, &name) else { return true };
        if !self.is_held(&step.signature()) {
            if !wanted.is_contested {
                self.there.put(node, parent, &name);
            }
            self.plan.remote.push(step);
        }
        true
    }

    /// Returns the change that brings a node to its place.
    fn placing(&self, node: usize, name: &str) -> Option<RemoteStep> {
        let wanted = &self.graph.nodes[node];
        let to = self.target(wanted.parent, name);
        let replaces = wanted.base.map(|base| base.id.clone());
        match (wanted.remote, wanted.kind) {
            (Some(remote), kind) => {
                Some(RemoteStep::Move { id: remote.id.clone(), kind, from: self.there.path(node), to })
            }
            (None, Kind::Folder) => {
                let stamp = super::known_stamp(Kind::Folder, self.graph.entry(node)?.stamp);
                Some(RemoteStep::CreateFolder { local: self.here.path(node), stamp, to, replaces })
            }
            (None, Kind::File) => Some(RemoteStep::CreateFile { source: self.source(node)?, to, replaces }),
        }
    }

    fn target(&self, parent: usize, name: &str) -> Target {
        let folder = &self.graph.nodes[parent];
        let path = self.there.path(parent);
        let reference = match folder.remote {
            _ if parent == 0 => ParentRef::Root,
            Some(remote) => ParentRef::Id(remote.id.clone()),
            None => ParentRef::Created(path.clone()),
        };
        Target { parent: reference, path: path.join(name) }
    }

    fn source(&self, node: usize) -> Option<Source> {
        let entry = self.graph.entry(node)?;
        let LocalKind::File { content: Content::Known { hash, is_settled } } = entry.kind else {
            return None;
        };
        Some(Source { path: self.here.path(node), stamp: entry.stamp, hash, is_settled })
    }

    /// Deletes a node and what it holds, if all of that is to go; tells whether it is done with.
    fn delete_there(&mut self, node: usize) -> bool {
        let wanted = &self.graph.nodes[node];
        let (Fate::Drop, Some(remote)) = (wanted.fate, wanted.remote) else { return false };
        if !self.there.has(node) {
            return true;
        }
        let Some(below) = self.all_below(node) else { return false };
        let step = RemoteStep::Delete {
            id: remote.id.clone(),
            kind: wanted.kind,
            base: remote.file.as_ref().map(|file| file.version.clone()),
            path: self.there.path(node),
            files: below.iter().filter(|node| self.graph.nodes[**node].kind == Kind::File).count(),
        };
        if !self.is_held(&step.signature()) {
            for node in below {
                self.there.take(node);
            }
            self.plan.remote.push(step);
        }
        true
    }

    /// Returns a node and what it holds, if all of that is to go.
    fn all_below(&self, node: usize) -> Option<Vec<usize>> {
        let mut found = vec![node];
        let mut next = 0;
        while let Some(node) = found.get(next).copied() {
            for child in self.there.children(node) {
                match child {
                    Holder::Node(child) if self.graph.nodes[child].fate == Fate::Drop => found.push(child),
                    Holder::Node(_) => return None,
                    Holder::Stranger(_) => {}
                }
            }
            next += 1;
        }
        Some(found)
    }

    /// Of nodes that wait for each other's places, moves one aside; tells whether there was one. A folder that is to
    /// go may wait for one that wants its very name.
    fn make_room_there(&mut self, open: &[usize]) -> bool {
        let waiting: BTreeSet<usize> = open.iter().copied().collect();
        for node in open {
            let wanted = &self.graph.nodes[*node];
            let holder = self.there.holder(wanted.parent, &wanted.name).filter(|_| wanted.fate == Fate::Keep);
            let Some(Holder::Node(rival)) = holder else { continue };
            let is_waiting = waiting.contains(&rival);
            let (true, Some(remote), Some((parent, name))) =
                (is_waiting, self.graph.nodes[rival].remote, self.there.place(rival))
            else {
                continue;
            };
            let aside = aside(&self.there, parent, name);
            let (id, kind) = (remote.id.clone(), self.graph.nodes[rival].kind);
            let step =
                RemoteStep::Move { id, kind, from: self.there.path(rival), to: self.target(parent, &aside) };
            if !self.is_held(&step.signature()) {
                self.there.put(rival, parent, &aside);
                self.plan.remote.push(step);
                return true;
            }
        }
        false
    }

    /// Sends what was edited here.
    fn edit_there(&mut self, node: usize) {
        let wanted = &self.graph.nodes[node];
        let Some(remote) = wanted.remote.filter(|_| wanted.transfer == Transfer::Up) else { return };
        let base = wanted.base.and_then(|base| base.file.as_ref()).or(None);
        let (Some(base), Some(source)) = (base, self.source(node)) else { return };
        let (id, base, path) = (remote.id.clone(), base.version.clone(), self.there.path(node));
        let step = RemoteStep::Edit { id, base, source, path };
        if !self.is_held(&step.signature()) {
            self.plan.remote.push(step);
        }
    }
}
