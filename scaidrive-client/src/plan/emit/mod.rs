//! Puts the steps in an order in which each can be taken.

mod here;
mod there;

use super::graph::{Fate, Graph, Transfer};
use super::virtual_tree::{Holder, VirtualTree};
use super::{Download, Note, Plan, Signature, Situation};
use crate::model::{Kind, fold, nfc, with_marker};
use crate::trees::{Content, LocalKind, SyncedFile, SyncedItem};

/// What a rename says that only makes room.
const MOVING: &str = " (moving)";

/// Returns the steps that make both trees what was decided.
pub(super) fn emit(graph: Graph<'_>, situation: &Situation<'_>) -> Plan {
    let key = if situation.naming.is_case_sensitive { nfc } else { fold };
    let mut emitter = Emitter {
        order: order(&graph),
        here: here::tree(&graph, key),
        there: there::tree(&graph),
        situation,
        plan: Plan::default(),
        graph,
    };
    emitter.change_here();
    emitter.change_there();
    emitter.download();
    emitter.remember();
    emitter.plan.notes.append(&mut emitter.graph.notes);
    emitter.plan.notes.sort();
    emitter.plan.notes.dedup();
    emitter.plan
}

struct Emitter<'a> {
    graph: Graph<'a>,
    situation: &'a Situation<'a>,
    /// Nodes, each after the folder that it shall be in.
    order: Vec<usize>,
    /// The local tree after the steps so far.
    here: VirtualTree,
    /// The server's tree after the steps so far.
    there: VirtualTree,
    plan: Plan,
}

/// Returns all nodes but the root, each after the folder that it shall be in.
fn order(graph: &Graph<'_>) -> Vec<usize> {
    let mut depths = vec![None; graph.nodes.len()];
    depths[0] = Some(0usize);
    for start in 1..graph.nodes.len() {
        let (mut way, mut next) = (Vec::new(), start);
        while depths[next].is_none() {
            way.push(next);
            next = graph.nodes[next].parent;
        }
        let mut depth = depths[next].unwrap_or(0);
        for node in way.into_iter().rev() {
            depth += 1;
            depths[node] = Some(depth);
        }
    }
    let mut order: Vec<usize> = (1..graph.nodes.len()).collect();
    order.sort_by_key(|node| (depths[*node], *node));
    order
}

impl Emitter<'_> {
    fn is_held(&self, signature: &Signature) -> bool {
        self.situation.held.contains(signature)
    }

    /// Tells whether a node is here where it shall be.
    fn is_placed_here(&self, node: usize) -> bool {
        let wanted = &self.graph.nodes[node];
        let is_same = |(parent, name): (usize, &str)| parent == wanted.parent && nfc(name) == wanted.name;
        self.here.place(node).is_some_and(is_same)
    }

    /// Fetches what is new on the server.
    fn download(&mut self) {
        for node in self.order.clone() {
            let wanted = &self.graph.nodes[node];
            let is_wanted = wanted.fate == Fate::Keep && wanted.transfer == Transfer::Down;
            let is_roomless = wanted.is_stuck && wanted.local.is_none();
            let Some((remote, file)) = wanted.remote.and_then(|remote| Some((remote, remote.file.as_ref()?)))
            else {
                continue;
            };
            if !is_wanted || is_roomless {
                continue;
            }
            let over = self.graph.entry(node).map(|entry| entry.stamp);
            let path = match over {
                Some(_) => self.here.path(node),
                None => match self.room_for(node) {
                    Some(path) => path,
                    None => continue,
                },
            };
            let parent = remote.parent.clone();
            let download = Download { id: remote.id.clone(), parent, file: file.clone(), path, over };
            if !self.is_held(&download.signature()) {
                self.plan.downloads.push(download);
            }
        }
    }

    /// Returns the path of a file that is not here yet, if it can be put there.
    fn room_for(&mut self, node: usize) -> Option<crate::model::TreePath> {
        let wanted = &self.graph.nodes[node];
        if !self.here.has(wanted.parent) || self.graph.may_hold_more(wanted.parent) {
            return None;
        }
        match self.here.holder(wanted.parent, &wanted.name) {
            None => {}
            Some(Holder::Node(_)) => return None,
            Some(Holder::Stranger(_)) => {
                self.graph.note(node, "not downloaded: something that is not synced has its place");
                return None;
            }
        }
        let (parent, name) = (wanted.parent, wanted.name.clone());
        self.here.put(node, parent, &name);
        Some(self.here.path(node))
    }

    /// Says what both sides agree on, and what neither has any more.
    fn remember(&mut self) {
        for node in 1..self.graph.nodes.len() {
            let known = &self.graph.nodes[node];
            match (known.id, known.base, known.remote, known.local) {
                (Some(id), Some(_), None, None) if !known.is_unknown => self.plan.forgotten.push(id.clone()),
                _ => {
                    let agreed = self.agreed(node).filter(|agreed| known.base != Some(agreed));
                    self.plan.agreed.extend(agreed);
                }
            }
        }
    }

    /// Returns what is to be remembered of an item that is the same on both sides.
    fn agreed(&self, node: usize) -> Option<SyncedItem> {
        let known = &self.graph.nodes[node];
        let (remote, entry) = (known.remote?, self.graph.entry(node)?);
        let is_placed = known.local_parent == known.remote_parent && entry.agreed_name() == remote.name;
        if !is_placed || known.transfer != Transfer::Nothing {
            return None;
        }
        let file = match (&entry.kind, &remote.file) {
            (LocalKind::Folder { .. }, None) => None,
            (LocalKind::File { content: Content::Known { hash, is_settled } }, Some(file)) => {
                Some(SyncedFile { version: file.version.clone(), checksum: *hash, is_settled: *is_settled })
            }
            _ => return None,
        };
        let (id, parent, name) = (remote.id.clone(), remote.parent.clone(), remote.name.clone());
        Some(SyncedItem { id, parent, name, stamp: known_stamp(known.kind, entry.stamp), file })
    }
}

/// Returns what is remembered of a stamp: of a directory only which it is, as everything in it changes the rest.
fn known_stamp(kind: Kind, stamp: crate::trees::Stamp) -> crate::trees::Stamp {
    match kind {
        Kind::File => stamp,
        Kind::Folder => crate::trees::Stamp { key: stamp.key, ..crate::trees::Stamp::default() },
    }
}

/// Returns a name that nobody has, for what must make room for a moment.
fn aside(tree: &VirtualTree, parent: usize, name: &str) -> String {
    let mut candidate = with_marker(name, MOVING);
    let mut number = 1;
    while tree.holder(parent, &candidate).is_some() {
        number += 1;
        candidate = with_marker(name, &format!("{MOVING} ({number})"));
    }
    candidate
}

fn note(plan: &mut Plan, path: crate::model::TreePath, reason: &str) {
    plan.notes.push(Note { path, reason: reason.to_owned() });
}
