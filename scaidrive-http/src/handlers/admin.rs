//! What administrators do: users and the tenant itself.

use scaidrive_core::model::{AdminRole, Caller, PartnerId, UserId, UserStatus};
use scaidrive_core::ports::metadata::UserSearch;
use scaidrive_core::services::tenants::{self, NewTenant, NewUser, TenantPatch};
use scaidrive_core::services::users::{self, UserPatch};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::present;
use crate::errors::Failure;
use crate::reply::{self, Answer};
use crate::request::Request;

pub(crate) async fn users(caller: Caller, request: Request) -> Answer {
    let query = &request.query;
    let is_admin = query.text("is_admin").map(|_| query.flag("is_admin")).transpose()?;
    let search = UserSearch {
        search: query.text("search").map(str::to_owned),
        status: query.word("status", "active, inactive, suspended, pending, deleted")?,
        is_admin,
        limit: query.limit()?,
        offset: query.offset()?,
    };
    reply::ok(&users::list(&request.app.drive, &caller, &search).await?)
}

pub(crate) async fn user(caller: Caller, request: Request) -> Answer {
    reply::ok(&users::get(&request.app.drive, &caller, &request.id("id")?).await?)
}

#[derive(Debug, Deserialize)]
struct CreateBody {
    id: Option<UserId>,
    email: Option<String>,
    name: Option<String>,
    display_name: Option<String>,
    admin_role: Option<AdminRole>,
    quota_bytes: Option<u64>,
}

pub(crate) async fn create_user(caller: Caller, request: Request) -> Answer {
    let drive = request.app.drive.clone();
    let CreateBody { id, email, name, display_name, admin_role, quota_bytes } = request.json().await?;
    let new = NewUser { id, email, name, display_name, admin_role, quota_bytes };
    reply::created(&users::create(&drive, &caller, new).await?)
}

#[derive(Debug, Deserialize)]
struct PatchBody {
    #[serde(default, deserialize_with = "present")]
    email: Option<Option<String>>,
    #[serde(default, deserialize_with = "present")]
    name: Option<Option<String>>,
    #[serde(default, deserialize_with = "present")]
    display_name: Option<Option<String>>,
    #[serde(default, deserialize_with = "present")]
    avatar_url: Option<Option<String>>,
    status: Option<UserStatus>,
    #[serde(default, deserialize_with = "present")]
    admin_role: Option<Option<AdminRole>>,
    is_admin: Option<bool>,
    #[serde(default, deserialize_with = "present")]
    quota_bytes: Option<Option<u64>>,
}

impl PatchBody {
    /// `is_admin` alone is the short way to make or unmake a tenant admin.
    fn admin_role(&self) -> Option<Option<AdminRole>> {
        self.admin_role.or_else(|| self.is_admin.map(|is_admin| is_admin.then_some(AdminRole::TenantAdmin)))
    }
}

pub(crate) async fn patch_user(caller: Caller, request: Request) -> Answer {
    let (drive, id) = (request.app.drive.clone(), request.id::<UserId>("id")?);
    let body: PatchBody = request.json().await?;
    let patch = UserPatch {
        admin_role: body.admin_role(),
        email: body.email,
        name: body.name,
        display_name: body.display_name,
        avatar_url: body.avatar_url,
        status: body.status,
        quota_bytes: body.quota_bytes,
    };
    reply::ok(&users::patch(&drive, &caller, &id, patch).await?)
}

async fn set_status(caller: Caller, request: Request, status: UserStatus) -> Answer {
    reply::ok(&users::set_status(&request.app.drive, &caller, &request.id("id")?, status).await?)
}

pub(crate) async fn activate_user(caller: Caller, request: Request) -> Answer {
    set_status(caller, request, UserStatus::Active).await
}

pub(crate) async fn suspend_user(caller: Caller, request: Request) -> Answer {
    set_status(caller, request, UserStatus::Suspended).await
}

pub(crate) async fn delete_user(caller: Caller, request: Request) -> Answer {
    set_status(caller, request, UserStatus::Deleted).await?;
    Ok(reply::no_content())
}

pub(crate) async fn tenant(caller: Caller, request: Request) -> Answer {
    reply::ok(&tenants::administered(&request.app.drive, &caller).await?)
}

#[derive(Debug, Deserialize)]
struct TenantBody {
    name: Option<String>,
    #[serde(default, deserialize_with = "present")]
    display_name: Option<Option<String>>,
    #[serde(default)]
    settings: Map<String, Value>,
}

pub(crate) async fn patch_tenant(caller: Caller, request: Request) -> Answer {
    let drive = request.app.drive.clone();
    let TenantBody { name, display_name, settings } = request.json().await?;
    reply::ok(&tenants::patch(&drive, &caller, TenantPatch { name, display_name, settings }).await?)
}

fn partner(request: &Request) -> Result<PartnerId, Failure> {
    request.id("id")
}

pub(crate) async fn partner_tenants(caller: Caller, request: Request) -> Answer {
    let (limit, offset) = (request.query.limit()?, request.query.offset()?);
    reply::ok(&tenants::of_partner(&request.app.drive, &caller, partner(&request)?, limit, offset).await?)
}

#[derive(Debug, Deserialize)]
struct NewTenantBody {
    id: Option<String>,
    name: String,
    display_name: Option<String>,
}

/// Answers again for a tenant that was made.
pub(crate) async fn tenant_of_partner(caller: Caller, request: Request) -> Answer {
    let (partner, id) = (partner(&request)?, request.id("tenant_id")?);
    reply::ok(&tenants::one_of_partner(&request.app.drive, &caller, partner, id).await?)
}

pub(crate) async fn create_tenant(caller: Caller, request: Request) -> Answer {
    let (drive, partner) = (request.app.drive.clone(), partner(&request)?);
    let NewTenantBody { id, name, display_name } = request.json().await?;
    let new = NewTenant { id, name, display_name };
    reply::created(&tenants::create_for_partner(&drive, &caller, partner, new).await?)
}
