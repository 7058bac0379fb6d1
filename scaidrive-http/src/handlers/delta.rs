//! Delta transfer: manifests, chunks, many small contents at once.

use bytes::Bytes;
use futures_util::{TryStreamExt, stream};
use hyper::StatusCode;
use hyper::header::{CONTENT_LENGTH, HeaderValue, RANGE};
use scaidrive_core::model::{Caller, ChunkHash, Error, FileId, ShareId};
use scaidrive_core::services::content;
use scaidrive_core::services::delta::{self, Frame, Receipt};
use serde::Deserialize;
use serde_json::{Value, json};

use super::transfers;
use crate::body;
use crate::errors::Failure;
use crate::frames;
use crate::reply::{self, Answer};
use crate::request::Request;

/// The most hashes in one question.
const MOST_HASHES: usize = 10_000;

/// The most files in one request.
const MOST_FILES: usize = 1000;

pub(crate) async fn manifest(caller: Caller, request: Request) -> Answer {
    let version = transfers::version(&request)?;
    reply::ok(&delta::manifest(&request.app.drive, &caller, request.id("file_id")?, version).await?)
}

/// Answers as `/files/{id}/content` does; `range_start` and `range_end` say what a `Range` of that would.
pub(crate) async fn download(caller: Caller, mut request: Request) -> Answer {
    if let Some(range) = asked_range(&request)? {
        request.headers.insert(RANGE, range);
    }
    let id = request.param("file_id").to_owned();
    request.params.push(("id".to_owned(), id));
    transfers::download(caller, request).await
}

fn asked_range(request: &Request) -> Result<Option<HeaderValue>, Failure> {
    let number = |name: &str| {
        let text = request.query.text(name);
        let parse =
            |text: &str| text.parse::<u64>().map_err(|_| Failure::query(name, "must be a number", text));
        text.map(parse).transpose()
    };
    let (start, end) = (number("range_start")?, number("range_end")?);
    let range = match (start, end) {
        (None, None) => return Ok(None),
        (Some(start), None) => format!("bytes={start}-"),
        (start, Some(end)) if start.unwrap_or(0) <= end => format!("bytes={}-{end}", start.unwrap_or(0)),
        (_, Some(end)) => {
            return Err(Failure::query("range_end", "must not be before range_start", &end.to_string()));
        }
    };
    Ok(HeaderValue::from_str(&range).ok())
}

#[derive(Debug, Deserialize)]
struct CheckBody {
    share_id: ShareId,
    hashes: Vec<ChunkHash>,
}

pub(crate) async fn check(caller: Caller, request: Request) -> Answer {
    let app = request.app.clone();
    let too_many = |hashes: usize| {
        Error::invalid("hashes", format!("at most {MOST_HASHES} are looked up in one request"), hashes)
    };
    let asked: CheckBody = match request.json().await {
        // So many do not fit into a body at all.
        Err(failure) if failure.is_too_large() => return Err(too_many(MOST_HASHES + 1).into()),
        asked => asked?,
    };
    if asked.hashes.len() > MOST_HASHES {
        return Err(too_many(asked.hashes.len()).into());
    }
    let missing = delta::missing(&app.drive, &caller, asked.share_id, asked.hashes).await?;
    reply::ok(&json!({ "missing": missing }))
}

fn share_id(request: &Request) -> Result<ShareId, Failure> {
    let text = request.query.required("share_id")?;
    text.parse().map_err(|_| Failure::query("share_id", "not the id of a share", text))
}

pub(crate) async fn put_chunk(caller: Caller, request: Request) -> Answer {
    let app = request.app.clone();
    let malformed = |_| Failure::bad_request("The path must end in the chunk's SHA-256, in hex");
    let hash: ChunkHash = request.param("sha256").parse().map_err(malformed)?;
    let share = share_id(&request)?;
    let limit = app.drive.chunking.max;
    if request.content_length().is_some_and(|length| length > limit.into()) {
        return Err(Error::TooLarge { limit: limit.into() }.into());
    }
    delta::check_send(&app.drive, &caller, share).await?;
    let bytes = body::collect(request.body, limit as usize).await?;
    app.metrics.uploaded(caller.tenant, bytes.len() as u64);
    let size = bytes.len();
    let frame = Frame { hash, bytes: Some(bytes) };
    let receipts = delta::receive(&app.drive, &caller, stream::iter([Ok(frame)])).await?;
    let is_new = receipts.into_iter().try_fold(false, |_, (_, outcome)| outcome)?;
    let (status, word) = if is_new { (StatusCode::CREATED, "created") } else { (StatusCode::OK, "exists") };
    reply::json(status, &json!({ "sha256": hash, "size": size, "status": word }))
}

pub(crate) async fn put_chunks(caller: Caller, request: Request) -> Answer {
    let app = request.app.clone();
    let share = share_id(&request)?;
    if request.content_length().is_some_and(|length| length > frames::MOST_BYTES) {
        return Err(Error::TooLarge { limit: frames::MOST_BYTES }.into());
    }
    delta::check_send(&app.drive, &caller, share).await?;
    let (counting, tenant) = (app.clone(), caller.tenant);
    let frames = frames::read(request.into_reader(), app.drive.chunking.max).inspect_ok(move |frame| {
        counting.metrics.uploaded(tenant, frame.bytes.as_ref().map_or(0, Bytes::len) as u64);
    });
    let receipts = delta::receive(&app.drive, &caller, frames).await?;
    let results: Vec<Value> = receipts.into_iter().map(receipt).collect();
    reply::ok(&json!({ "results": results }))
}

fn receipt((hash, outcome): Receipt) -> Value {
    match outcome {
        Ok(true) => json!({ "sha256": hash, "status": "created" }),
        Ok(false) => json!({ "sha256": hash, "status": "exists" }),
        Err(error) => json!({ "sha256": hash, "status": "error", "code": error.code() }),
    }
}

#[derive(Debug, Deserialize)]
struct FetchBody {
    file_ids: Vec<String>,
}

/// Answers a frame for each file, in the order asked for: its checksum and its bytes.
///
/// Where a file is not there, not for the caller, in the trash, or of 4 GiB and more, a frame of zeros stands: a hash
/// that no content has, and no bytes. Asked for alone, such a file tells what it is about it.
pub(crate) async fn fetch(caller: Caller, request: Request) -> Answer {
    let app = request.app.clone();
    let asked: FetchBody = request.json().await?;
    if asked.file_ids.len() > MOST_FILES {
        let message = format!("at most {MOST_FILES} are fetched in one request");
        return Err(Error::invalid("file_ids", message, asked.file_ids.len()).into());
    }
    // An id that cannot exist is as good as one that does not.
    let ids: Vec<Option<FileId>> = asked.file_ids.iter().map(|id| id.parse().ok()).collect();
    let known: Vec<FileId> = ids.iter().copied().flatten().collect();
    let mut opened = content::open_all(&app.drive, &caller, &known).await?.into_iter();
    let contents = ids.iter().map(|id| id.and_then(|_| opened.next().flatten())).collect();
    let (length, bytes) = frames::write(&app.drive, contents);
    let sent = app.metrics.downloads(caller.tenant);
    let bytes = bytes.inspect_ok(move |bytes| sent(bytes.len() as u64));
    let mut response = reply::with_body(StatusCode::OK, "application/octet-stream", reply::streamed(bytes));
    response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(length));
    Ok(response)
}
