//! Files without their bytes.

use std::sync::Arc;

use scaidrive_core::model::{Caller, FileId, MimeType, Timestamp};
use scaidrive_core::services::files::{self, FilePatch};
use scaidrive_core::services::trash::RestoredItem;
use scaidrive_core::services::{copies, moves, trash};
use serde::Deserialize;

use super::{TargetBody, file_name, wants_restore};
use crate::conditional;
use crate::reply::{self, Answer};
use crate::request::Request;

pub(crate) async fn get(caller: Caller, request: Request) -> Answer {
    let file = files::get(&request.app.drive, &caller, request.id("id")?).await?;
    reply::tagged(&request.headers, &file, file.modified_at)
}

#[derive(Debug, Deserialize)]
struct PatchBody {
    name: Option<String>,
    modified_at: Option<Timestamp>,
    mime_type: Option<String>,
    is_deleted: Option<bool>,
}

pub(crate) async fn patch(caller: Caller, request: Request) -> Answer {
    let (drive, id) = (request.app.drive.clone(), request.id::<FileId>("id")?);
    let if_match = conditional::if_match(&request.headers);
    let body: PatchBody = request.json().await?;
    let mime_type = body.mime_type.as_deref().map(MimeType::parse).transpose()?;
    let patch = FilePatch { name: file_name(body.name)?, modified_at: body.modified_at, mime_type };
    if wants_restore(body.is_deleted)? {
        let wanted = if_match.clone();
        let holds = Arc::new(move |item: &RestoredItem| match item {
            RestoredItem::File(file) => wanted.check_file(file),
            RestoredItem::Folder(_) => Ok(()),
        });
        trash::restore_as(&drive, &caller, id.into(), patch.name.clone(), holds).await?;
    }
    reply::ok(&files::patch(&drive, &caller, id, patch, if_match).await?)
}

pub(crate) async fn delete(caller: Caller, request: Request) -> Answer {
    let (id, permanent) = (request.id::<FileId>("id")?, request.query.flag("permanent")?);
    trash::delete(&request.app.drive, &caller, id.into(), permanent).await?;
    Ok(reply::no_content())
}

pub(crate) async fn copy(caller: Caller, request: Request) -> Answer {
    let (drive, id) = (request.app.drive.clone(), request.id::<FileId>("id")?);
    let body: TargetBody = request.json().await?;
    reply::created(&copies::file(&drive, &caller, id, body.target()?).await?)
}

pub(crate) async fn relocate(caller: Caller, request: Request) -> Answer {
    let (drive, id) = (request.app.drive.clone(), request.id::<FileId>("id")?);
    let body: TargetBody = request.json().await?;
    reply::ok(&moves::file(&drive, &caller, id, body.target()?).await?)
}
