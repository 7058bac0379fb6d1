//! Shares.

use scaidrive_core::model::{Caller, ShareId, ShareType};
use scaidrive_core::services::shares::{self, NewShare, SharePatch};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::present;
use crate::errors::Failure;
use crate::reply::{self, Answer};
use crate::request::Request;

pub(crate) async fn list(caller: Caller, request: Request) -> Answer {
    let query = &request.query;
    let whole_tenant = match query.text("scope") {
        None => false,
        Some("tenant") => true,
        Some(other) => return Err(Failure::query("scope", "must be tenant", other)),
    };
    let (trashed, limit, offset) = (query.flag("include_trashed")?, query.limit()?, query.offset()?);
    reply::ok(&shares::list(&request.app.drive, &caller, whole_tenant, trashed, limit, offset).await?)
}

#[derive(Debug, Deserialize)]
struct CreateBody {
    name: String,
    share_type: ShareType,
    owner_id: Option<String>,
    description: Option<String>,
    quota_bytes: Option<u64>,
}

pub(crate) async fn create(caller: Caller, request: Request) -> Answer {
    let drive = request.app.drive.clone();
    let body: CreateBody = request.json().await?;
    let new = NewShare {
        name: body.name,
        share_type: body.share_type,
        owner: body.owner_id,
        description: body.description,
        quota_bytes: body.quota_bytes,
    };
    reply::created(&shares::create(&drive, &caller, new).await?)
}

pub(crate) async fn get(caller: Caller, request: Request) -> Answer {
    let share = shares::get(&request.app.drive, &caller, request.id("id")?).await?;
    reply::tagged(&request.headers, &share, share.modified_at)
}

#[derive(Debug, Deserialize)]
struct PatchBody {
    name: Option<String>,
    #[serde(default, deserialize_with = "present")]
    description: Option<Option<String>>,
    settings: Option<Map<String, Value>>,
    #[serde(default, deserialize_with = "present")]
    quota_bytes: Option<Option<u64>>,
    is_public: Option<bool>,
}

pub(crate) async fn patch(caller: Caller, request: Request) -> Answer {
    let (drive, id) = (request.app.drive.clone(), request.id::<ShareId>("id")?);
    let body: PatchBody = request.json().await?;
    let patch = SharePatch {
        name: body.name,
        description: body.description,
        settings: body.settings,
        quota_bytes: body.quota_bytes,
        is_public: body.is_public,
    };
    reply::ok(&shares::patch(&drive, &caller, id, patch).await?)
}

pub(crate) async fn delete(caller: Caller, request: Request) -> Answer {
    shares::delete(&request.app.drive, &caller, request.id("id")?).await?;
    Ok(reply::no_content())
}

pub(crate) async fn restore(caller: Caller, request: Request) -> Answer {
    reply::ok(&shares::restore(&request.app.drive, &caller, request.id("id")?).await?)
}
