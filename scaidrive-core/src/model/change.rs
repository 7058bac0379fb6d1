//! What a mutation tells: change-log rows for feed readers, audit events for administrators.

use serde::Serialize;
use serde_json::Value;

use super::{ChangeId, NodeId, ShareId, TenantId, Timestamp, UserId, VersionId, text_enum};

text_enum! {
    /// What kind of thing a change or an event is about.
    pub enum ResourceKind {
        /// A file.
        File = "file",
        /// A folder.
        Folder = "folder",
        /// A share.
        Share = "share",
        /// A user.
        User = "user",
        /// A group.
        Group = "group",
        /// A quota.
        Quota = "quota",
        /// A tenant.
        Tenant = "tenant",
        /// An upload under way.
        Upload = "upload",
        /// A device that syncs.
        Device = "device",
    }
}

text_enum! {
    /// What happened to a thing, as sync clients see it. A restore is `created`.
    pub enum ChangeKind {
        /// It appeared.
        Created = "created",
        /// Its content or metadata changed in place.
        Updated = "updated",
        /// It went away.
        Deleted = "deleted",
        /// It has another parent.
        Moved = "moved",
        /// It has another name.
        Renamed = "renamed",
    }
}

/// One row that feed readers must see, before it has a position.
#[derive(Clone, Debug)]
pub struct Change {
    /// The share whose readers see it.
    pub share: ShareId,
    /// File, folder or share.
    pub resource: ResourceKind,
    /// The thing's id.
    pub resource_id: String,
    /// What happened.
    pub kind: ChangeKind,
    /// Where it was.
    pub old_path: Option<String>,
    /// Where it is.
    pub new_path: Option<String>,
    /// The version that is current now.
    pub version: Option<VersionId>,
    /// Full state of the thing, so that a change can be applied as an upsert.
    pub metadata: Value,
}

impl Change {
    /// Returns the change of a file or folder.
    pub fn of_node(share: ShareId, node: NodeId, kind: ChangeKind) -> Self {
        let resource = if node.as_file().is_some() { ResourceKind::File } else { ResourceKind::Folder };
        Self {
            share,
            resource,
            resource_id: node.to_string(),
            kind,
            old_path: None,
            new_path: None,
            version: None,
            metadata: Value::Null,
        }
    }
}

/// A row of the change log, with its place in the tenant's gap-free order.
#[derive(Clone, Debug, Serialize)]
pub struct LoggedChange {
    /// The row's id.
    pub id: ChangeId,
    /// Its place: positions become visible in order and without holes.
    pub position: i64,
    /// The tenant.
    pub tenant_id: TenantId,
    /// The share.
    pub share_id: ShareId,
    /// File, folder or share.
    pub resource_type: ResourceKind,
    /// The thing's id.
    pub resource_id: String,
    /// What happened.
    pub change_type: ChangeKind,
    /// Who did it.
    pub changed_by: UserId,
    /// When.
    pub changed_at: Timestamp,
    /// Where it was.
    pub old_path: Option<String>,
    /// Where it is.
    pub new_path: Option<String>,
    /// The version that is current now.
    pub version_id: Option<VersionId>,
    /// Full state of the thing.
    pub metadata: Value,
}

/// A change as one reader of the feed sees it.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
pub enum FeedRow {
    /// All of it.
    Change(Box<LoggedChange>),
    /// Only that something is not there for this reader (any more): no name, path or actor.
    Tombstone(Tombstone),
}

/// What is left of a change of something that a reader may not see.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Tombstone {
    /// The row's id.
    pub id: ChangeId,
    /// Its place.
    pub position: i64,
    /// The share.
    pub share_id: ShareId,
    /// File, folder or share.
    pub resource_type: ResourceKind,
    /// The thing's id.
    pub resource_id: String,
    /// Always `deleted`.
    pub change_type: ChangeKind,
}

