//! Edits of files: new versions, and what becomes of those that come too late.

use super::desk::resource;
use super::worker::{Effect, Order, Worker, is_it, is_same};
use crate::model::conflict::Verdict;
use crate::model::{ChangeId, ChangeKind, ConflictType, Error, FileFacts, Node, Result, Usage};
use crate::ports::metadata::ContentRow;
use crate::services::access::{Located, Place, Right};
use crate::services::ingest::StoredContent;
use crate::services::{files, trash, tree};

impl Worker<'_, '_> {
    /// Gives a file a new version, or changes what is said of it.
    pub(super) async fn edit(&mut self, order: Order<'_>) -> Result<Option<Effect>> {
        let found = match self.target(order.wanted).await {
            Err(Error::NotFound) => return self.rescue(order).await,
            found => found?,
        };
        self.edit_found(order, found).await
    }

    /// Does what [`edit`](Self::edit) does with an item that was found and that the caller can see.
    pub(super) async fn edit_found(&mut self, order: Order<'_>, found: Located) -> Result<Option<Effect>> {
        found.check(self.tx.caller, Right::Write)?;
        let Some(facts) = found.node().file.clone() else {
            // A folder has nothing but its place and its name.
            return found.live().map(|found| Some(Effect::on(&found, None)));
        };
        if let (Some(content), true) = (order.content, found.trashed_at().is_some()) {
            return self.edit_deleted(order, found, facts, content).await;
        }
        let content = order.content.filter(|content| !is_same(&facts, content));
        let is_stale = order.wanted.base.is_some_and(|base| base != facts.version_id);
        match content {
            None => self.edit_metadata(order, found.live()?, facts, is_stale).await.map(Some),
            Some(content) if is_stale => self.edit_stale(order, found, facts, content).await,
            Some(content) => self.write_version(order, found, facts, content).await.map(Some),
        }
    }

    pub(super) async fn write_version(
        &mut self,
        order: Order<'_>,
        found: Located,
        facts: FileFacts,
        content: &StoredContent,
    ) -> Result<Effect> {
        self.desk.settle(self.tx, found.node().id).await?;
        let mime_type = order.wanted.mime_type.clone().unwrap_or_else(|| facts.mime_type.clone());
        let next = FileFacts { mime_type, ..content.facts(facts) };
        let after = files::new_version(self.tx, found, next, None, order.wanted.modified_at).await?;
        let change = self.tx.last_change();
        self.tx.audit(tree::audit("file.write", after.node().id, after.path()));
        self.desk.inserts.refer_to(content);
        let after = self.desk.keep(after);
        Ok(Effect::on(&after, change))
    }

    /// Changes time and type alone; those of an older content say nothing of the current one.
    async fn edit_metadata(
        &mut self,
        order: Order<'_>,
        found: Located,
        facts: FileFacts,
        is_stale: bool,
    ) -> Result<Effect> {
        let mut node = found.node().clone();
        if !is_stale {
            node.modified_at = order.wanted.modified_at.unwrap_or(node.modified_at);
            let mime_type = order.wanted.mime_type.clone().unwrap_or_else(|| facts.mime_type.clone());
            node.file = Some(FileFacts { mime_type, ..facts });
        }
        if node == *found.node() {
            return Ok(Effect::on(&found, None));
        }
        self.desk.settle(self.tx, node.id).await?;
        let after = files::change_in_place(self.tx, found, node, "file.update").await?;
        let after = self.desk.keep(after);
        Ok(Effect::on(&after, self.tx.last_change()))
    }

    async fn edit_stale(
        &mut self,
        order: Order<'_>,
        found: Located,
        facts: FileFacts,
        content: &StoredContent,
    ) -> Result<Option<Effect>> {
        match self.meet(order, ConflictType::EditEdit, Some(&found)) {
            Verdict::Beside => {
                let place = self.place_of(found.node()).await?;
                self.copy_at(order, &place, &found.node().name.clone(), content).await.map(Some)
            }
            Verdict::Client => {
                let effect = self.write_version(order, found, facts, content).await?;
                self.became(effect.version);
                Ok(Some(effect))
            }
            Verdict::Server => self.keep_as_older(order, found, facts, content).await,
            Verdict::Wait => self.wait_on(order, &found),
        }
    }

    /// Lets an edit wait: where its file is gone by the time somebody decides, it is known what it was called, and where
    /// it lay.
    fn wait_on(&mut self, order: Order<'_>, found: &Located) -> Result<Option<Effect>> {
        let mut incoming = order.incoming.clone();
        if incoming.old_path.is_none() && incoming.new_path.is_none() {
            incoming.new_path = Some(format!("/{}", found.node().name));
        }
        self.wait(Order { incoming: &incoming, ..order }, Some(found.node().parent))
    }

    /// Takes a deleted file out of the trash for an edit, which no delete beats, or keeps what came in with it there.
    /// The bytes that it has already are an edit like any other: in the trash they would not stay.
    async fn edit_deleted(
        &mut self,
        order: Order<'_>,
        found: Located,
        facts: FileFacts,
        content: &StoredContent,
    ) -> Result<Option<Effect>> {
        match self.meet(order, ConflictType::EditDelete, Some(&found)) {
            Verdict::Wait => self.wait_on(order, &found),
            Verdict::Server => self.keep_in_trash(order, found, facts, content).await,
            Verdict::Client | Verdict::Beside => {
                self.desk.flush(self.tx).await?;
                let place = trash::home(self.tx, found.node()).await?;
                let taken_out = self.take_out(&found, &place, &found.node().name.clone()).await?;
                self.edit_restored(order, taken_out, facts, content).await
            }
        }
    }

