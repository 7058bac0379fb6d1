//! New files and folders of one mutation, gathered so that each table gets few statements.

use std::time::Duration;

use super::access::Place;
use super::files::{self, NewFile};
use super::ingest::StoredContent;
use super::mutation::Tx;
use super::{folders, tree};
use crate::model::{ChangeKind, FileName, Node, NodeId, Result, Version};

/// What a mutation will insert; what it owes for that, it owes already.
#[derive(Default)]
pub(super) struct Inserts {
    nodes: Vec<Node>,
    versions: Vec<Version>,
    contents: Vec<StoredContent>,
}

impl Inserts {
    /// Adds a file at a place where its name is free, charged and told of.
    pub(super) fn add_file(
        &mut self,
        tx: &mut Tx<'_>,
        place: &Place,
        new: &NewFile,
        content: &StoredContent,
    ) -> Result<Node> {
        place.check_limits(new.name.as_str())?;
        let node = files::new_file(tx, place.share.id, place.id(), new, content);
        self.versions.push(tree::version_of(&node, None)?);
        let path = place.path_of(node.name.as_str());
        tx.charge(node.share, &node.owner, tree::usage_of(&node));
        tx.change(tree::change(&node, ChangeKind::Created, path.clone()));
        tx.audit(tree::audit("file.create", node.id, path));
        self.contents.push(content.clone());
        self.nodes.push(node.clone());
        Ok(node)
    }

    /// Adds a folder at a place where its name is free, charged and told of.
    pub(super) fn add_folder(&mut self, tx: &mut Tx<'_>, place: &Place, name: FileName) -> Result<Node> {
        let node = folders::new_in(tx, place, name)?;
        self.nodes.push(node.clone());
        Ok(node)
    }

    /// Adds a content that something else than a new file refers to.
    pub(super) fn refer_to(&mut self, content: &StoredContent) {
        self.contents.push(content.clone());
    }

    /// Tells whether a node waits to be inserted.
    pub(super) fn holds(&self, id: NodeId) -> bool {
        self.nodes.iter().any(|node| node.id == id)
    }

    /// Inserts the nodes and versions that wait; their contents are referred to at the end.
    pub(super) async fn write(&mut self, tx: &mut Tx<'_>) -> Result<()> {
        tx.rows.insert_nodes(&self.nodes).await?;
        tx.rows.insert_versions(tx.caller.tenant, &self.versions).await?;
        self.nodes.clear();
        self.versions.clear();
        Ok(())
    }

    /// Inserts what waits, and the contents that it refers to.
    pub(super) async fn finish(&mut self, tx: &mut Tx<'_>, grace: Duration) -> Result<()> {
        self.write(tx).await?;
        let contents = std::mem::take(&mut self.contents);
        tree::refer_to(tx, &contents.iter().collect::<Vec<_>>(), grace).await
    }
}
