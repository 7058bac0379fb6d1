//! Tenants as their administrators see them, and users as the CLI and the first start make them.

use async_trait::async_trait;
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::mutation::{self, Mutation, Tx};
use super::{identity, quotas, shares, users};
use crate::Drive;
use crate::model::{
    AdminRole, AuditCategory, AuditEvent, Caller, Error, PartnerId, ResourceKind, Result, Tenant, TenantId,
    TenantRef, TenantSettings, User, UserId, UserStatus, check_settings,
};
use crate::ports::Reads;

pub use super::new_tenant::{NewTenant, create, create_as, create_for_partner, first};

pub(super) fn check_name(name: &str) -> Result<()> {
    if name.trim().is_empty() || name.len() > 255 || name.chars().any(char::is_control) {
        return Err(Error::invalid(
            "name",
            "a tenant's name has 1 to 255 bytes, no control characters",
            name,
        ));
    }
    Ok(())
}

/// Returns a tenant of a partner, to administrators of the installation.
pub async fn one_of_partner(
    drive: &Drive,
    caller: &Caller,
    partner: PartnerId,
    id: TenantId,
) -> Result<Tenant> {
    check_partner(caller)?;
    let found = drive.read().await?.tenant(id).await?;
    found.filter(|tenant| tenant.partner_id == partner).ok_or(Error::NotFound)
}

/// Fails unless the caller administers the installation: every partner's tenants with it.
pub(super) fn check_partner(caller: &Caller) -> Result<()> {
    if caller.admin_role == Some(AdminRole::SuperAdmin) {
        return Ok(());
    }
    Err(Error::PermissionDenied { right: "administration", resource: "partner".to_owned() })
}

/// A page of tenants.
#[derive(Clone, Debug, Serialize)]
pub struct Tenants {
    /// Oldest first.
    pub tenants: Vec<Tenant>,
    /// How many there are in all.
    pub total: u64,
}

/// Returns a partner's tenants, oldest first.
pub async fn of_partner(
    drive: &Drive,
    caller: &Caller,
    partner: PartnerId,
    limit: u32,
    offset: u32,
) -> Result<Tenants> {
    check_partner(caller)?;
    let all = drive.read().await?.tenants().await?;
    let tenants: Vec<Tenant> = all.into_iter().filter(|tenant| tenant.partner_id == partner).collect();
    if tenants.is_empty() {
        return Err(Error::NotFound);
    }
    let total = tenants.len() as u64;
    Ok(Tenants { tenants: tenants.into_iter().skip(offset as usize).take(limit as usize).collect(), total })
}

/// Returns all tenants, oldest first.
pub async fn list(drive: &Drive) -> Result<Vec<Tenant>> {
    drive.read().await?.tenants().await
}

/// Returns a tenant.
pub async fn get(drive: &Drive, id: TenantId) -> Result<Tenant> {
    drive.read().await?.tenant(id).await?.ok_or(Error::NotFound)
}

/// Returns which tenant is meant; that a tenant of our own id is there is for who asks to find out.
pub async fn find(rows: &mut dyn Reads, named: &TenantRef) -> Result<Option<TenantId>> {
    match named {
        TenantRef::Own(id) => Ok(Some(*id)),
        TenantRef::External(id) => rows.tenant_called(id).await,
    }
}

/// Returns the caller's tenant with its settings, to its administrators.
pub async fn administered(drive: &Drive, caller: &Caller) -> Result<Tenant> {
    users::check_admin(caller)?;
    get(drive, caller.tenant).await
}

/// What a PATCH of a tenant may change; nothing leaves it as it is.
#[derive(Clone, Debug, Default)]
pub struct TenantPatch {
    /// Its name.
    pub name: Option<String>,
    /// What to call it; `Some(None)` removes it.
    pub display_name: Option<Option<String>>,
    /// Settings, by key; null brings the default back.
    pub settings: Map<String, Value>,
}

