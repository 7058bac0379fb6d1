//! A folder that is moved or renamed onto a folder of that name: what it holds goes into the other one.

use std::collections::HashSet;

use super::desk::Slot;
use super::worker::{Effect, Order, Worker};
use crate::model::conflict::{self, Verdict};
use crate::model::{ConflictType, Error, FileName, Node, NodeId, ParentId, Result, Strategy};
use crate::services::access::{self, Located, Place, Right};
use crate::services::trash;

/// Items looked at in one merge: more would hold everybody else up.
const MOST: usize = 1000;

/// An item and where it goes.
struct Step {
    item: Located,
    place: Place,
    name: FileName,
    /// What has its own name there.
    occupant: Option<Located>,
}

/// What a merge will do, all of it checked.
#[derive(Default)]
struct Plan {
    steps: Vec<Step>,
    taken: HashSet<Slot>,
    looked_at: usize,
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
        let plan = self.plan_merge(order, from, into).await?;
        let clashes = plan.steps.iter().any(|step| step.occupant.is_some());
        if clashes && self.terms.strategy == Strategy::Manual {
            return match self.meet(order, ConflictType::NameTaken, Some(into)) {
                Verdict::Wait => self.wait(order, Some(into.node().parent)),
                _ => Err(Error::internal("a conflict under MANUAL that does not wait")),
            };
        }
        for step in plan.steps {
            if let Some(occupant) = &step.occupant {
                let visible = Some(occupant).filter(|found| found.rights.has(Right::Read));
                self.meet(order, ConflictType::NameTaken, visible);
            }
            self.put_node(&step.item, &step.place, step.name).await?;
        }
        let change = trash::put(self.tx, from).await?;
        self.desk.replaced(from.node(), None);
        let into = self.desk.find(self.tx, into.node().id).await?.ok_or(Error::NotFound)?;
        Ok(Some(Effect::on(&into, Some(change))))
    }

    async fn plan_merge(&mut self, order: Order<'_>, from: &Located, into: &Located) -> Result<Plan> {
        let mut plan = Plan::default();
        let mut open = vec![(from.node().id, into.clone())];
        while let Some((folder, into)) = open.pop() {
            let Some(folder) = folder.as_folder() else { continue };
            let tenant = self.tx.caller.tenant;
            let children = self.tx.rows.children_of(tenant, &[ParentId::Folder(folder)]).await?;
            plan.looked_at += children.len();
            if plan.looked_at > MOST {
                let name = order.wanted.name().map(ToString::to_string).unwrap_or_default();
                return Err(Error::NameConflict { name });
            }
            let place = Place::folder(into);
            for child in children {
                if let Some(pair) = self.plan_step(&mut plan, child, &place).await? {
                    open.push(pair);
                }
            }
        }
        Ok(plan)
    }

    /// Plans one item; returns two folders of one name, which merge in turn.
    async fn plan_step(
        &mut self,
        plan: &mut Plan,
        child: Node,
        place: &Place,
    ) -> Result<Option<(NodeId, Located)>> {
        let found =
            |found: Option<Located>| found.ok_or_else(|| Error::internal("a child that is not there"));
        let item = found(self.desk.find(self.tx, child.id).await?)?;
        let mut occupant = None;
        if let Some(id) = self.desk.child(self.tx, place.id(), &child.name).await? {
            let other = found(self.desk.find(self.tx, id).await?)?;
            let is_visible = other.rights.has(Right::Read);
            match (&child.file, &other.node().file) {
                (None, None) if is_visible => return Ok(Some((child.id, other))),
                // The same bytes are there: these go into the trash with their folder.
                (Some(own), Some(theirs))
                    if is_visible && (own.checksum, own.size) == (theirs.checksum, theirs.size) =>
                {
                    return Ok(None);
                }
                _ => occupant = Some(other),
            }
        }
        let is_free = occupant.is_none() && !plan.taken.contains(&(place.id(), child.name.key()));
        let name =
            if is_free { child.name } else { self.free_copy_name(plan, place.id(), &child.name).await? };
        place.check(self.tx.caller, Right::Create)?;
        place.check_limits(name.as_str())?;
        plan.taken.insert((place.id(), name.key()));
        plan.steps.push(Step { item, place: place.clone(), name, occupant });
        Ok(None)
    }

    /// Returns the name of a conflict copy that is free now, and that nothing planned takes.
    async fn free_copy_name(&mut self, plan: &Plan, parent: ParentId, name: &FileName) -> Result<FileName> {
        let marker = conflict::copy_marker(&self.terms.device_name, self.tx.now);
        for number in 1..=MOST as u32 {
            let copy = conflict::copy_name(name, &marker, number);
            let is_free = self.desk.child(self.tx, parent, &copy).await?.is_none();
            if is_free && !plan.taken.contains(&(parent, copy.key())) {
                return Ok(copy);
            }
        }
        Err(Error::NameConflict { name: name.to_string() })
    }
}
