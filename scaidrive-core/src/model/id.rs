//! Identifiers: what the server makes is `<prefix>_<ULID>`, what the identity provider makes is kept as it is.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use ulid::Ulid;

/// Says that a text is not an id of the wanted kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InvalidId;

impl fmt::Display for InvalidId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not an id of this kind")
    }
}

impl std::error::Error for InvalidId {}

fn parse_prefixed(text: &str, prefix: &str) -> Result<Ulid, InvalidId> {
    let digits = text.strip_prefix(prefix).and_then(|rest| rest.strip_prefix('_')).ok_or(InvalidId)?;
    let ulid = Ulid::from_string(digits).map_err(|_| InvalidId)?;
    // Crockford base32 reads lower case and look-alikes too; an id has one spelling, or caches and keys split.
    if ulid.to_string() == digits { Ok(ulid) } else { Err(InvalidId) }
}

/// Makes a copyable id type with a fixed prefix over a ULID.
macro_rules! id_type {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Ulid);

        impl $name {
            /// The text before the underscore.
            pub const PREFIX: &'static str = $prefix;

            /// Returns the id with this ULID.
            pub const fn new(ulid: Ulid) -> Self {
                Self(ulid)
            }

            /// Returns the ULID behind the prefix.
            pub const fn ulid(self) -> Ulid {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}_{}", $prefix, self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                parse_prefixed(text, $prefix).map(Self)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

id_type!(
    /// Names a partner, the reseller above tenants.
    PartnerId, "prt");
id_type!(
    /// Names a tenant, the wall that nothing crosses.
    TenantId, "tnt");
id_type!(
    /// Names a share.
    ShareId, "shr");
id_type!(
    /// Names a folder.
    FolderId, "fld");
id_type!(
    /// Names a file.
    FileId, "fil");
id_type!(
    /// Names a version of a file.
    VersionId, "ver");
id_type!(
    /// Names a row of the change log.
    ChangeId, "chg");
id_type!(
    /// Names an audit event, and with it the mutation that wrote it.
    AuditEventId, "evt");
id_type!(
    /// Names a membership in a share.
    MemberId, "mbr");
id_type!(
    /// Names an entry of an access control list.
    AceId, "ace");
id_type!(
    /// Names an invitation to a share.
    InvitationId, "inv");
id_type!(
    /// Names a quota.
    QuotaId, "qta");
id_type!(
    /// Names an upload session.
    UploadId, "upl");
id_type!(
    /// Names a conflict between what a client and somebody else made of one thing.
    ConflictId, "cfl");
id_type!(
    /// Names the registration of a device.
    RegistrationId, "dev");
id_type!(
    /// Names a job.
    JobId, "job");

/// Makes an id type that keeps the identity provider's own text.
macro_rules! foreign_id_type {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// Returns the text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            /// Accepts 1 to 255 bytes without control characters.
            fn from_str(text: &str) -> Result<Self, InvalidId> {
                let fits = (1..=255).contains(&text.len()) && !text.chars().any(char::is_control);
                if fits { Ok(Self(text.to_owned())) } else { Err(InvalidId) }
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

foreign_id_type!(
    /// Names a user: the identity provider's `sub`, or `usr_…` where we made it.
    UserId);
foreign_id_type!(
    /// Names a group as the identity provider does, or `grp_…` where we made it.
    GroupId);
foreign_id_type!(
    /// Names a tenant as the identity provider does, where that is not our own id of it.
    ExternalTenantId);

impl UserId {
    /// Returns a user id of our own making.
    pub fn new(ulid: Ulid) -> Self {
        Self(format!("usr_{ulid}"))
    }
}

impl GroupId {
    /// Returns a group id of our own making.
    pub fn new(ulid: Ulid) -> Self {
        Self(format!("grp_{ulid}"))
    }
}

/// Names a file or a folder; the two share one tree and one namespace.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NodeId {
    /// A folder.
    Folder(FolderId),
    /// A file.
    File(FileId),
}

impl NodeId {
    /// Returns the file id, unless this is a folder.
    pub const fn as_file(self) -> Option<FileId> {
        match self {
            Self::File(id) => Some(id),
            Self::Folder(_) => None,
        }
    }

    /// Returns the folder id, unless this is a file.
    pub const fn as_folder(self) -> Option<FolderId> {
        match self {
            Self::Folder(id) => Some(id),
            Self::File(_) => None,
        }
    }
}

impl From<FileId> for NodeId {
    fn from(id: FileId) -> Self {
        Self::File(id)
    }
}

impl From<FolderId> for NodeId {
    fn from(id: FolderId) -> Self {
        Self::Folder(id)
    }
}

/// Names what can have an access control list: a share's root, a folder or a file.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ResourceId {
    /// The root of a share.
    Share(ShareId),
    /// A folder or file.
    Node(NodeId),
}

impl ResourceId {
    /// Returns `share`, `folder` or `file`.
    pub const fn kind(self) -> &'static str {
        match self {
            Self::Share(_) => "share",
            Self::Node(NodeId::Folder(_)) => "folder",
            Self::Node(NodeId::File(_)) => "file",
        }
    }

    /// Returns the id of a kind, `share`, `folder` or `file`.
    pub fn of(kind: &str, id: &str) -> Result<Self, InvalidId> {
        let found: Self = id.parse()?;
        if found.kind() == kind { Ok(found) } else { Err(InvalidId) }
    }
}

