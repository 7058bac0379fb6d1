//! Moves and renames.

use super::desk::Way;
use super::worker::{Effect, Order, Worker};
use crate::model::conflict::Verdict;
use crate::model::{ChangeId, ConflictType, Error, FileName, Node, NodeKind, Result, SharePath};
use crate::services::access::{self, Located, Place, Right};
use crate::services::moves;

/// Whether a relocation was made, and what is left to do.
enum Relocated {
    /// The item is where it shall be, or stays: what else the change brings is next.
    Settled(Box<Located>, Option<Effect>),
    /// That is all.
    Done(Option<Effect>),
}

impl Worker<'_, '_> {
    /// Gives an item another place or name, and then a new version if the change brings one.
    pub(super) async fn relocate(&mut self, order: Order<'_>) -> Result<Option<Effect>> {
        let found = match self.target(order.wanted).await {
            // Gone for good: what it brings, or what waited, is a new item's.
            Err(Error::NotFound) if self.terms.settles || order.content.is_some() => {
                return self.edit(order).await;
            }
            found => found?,
        };
        if order.content.is_some() {
            found.check(self.tx.caller, Right::Write)?;
        }
        let relocated = if found.trashed_at().is_some() {
            self.relocate_deleted(order, found).await?
        } else {
            self.relocate_found(order, found).await?
        };
        let (found, effect) = match relocated {
            Relocated::Settled(found, effect) if order.content.is_some() => (found, effect),
            Relocated::Done(effect) | Relocated::Settled(_, effect) => return Ok(effect),
        };
        let edited = self.edit_found(order, *found).await?;
        Ok(match (edited, effect) {
            (Some(edited), Some(effect)) => {
                Some(Effect { change: edited.change.or(effect.change), ..edited })
            }
            (edited, effect) => edited.or(effect),
        })
    }

    async fn relocate_found(&mut self, order: Order<'_>, found: Located) -> Result<Relocated> {
        let way = self.way(order.wanted).await?;
        self.check_relocation(&way, &found).await?;
        let is_there = way.missing.is_empty() && way.place.id() == found.node().parent;
        if is_there && way.name == found.node().name {
            let effect = Effect::on(&found, None);
            return Ok(Relocated::Settled(Box::new(found), Some(effect)));
        }
        if way.place.is_within(found.node().id) {
            self.meet(order, ConflictType::Cycle, Some(&found));
            return Ok(Relocated::Settled(Box::new(found), None));
        }
        if self.was_moved(order, &found).await? {
            match self.meet(order, ConflictType::MoveMove, Some(&found)) {
                Verdict::Wait => return self.wait(order, Some(way.place.id())).map(Relocated::Done),
                Verdict::Server | Verdict::Beside => return Ok(Relocated::Settled(Box::new(found), None)),
                Verdict::Client => {}
            }
        }
        let occupant = self.occupant(&way).await?.filter(|other| other.node().id != found.node().id);
        let Some(occupant) = occupant else {
            let place = self.make_way(&way)?;
            return self.put_at(&found, &place, way.name).await;
        };
        let are_folders = [&found, &occupant].map(|item| item.node().kind()) == [NodeKind::Folder; 2];
        if are_folders && occupant.rights.has(Right::Read) {
            return self.merge(order, &found, &occupant).await.map(Relocated::Done);
        }
        let visible = Some(&occupant).filter(|other| other.rights.has(Right::Read));
        if self.meet(order, ConflictType::NameTaken, visible) == Verdict::Wait {
            return self.wait(order, Some(way.place.id())).map(Relocated::Done);
        }
        let name = self.copy_name(way.place.id(), &way.name).await?;
        way.place.check_limits(name.as_str())?;
        self.desk.landed.insert((way.place.id(), way.name.key()), found.node().id);
        self.put_at(&found, &way.place, name).await
    }