/// Changes a tenant; its administrators only.
pub async fn patch(drive: &Drive, caller: &Caller, patch: TenantPatch) -> Result<Tenant> {
    users::check_admin(caller)?;
    patch.name.as_deref().map(check_name).transpose()?;
    patch.display_name.as_ref().and_then(Option::as_deref).map(check_name).transpose()?;
    mutation::run(drive, caller, PatchTenant(patch)).await
}

/// Replaces a tenant's settings; its administrators only.
pub async fn set_settings(drive: &Drive, caller: &Caller, settings: TenantSettings) -> Result<Tenant> {
    let Ok(Value::Object(settings)) = serde_json::to_value(&settings) else {
        return Err(Error::internal("settings are no object"));
    };
    patch(drive, caller, TenantPatch { settings, ..TenantPatch::default() }).await
}

struct PatchTenant(TenantPatch);

#[async_trait]
impl Mutation for PatchTenant {
    type Output = Tenant;

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<Tenant> {
        users::check_admin(tx.caller)?;
        // One at a time: each lays its change over what the one before has left.
        let mut tenant = tx.rows.lock_tenant(tx.caller.tenant).await?.ok_or(Error::NotFound)?;
        let patch = self.0.clone();
        tenant.name = patch.name.unwrap_or(tenant.name);
        tenant.display_name = patch.display_name.unwrap_or(tenant.display_name);
        tenant.settings = overlaid(&tenant.settings, &patch.settings)?;
        check_settings(&tenant.settings.other)?;
        tx.rows.update_tenant(&tenant).await?;
        let event = AuditEvent::new(AuditCategory::Admin, "tenant.update", ResourceKind::Tenant, tenant.id);
        tx.audit(event.with(json!({ "settings": patch.settings })));
        Ok(tenant)
    }
}

/// Lays new values over settings, each checked by itself so that the one at fault is named.
fn overlaid(old: &TenantSettings, new: &Map<String, Value>) -> Result<TenantSettings> {
    let mut settings = old.clone();
    for (key, value) in new {
        let Ok(Value::Object(mut all)) = serde_json::to_value(&settings) else {
            return Err(Error::internal("settings are no object"));
        };
        if value.is_null() {
            all.remove(key);
        } else {
            all.insert(key.clone(), value.clone());
        }
        settings = serde_json::from_value(Value::Object(all))
            .map_err(|error| Error::invalid(format!("settings.{key}"), error.to_string(), value.clone()))?;
    }
    Ok(settings)
}

/// What a new user is.
#[derive(Clone, Debug, Default)]
pub struct NewUser {
    /// The identity provider's id; nothing for one of ours.
    pub id: Option<UserId>,
    /// Address, if known.
    pub email: Option<String>,
    /// Name, if known.
    pub name: Option<String>,
    /// What to call the user, if that is another name.
    pub display_name: Option<String>,
    /// Administrative role, if any.
    pub admin_role: Option<AdminRole>,
    /// The user's own limit in bytes, if any.
    pub quota_bytes: Option<u64>,
}

/// Creates a user of the caller's tenant; `AlreadyExists` if there is one of that id.
pub async fn create_user(drive: &Drive, caller: &Caller, new: NewUser) -> Result<User> {
    match mutation::run(drive, caller, CreateUser { new, source: "local", keep: false }).await? {
        (user, true) => Ok(user),
        (user, false) => Err(Error::AlreadyExists { what: format!("user/{}", user.id) }),
    }
}

/// Returns the caller's user, made now at its first request; concurrent first requests make one.
pub async fn provision(drive: &Drive, caller: &Caller, new: NewUser) -> Result<User> {
    let new = NewUser { id: Some(caller.user.clone()), ..new };
    // The user cannot act before it is there.
    let system = caller.as_system(system_user("identity")?);
    Ok(mutation::run(drive, &system, CreateUser { new, source: "jit", keep: true }).await?.0)
}

/// Gives a user what comes with its first sign-in: a share of its own; and who was awaited is active from then on.
pub async fn sign_in_first(drive: &Drive, caller: &Caller) -> Result<User> {
    let system = caller.as_system(system_user("identity")?);
    mutation::run(drive, &system, FirstSignIn(caller.user.clone())).await
}

struct FirstSignIn(UserId);

