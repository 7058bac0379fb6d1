//! Members of shares.

use scaidrive_core::model::{Caller, MemberId, ShareId, ShareRole, Timestamp};
use scaidrive_core::services::members::{self, MemberPatch, NewMember};
use scaidrive_core::services::users;
use serde::Deserialize;

use super::permissions::principal;
use super::present;
use crate::errors::Failure;
use crate::reply::{self, Answer};
use crate::request::Request;

pub(crate) async fn list(caller: Caller, request: Request) -> Answer {
    let (limit, offset) = (request.query.limit()?, request.query.offset()?);
    reply::ok(&members::list(&request.app.drive, &caller, request.id("id")?, limit, offset).await?)
}

pub(crate) async fn get(caller: Caller, request: Request) -> Answer {
    reply::ok(&members::get(&request.app.drive, &caller, request.id("id")?, request.id("member_id")?).await?)
}

#[derive(Debug, Deserialize)]
struct AddBody {
    principal_type: String,
    principal_id: String,
    role: ShareRole,
    expires_at: Option<Timestamp>,
}

pub(crate) async fn add(caller: Caller, request: Request) -> Answer {
    let (drive, id) = (request.app.drive.clone(), request.id::<ShareId>("id")?);
    let body: AddBody = request.json().await?;
    let new = NewMember {
        principal: principal(&body.principal_type, &body.principal_id)?,
        role: body.role,
        expires_at: body.expires_at,
    };
    reply::created(&members::add(&drive, &caller, id, new).await?)
}

#[derive(Debug, Deserialize)]
struct PatchBody {
    role: Option<ShareRole>,
    #[serde(default, deserialize_with = "present")]
    expires_at: Option<Option<Timestamp>>,
}

pub(crate) async fn patch(caller: Caller, request: Request) -> Answer {
    let (drive, share, id) =
        (request.app.drive.clone(), request.id::<ShareId>("id")?, request.id::<MemberId>("member_id")?);
    let PatchBody { role, expires_at } = request.json().await?;
    reply::ok(&members::patch(&drive, &caller, share, id, MemberPatch { role, expires_at }).await?)
}

pub(crate) async fn remove(caller: Caller, request: Request) -> Answer {
    members::remove(&request.app.drive, &caller, request.id("id")?, request.id("member_id")?).await?;
    Ok(reply::no_content())
}

pub(crate) async fn search(caller: Caller, request: Request) -> Answer {
    let query = &request.query;
    let kind = match query.text("principal_type") {
        kind @ (None | Some("user" | "group")) => kind,
        Some(other) => return Err(Failure::query("principal_type", "must be user or group", other)),
    };
    let text = query.text("q").unwrap_or_default();
    reply::ok(&users::search(&request.app.drive, &caller, text, kind, query.limit()?).await?)
}
