//! Files and folders as they are now, many at once: for who shows what goes on while it does.

use std::collections::HashMap;

use serde::Serialize;

use super::access;
use crate::Drive;
use crate::model::{Caller, FileInfo, FolderInfo, NodeId, Result, ShareId};

/// A file or folder as the wire shows it.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Item {
    /// A file.
    File(Box<FileInfo>),
    /// A folder.
    Folder(Box<FolderInfo>),
}

impl Item {
    /// Returns the share that holds it.
    pub const fn share(&self) -> ShareId {
        match self {
            Self::File(file) => file.share_id,
            Self::Folder(folder) => folder.share_id,
        }
    }
}

/// Returns those of these items that listings show the caller and that are not in the trash, with a statement or two
/// and one a share.
pub async fn items(drive: &Drive, caller: &Caller, ids: &[NodeId]) -> Result<HashMap<NodeId, Item>> {
    let mut wanted = ids.to_vec();
    wanted.sort_unstable();
    wanted.dedup();
    let located = access::locate_all(&mut *drive.read().await?, caller, &wanted).await?;
    let shown = located.iter().filter(|found| found.is_listed() && found.trashed_at().is_none());
    let item = |found: &access::Located| {
        let file = found.file_info().map(|file| Item::File(Box::new(file)));
        file.or_else(|| found.folder_info().map(|folder| Item::Folder(Box::new(folder))))
    };
    Ok(shown.filter_map(|found| Some((found.node().id, item(found)?))).collect())
}
