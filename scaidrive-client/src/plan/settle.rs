//! Makes a tree of what was decided for each item alone.

use std::collections::{BTreeMap, BTreeSet};

use super::graph::{Fate, Graph, Node};
use super::{Signature, Situation};
use crate::model::{Kind, fold, with_marker};

/// Resolves loops, folders that must stay, and names that two siblings would have.
pub(super) fn settle(graph: &mut Graph<'_>, situation: &Situation<'_>) {
    take_back_moves(graph, situation);
    break_loops(graph);
    keep_folders(graph);
    freeze_folders(graph);
    part_siblings(graph, situation);
}

/// What the server would not let be moved, or only into a folder that it refuses, goes back to where it is there.
fn take_back_moves(graph: &mut Graph<'_>, situation: &Situation<'_>) {
    if situation.held.is_empty() {
        return;
    }
    let refused: Vec<usize> =
        (1..graph.nodes.len()).filter(|number| is_move_refused(graph, situation, *number)).collect();
    for number in refused {
        let node = &mut graph.nodes[number];
        if let (Some(parent), Some(remote)) = (node.remote_parent, node.remote) {
            (node.parent, node.name) = (parent, remote.name.clone());
        }
    }
}

fn is_move_refused(graph: &Graph<'_>, situation: &Situation<'_>, number: usize) -> bool {
    let node = &graph.nodes[number];
    let (Fate::Keep, Some(remote), Some(_)) = (node.fate, node.remote, node.local) else { return false };
    if node.remote_parent == Some(node.parent) && node.name == remote.name {
        return false;
    }
    let is_held = |signature| situation.held.contains(&signature);
    let is_refused = |folder: &usize| {
        graph.nodes[*folder].is_new() && is_held(Signature::of_new_folder(&graph.wanted_path(*folder)))
    };
    is_held(Signature::of_move(&remote.id, &graph.wanted_path(number)))
        || graph.above(number).iter().any(is_refused)
}

/// Where folders were moved into each other, one here and one there, the server's moves stay.
fn break_loops(graph: &mut Graph<'_>) {
    while let Some(on_loop) = find_loop(graph) {
        // The server's tree has no loops, and neither has the local one: at least one of these was moved here.
        for node in on_loop {
            let node = &mut graph.nodes[node];
            if let (Some(parent), Some(remote)) = (node.remote_parent, node.remote) {
                (node.parent, node.name) = (parent, remote.name.clone());
            }
        }
    }
}

fn find_loop(graph: &Graph<'_>) -> Option<Vec<usize>> {
    // 0: not looked at; otherwise the number of the walk that passed here.
    let mut passed = vec![0usize; graph.nodes.len()];
    for start in 1..graph.nodes.len() {
        let mut next = start;
        while next != 0 && passed[next] == 0 {
            passed[next] = start;
            next = graph.nodes[next].parent;
        }
        if next != 0 && passed[next] == start {
            let mut on_loop = vec![next];
            let mut other = graph.nodes[next].parent;
            while other != next {
                on_loop.push(other);
                other = graph.nodes[other].parent;
            }
            return Some(on_loop);
        }
    }
    None
}

/// A folder stays, or comes back, if something stays in it.
fn keep_folders(graph: &mut Graph<'_>) {
    for number in 1..graph.nodes.len() {
        if graph.nodes[number].fate != Fate::Keep {
            continue;
        }
        let mut above = graph.nodes[number].parent;
        while above != 0 && graph.nodes[above].fate == Fate::Drop {
            graph.nodes[above].fate = Fate::Keep;
            above = graph.nodes[above].parent;
        }
    }
}

fn here(node: &Node<'_>) -> Option<usize> {
    node.local_parent
}

fn there(node: &Node<'_>) -> Option<usize> {
    node.remote_parent
}