    /// Fails unless the caller may do what the single operations ask for: WRITE to rename, else DELETE on the item and
    /// CREATE where it goes.
    async fn check_relocation(&mut self, way: &Way, found: &Located) -> Result<()> {
        if way.missing.is_empty() && way.place.id() == found.node().parent {
            found.check(self.tx.caller, Right::Write)?;
            return way.place.check_limits(way.name.as_str());
        }
        found.check(self.tx.caller, Right::Delete)?;
        self.check_way(way)?;
        self.desk.flush(self.tx).await?;
        access::check_below(self.tx.rows, self.tx.caller, found, Right::Read).await
    }

    /// Tells whether the item is not any more where the device moved it from.
    ///
    /// Only its own name and parent count: a folder above that was renamed has moved nothing else.
    async fn was_moved(&mut self, order: Order<'_>, found: &Located) -> Result<bool> {
        let Some((above, name)) = order.wanted.from.as_ref().and_then(SharePath::split_last) else {
            return Ok(false);
        };
        let parent = match self.place_at(&above).await? {
            Some(place) => place.id(),
            // A place that is gone says nothing of who moved what.
            None => found.node().parent,
        };
        let is_own = self.desk.landed.get(&(parent, name.key())) == Some(&found.node().id);
        let node = found.node();
        Ok(!is_own && (parent, name.key()) != (node.parent, node.name.key()))
    }

    /// Returns the place at a path, if there is one that the caller can see.
    async fn place_at(&mut self, path: &SharePath) -> Result<Option<Place>> {
        if path.is_root() {
            return Ok(Some(self.desk.root()));
        }
        let id = match self.desk.at(self.tx, path).await {
            Err(Error::NotFound) => None,
            id => id?.and_then(crate::model::NodeId::as_folder),
        };
        let Some(id) = id else { return Ok(None) };
        match self.desk.place(self.tx, crate::model::ParentId::Folder(id)).await {
            Err(Error::NotFound) => Ok(None),
            place => place.map(Some),
        }
    }

    async fn put_at(&mut self, found: &Located, place: &Place, name: FileName) -> Result<Relocated> {
        let (moved, change) = self.put_node(found, place, name).await?;
        let effect = Effect::on(&moved, Some(change));
        Ok(Relocated::Settled(Box::new(moved), Some(effect)))
    }

    /// Writes where an item is now; all was checked.
    pub(super) async fn put_node(
        &mut self,
        found: &Located,
        place: &Place,
        name: FileName,
    ) -> Result<(Located, ChangeId)> {
        // The item may be new, and so may be where it goes.
        self.desk.flush(self.tx).await?;
        let slot = (place.id(), name.key());
        let node = Node { parent: place.id(), name, ..found.node().clone() };
        let change = moves::put_at(self.tx, found, place, node).await?;
        self.desk.replaced(found.node(), Some(slot));
        let moved = self.desk.find(self.tx, found.node().id).await?;
        let moved = moved.ok_or_else(|| Error::internal("an item vanished while it was moved"))?;
        Ok((moved, change))
    }

    /// Takes a deleted item out of the trash to where the change wants it, unless the delete stays.
    async fn relocate_deleted(&mut self, order: Order<'_>, found: Located) -> Result<Relocated> {
        found.check(self.tx.caller, Right::Write)?;
        let way = self.way(order.wanted).await?;
        self.check_way(&way)?;
        let content = order.content.zip(found.node().file.clone());
        match self.meet(order, ConflictType::EditDelete, Some(&found)) {
            Verdict::Wait => self.wait(order, Some(way.place.id())).map(Relocated::Done),
            Verdict::Client | Verdict::Beside => {
                let place = self.make_way(&way)?;
                let (restored, change) = self.take_out(&found, &place, &way.name).await?;
                let Some((content, facts)) = content else {
                    return Ok(Relocated::Done(Some(Effect::on(&restored, Some(change)))));
                };
                self.edit_restored(order, (restored, change), facts, content).await.map(Relocated::Done)
            }
            Verdict::Server => match content {
                Some((content, facts)) => {
                    self.keep_in_trash(order, found, facts, content).await.map(Relocated::Done)
                }
                None => Ok(Relocated::Done(None)),
            },
        }
    }
}