impl ResourceId {
    /// Returns the file or folder, unless this is a share.
    pub const fn node(self) -> Option<NodeId> {
        match self {
            Self::Node(id) => Some(id),
            Self::Share(_) => None,
        }
    }
}

impl From<ParentId> for ResourceId {
    fn from(id: ParentId) -> Self {
        match id {
            ParentId::Root(id) => Self::Share(id),
            ParentId::Folder(id) => Self::Node(NodeId::Folder(id)),
        }
    }
}

impl From<NodeId> for ResourceId {
    fn from(id: NodeId) -> Self {
        Self::Node(id)
    }
}

impl From<ShareId> for ResourceId {
    fn from(id: ShareId) -> Self {
        Self::Share(id)
    }
}

/// Names the place that holds a node: a folder, or the share itself for its root.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ParentId {
    /// The root of a share.
    Root(ShareId),
    /// A folder.
    Folder(FolderId),
}

impl ParentId {
    /// Returns the folder, or nothing for a share's root.
    pub const fn folder(self) -> Option<FolderId> {
        match self {
            Self::Folder(id) => Some(id),
            Self::Root(_) => None,
        }
    }
}

/// Writes and reads a two-kind id as the text of whichever kind it is.
macro_rules! either_id {
    ($name:ident, $left:ident, $right:ident) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self {
                    Self::$left(id) => id.fmt(f),
                    Self::$right(id) => id.fmt(f),
                }
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                text.parse().map(Self::$left).or_else(|_| text.parse().map(Self::$right))
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

either_id!(NodeId, Folder, File);
either_id!(ParentId, Root, Folder);
either_id!(ResourceId, Share, Node);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_reads_back_what_it_writes() {
        let id = FileId::new(Ulid::from_parts(1_700_000_000_000, 42));
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!(id.to_string().parse(), Ok(NodeId::File(id)));
    }

    #[test]
    fn an_id_has_one_spelling() {
        let id = FileId::new(Ulid::from_parts(1_700_000_000_000, 0xABCD)).to_string();
        for wrong in [id.to_lowercase(), id.replace("fil_", "fld_"), format!("{id} "), id[..20].to_owned()] {
            assert_eq!(wrong.parse::<FileId>(), Err(InvalidId), "{wrong}");
        }
    }

    #[test]
    fn foreign_ids_refuse_nothing_and_control_characters() {
        assert!("auth0|5f7c".parse::<UserId>().is_ok());
        for wrong in ["", "a\0b", "a\nb", &"x".repeat(256)] {
            assert!(wrong.parse::<UserId>().is_err());
        }
    }
}
