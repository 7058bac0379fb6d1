//! What a user sees of itself.

use scaidrive_core::model::{Caller, Error, NodeId};
use scaidrive_core::services::{me, shares, tenants};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::errors::Failure;
use crate::reply::{self, Answer};
use crate::request::Request;

pub(crate) async fn get(caller: Caller, request: Request) -> Answer {
    let user = me::get(&request.app.drive, &caller).await?;
    let tenant = tenants::get(&request.app.drive, caller.tenant).await?;
    reply::ok(&json!({
        "id": user.id, "email": user.email, "name": user.name, "display_name": user.display_name.as_ref().or(user.name.as_ref()),
        "tenant_id": user.tenant_id, "partner_id": tenant.partner_id, "groups": caller.groups, "scopes": caller.scopes,
        "is_admin": user.admin_role.is_some(), "admin_role": user.admin_role,
    }))
}

pub(crate) async fn shares(caller: Caller, request: Request) -> Answer {
    let shares = me::my_shares(&request.app.drive, &caller).await?;
    let (shares, total) = request.query.page(shares)?;
    reply::ok(&json!({ "total": total, "shares": shares }))
}

pub(crate) async fn quota(caller: Caller, request: Request) -> Answer {
    reply::ok(&me::quota(&request.app.drive, &caller).await?)
}

pub(crate) async fn stats(caller: Caller, request: Request) -> Answer {
    let shares = shares::stats(&request.app.drive, &caller).await?;
    let sum = |part: fn(&shares::ShareStats) -> i64| shares.iter().map(part).sum::<i64>();
    let totals = json!({
        "file_count": sum(|share| share.file_count),
        "folder_count": sum(|share| share.folder_count),
        "used_bytes": sum(|share| share.used_bytes),
        "trash_bytes": sum(|share| share.trash_bytes),
        "version_bytes": sum(|share| share.version_bytes),
    });
    reply::ok(&json!({ "shares": shares, "total": shares.len(), "totals": totals }))
}

pub(crate) async fn recent(caller: Caller, request: Request) -> Answer {
    let files = me::recent(&request.app.drive, &caller, request.query.limit()?).await?;
    reply::ok(&json!({ "total": files.len(), "files": files }))
}

pub(crate) async fn favorites(caller: Caller, request: Request) -> Answer {
    let favorites = me::favorites(&request.app.drive, &caller).await?;
    let (favorites, total) = request.query.page(favorites)?;
    reply::ok(&json!({ "total": total, "favorites": favorites }))
}

/// A file or folder by its id.
#[derive(Debug, Serialize, Deserialize)]
struct FavoriteRef {
    resource_id: String,
}

fn node(text: &str) -> Result<NodeId, Failure> {
    text.parse().map_err(|_| Error::invalid("resource_id", "not the id of a file or folder", text).into())
}

/// Answers again for a favourite that was marked.
pub(crate) fn favorite(request: &Request) -> Answer {
    reply::ok(&FavoriteRef { resource_id: request.param("resource_id").to_owned() })
}

pub(crate) async fn add_favorite(caller: Caller, request: Request) -> Answer {
    let drive = request.app.drive.clone();
    let body: FavoriteRef = request.json().await?;
    me::set_favorite(&drive, &caller, node(&body.resource_id)?, true).await?;
    reply::created(&body)
}

pub(crate) async fn remove_favorite(caller: Caller, request: Request) -> Answer {
    let id = node(request.query.required("resource_id")?).map_err(Failure::in_query)?;
    me::set_favorite(&request.app.drive, &caller, id, false).await?;
    Ok(reply::no_content())
}
