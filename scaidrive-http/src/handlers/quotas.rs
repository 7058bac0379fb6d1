//! Quotas and what is used of them.

use scaidrive_core::model::{Caller, Error, GroupId, Limits, PartnerId, QuotaTarget, TenantId, UserId};
use scaidrive_core::services::quotas;
use serde::Deserialize;

use crate::errors::Failure;
use crate::reply::{self, Answer};
use crate::request::Request;

async fn get(caller: Caller, request: Request, target: QuotaTarget) -> Answer {
    reply::ok(&quotas::get(&request.app.drive, &caller, &target).await?)
}

async fn set(caller: Caller, request: Request, target: QuotaTarget) -> Answer {
    let drive = request.app.drive.clone();
    let limits: Limits = request.json().await?;
    reply::ok(&quotas::set(&drive, &caller, target, limits).await?)
}

async fn remove(caller: Caller, request: Request, target: QuotaTarget) -> Answer {
    quotas::remove(&request.app.drive, &caller, target).await?;
    Ok(reply::no_content())
}

#[derive(Debug, Deserialize)]
struct ExemptBody {
    #[serde(default = "yes")]
    exempt: bool,
    reason: Option<String>,
}

const fn yes() -> bool {
    true
}

async fn set_exempt(caller: Caller, request: Request, target: QuotaTarget) -> Answer {
    let drive = request.app.drive.clone();
    let ExemptBody { exempt, reason } = request.json().await?;
    if reason.as_ref().is_some_and(|reason| reason.len() > 1000) {
        return Err(Error::invalid("reason", "has at most 1000 bytes", reason).into());
    }
    reply::ok(&quotas::set_exempt(&drive, &caller, target, exempt, reason).await?)
}

fn user(request: &Request) -> Result<QuotaTarget, Failure> {
    request.id::<UserId>("id").map(QuotaTarget::User)
}

fn group(request: &Request) -> Result<QuotaTarget, Failure> {
    request.id::<GroupId>("id").map(QuotaTarget::Group)
}

fn share(request: &Request) -> Result<QuotaTarget, Failure> {
    request.id("id").map(QuotaTarget::Share)
}

/// Makes the handlers of a kind of target.
macro_rules! handlers {
    ($($name:ident = $verb:ident of $target:expr;)+) => {
        $(pub(crate) async fn $name(caller: Caller, request: Request) -> Answer {
            let target = $target(&request)?;
            $verb(caller, request, target).await
        })+
    };
}

pub(crate) async fn tenant(caller: Caller, request: Request) -> Answer {
    get(caller, request, QuotaTarget::Tenant).await
}

pub(crate) async fn set_tenant(caller: Caller, request: Request) -> Answer {
    set(caller, request, QuotaTarget::Tenant).await
}

handlers! {
    get_user = get of user;
    set_user = set of user;
    remove_user = remove of user;
    exempt_user = set_exempt of user;
    get_group = get of group;
    set_group = set of group;
    remove_group = remove of group;
    exempt_group = set_exempt of group;
    get_share = get of share;
    set_share = set of share;
}

async fn list(caller: Caller, request: Request, kind: &'static str) -> Answer {
    let (limit, offset) = (request.query.limit()?, request.query.offset()?);
    reply::ok(&quotas::list(&request.app.drive, &caller, kind, limit, offset).await?)
}

pub(crate) async fn users(caller: Caller, request: Request) -> Answer {
    list(caller, request, "user").await
}

pub(crate) async fn groups(caller: Caller, request: Request) -> Answer {
    list(caller, request, "group").await
}

pub(crate) async fn any_tenant(caller: Caller, request: Request) -> Answer {
    let id: TenantId = request.id("id")?;
    reply::ok(&quotas::tenant(&request.app.drive, &caller, id).await?)
}

pub(crate) async fn set_any_tenant(caller: Caller, request: Request) -> Answer {
    let (drive, id) = (request.app.drive.clone(), request.id::<TenantId>("id")?);
    let limits: Limits = request.json().await?;
    reply::ok(&quotas::set_tenant(&drive, &caller, id, limits).await?)
}

pub(crate) async fn own_partner(caller: Caller, request: Request) -> Answer {
    reply::ok(&quotas::partner(&request.app.drive, &caller, None).await?)
}

pub(crate) async fn partner(caller: Caller, request: Request) -> Answer {
    let id: PartnerId = request.id("id")?;
    reply::ok(&quotas::partner(&request.app.drive, &caller, Some(id)).await?)
}

pub(crate) async fn set_partner(caller: Caller, request: Request) -> Answer {
    let (drive, id) = (request.app.drive.clone(), request.id::<PartnerId>("id")?);
    let limits: Limits = request.json().await?;
    reply::ok(&quotas::set_partner(&drive, &caller, id, limits.limit_bytes).await?)
}

pub(crate) async fn tenant_usage(caller: Caller, request: Request) -> Answer {
    let recalculate = request.query.flag("recalculate")?;
    reply::ok(&quotas::tenant_usage(&request.app.drive, &caller, recalculate).await?)
}

pub(crate) async fn user_usages(caller: Caller, request: Request) -> Answer {
    let (limit, offset) = (request.query.limit()?, request.query.offset()?);
    reply::ok(&quotas::user_usages(&request.app.drive, &caller, limit, offset).await?)
}

pub(crate) async fn user_usage(caller: Caller, request: Request) -> Answer {
    reply::ok(&quotas::user_usage(&request.app.drive, &caller, &request.id("id")?).await?)
}

pub(crate) async fn group_usage(caller: Caller, request: Request) -> Answer {
    reply::ok(&quotas::group_usage(&request.app.drive, &caller, &request.id("id")?).await?)
}
