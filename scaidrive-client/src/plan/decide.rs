//! The three states of each item, merged into one: whether it is there, where, and with which content.

use super::graph::{Fate, Graph, Node, Transfer};
use crate::model::Kind;
use crate::trees::{RemoteItem, SyncedItem};

/// Decides about each item on its own.
pub(super) fn decide(graph: &mut Graph<'_>) {
    for number in 1..graph.nodes.len() {
        let fate = fate(graph, number);
        let transfer = if fate == Fate::Keep { transfer(graph, number) } else { Transfer::Nothing };
        let (parent, name) = place(graph, number);
        let node = &mut graph.nodes[number];
        (node.fate, node.transfer, node.parent, node.name) = (fate, transfer, parent, name);
    }
    keep_strangers(graph);
}

/// A folder that was deleted here comes back if it holds something that never was here.
fn keep_strangers(graph: &mut Graph<'_>) {
    let kept: Vec<usize> =
        graph.left_out.iter().filter(|left_out| !left_out.is_junk).map(|left_out| left_out.folder).collect();
    for folder in kept.into_iter().filter(|folder| *folder != 0) {
        let node = &mut graph.nodes[folder];
        if node.fate == Fate::Drop && node.remote.is_some() {
            node.fate = Fate::Keep;
            graph.note(folder, "not deleted: on the server it holds files that are not synced here");
        }
    }
}

/// Decides whether an item is there. A delete wins only against what nobody changed.
fn fate(graph: &Graph<'_>, number: usize) -> Fate {
    let node = &graph.nodes[number];
    match (node.remote, node.local) {
        (Some(_), Some(_)) => Fate::Keep,
        (_, None) if node.is_unknown => Fate::Frozen,
        (Some(remote), None) => match node.base {
            Some(base) if is_unchanged(base, remote) => Fate::Drop,
            _ => Fate::Keep,
        },
        (None, Some(_)) => fate_here(graph, number),
        (None, None) => Fate::Drop,
    }
}

/// Decides whether what the server does not have (any more) stays.
fn fate_here(graph: &Graph<'_>, number: usize) -> Fate {
    let node = &graph.nodes[number];
    if node.kind == Kind::Folder {
        return match (node.base, graph.may_hold_more(number)) {
            (_, true) => Fate::Frozen,
            (Some(_), false) => Fate::Drop,
            (None, false) => Fate::Keep,
        };
    }
    match (graph.local_hash(number), node.base.and_then(|base| base.file.as_ref())) {
        (None, _) => Fate::Frozen,
        (Some(hash), Some(base)) if hash == base.checksum => Fate::Drop,
        (Some(_), _) => Fate::Keep,
    }
}

/// Tells whether the server has an item as it was agreed on.
fn is_unchanged(base: &SyncedItem, remote: &RemoteItem) -> bool {
    let is_same_content = match (&base.file, &remote.file) {
        (Some(base), Some(remote)) => base.version == remote.version || base.checksum == remote.checksum,
        _ => true,
    };
    base.parent == remote.parent && base.name == remote.name && is_same_content
}

/// Decides which way content goes. Where both sides changed it goes up: the server keeps both.
fn transfer(graph: &Graph<'_>, number: usize) -> Transfer {
    let node = &graph.nodes[number];
    if node.kind == Kind::Folder {
        return Transfer::Nothing;
    }
    let (Some(remote), Some(_)) = (node.remote, node.local) else {
        return if node.local.is_some() { Transfer::Up } else { Transfer::Down };
    };
    let (Some(hash), Some(there)) = (graph.local_hash(number), &remote.file) else {
        return Transfer::Nothing;
    };
    let base = node.base.and_then(|base| base.file.as_ref()).map_or(there.checksum, |base| base.checksum);
    if hash == there.checksum {
        Transfer::Nothing
    } else if hash == base {
        Transfer::Down
    } else {
        Transfer::Up
    }
}

/// Decides where an item is: folder and name for themselves, each as the side has it that changed it.
///
/// Where both did, the server's stays: it was committed first.
fn place(graph: &Graph<'_>, number: usize) -> (usize, String) {
    let node = &graph.nodes[number];
    let here = graph.entry(number).map(|entry| (node.local_parent.unwrap_or(0), entry.agreed_name()));
    let there = node.remote.map(|remote| (node.remote_parent.unwrap_or(0), remote.name.clone()));
    match (here, there) {
        (Some(here), Some(there)) => merge(node, here, there),
        (Some(place), None) | (None, Some(place)) => place,
        (None, None) => (0, String::new()),
    }
}

fn merge(node: &Node<'_>, here: (usize, String), there: (usize, String)) -> (usize, String) {
    let Some(base) = node.base else { return there };
    let parent = if node.base_parent == Some(there.0) { here.0 } else { there.0 };
    let name = if base.name == there.1 { here.1 } else { there.1 };
    (parent, name)
}
