//! Folders and what they hold.

use std::fmt::Write as _;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use hyper::StatusCode;
use scaidrive_core::Drive;
use scaidrive_core::model::{Caller, Error, FileName, FolderId, FolderInfo, ShareId};
use scaidrive_core::services::files::IfMatch;
use scaidrive_core::services::folders::{self, Children, Listing, PAGE};
use scaidrive_core::services::trash::RestoredItem;
use scaidrive_core::services::{copies, moves, trash};
use serde::Deserialize;

use super::{TargetBody, file_name, wants_restore};
use crate::conditional::{self, Validators};
use crate::errors::Failure;
use crate::reply::{self, Answer};
use crate::request::Request;

#[derive(Debug, Deserialize)]
struct CreateBody {
    share_id: ShareId,
    parent_id: Option<FolderId>,
    name: String,
}

pub(crate) async fn create(caller: Caller, request: Request) -> Answer {
    let drive = request.app.drive.clone();
    let body: CreateBody = request.json().await?;
    let name = FileName::parse(&body.name)?;
    reply::created(&folders::create(&drive, &caller, body.share_id, body.parent_id, name).await?)
}

pub(crate) async fn get(caller: Caller, request: Request) -> Answer {
    let folder = folders::get(&request.app.drive, &caller, request.id("id")?).await?;
    reply::tagged(&request.headers, &folder, folder.modified_at)
}

pub(crate) async fn children(caller: Caller, request: Request) -> Answer {
    let query = &request.query;
    let text = query.required("share_id")?;
    let share: ShareId =
        text.parse().map_err(|_| Failure::query("share_id", "not the id of a share", text))?;
    let folder = match request.param("id") {
        "root" => None,
        _ => Some(request.id::<FolderId>("id")?),
    };
    let limit = query.number("limit", 1..=PAGE)?;
    let listing = Listing {
        sort: query.word("sort", "name, modified_at, size")?.unwrap_or(Listing::default().sort),
        after: query.text("after").map(str::to_owned),
        limit: limit.unwrap_or(PAGE),
        include_trashed: query.flag("include_deleted")?,
    };
    let drive = &request.app.drive;
    let page = folders::children(drive, &caller, share, folder, &listing).await;
    let page = page.map_err(|error| Failure::from(error).in_query())?;
    if limit.is_some() || page.next.is_none() {
        return reply::ok(&page);
    }
    all_children(drive.clone(), caller, (share, folder), listing, page)
}

/// Streams every page as one list: a folder of a million entries is never in memory as a whole.
///
/// `total` is exact here, whatever its size: everything is counted as it is sent.
fn all_children(
    drive: Drive,
    caller: Caller,
    place: (ShareId, Option<FolderId>),
    listing: Listing,
    first: Children,
) -> Answer {
    let path = String::from_utf8(reply::to_json(&first.path)?).unwrap_or_default();
    let start = (drive, caller, listing, Some(first), 0_usize);
    let pages = stream::try_unfold(start, move |(drive, caller, mut listing, page, sent)| {
        let path = path.clone();
        async move {
            let Some(page) = page else { return Ok(None) };
            let mut text = String::from(if sent == 0 { "{\"items\":[" } else { "," });
            text.push_str(items(&page)?.trim_matches(['[', ']']));
            let sent = sent + page.items.len();
            let next = match page.next {
                Some(next) => {
                    listing.after = Some(next);
                    Some(folders::children(&drive, &caller, place.0, place.1, &listing).await?)
                }
                None => None,
            };
            if next.as_ref().is_none_or(|next| next.items.is_empty()) {
                let _ = write!(text, "],\"path\":{path},\"total\":{sent},\"next\":null}}");
                return Ok(Some((Bytes::from(text), (drive, caller, listing, None, sent))));
            }
            Ok::<_, Error>(Some((Bytes::from(text), (drive, caller, listing, next, sent))))
        }
    });
    Ok(reply::with_body(StatusCode::OK, "application/json", reply::streamed(pages.boxed())))
}

fn items(page: &Children) -> Result<String, Error> {
    serde_json::to_string(&page.items).map_err(|error| Error::internal(error.to_string()))
}

#[derive(Debug, Deserialize)]
struct PatchBody {
    name: Option<String>,
    is_deleted: Option<bool>,
}

pub(crate) async fn patch(caller: Caller, request: Request) -> Answer {
    let (drive, id) = (request.app.drive.clone(), request.id::<FolderId>("id")?);
    let wanted = conditional::if_match(&request.headers);
    let body: PatchBody = request.json().await?;
    let name = file_name(body.name)?;
    if wants_restore(body.is_deleted)? {
        let holds = Arc::new(move |item: &RestoredItem| match item {
            RestoredItem::Folder(folder) => check_precondition(&wanted, folder),
            RestoredItem::File(_) => Ok(()),
        });
        trash::restore_as(&drive, &caller, id.into(), name.clone(), holds).await?;
        // One that was in no trash keeps its name in that.
        return match name {
            Some(name) => reply::ok(&folders::rename(&drive, &caller, id, name).await?),
            None => reply::ok(&folders::get(&drive, &caller, id).await?),
        };
    }
    if let Some(name) = name {
        let holds = Arc::new(move |folder: &FolderInfo| check_precondition(&wanted, folder));
        return reply::ok(&folders::rename_if(&drive, &caller, id, name, holds).await?);
    }
    let folder = folders::get(&drive, &caller, id).await?;
    check_precondition(&wanted, &folder)?;
    reply::ok(&folder)
}

/// A folder has no content: its tag is that of its metadata, as GET gave it.
fn check_precondition(wanted: &IfMatch, folder: &FolderInfo) -> Result<(), Error> {
    let Some(wanted) = &wanted.0 else { return Ok(()) };
    let body = serde_json::to_vec(folder).map_err(|error| Error::internal(error.to_string()))?;
    let validators = Validators::of_body(&body, folder.modified_at);
    if validators.matches(wanted) { Ok(()) } else { Err(Error::PreconditionFailed) }
}

pub(crate) async fn delete(caller: Caller, request: Request) -> Answer {
    let (id, permanent) = (request.id::<FolderId>("id")?, request.query.flag("permanent")?);
    trash::delete(&request.app.drive, &caller, id.into(), permanent).await?;
    Ok(reply::no_content())
}

pub(crate) async fn relocate(caller: Caller, request: Request) -> Answer {
    let (drive, id) = (request.app.drive.clone(), request.id::<FolderId>("id")?);
    let body: TargetBody = request.json().await?;
    reply::ok(&moves::folder(&drive, &caller, id, body.target()?).await?)
}

pub(crate) async fn copy(caller: Caller, request: Request) -> Answer {
    let (drive, id) = (request.app.drive.clone(), request.id::<FolderId>("id")?);
    let body: TargetBody = request.json().await?;
    reply::created(&copies::folder(&drive, &caller, id, body.target()?).await?)
}
