//! Tenants, users and shares: who there is and where their files live.

use serde::{Deserialize, Serialize, Serializer};
use serde_json::{Map, Value};

use super::{ExternalTenantId, PartnerId, Principal, ShareId, TenantId, Timestamp, UserId, text_enum};

text_enum! {
    /// An administrative role in the database.
    pub enum AdminRole {
        /// Administers one tenant.
        TenantAdmin = "tenant_admin",
        /// Administers the installation.
        SuperAdmin = "super_admin",
    }
}

text_enum! {
    /// Whether a user or a tenant may act.
    pub enum UserStatus {
        /// May act.
        Active = "active",
        /// Was switched off.
        Inactive = "inactive",
        /// Is locked out.
        Suspended = "suspended",
        /// Has not signed in yet.
        Pending = "pending",
        /// Was removed.
        Deleted = "deleted",
    }
}

text_enum! {
    /// What a share is for: a hint, no other mechanics.
    pub enum ShareType {
        /// The organisation's.
        Central = "central",
        /// One person's.
        Personal = "personal",
        /// A team's.
        Project = "project",
    }
}

text_enum! {
    /// What somebody is in a share; a later one includes an earlier one.
    pub enum ShareRole {
        /// May read.
        Reader = "reader",
        /// May change content.
        Contributor = "contributor",
        /// May change permissions too.
        Admin = "admin",
        /// May do everything, and cannot be removed.
        Owner = "owner",
    }
}

/// What a tenant may set for itself; unknown keys are kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct TenantSettings {
    /// Largest content accepted, in bytes.
    pub max_file_size_bytes: u64,
    /// Quota given to new shares, in bytes.
    pub default_share_quota_bytes: Option<u64>,
    /// Days after which trash is purged.
    pub trash_retention_days: u32,
    /// Days old versions are kept; nothing keeps all.
    pub version_retention_days: Option<u32>,
    /// Whether users may make project shares of their own.
    pub users_create_project_shares: bool,
    /// Units of requests a minute for one token.
    pub rate_limit_token: u32,
    /// Units of requests a minute for one user.
    pub rate_limit_user: u32,
    /// Units of requests a minute for the whole tenant.
    pub rate_limit_tenant: u32,
    /// Whether content is indexed by meaning.
    pub vectorization_enabled: bool,
    /// Whether users must sign in with a second factor.
    pub require_mfa: bool,
    /// Everything else.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

impl Default for TenantSettings {
    fn default() -> Self {
        Self {
            max_file_size_bytes: 5 << 30,
            default_share_quota_bytes: None,
            trash_retention_days: 30,
            version_retention_days: None,
            users_create_project_shares: true,
            rate_limit_token: 1000,
            rate_limit_user: 5000,
            rate_limit_tenant: 50_000,
            vectorization_enabled: false,
            require_mfa: false,
            other: Map::new(),
        }
    }
}

/// A tenant: one organisation behind its wall.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Tenant {
    /// Its id.
    pub id: TenantId,
    /// The identity provider's id of it, where that is another one.
    pub external_id: Option<ExternalTenantId>,
    /// The partner above it.
    pub partner_id: PartnerId,
    /// Its name.
    pub name: String,
    /// What to call it.
    pub display_name: Option<String>,
    /// Whether its users may act.
    pub status: UserStatus,
    /// When it was made.
    pub created_at: Timestamp,
    /// What it set for itself.
    pub settings: TenantSettings,
}

/// A user of a tenant.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct User {
    /// The identity provider's `sub`, or ours.
    pub id: UserId,
    /// The tenant.
    pub tenant_id: TenantId,
    /// Address, if known.
    pub email: Option<String>,
    /// Name, if known.
    pub name: Option<String>,
    /// What to call the user.
    pub display_name: Option<String>,
    /// Where a picture lies.
    pub avatar_url: Option<String>,
    /// Whether the user may act.
    pub status: UserStatus,
    /// Administrative role, if any.
    pub admin_role: Option<AdminRole>,
    /// Who made it: `local`, the first sign-in (`jit`), the identity provider (`scaikey`), or `bootstrap`.
    pub provisioning_source: String,
    /// When the identity provider told of it last.
    pub scaikey_synced_at: Option<Timestamp>,
    /// When it signed in last, to the minute.
    pub last_login_at: Option<Timestamp>,
    /// When it was made.
    pub created_at: Timestamp,
}

impl User {
    /// How the administrator that an installation begins with came to be.
    pub const BOOTSTRAP: &'static str = "bootstrap";

    /// Tells whether this is the administrator that the installation began with: no person, and nobody whom an
    /// identity provider could speak for.
    pub fn is_bootstrap(&self) -> bool {
        self.provisioning_source == Self::BOOTSTRAP
    }

    /// Returns an active user of our own making, of whom nothing is known but its id.
    pub fn new(tenant_id: TenantId, id: UserId, created_at: Timestamp) -> Self {
        Self {
            id,
            tenant_id,
            email: None,
            name: None,
            display_name: None,
            avatar_url: None,
            status: UserStatus::Active,
            admin_role: None,
            provisioning_source: "local".to_owned(),
            scaikey_synced_at: None,
            last_login_at: None,
            created_at,
        }
    }
}

/// A share as the core keeps it and the wire shows it (permissions.md).
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Share {
    /// Its id.
    pub id: ShareId,
    /// The tenant.
    pub tenant_id: TenantId,
    /// Its name.
    pub name: String,
    /// What it is for, in words.
    pub description: Option<String>,
    /// What it is for.
    pub share_type: ShareType,
    /// Who owns it: a user, or a group with all who are in it.
    #[serde(rename = "owner_id", serialize_with = "id_alone")]
    pub owner: Principal,
    /// Whether everybody in the tenant is a reader.
    pub is_public: bool,
    /// Whether it is in the trash.
    pub is_deleted: bool,
    /// Whether anything below its root ever had entries of its own, or stopped inheriting.
    #[serde(skip)]
    pub has_acl: bool,
    /// Hard limit of its logical bytes.
    pub quota_bytes: Option<u64>,
    /// Logical bytes: current, old versions and trash.
    pub used_bytes: u64,
    /// What its owner set.
    pub settings: Map<String, Value>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was changed.
    pub modified_at: Timestamp,
}

fn id_alone<S: Serializer>(principal: &Principal, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(principal.id())
}
