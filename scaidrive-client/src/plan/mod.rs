//! What must be done so that both sides agree: a pure function of the three trees, without I/O and without a clock.
//!
//! 1. `bind` finds out which local file is which item: by its place, else by the number the file system gave it, else
//!    by its content. What is left is new; new things that are on both sides already become one.
//! 2. `graph` puts what is known of every item side by side, `decide` merges the three states of each: its existence,
//!    its folder, its name, its content. Whatever exists on one side only and is not agreed stays; a delete never
//!    beats a change; of two renames the server's stays.
//! 3. `settle` makes a tree of the outcomes: no loops, no two siblings of one name, no folder gone that holds
//!    something that stays.
//! 4. `emit` orders the steps so that each can be taken when its turn comes, in a copy of both trees that it changes
//!    as it goes. What cannot be ordered yet waits for the next plan.
//!
//! Nothing here has to be right for data to be safe: every step says what it expects to find, and whoever takes it
//! looks first. A plan that was made too late fails step by step, and the next one is made from what is true then.

mod bind;
mod decide;
mod emit;
mod graph;
mod settle;
mod steps;
#[cfg(test)]
mod tests;
mod virtual_tree;

use std::collections::BTreeSet;

use crate::model::{Kind, TreePath};
use crate::trees::{LocalTree, RemoteItem, SyncedItem, Tree};

pub use steps::{Download, LocalStep, Note, ParentRef, Plan, RemoteStep, Signature, Source, Target};

/// Whether something is synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is.
    Synced,
    /// It is left out, on both sides, and nobody may remove it.
    LeftOut,
    /// It is left out, and goes with the folder it is in: `.DS_Store` and the like.
    Junk,
}

/// Tells what is left out of syncing, on both sides.
pub trait Ignore {
    /// Returns whether an item of this kind at this path is synced, its folder being synced.
    fn verdict(&self, path: &TreePath, kind: Kind) -> Verdict;
}

/// How the local file system treats names, and how conflicts are named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Naming {
    /// Whether `Plan` and `plan` may lie beside each other.
    pub is_case_sensitive: bool,
    /// Whether names follow the rules of Windows: no `:`, no trailing dot, no `CON`.
    pub is_windows: bool,
    /// What goes before the extension of a local name that has to give way: ` (conflict, laptop, 2026-11-23)`.
    pub marker: String,
}

/// All that a plan depends on.
#[derive(Clone, Copy)]
pub struct Situation<'a> {
    /// What the server said last.
    pub remote: &'a Tree<RemoteItem>,
    /// What both sides agreed on last.
    pub synced: &'a Tree<SyncedItem>,
    /// What the scanner sees.
    pub local: &'a LocalTree,
    /// What is left out.
    pub ignore: &'a dyn Ignore,
    /// How local names work.
    pub naming: &'a Naming,
    /// Steps that failed for good: not to be proposed again as long as they would be the same.
    pub held: &'a BTreeSet<Signature>,
}

/// Returns what must be done so that both sides agree.
pub fn plan(situation: &Situation<'_>) -> Plan {
    let bound = bind::bind(situation);
    let mut graph = graph::Graph::build(situation, &bound);
    decide::decide(&mut graph);
    settle::settle(&mut graph, situation);
    emit::emit(graph, situation)
}
