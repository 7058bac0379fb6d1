//! A folder that is moved or renamed onto a folder of that name: what it holds goes into the other one.
//!
//! The folder that moves may lie in the one that it goes into, at any depth. It is not in the way there: when all is done
//! it is in the trash, and something that it held may have its name. So nothing ever goes into it, and what is put down
//! lies outside of it: all that is left in it has its counterpart, live, where it should have gone.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::worker::{Effect, Order, Worker};
use crate::model::conflict::{self, Verdict};
use crate::model::{
    ChangeId, ConflictType, Error, FileName, NameKey, Node, NodeId, ParentId, Result, Strategy,
};
use crate::ports::metadata::{ChildQuery, ChildSort, SortKey};
use crate::services::access::{self, Located, Place, Right};
use crate::services::{moves, trash};

/// Items looked at in one merge: they move in one transaction, and more would hold everybody else up. What has no
/// counterpart is one item, however much it holds.
const MOST: usize = 1 << 16;

/// Items looked at at once.
const PAGE: u32 = 1000;

/// Conflict copies of one name that are tried.
const COPIES: u32 = 1000;

/// The folder that moves, and the one that it goes into.
struct Ends<'m> {
    from: &'m Located,
    into: &'m Located,
}

/// Two folders of one name below the ends, or the ends themselves: what the first holds goes into the second.
struct Pair {
    /// The folders that hold them; nothing for the ends.
    above: Option<Arc<Pair>>,
    from: Node,
    into: Node,
}

impl Pair {
    /// Returns where the two lie; only the ends know what the caller may do there.
    fn places(&self, ends: &Ends<'_>) -> (Place, Place) {
        let Some(above) = &self.above else {
            return (Place::folder(ends.from.clone()), Place::folder(ends.into.clone()));
        };
        let (from, into) = above.places(ends);
        (from.with_child(&self.from), into.with_child(&self.into))
    }
}

/// What goes from one folder into another.
struct Moves {
    pair: Arc<Pair>,
    /// The items, each with its name there.
    items: Vec<(Node, FileName)>,
    /// What has the names of some of them already; nothing where the caller cannot see it.
    in_the_way: Vec<Option<Node>>,
    /// The item that gets the name of the folder that moves.
    heir: Option<Node>,
    taken: HashSet<NameKey>,
}

impl Moves {
    fn add(&mut self, place: &Place, node: Node, name: FileName) -> Result<()> {
        place.check_limits(name.as_str())?;
        self.taken.insert(name.key());
        self.items.push((node, name));
        Ok(())
    }
}

impl Worker<'_, '_> {
    /// Puts what a folder holds into another one and the empty folder into the trash, with what is there already.
    ///
    /// Files whose names are taken get names of their own; under MANUAL nothing is moved if there are any.
    pub(super) async fn merge(
        &mut self,
        order: Order<'_>,
        from: &Located,
        into: &Located,
    ) -> Result<Option<Effect>> {
        from.check(self.tx.caller, Right::Delete)?;
        self.desk.flush(self.tx).await?;
        access::check_below(self.tx.rows, self.tx.caller, from, Right::Delete).await?;
        let ends = Ends { from, into };
        let plan = self.plan_merge(&ends).await?;
        let clashes = plan.iter().any(|moves| !moves.in_the_way.is_empty());
        if clashes && self.terms.strategy == Strategy::Manual {
            return match self.meet(order, ConflictType::NameTaken, Some(into)) {
                Verdict::Wait => self.wait(order, Some(into.node().parent)),
                _ => Err(Error::internal("a conflict under MANUAL that does not wait")),
            };
        }
        let change = self.carry_over(order, &ends, plan).await?;
        let into = self.desk.find(self.tx, into.node().id).await?.ok_or(Error::NotFound)?;
        Ok(Some(Effect { change: Some(change), ..Effect::on(&into, None) }))
    }

    /// Does what was planned; returns the row that tells of the folder that went.
    async fn carry_over(&mut self, order: Order<'_>, ends: &Ends<'_>, plan: Vec<Moves>) -> Result<ChangeId> {
        let mut heir = None;
        for moves in plan {
            let (from, into) = moves.pair.places(ends);
            for other in moves.in_the_way {
                let visible = other.map(|other| into.child(&other));
                self.meet(order, ConflictType::NameTaken, visible.as_ref());
            }
            moves::put_all(self.tx, &from, &into, moves.items).await?;
            heir = heir.or(moves.heir.map(|heir| (from, into, heir)));
        }
        self.desk.forget();
        let Some((from, into, heir)) = heir else {
            let change = trash::put(self.tx, ends.from).await?;
            self.desk.forget();
            return Ok(change);
        };
        // Its name is free only once the folder is gone, and must be out of the folder before: no reader of the feed sees
        // two of one name, or takes it for gone with the folder.
        let aside = self.copy_name(into.id(), &heir.name).await?;
        let name = heir.name.clone();
        moves::put_all(self.tx, &from, &into, vec![(heir.clone(), aside.clone())]).await?;
        let change = trash::put(self.tx, ends.from).await?;
        let found = into.child(&Node { parent: into.id(), name: aside, ..heir });
        let node = Node { name, ..found.node().clone() };
        moves::put_at(self.tx, &found, &into, node).await?;
        self.desk.forget();
        Ok(change)
    }

