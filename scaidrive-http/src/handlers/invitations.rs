//! Invitations to shares.

use scaidrive_core::model::{Caller, Error, InvitationId, ShareId, ShareRole};
use scaidrive_core::services::invitations::{self, DAYS, NewInvitation};
use serde::Deserialize;
use serde_json::json;

use crate::reply::{self, Answer};
use crate::request::Request;

pub(crate) async fn list(caller: Caller, request: Request) -> Answer {
    let found = invitations::list(&request.app.drive, &caller, request.id("id")?).await?;
    let (found, total) = request.query.page(found)?;
    reply::ok(&json!({ "total": total, "invitations": found }))
}

pub(crate) async fn get(caller: Caller, request: Request) -> Answer {
    let id: InvitationId = request.id("inv_id")?;
    let all = invitations::list(&request.app.drive, &caller, request.id("id")?).await?;
    reply::ok(&all.into_iter().find(|found| found.id == id).ok_or(Error::NotFound)?)
}

#[derive(Debug, Deserialize)]
struct CreateBody {
    email: String,
    role: ShareRole,
    message: Option<String>,
    #[serde(default = "days")]
    expires_in_days: u32,
}

const fn days() -> u32 {
    DAYS
}

pub(crate) async fn create(caller: Caller, request: Request) -> Answer {
    let (drive, id) = (request.app.drive.clone(), request.id::<ShareId>("id")?);
    let CreateBody { email, role, message, expires_in_days } = request.json().await?;
    let new = NewInvitation { email, role, message, expires_in_days };
    reply::created(&invitations::create(&drive, &caller, id, new).await?)
}

pub(crate) async fn revoke(caller: Caller, request: Request) -> Answer {
    invitations::revoke(&request.app.drive, &caller, request.id("id")?, request.id("inv_id")?).await?;
    Ok(reply::no_content())
}

pub(crate) async fn mine(caller: Caller, request: Request) -> Answer {
    let found = invitations::mine(&request.app.drive, &caller).await?;
    let (found, total) = request.query.page(found)?;
    reply::ok(&json!({ "total": total, "invitations": found }))
}

async fn answer(caller: Caller, request: Request, accepts: bool) -> Answer {
    let answered = invitations::reply(&request.app.drive, &caller, request.id("id")?, accepts).await?;
    reply::ok(&json!({ "share_id": answered.share_id, "role": answered.role, "status": answered.status }))
}

pub(crate) async fn accept(caller: Caller, request: Request) -> Answer {
    answer(caller, request, true).await
}

pub(crate) async fn decline(caller: Caller, request: Request) -> Answer {
    answer(caller, request, false).await
}
