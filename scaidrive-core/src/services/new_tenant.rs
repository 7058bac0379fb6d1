//! Tenants come to be: by the CLI, by a partner's administrator, and at the first start.

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::json;

use super::mutation::{self, Mutation, Tx};
use super::tenants::{check_name, check_partner, of_partner};
use super::transaction::{Transaction, transact};
use crate::Drive;
use crate::model::{
    AuditCategory, AuditEvent, Caller, Error, ExternalTenantId, PartnerId, Quota, QuotaId, ResourceKind,
    Result, Tenant, TenantId, TenantRef, TenantSettings, Timestamp, UserStatus,
};
use crate::ports::{Ids, Outcome, Writes};

/// What a new tenant is.
#[derive(Clone, Debug, Default)]
pub struct NewTenant {
    /// The identity provider's id; nothing for one of ours.
    pub id: Option<String>,
    /// Its name.
    pub name: String,
    /// What to call it, if that is another name.
    pub display_name: Option<String>,
}

impl NewTenant {
    /// Returns a tenant of that name, with an id of ours.
    pub fn named(name: &str) -> Self {
        Self { name: name.to_owned(), ..Self::default() }
    }
}

/// Creates a tenant, and the first partner where there is none.
pub async fn create(drive: &Drive, name: &str) -> Result<Tenant> {
    create_as(drive, NewTenant::named(name)).await
}

/// Creates a tenant by the identity provider's id; `AlreadyExists` if there is one of that id.
pub async fn create_as(drive: &Drive, new: NewTenant) -> Result<Tenant> {
    transact(drive, CreateTenant::new(drive, new)?).await
}

/// Creates a tenant of a partner that has some already.
pub async fn create_for_partner(
    drive: &Drive,
    caller: &Caller,
    partner: PartnerId,
    new: NewTenant,
) -> Result<Tenant> {
    of_partner(drive, caller, partner, 1, 0).await?;
    let new = CreateTenant { partner: Some(partner), ..CreateTenant::new(drive, new)? };
    mutation::run(drive, caller, CreateForPartner(new)).await
}

/// Made in the name of a caller, whose own tenant's administrators are told of it.
struct CreateForPartner(CreateTenant);

#[async_trait]
impl Mutation for CreateForPartner {
    type Output = Tenant;

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<Tenant> {
        check_partner(tx.caller)?;
        let (_, tenant) = self.0.run(tx.rows).await?;
        let event = AuditEvent::new(AuditCategory::Admin, "tenant.create", ResourceKind::Tenant, tenant.id);
        tx.audit(event.with(json!({ "name": tenant.name, "external_id": tenant.external_id })));
        tx.created(tenant.id);
        Ok(tenant)
    }
}

/// Returns the first tenant, made now if there is none: several first starts at once make one.
pub async fn first(drive: &Drive) -> Result<Tenant> {
    let new = CreateTenant::new(drive, NewTenant::named("Default"))?;
    transact(drive, CreateTenant { only_if_first: true, ..new }).await
}

/// A tenant has no log of its own before it exists, and the first one nobody who makes it, so this is no mutation.
struct CreateTenant {
    id: TenantId,
    external_id: Option<ExternalTenantId>,
    name: String,
    display_name: Option<String>,
    /// Nothing for the first partner, made now if there is none.
    partner: Option<PartnerId>,
    only_if_first: bool,
    ids: Arc<dyn Ids>,
    now: Timestamp,
}

impl CreateTenant {
    fn new(drive: &Drive, new: NewTenant) -> Result<Self> {
        check_name(&new.name)?;
        new.display_name.as_deref().map(check_name).transpose()?;
        let fresh = || TenantId::new(drive.ids.ulid());
        let (id, external_id) = match new.id.as_deref().map(chosen).transpose()? {
            None => (fresh(), None),
            Some(TenantRef::Own(id)) => (id, None),
            Some(TenantRef::External(external)) => (fresh(), Some(external)),
        };
        Ok(Self {
            id,
            external_id,
            name: new.name,
            display_name: new.display_name,
            partner: None,
            only_if_first: false,
            ids: Arc::clone(&drive.ids),
            now: drive.clock.now(),
        })
    }

    fn taken(&self) -> Error {
        let id = self.external_id.as_ref().map_or_else(|| self.id.to_string(), ToString::to_string);
        Error::AlreadyExists { what: format!("tenant/{id}") }
    }
}

/// Reads an id that somebody chose for a tenant.
fn chosen(id: &str) -> Result<TenantRef> {
    let message =
        "a tenant's id has 1 to 255 bytes, no control characters; tnt_ begins ids of our form alone";
    id.parse().map_err(|_| Error::invalid("id", message, id))
}

#[async_trait]
impl Transaction for CreateTenant {
    type Answer = Tenant;

    async fn run(&self, rows: &mut dyn Writes) -> Result<(Outcome, Tenant)> {
        if self.only_if_first
            && let Some(first) = rows.tenants().await?.into_iter().next()
        {
            return Ok((Outcome::Commit, first));
        }
        if let Some(already) = rows.tenant(self.id).await? {
            // A commit whose outcome was unknown may have gone through after all; somebody else's is another one.
            let is_ours = already.created_at == self.now && already.name == self.name;
            return if is_ours { Ok((Outcome::Commit, already)) } else { Err(self.taken()) };
        }
        let partner_id = if let Some(id) = self.partner.or(rows.first_partner().await?) {
            id
        } else {
            let id = PartnerId::new(self.ids.ulid());
            rows.insert_partner(id, "Default", self.now).await?;
            id
        };
        // Its limit is judged with those of all its tenants.
        rows.lock_partner(partner_id).await?;
        let tenant = Tenant {
            id: self.id,
            external_id: self.external_id.clone(),
            partner_id,
            name: self.name.clone(),
            display_name: self.display_name.clone(),
            status: UserStatus::Active,
            created_at: self.now,
            settings: TenantSettings::default(),
        };
        if !rows.insert_tenant(&tenant).await? {
            return Err(self.taken());
        }
        if rows.partner_limit(partner_id).await?.flatten().is_some() {
            // What the partner has is kept by allocation: a new tenant has nothing until it gets something.
            let id = QuotaId::new(self.ids.ulid());
            rows.put_quota(tenant.id, &Quota { id, ..Quota::of_nothing() }).await?;
        }
        Ok((Outcome::Commit, tenant))
    }
}
