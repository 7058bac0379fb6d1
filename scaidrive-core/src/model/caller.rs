//! Who calls: the context every use-case takes. The tenant is part of it, so no query can forget the wall.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock};

use super::acl::{Principal, Trustee};
use super::{
    AdminRole, DeviceId, GroupId, Hidden, Sha256Hash, TenantId, TenantSettings, Timestamp, UserId, text_enum,
};

text_enum! {
    /// What a token allows its bearer to ask for, whatever the bearer's rights are.
    pub enum Scope {
        /// Reads files and folders.
        FilesRead = "files:read",
        /// Changes files and folders; implies reading.
        FilesWrite = "files:write",
        /// Administers the tenant.
        TenantAdmin = "tenant:admin",
        /// Administers the partner and its tenants.
        PartnerAdmin = "partner:admin",
        /// Administers everything.
        AdminAll = "admin:*",
        /// Everything.
        All = "*",
    }
}

impl Scope {
    /// Tells whether holding this scope satisfies a demand for `wanted`.
    pub const fn covers(self, wanted: Self) -> bool {
        match self {
            Self::All => true,
            Self::AdminAll => !matches!(wanted, Self::All),
            Self::PartnerAdmin => {
                matches!(wanted, Self::PartnerAdmin | Self::TenantAdmin | Self::FilesRead | Self::FilesWrite)
            }
            Self::TenantAdmin => matches!(wanted, Self::TenantAdmin | Self::FilesRead | Self::FilesWrite),
            Self::FilesWrite => matches!(wanted, Self::FilesWrite | Self::FilesRead),
            Self::FilesRead => matches!(wanted, Self::FilesRead),
        }
    }
}

/// Units of requests a minute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimits {
    /// For one token.
    pub token: u32,
    /// For one user.
    pub user: u32,
    /// For the whole tenant.
    pub tenant: u32,
}

impl RateLimits {
    /// Returns what a tenant has set; a limit of nothing would lock out whoever could raise it.
    pub fn of(settings: &TenantSettings) -> Self {
        Self {
            token: settings.rate_limit_token.max(10),
            user: settings.rate_limit_user.max(10),
            tenant: settings.rate_limit_tenant.max(10),
        }
    }
}

impl Default for RateLimits {
    fn default() -> Self {
        Self::of(&TenantSettings::default())
    }
}

/// A request that must have one effect, however often it is sent: `Idempotency-Key`.
#[derive(Debug)]
pub struct Once {
    /// The client's key.
    pub key: String,
    /// The route's template.
    pub route: String,
    /// SHA-256 over what the request asks for, once that was read.
    pub digest: OnceLock<Sha256Hash>,
    /// Whether the mutation that counts has committed: what follows it in the same request is no repetition.
    pub is_spent: AtomicBool,
}

impl Once {
    /// Returns a request that has not been read yet.
    pub fn new(key: String, route: String) -> Self {
        Self { key, route, digest: OnceLock::new(), is_spent: AtomicBool::new(false) }
    }
}

/// What a token says about its bearer's groups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupClaims {
    /// The groups it names; those that the tenant does not know count for nothing.
    pub groups: Vec<GroupId>,
    /// When it was issued: a removal recorded since wins.
    pub issued_at: Timestamp,
}

/// The caller of a use-case: tenant, user, and what the request told about itself.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The tenant the token pins the request to.
    pub tenant: TenantId,
    /// Who acts.
    pub user: UserId,
    /// The administrative role in the database; a claim alone never grants it.
    pub admin_role: Option<AdminRole>,
    /// Every group the user is in, directly or through groups, as of when this was read.
    pub groups: Vec<GroupId>,
    /// What the token said of groups; they are weighed anew with every look at the database.
    pub claims: Option<GroupClaims>,
    /// Whether nobody stands behind this: work inside a tenant that no user asked for.
    pub is_system: bool,
    /// What the token allows.
    pub scopes: Vec<Scope>,
    /// When the token expires, where there is one: for what stays open longer than a request.
    pub expires_at: Option<Timestamp>,
    /// How much may be asked in a minute.
    pub rate_limits: RateLimits,
    /// Makes a repeated request have one effect, where the client asked for that.
    pub once: Option<Arc<Once>>,
    /// The device that asks, if it says so: changes carry it, so that a device knows its own again.
    pub device: Option<DeviceId>,
    /// Written to the log, the audit and every error.
    pub request_id: String,
    /// The caller's address, for audit.
    pub ip: Option<String>,
    /// The caller's program, for audit.
    pub user_agent: Option<String>,
    /// The actor behind a delegated token (RFC 8693), for audit.
    pub service_account: Option<String>,
    /// What it was told is not there although it is, for audit.
    pub hidden: Hidden,
}

impl Caller {
    /// Returns a caller with every scope, as the CLI, jobs and host programs are.
    pub fn local(tenant: TenantId, user: UserId, request_id: String) -> Self {
        Self {
            tenant,
            user,
            admin_role: None,
            groups: Vec::new(),
            claims: None,
            is_system: false,
            scopes: vec![Scope::All],
            expires_at: None,
            rate_limits: RateLimits::default(),
            once: None,
            device: None,
            request_id,
            ip: None,
            user_agent: None,
            service_account: None,
            hidden: Hidden::default(),
        }
    }

    /// Returns the same request in the name of nobody, for what it causes but may not do itself.
    #[must_use]
    pub fn as_system(&self, user: UserId) -> Self {
        Self {
            user,
            admin_role: Some(AdminRole::SuperAdmin),
            is_system: true,
            groups: Vec::new(),
            once: None,
            hidden: Hidden::default(),
            ..self.clone()
        }
    }

    /// Tells whether the caller administers its tenant.
    pub const fn is_admin(&self) -> bool {
        self.admin_role.is_some()
    }

    /// Tells whether the caller's token covers `wanted`.
    pub fn has_scope(&self, wanted: Scope) -> bool {
        self.scopes.iter().any(|held| held.covers(wanted))
    }

    /// Returns the caller's user and groups.
    pub fn principals(&self) -> impl Iterator<Item = Principal> {
        let groups = self.groups.iter().cloned().map(Principal::Group);
        std::iter::once(Principal::User(self.user.clone())).chain(groups)
    }

    /// Returns whom an entry may name to be about this caller.
    pub fn trustees(&self) -> Vec<Trustee> {
        std::iter::once(Trustee::Everyone).chain(self.principals().map(Trustee::Principal)).collect()
    }

    /// Tells whether the caller is this principal, or in it.
    pub fn is(&self, principal: &Principal) -> bool {
        match principal {
            Principal::User(id) => *id == self.user,
            Principal::Group(id) => self.groups.contains(id),
        }
    }
}
