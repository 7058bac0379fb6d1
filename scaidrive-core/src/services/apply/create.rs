//! What is new: files and folders, and conflict copies.

use super::desk::Way;
use super::worker::{Effect, Order, Worker, is_it};
use crate::model::conflict::Verdict;
use crate::model::{ConflictType, Error, FileName, NodeKind, Result};
use crate::services::access::{Located, Place, Right};
use crate::services::files::NewFile;
use crate::services::ingest::StoredContent;

impl Worker<'_, '_> {
    /// Creates a file. One of that name with the same bytes is taken for it; another keeps the name.
    pub(super) async fn create_file(&mut self, order: Order<'_>) -> Result<Option<Effect>> {
        let content = order.content.ok_or_else(|| Error::internal("a new file without a content"))?;
        let way = self.way(order.wanted).await?;
        let occupant = self.occupant(&way).await?;
        match occupant {
            Some(found) if is_it(&found, content) => Ok(Some(Effect::on(&found, None))),
            Some(found) => self.create_beside(order, way, &found).await,
            None => {
                self.check_way(&way)?;
                let place = self.make_way(&way)?;
                self.add_file(order, &place, way.name, content).map(Some)
            }
        }
    }

    /// Creates a folder; one of that name is taken for it.
    pub(super) async fn create_folder(&mut self, order: Order<'_>) -> Result<Option<Effect>> {
        let way = self.way(order.wanted).await?;
        match self.occupant(&way).await? {
            Some(found) if found.node().kind() == NodeKind::Folder && found.rights.has(Right::Read) => {
                Ok(Some(Effect::on(&found, None)))
            }
            Some(found) => self.create_beside(order, way, &found).await,
            None => {
                self.check_way(&way)?;
                let place = self.make_way(&way)?;
                self.add_folder(&place, way.name).map(Some)
            }
        }
    }

    /// Creates what cannot have its name under another one.
    async fn create_beside(
        &mut self,
        order: Order<'_>,
        way: Way,
        occupant: &Located,
    ) -> Result<Option<Effect>> {
        self.check_way(&way)?;
        let visible = Some(occupant).filter(|found| found.rights.has(Right::Read));
        if self.meet(order, ConflictType::NameTaken, visible) == Verdict::Wait {
            return self.wait(order, Some(way.place.id()));
        }
        let effect = match order.content {
            Some(content) => self.copy_at(order, &way.place, &way.name, content).await?,
            None => {
                let name = self.copy_name(way.place.id(), &way.name).await?;
                way.place.check_limits(name.as_str())?;
                self.add_folder(&way.place, name)?
            }
        };
        self.desk.landed.insert((way.place.id(), way.name.key()), effect.node);
        Ok(Some(effect))
    }

    /// Makes a conflict copy of a content, of a file of this name, at a place.
    pub(super) async fn copy_at(
        &mut self,
        order: Order<'_>,
        place: &Place,
        name: &FileName,
        content: &StoredContent,
    ) -> Result<Effect> {
        place.check(self.tx.caller, Right::Create)?;
        let name = self.copy_name(place.id(), name).await?;
        place.check_limits(name.as_str())?;
        let effect = self.add_file(order, place, name, content)?;
        self.became(effect.version);
        Ok(effect)
    }

    pub(super) fn add_file(
        &mut self,
        order: Order<'_>,
        place: &Place,
        name: FileName,
        content: &StoredContent,
    ) -> Result<Effect> {
        let new = NewFile {
            share: place.share.id,
            folder: place.id().folder(),
            name,
            mime_type: order.wanted.mime_type.clone(),
            modified_at: order.wanted.modified_at,
        };
        let node = self.desk.inserts.add_file(self.tx, place, &new, content)?;
        let found = self.desk.add(place, &node);
        Ok(Effect::on(&found, self.tx.last_change()))
    }

    fn add_folder(&mut self, place: &Place, name: FileName) -> Result<Effect> {
        let node = self.desk.inserts.add_folder(self.tx, place, name)?;
        let found = self.desk.add(place, &node);
        Ok(Effect::on(&found, self.tx.last_change()))
    }
}