/// A folder is not removed if it holds something that nothing is known of, or that is not ours to remove.
fn freeze_folders(graph: &mut Graph<'_>) {
    for number in 1..graph.nodes.len() {
        let is_dropped = graph.nodes[number].fate == Fate::Drop;
        if is_dropped && graph.holds_strangers(number) {
            graph.nodes[number].fate = Fate::Frozen;
            graph.note(number, "removed on the server, but kept: it holds files that are not synced");
        }
    }
    for number in 1..graph.nodes.len() {
        if graph.nodes[number].fate != Fate::Frozen {
            continue;
        }
        for side in [here, there] {
            let mut above = side(&graph.nodes[number]).unwrap_or(0);
            while above != 0 && graph.nodes[above].fate == Fate::Drop {
                graph.nodes[above].fate = Fate::Frozen;
                above = side(&graph.nodes[above]).unwrap_or(0);
            }
        }
    }
}

/// Of siblings that would have one name, the one stays that has it on the server; what is to be done with the others
/// depends on what they are.
fn part_siblings(graph: &mut Graph<'_>, situation: &Situation<'_>) {
    let mut names: BTreeMap<(usize, String), Vec<usize>> = BTreeMap::new();
    for number in 1..graph.nodes.len() {
        let node = &graph.nodes[number];
        if node.fate == Fate::Drop {
            continue;
        }
        names.entry((node.parent, fold(&node.name))).or_default().push(number);
    }
    let mut taken: BTreeSet<(usize, String)> = names.keys().cloned().collect();
    for ((parent, _), rivals) in names.into_iter().filter(|(_, rivals)| rivals.len() > 1) {
        let winner = winner(graph, &rivals);
        for rival in rivals.into_iter().filter(|rival| *rival != winner) {
            give_way(graph, situation, rival, winner, &mut taken, parent);
        }
    }
}

fn has_place_on_server(graph: &Graph<'_>, number: usize) -> bool {
    let node = &graph.nodes[number];
    let is_same = |name: &str| fold(name) == fold(&node.name);
    node.remote_parent == Some(node.parent) && node.remote.is_some_and(|remote| is_same(&remote.name))
}

fn winner(graph: &Graph<'_>, rivals: &[usize]) -> usize {
    let rank = |number: &usize| {
        let node = &graph.nodes[*number];
        (
            !has_place_on_server(graph, *number),
            node.remote.is_none(),
            node.base.is_none(),
            node.local,
            *number,
        )
    };
    rivals.iter().copied().min_by_key(rank).unwrap_or(0)
}

fn give_way(
    graph: &mut Graph<'_>,
    situation: &Situation<'_>,
    loser: usize,
    winner: usize,
    taken: &mut BTreeSet<(usize, String)>,
    parent: usize,
) {
    let (is_new, kind) = (graph.nodes[loser].is_new(), graph.nodes[loser].kind);
    if graph.nodes[loser].fate == Fate::Frozen || graph.nodes[loser].local.is_none() {
        graph.nodes[loser].is_stuck = true;
    } else if is_new
        && kind == Kind::File
        && graph.nodes[winner].kind == Kind::File
        && !is_refused(graph, situation, loser)
    {
        graph.nodes[loser].is_contested = true;
    } else {
        graph.nodes[loser].name =
            free_name(&graph.nodes[loser].name, &situation.naming.marker, taken, parent);
    }
}

/// Tells whether the server took a new file for the last time: then it is not the one to say what becomes of both.
fn is_refused(graph: &Graph<'_>, situation: &Situation<'_>, loser: usize) -> bool {
    let Some(hash) = graph.local_hash(loser) else { return false };
    let path = graph.wanted_path(loser);
    situation.held.contains(&Signature::of_new_file(&path, &hash))
}

/// Returns a name with the marker that nobody has in this folder.
fn free_name(name: &str, marker: &str, taken: &mut BTreeSet<(usize, String)>, parent: usize) -> String {
    let mut number = 1;
    loop {
        let marker = if number == 1 { marker.to_owned() } else { format!("{marker} ({number})") };
        let candidate = with_marker(name, &marker);
        if taken.insert((parent, fold(&candidate))) {
            return candidate;
        }
        number += 1;
    }
}