    /// Gives a file that was just taken out of the trash the content that it was taken out for.
    pub(super) async fn edit_restored(
        &mut self,
        order: Order<'_>,
        (restored, change): (Located, ChangeId),
        facts: FileFacts,
        content: &StoredContent,
    ) -> Result<Option<Effect>> {
        let effect = if is_same(&facts, content) {
            Effect::on(&restored, Some(change))
        } else {
            self.write_version(order, restored, facts, content).await?
        };
        self.became(effect.version);
        Ok(Some(effect))
    }

    /// Keeps a content with a file that stays in the trash, unless it is what the file has.
    pub(super) async fn keep_in_trash(
        &mut self,
        order: Order<'_>,
        found: Located,
        facts: FileFacts,
        content: &StoredContent,
    ) -> Result<Option<Effect>> {
        if is_same(&facts, content) {
            self.became(Some(facts.version_id));
            return Ok(None);
        }
        self.keep_as_older(order, found, facts, content).await
    }

    /// Takes an item out of the trash at a place where the caller may put it, under a name that is free there.
    pub(super) async fn take_out(
        &mut self,
        found: &Located,
        place: &Place,
        name: &crate::model::FileName,
    ) -> Result<(Located, ChangeId)> {
        self.desk.flush(self.tx).await?;
        let name = tree::free_name(self.tx, place.id(), name, "restored").await?;
        place.check_limits(name.as_str())?;
        let slot = (place.id(), name.key());
        let change = trash::take_out(self.tx, found.node(), place, name).await?;
        self.desk.replaced(found.node(), Some(slot));
        let after = self.desk.find(self.tx, found.node().id).await?;
        let after = after.ok_or_else(|| Error::internal("an item vanished while it was restored"))?;
        Ok((after, change))
    }

    /// Keeps a content as a version that was never current: it takes the number of the current one, which moves up and
    /// stays the version it was.
    pub(super) async fn keep_as_older(
        &mut self,
        order: Order<'_>,
        found: Located,
        facts: FileFacts,
        content: &StoredContent,
    ) -> Result<Option<Effect>> {
        self.desk.settle(self.tx, found.node().id).await?;
        let ContentRow { size, .. } = content.row;
        let number = facts.version;
        let version_id = tree::version_id(self.tx);
        let kept = Node {
            modified_by: self.tx.caller.user.clone(),
            modified_at: order.wanted.modified_at.unwrap_or(self.tx.now),
            file: Some(FileFacts { version_id, version: number, ..content.facts(facts.clone()) }),
            ..found.node().clone()
        };
        let comment = format!("came late from {}", self.terms.device_name);
        let kept = tree::version_of(&kept, Some(comment))?;
        let mut node = found.node().clone();
        let up = number.checked_add(1).ok_or_else(|| Error::internal("a file ran out of version numbers"))?;
        node.file = Some(FileFacts { version: up, ..facts });
        self.tx.rows.renumber_version(node.tenant, kept.file, number, up).await?;
        self.tx.rows.insert_versions(node.tenant, std::slice::from_ref(&kept)).await?;
        self.tx.rows.update_node(&node).await?;
        let usage = Usage { version_bytes: size as i64, ..Usage::default() };
        self.tx.charge(node.share, &node.owner, usage);
        // Readers of the feed must not take a row of what is in the trash for something that is there.
        if found.trashed_at().is_none() {
            self.tx.change(tree::change(&node, ChangeKind::Updated, found.path()));
        }
        self.tx.audit(tree::audit("file.keep_version", node.id, found.path()));
        self.desk.inserts.refer_to(content);
        self.desk.keep(found.with_node(node));
        self.became(Some(kept.id));
        Ok(None)
    }

    /// Returns where an item lies, for putting another one beside it.
    async fn place_of(&mut self, node: &Node) -> Result<Place> {
        let denied =
            || Error::PermissionDenied { right: Right::Create.as_str(), resource: resource(node.id) };
        let place = self.desk.place(self.tx, node.parent).await;
        place.map_err(|error| if matches!(error, Error::NotFound) { denied() } else { error })
    }

    /// Makes a new file of an edit whose file is gone for good, where it was or, if it waited and that is gone too, as
    /// near to it as there is something.
    ///
    /// A file that is hidden, another share's or tenant's, or never was, is answered alike: what is looked at and made is
    /// what a new file at that path would be.
    async fn rescue(&mut self, order: Order<'_>) -> Result<Option<Effect>> {
        let is_edit = self.terms.settles || order.wanted.base.is_some();
        let Some(content) = order.content.filter(|_| is_edit) else {
            return if self.terms.settles { Ok(None) } else { Err(Error::NotFound) };
        };
        let mut way = self.way(order.wanted).await?;
        if self.terms.settles {
            way.missing.clear();
        }
        self.check_way(&way)?;
        let occupant = self.occupant(&way).await?;
        if let Some(found) = occupant.as_ref().filter(|found| is_it(found, content)) {
            return Ok(Some(Effect::on(found, None)));
        }
        if self.meet(order, ConflictType::EditDelete, None) == Verdict::Wait {
            return self.wait(order, Some(way.place.id()));
        }
        if occupant.is_some() {
            return self.copy_at(order, &way.place, &way.name, content).await.map(Some);
        }
        let place = self.make_way(&way)?;
        let effect = self.add_file(order, &place, way.name, content)?;
        self.became(effect.version);
        Ok(Some(effect))
    }
}