    async fn plan_merge(&mut self, ends: &Ends<'_>) -> Result<Vec<Moves>> {
        let (from, into) = (ends.from.node().clone(), ends.into.node().clone());
        let mut open = vec![Arc::new(Pair { above: None, from, into })];
        let (mut plan, mut looked_at) = (Vec::new(), 0);
        while let Some(pair) = open.pop() {
            let place = self.judged(ends, &pair).await?;
            let mut moves =
                Moves { pair, items: Vec::new(), in_the_way: Vec::new(), heir: None, taken: HashSet::new() };
            let mut after = None;
            loop {
                let page = self.page(&moves.pair.from, after).await?;
                looked_at += page.len();
                if looked_at > MOST {
                    let message =
                        format!("folders of more than {MOST} items do not merge: move them in parts");
                    return Err(Error::invalid("new_path", message, ends.into.node().name.as_str()));
                }
                let is_end = page.len() < PAGE as usize;
                after = page.last().map(|last| SortKey::Name(last.name.key(), last.id));
                open.extend(self.plan_page(ends, &place, &mut moves, page).await?);
                if is_end {
                    break;
                }
            }
            if !moves.items.is_empty() || moves.heir.is_some() {
                place.check(self.tx.caller, Right::Create)?;
                plan.push(moves);
            }
        }
        Ok(plan)
    }

    /// Returns where a pair's items go, as the caller sees it.
    async fn judged(&mut self, ends: &Ends<'_>, pair: &Pair) -> Result<Place> {
        let (_, into) = pair.places(ends);
        if pair.above.is_none() || !into.share.has_acl {
            return Ok(into);
        }
        let found = access::unjudged_all(self.tx.rows, self.tx.caller, &[pair.into.id]).await?.pop();
        found
            .map(Place::folder)
            .ok_or_else(|| Error::internal("a folder vanished while another went into it"))
    }

    async fn page(&mut self, folder: &Node, after: Option<SortKey>) -> Result<Vec<Node>> {
        let Some(id) = folder.id.as_folder() else { return Ok(Vec::new()) };
        let parent = ParentId::Folder(id);
        let query = ChildQuery { parent, include_trashed: false, sort: ChildSort::Name, after, limit: PAGE };
        self.tx.rows.children(self.tx.caller.tenant, &query).await
    }

    /// Plans some items of a folder; returns folders among them that merge in turn.
    async fn plan_page(
        &mut self,
        ends: &Ends<'_>,
        place: &Place,
        moves: &mut Moves,
        page: Vec<Node>,
    ) -> Result<Vec<Arc<Pair>>> {
        let names = page.iter().map(|node| node.name.key()).collect();
        let there = self.named(place, names).await?;
        let is_freed = there.iter().any(|node| node.id == ends.from.node().id);
        let there: Vec<Node> = there.into_iter().filter(|node| node.id != ends.from.node().id).collect();
        let there = access::children_at(self.tx.rows, self.tx.caller, place, &there).await?;
        let mut there: HashMap<NameKey, Located> =
            there.into_iter().map(|found| (found.node().name.key(), found)).collect();
        let (mut open, mut crowded) = (Vec::new(), Vec::new());
        for node in page {
            let key = node.name.key();
            match there.remove(&key) {
                None if moves.taken.contains(&key) => crowded.push(node),
                None if is_freed && key == ends.from.node().name.key() => {
                    place.check_limits(node.name.as_str())?;
                    moves.taken.insert(key);
                    moves.heir = Some(node);
                }
                None => {
                    let name = node.name.clone();
                    moves.add(place, node, name)?;
                }
                Some(other) if other.rights.has(Right::Read) && are_folders(&node, other.node()) => {
                    let (above, into) = (Some(Arc::clone(&moves.pair)), other.node().clone());
                    open.push(Arc::new(Pair { above, from: node, into }));
                }
                // These go into the trash with their folder.
                Some(other) if other.rights.has(Right::Read) && have_same_bytes(&node, other.node()) => {}
                Some(other) => {
                    let is_visible = other.rights.has(Right::Read);
                    moves.in_the_way.push(is_visible.then(|| other.node().clone()));
                    crowded.push(node);
                }
            }
        }
        self.plan_copies(place, moves, crowded).await?;
        Ok(open)
    }

    /// Plans items that cannot have their names under the first ones of conflict copies that are free, and that nothing
    /// planned takes.
    async fn plan_copies(&mut self, place: &Place, moves: &mut Moves, crowded: Vec<Node>) -> Result<()> {
        let marker = conflict::copy_marker(&self.terms.device_name, self.tx.now);
        let mut left: Vec<(Node, u32)> = crowded.into_iter().map(|node| (node, 1)).collect();
        while !left.is_empty() {
            let copy = |(node, number): &(Node, u32)| conflict::copy_name(&node.name, &marker, *number);
            let there = self.named(place, left.iter().map(|left| copy(left).key()).collect()).await?;
            let there: HashSet<NameKey> = there.iter().map(|node| node.name.key()).collect();
            let mut again = Vec::new();
            for (node, number) in left {
                let name = copy(&(node.clone(), number));
                if !there.contains(&name.key()) && !moves.taken.contains(&name.key()) {
                    moves.add(place, node, name)?;
                } else if number < COPIES {
                    again.push((node, number + 1));
                } else {
                    return Err(Error::NameConflict { name: node.name.to_string() });
                }
            }
            left = again;
        }
        Ok(())
    }

    /// Returns what has these names at a place.
    async fn named(&mut self, place: &Place, names: Vec<NameKey>) -> Result<Vec<Node>> {
        if names.is_empty() {
            return Ok(Vec::new());
        }
        self.tx.rows.children_named(self.tx.caller.tenant, &[(place.id(), names)]).await
    }
}

fn are_folders(one: &Node, other: &Node) -> bool {
    matches!((one.id, other.id), (NodeId::Folder(_), NodeId::Folder(_)))
}

fn have_same_bytes(one: &Node, other: &Node) -> bool {
    let bytes = |node: &Node| node.file.as_ref().map(|facts| (facts.checksum, facts.size));
    bytes(one).is_some() && bytes(one) == bytes(other)
}