impl FeedRow {
    /// Returns its place in the tenant's order.
    pub fn position(&self) -> i64 {
        match self {
            Self::Change(change) => change.position,
            Self::Tombstone(tombstone) => tombstone.position,
        }
    }

    /// Returns the share.
    pub fn share_id(&self) -> ShareId {
        match self {
            Self::Change(change) => change.share_id,
            Self::Tombstone(tombstone) => tombstone.share_id,
        }
    }

    /// Returns what happened, as this reader sees it.
    pub fn change_type(&self) -> ChangeKind {
        match self {
            Self::Change(change) => change.change_type,
            Self::Tombstone(tombstone) => tombstone.change_type,
        }
    }

    /// Returns the thing's id.
    pub fn resource_id(&self) -> &str {
        match self {
            Self::Change(change) => &change.resource_id,
            Self::Tombstone(tombstone) => &tombstone.resource_id,
        }
    }

    /// Returns where the thing is, if the reader may know.
    pub fn new_path(&self) -> Option<&str> {
        match self {
            Self::Change(change) => change.new_path.as_deref(),
            Self::Tombstone(_) => None,
        }
    }
}

impl LoggedChange {
    /// Tells whether this says that somebody may see more or less than before.
    pub fn is_access_change(&self) -> bool {
        self.metadata["access_changed"] == true
    }

    /// Returns what is left for a reader who may not see the thing.
    pub fn tombstone(self) -> Tombstone {
        Tombstone {
            id: self.id,
            position: self.position,
            share_id: self.share_id,
            resource_type: self.resource_type,
            resource_id: self.resource_id,
            change_type: ChangeKind::Deleted,
        }
    }
}

text_enum! {
    /// The shelf an audit event stands on.
    pub enum AuditCategory {
        /// Sign-ins and tokens.
        Authentication = "AUTHENTICATION",
        /// Grants and denials.
        Authorization = "AUTHORIZATION",
        /// Reads of content.
        FileAccess = "FILE_ACCESS",
        /// Changes of files and folders.
        FileModification = "FILE_MODIFICATION",
        /// Shares, members and links.
        Sharing = "SHARING",
        /// Tenants, users, settings.
        Admin = "ADMIN",
        /// Damage, tampering, abuse.
        Security = "SECURITY",
        /// Holds, retention, discovery.
        Compliance = "COMPLIANCE",
    }
}

text_enum! {
    /// How much an audit event matters.
    pub enum Severity {
        /// Ordinary work.
        Info = "info",
        /// Worth a look.
        Warning = "warning",
        /// Act now.
        Critical = "critical",
    }
}

/// An audit event of a mutation; actor, time and request are added where it is written.
#[derive(Clone, Debug)]
pub struct AuditEvent {
    /// Its shelf.
    pub category: AuditCategory,
    /// How much it matters.
    pub severity: Severity,
    /// The verb, such as `file.create`.
    pub action: &'static str,
    /// What it is about.
    pub resource: ResourceKind,
    /// The thing's id.
    pub resource_id: String,
    /// The thing's path at that time.
    pub path: Option<String>,
    /// What else belongs to it.
    pub payload: Value,
}

impl AuditEvent {
    /// Returns an event of ordinary work.
    pub fn new(
        category: AuditCategory,
        action: &'static str,
        resource: ResourceKind,
        resource_id: impl ToString,
    ) -> Self {
        Self {
            category,
            severity: Severity::Info,
            action,
            resource,
            resource_id: resource_id.to_string(),
            path: None,
            payload: Value::Null,
        }
    }

    /// Returns the event with the path the thing has or had.
    #[must_use]
    pub fn at(mut self, path: impl Into<String>) -> Self {
        self.path = Some(path.into());
        self
    }

    /// Returns the event with what else belongs to it.
    #[must_use]
    pub fn with(mut self, payload: Value) -> Self {
        self.payload = payload;
        self
    }
}
