//! Groups, as administrators keep them.

use scaidrive_core::model::{Caller, Error, GroupId, Principal, UserId};
use scaidrive_core::services::groups::{self, GroupPatch, NewGroup};
use serde::Deserialize;
use serde_json::{Value, json};

use super::present;
use crate::errors::Failure;
use crate::reply::{self, Answer};
use crate::request::Request;

pub(crate) async fn list(caller: Caller, request: Request) -> Answer {
    let query = &request.query;
    let search = query.text("search").unwrap_or_default();
    reply::ok(&groups::list(&request.app.drive, &caller, search, query.limit()?, query.offset()?).await?)
}

#[derive(Debug, Deserialize)]
struct CreateBody {
    id: Option<GroupId>,
    name: String,
    description: Option<String>,
}

pub(crate) async fn create(caller: Caller, request: Request) -> Answer {
    let drive = request.app.drive.clone();
    let CreateBody { id, name, description } = request.json().await?;
    let new = NewGroup { id, name, description, is_mirrored: false };
    reply::created(&groups::create(&drive, &caller, new).await?)
}

pub(crate) async fn get(caller: Caller, request: Request) -> Answer {
    reply::ok(&groups::get(&request.app.drive, &caller, &request.id("id")?).await?)
}

#[derive(Debug, Deserialize)]
struct PatchBody {
    name: Option<String>,
    #[serde(default, deserialize_with = "present")]
    description: Option<Option<String>>,
}

pub(crate) async fn patch(caller: Caller, request: Request) -> Answer {
    let (drive, id) = (request.app.drive.clone(), request.id::<GroupId>("id")?);
    let PatchBody { name, description } = request.json().await?;
    reply::ok(&groups::patch(&drive, &caller, &id, GroupPatch { name, description }).await?)
}

pub(crate) async fn delete(caller: Caller, request: Request) -> Answer {
    groups::delete(&request.app.drive, &caller, &request.id("id")?).await?;
    Ok(reply::no_content())
}

pub(crate) async fn members(caller: Caller, request: Request) -> Answer {
    let members = groups::members(&request.app.drive, &caller, &request.id("id")?).await?;
    let (members, total) = request.query.page(members)?;
    reply::ok(&json!({ "total": total, "members": members }))
}

/// Who comes in: a user, or a group.
#[derive(Debug, Deserialize)]
struct MemberBody {
    user_id: Option<UserId>,
    group_id: Option<GroupId>,
}

pub(crate) async fn add_member(caller: Caller, request: Request) -> Answer {
    let (drive, id) = (request.app.drive.clone(), request.id::<GroupId>("id")?);
    let member = match request.json::<MemberBody>().await? {
        MemberBody { user_id: Some(user), group_id: None } => Principal::User(user),
        MemberBody { user_id: None, group_id: Some(group) } => Principal::Group(group),
        _ => {
            return Err(
                Error::invalid("user_id", "give exactly one of user_id and group_id", Value::Null).into()
            );
        }
    };
    groups::set_member(&drive, &caller, &id, member.clone(), true).await?;
    reply::created(&told(&id, &member))
}

/// Answers again for a member that came in.
pub(crate) fn member(request: &Request) -> Answer {
    let member: Principal = request.param("member").parse().map_err(|_| Error::NotFound)?;
    reply::ok(&told(&request.id("id")?, &member))
}

fn told(group: &GroupId, member: &Principal) -> Value {
    json!({
        "group_id": group, "principal_type": member.kind(), "principal_id": member.id(),
        "user_id": matches!(member, Principal::User(_)).then(|| member.id()),
    })
}

pub(crate) async fn remove_member(caller: Caller, request: Request) -> Answer {
    let id: GroupId = request.id("id")?;
    let member = match request.query.text("principal_type") {
        None | Some("user") => Principal::User(request.id("user_id")?),
        Some("group") => Principal::Group(request.id("user_id")?),
        Some(other) => return Err(Failure::query("principal_type", "must be user or group", other)),
    };
    groups::set_member(&request.app.drive, &caller, &id, member, false).await?;
    Ok(reply::no_content())
}
