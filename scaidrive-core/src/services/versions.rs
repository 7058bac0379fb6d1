//! Versions of a file: list, restore, remove.

use async_trait::async_trait;
use serde::Serialize;

use super::access::{self, Located, Right};
use super::files::new_version;
use super::mutation::{self, Mutation, Tx};
use super::tree;
use crate::Drive;
use crate::model::{Caller, Change, ChangeKind, Error, FileFacts, FileId, Result, Usage, Version};

/// A page of versions.
#[derive(Clone, Debug, Serialize)]
pub struct Versions {
    /// Newest first.
    pub versions: Vec<Version>,
    /// How many there are in all.
    pub total: u64,
}

/// Returns a file's versions, newest first.
pub async fn list(drive: &Drive, caller: &Caller, id: FileId, limit: u32, offset: u32) -> Result<Versions> {
    let mut rows = drive.read().await?;
    access::file(&mut *rows, caller, id, Right::Read).await?;
    let versions = rows.versions(caller.tenant, id, limit, offset).await?;
    Ok(Versions { versions, total: rows.count_versions(caller.tenant, id).await? })
}

/// What a restored version became.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Restored {
    /// The file.
    pub id: FileId,
    /// The version whose content is current again.
    pub restored_from: u32,
    /// The new current version.
    pub version: u32,
}

/// Makes an old version's content current again, as a new version; nothing is destroyed.
pub async fn restore(drive: &Drive, caller: &Caller, id: FileId, number: u32) -> Result<Restored> {
    mutation::run(drive, caller, RestoreVersion { id, number }).await
}

struct RestoreVersion {
    id: FileId,
    number: u32,
}

#[async_trait]
impl Mutation for RestoreVersion {
    type Output = Restored;

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<Restored> {
        let found = tree::locked_node(tx, self.id.into(), Right::Write).await?.live()?;
        let facts = found.node().file.clone().ok_or(Error::NotFound)?;
        let old = tx.rows.version(tx.caller.tenant, self.id, self.number).await?.ok_or(Error::NotFound)?;
        let next = FileFacts { size: old.size, checksum: old.checksum, content: old.content, ..facts };
        let comment = Some(format!("restored from version {}", self.number));
        let after = new_version(tx, found, next, comment, None).await?;
        tree::refer_again(tx, old.content).await?;
        tx.audit(tree::audit("file.restore_version", after.node().id, after.path()));
        let version = after.node().file.as_ref().map_or(0, |facts| facts.version);
        Ok(Restored { id: self.id, restored_from: self.number, version })
    }
}

/// Removes an old version for good; the current one cannot be removed.
pub async fn delete(drive: &Drive, caller: &Caller, id: FileId, number: u32) -> Result<()> {
    mutation::run(drive, caller, DeleteVersion { id, number }).await
}

struct DeleteVersion {
    id: FileId,
    number: u32,
}

#[async_trait]
impl Mutation for DeleteVersion {
    type Output = ();

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<()> {
        let found = tree::locked_node(tx, self.id.into(), Right::Delete).await?.live()?;
        let facts = found.node().file.as_ref().ok_or(Error::NotFound)?;
        let old = tx.rows.version(tx.caller.tenant, self.id, self.number).await?.ok_or(Error::NotFound)?;
        if facts.version == self.number {
            return Err(Error::VersionConflict { what: "the current version cannot be deleted".to_owned() });
        }
        remove(tx, &found, &[old], "file.delete_version").await
    }
}

/// Removes old versions of a locked file for good.
pub(super) async fn remove(
    tx: &mut Tx<'_>,
    found: &Located,
    old: &[Version],
    action: &'static str,
) -> Result<()> {
    let file = found.node().id.as_file().ok_or(Error::NotFound)?;
    for version in old {
        if !tx.rows.delete_version(tx.caller.tenant, file, version.number).await? {
            return Err(Error::NotFound);
        }
    }
    // Those may have been the last references: the contents must outlive whoever reads them now.
    tree::refer_again_all(tx, old.iter().map(|version| version.content).collect()).await?;
    let bytes: i64 = old.iter().map(|version| version.size as i64).sum();
    let freed = Usage { version_bytes: -bytes, ..Usage::default() };
    tx.charge(found.share.id, &found.node().owner, freed);
    let change: Change = tree::change(found.node(), ChangeKind::Updated, found.path());
    tx.change(change);
    let numbers: Vec<u32> = old.iter().map(|version| version.number).collect();
    let payload = match numbers[..] {
        [number] => serde_json::json!({ "version": number }),
        _ => serde_json::json!({ "versions": numbers }),
    };
    tx.audit(tree::audit(action, found.node().id, found.path()).with(payload));
    Ok(())
}
