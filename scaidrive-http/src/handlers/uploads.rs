//! Resumable uploads.

use scaidrive_core::model::{
    Caller, Error, FieldError, FileId, FileName, FolderId, MimeType, Sha256Hash, ShareId, VersionId,
};
use scaidrive_core::services::uploads::{self, Claimed, DEFAULT_PART_SIZE, NewUpload};
use serde::Deserialize;

use super::system::MAX_UPLOAD_CHUNK;
use crate::errors::Failure;
use crate::reply::{self, Answer};
use crate::request::Request;

#[derive(Debug, Deserialize)]
struct CreateBody {
    share_id: ShareId,
    file_name: String,
    file_size: u64,
    folder_id: Option<FolderId>,
    chunk_size: Option<u32>,
    mime_type: Option<String>,
    checksum_sha256: Option<Sha256Hash>,
    replace_file_id: Option<FileId>,
    base_version_id: Option<VersionId>,
}

impl CreateBody {
    fn wanted(self) -> Result<NewUpload, Failure> {
        let of_name = |fault| FieldError { field: "file_name".to_owned(), ..fault };
        Ok(NewUpload {
            share: self.share_id,
            folder: self.folder_id,
            name: FileName::parse(&self.file_name).map_err(of_name)?,
            size: self.file_size,
            part_size: self.chunk_size.unwrap_or(DEFAULT_PART_SIZE),
            mime_type: self.mime_type.as_deref().map(MimeType::parse).transpose()?,
            checksum: self.checksum_sha256,
            replaces: self.replace_file_id,
            base: self.base_version_id,
        })
    }
}

pub(crate) async fn create(caller: Caller, request: Request) -> Answer {
    let drive = request.app.drive.clone();
    let body: CreateBody = request.json().await?;
    reply::created(&uploads::create(&drive, &caller, body.wanted()?).await?)
}

/// Answers a creation that is repeated.
pub(crate) async fn created(caller: Caller, request: Request) -> Answer {
    reply::created(&uploads::created(&request.app.drive, &caller, request.id("session_id")?).await?)
}

pub(crate) async fn get(caller: Caller, request: Request) -> Answer {
    reply::ok(&uploads::get(&request.app.drive, &caller, request.id("session_id")?).await?)
}

pub(crate) async fn abort(caller: Caller, request: Request) -> Answer {
    uploads::abort(&request.app.drive, &caller, request.id("session_id")?).await?;
    Ok(reply::no_content())
}

pub(crate) async fn put_part(caller: Caller, request: Request) -> Answer {
    let (app, id, index) = (request.app.clone(), request.id("session_id")?, request.id::<u32>("index")?);
    let claimed = Claimed { length: request.content_length(), hash: claimed_hash(&request)? };
    if claimed.length.is_some_and(|length| length > MAX_UPLOAD_CHUNK) {
        return Err(Error::TooLarge { limit: MAX_UPLOAD_CHUNK }.into());
    }
    let stored = uploads::put_part(&app.drive, &caller, id, index, claimed, request.into_stream()).await;
    let stored = stored.map_err(|error| Failure::from(error).in_path("index"))?;
    app.metrics.uploaded(caller.tenant, stored.size.into());
    reply::ok(&stored)
}

fn claimed_hash(request: &Request) -> Result<Option<Sha256Hash>, Failure> {
    let Some(value) = request.headers.get("x-chunk-sha256") else { return Ok(None) };
    let hash = value.to_str().ok().and_then(|text| text.trim().parse().ok());
    hash.map(Some).ok_or_else(|| Failure::bad_request("X-Chunk-SHA256 must be a SHA-256 in 64 hex digits"))
}

pub(crate) async fn complete(caller: Caller, request: Request) -> Answer {
    reply::ok(&uploads::complete(&request.app.drive, &caller, request.id("session_id")?).await?)
}
