//! Files and folders: the rows of the tree and the objects the wire shows.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize};

use super::{
    ContentId, FieldError, FileId, FileName, FolderId, NodeId, ParentId, Sha256Hash, ShareId, TenantId,
    Timestamp, UserId, VersionId, text_enum,
};

text_enum! {
    /// The two kinds of node.
    pub enum NodeKind {
        /// Holds nodes.
        Folder = "folder",
        /// Holds content.
        File = "file",
    }
}

/// A MIME type, `type/subtype` with optional parameters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct MimeType(String);

impl MimeType {
    /// Returns the type, or what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, FieldError> {
        let token = |part: &str| {
            !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&b))
        };
        let essence = text.split(';').next().unwrap_or_default().trim();
        let readable = text.len() <= 255 && text.bytes().all(|b| (b' '..=b'~').contains(&b));
        match essence.split_once('/') {
            Some((kind, subtype)) if readable && token(kind) && token(subtype) => Ok(Self(text.to_owned())),
            _ => Err(FieldError::new("mime_type", "a MIME type must read type/subtype", text)),
        }
    }

    /// Returns the type that a name's extension stands for.
    pub fn guess(name: &FileName) -> Self {
        Self(
            mime_guess::from_path(name.as_str()).first_raw().unwrap_or("application/octet-stream").to_owned(),
        )
    }

    /// Returns the text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for MimeType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for MimeType {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        Self::parse(&text).map_err(|fault| serde::de::Error::custom(fault.message))
    }
}

/// What a file has and a folder has not: its current version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileFacts {
    /// What the content is said to be.
    pub mime_type: MimeType,
    /// Logical size in bytes.
    pub size: u64,
    /// SHA-256 of the whole content.
    pub checksum: Sha256Hash,
    /// The content behind the current version.
    pub content: ContentId,
    /// The current version.
    pub version_id: VersionId,
    /// Its number, from 1.
    pub version: u32,
}

/// A file or a folder as the tree keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Its id; tells the kind too.
    pub id: NodeId,
    /// The tenant.
    pub tenant: TenantId,
    /// The share whose tree holds it.
    pub share: ShareId,
    /// What holds it.
    pub parent: ParentId,
    /// Its name.
    pub name: FileName,
    /// Who is charged for it.
    pub owner: UserId,
    /// Who made it.
    pub created_by: UserId,
    /// When.
    pub created_at: Timestamp,
    /// Who changed it last.
    pub modified_by: UserId,
    /// When; a client may set it.
    pub modified_at: Timestamp,
    /// Whether ACL entries of its ancestors reach it.
    pub inherit_acl: bool,
    /// When it was put in the trash itself; an item below a trashed folder has nothing here.
    pub trashed_at: Option<Timestamp>,
    /// Current version; nothing for a folder.
    pub file: Option<FileFacts>,
}

impl Node {
    /// Returns the kind.
    pub const fn kind(&self) -> NodeKind {
        match self.id {
            NodeId::Folder(_) => NodeKind::Folder,
            NodeId::File(_) => NodeKind::File,
        }
    }

    /// Returns the size in bytes of the current version, 0 for a folder.
    pub fn size(&self) -> u64 {
        self.file.as_ref().map_or(0, |file| file.size)
    }
}

/// A file as the wire shows it (files.md).
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FileInfo {
    /// Its id.
    pub id: FileId,
    /// The tenant.
    pub tenant_id: TenantId,
    /// The share.
    pub share_id: ShareId,
    /// The folder, nothing at the share's root.
    pub folder_id: Option<FolderId>,
    /// Its name.
    pub name: FileName,
    /// Share-relative path.
    pub path: String,
    /// What the content is said to be.
    pub mime_type: MimeType,
    /// Logical size in bytes.
    pub size: u64,
    /// SHA-256 of the whole content.
    pub checksum_sha256: Sha256Hash,
    /// Number of the current version, from 1.
    pub version: u32,
    /// The current version.
    pub version_id: VersionId,
    /// Who is charged.
    pub owner_id: UserId,
    /// Who made it.
    pub created_by: UserId,
    /// When.
    pub created_at: Timestamp,
    /// Who changed it last.
    pub modified_by: UserId,
    /// When.
    pub modified_at: Timestamp,
    /// Whether it is in the trash, itself or with a folder above it.
    pub is_deleted: bool,
    /// Since when.
    pub deleted_at: Option<Timestamp>,
    /// When its text was indexed for semantic search; nothing until that exists.
    pub vectorized_at: Option<Timestamp>,
}

/// A folder as the wire shows it (files.md).
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FolderInfo {
    /// Its id.
    pub id: FolderId,
    /// The tenant.
    pub tenant_id: TenantId,
    /// The share.
    pub share_id: ShareId,
    /// The folder above, nothing at the share's root.
    pub parent_id: Option<FolderId>,
    /// Its name.
    pub name: FileName,
    /// Share-relative path.
    pub path: String,
    /// Who is charged.
    pub owner_id: UserId,
    /// Who made it.
    pub created_by: UserId,
    /// When.
    pub created_at: Timestamp,
    /// When it was renamed or moved last.
    pub modified_at: Timestamp,
    /// Whether it is in the trash, itself or with a folder above it.
    pub is_deleted: bool,
}

/// A version of a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Version {
    /// Its id.
    pub id: VersionId,
    /// The file.
    #[serde(skip)]
    pub file: FileId,
    /// Counter within the file, from 1.
    #[serde(rename = "version_number")]
    pub number: u32,
    /// Logical size in bytes.
    pub size: u64,
    /// SHA-256 of the whole content.
    #[serde(rename = "checksum_sha256")]
    pub checksum: Sha256Hash,
    /// The content.
    #[serde(skip)]
    pub content: ContentId,
    /// Who made it.
    pub created_by: UserId,
    /// When.
    pub created_at: Timestamp,
    /// Why, if somebody said.
    pub comment: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mime_type_reads_type_slash_subtype() {
        for right in ["text/plain", "text/plain; charset=utf-8", "application/vnd.oasis.opendocument.text"] {
            assert!(MimeType::parse(right).is_ok(), "{right}");
        }
        for wrong in ["", "text", "text/", "/plain", "text/pl ain", "text/plain\r\nX-Evil: 1", "téxt/plain"]
        {
            assert!(MimeType::parse(wrong).is_err(), "{wrong:?}");
        }
    }
}