#[async_trait]
impl Mutation for FirstSignIn {
    type Output = User;

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<User> {
        let tenant = tx.caller.tenant;
        // Of several first requests at once, one notes the first sign-in.
        let is_first = tx.rows.note_first_login(tenant, &self.0, tx.now).await?;
        let mut user = tx.rows.lock_user(tenant, &self.0).await?.ok_or(Error::NotFound)?;
        if !is_first {
            return Ok(user);
        }
        if user.status == UserStatus::Pending {
            user.status = UserStatus::Active;
            tx.rows.update_user(&user).await?;
        }
        if user.status == UserStatus::Active && !user.is_bootstrap() {
            shares::make_personal(tx, &user).await?;
        }
        tx.audit(AuditEvent::new(
            AuditCategory::Authentication,
            "user.first_sign_in",
            ResourceKind::User,
            &user.id,
        ));
        Ok(user)
    }
}

struct CreateUser {
    new: NewUser,
    /// Who makes it.
    source: &'static str,
    /// Whether a user that is there already is as good, as at a first sign-in.
    keep: bool,
}

#[async_trait]
impl Mutation for CreateUser {
    type Output = (User, bool);

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<(User, bool)> {
        let id = self.new.id.clone().unwrap_or_else(|| UserId::new(tx.ulid()));
        let user = User {
            email: self.new.email.clone(),
            name: self.new.name.clone(),
            display_name: self.new.display_name.clone(),
            admin_role: self.new.admin_role,
            provisioning_source: self.source.to_owned(),
            ..User::new(tx.caller.tenant, id, tx.now)
        };
        if tx.rows.insert_user(&user).await? {
            let action = if self.keep { "user.provision" } else { "user.create" };
            tx.audit(AuditEvent::new(AuditCategory::Admin, action, ResourceKind::User, &user.id));
            quotas::set_user_limit(tx, &user.id, self.new.quota_bytes).await?;
            tx.created(&user.id);
            return Ok((user, true));
        }
        let found = tx.rows.user(user.tenant_id, &user.id).await?;
        Ok((found.ok_or_else(|| Error::internal("a duplicate user is not there"))?, false))
    }
}

/// Returns the first tenant and its administrator, both made now if the installation is new.
///
/// The last answer tells whether the administrator was made just now: then somebody needs a token.
pub async fn bootstrap(drive: &Drive) -> Result<(Tenant, User, bool)> {
    let tenant = first(drive).await?;
    let caller = system_caller(drive, tenant.id, "bootstrap")?;
    let admin: UserId = FIRST_ADMIN.parse().map_err(|_| Error::internal("not a user id"))?;
    let new = NewUser {
        id: Some(admin),
        name: Some("Administrator".to_owned()),
        admin_role: Some(AdminRole::SuperAdmin),
        ..NewUser::default()
    };
    let create = CreateUser { new, source: User::BOOTSTRAP, keep: true };
    let (user, made) = mutation::run(drive, &caller, create).await?;
    Ok((tenant, user, made))
}

/// The id of the administrator that an installation begins with; somebody else may have it where there is none.
pub const FIRST_ADMIN: &str = "admin";

/// Returns the caller that a user is to the CLI and to host programs, with every scope; a suspended one may not act.
pub async fn caller_for(drive: &Drive, tenant: TenantId, user: &UserId) -> Result<Caller> {
    let caller = Caller::local(tenant, user.clone(), drive.ids.ulid().to_string());
    let mut rows = drive.read().await?;
    rows.user(tenant, user).await?.ok_or(Error::NotFound)?;
    identity::refreshed(&mut *rows, &caller).await
}

/// Returns a caller for work inside a tenant that no user asked for.
pub fn system_caller(drive: &Drive, tenant: TenantId, what: &str) -> Result<Caller> {
    let user = system_user(what)?;
    Ok(Caller::local(tenant, user.clone(), drive.ids.ulid().to_string()).as_system(user))
}

fn system_user(what: &str) -> Result<UserId> {
    format!("system:{what}").parse().map_err(|_| Error::internal("not a user id"))
}
