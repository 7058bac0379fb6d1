//! Bytes in and out.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures_util::stream::{self, BoxStream};
use futures_util::{StreamExt, TryStreamExt};
use hyper::header::{
    ACCEPT_RANGES, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, HeaderName, HeaderValue, RANGE,
};
use hyper::{Response, StatusCode};
use scaidrive_core::Drive;
use scaidrive_core::model::{ByteRange, Caller, Error, FileId, FolderId, RangeError, parse_ranges};
use scaidrive_core::services::content::{self, Readable};
use scaidrive_core::services::{archive, files};

use crate::conditional::{self, Validators, Verdict};
use crate::errors::Failure;
use crate::reply::{self, Answer, Body};
use crate::request::Request;
use crate::upload;

const DIGEST: HeaderName = HeaderName::from_static("digest");

/// Between the parts of an answer with several ranges; it need not be secret, only improbable in a content.
const BOUNDARY: &str = "scaidrive-7d1f0c52b9e8";

pub(crate) async fn upload(caller: Caller, request: Request) -> Answer {
    reply::created(&upload::receive(&caller, request).await?)
}

pub(crate) async fn replace(caller: Caller, request: Request) -> Answer {
    let (app, id) = (request.app.clone(), request.id::<FileId>("id")?);
    let if_match = conditional::if_match(&request.headers);
    let limit = files::size_limit(&app.drive, &caller).await?;
    if request.content_length().is_some_and(|length| length > limit) {
        return Err(Error::TooLarge { limit }.into());
    }
    let file = files::write(&app.drive, &caller, id, if_match, request.into_reader()).await?;
    app.metrics.uploaded(caller.tenant, file.size);
    reply::ok(&file)
}

pub(crate) async fn download(caller: Caller, request: Request) -> Answer {
    let version = version(&request)?;
    let readable = content::open(&request.app.drive, &caller, request.id("id")?, version).await?;
    let validators = Validators::of_content(readable.checksum, readable.modified_at);
    match validators.judge(&request.headers) {
        Verdict::Failed => return Err(Error::PreconditionFailed.into()),
        Verdict::NotModified => return Ok(reply::not_modified(&validators)),
        Verdict::Answer => {}
    }
    let ranges = wanted_ranges(&request, &validators, readable.size)?;
    let sender =
        Sender { drive: request.app.drive.clone(), sent: request.app.metrics.downloads(caller.tenant) };
    let mut response = match ranges.as_deref() {
        None => sender.whole(&readable).await?,
        Some([only]) => sender.one_range(&readable, *only).await?,
        Some(several) => sender.several_ranges(&readable, several),
    };
    describe(&mut response, &readable);
    validators.write(response.headers_mut());
    Ok(response)
}

/// Returns the number of the version that is asked for.
pub(super) fn version(request: &Request) -> Result<Option<u32>, Failure> {
    let parse = |text: &str| {
        text.parse().map_err(|_| Failure::query("version", "must be the number of a version", text))
    };
    request.query.text("version").map(parse).transpose()
}

fn wanted_ranges(
    request: &Request,
    validators: &Validators,
    size: u64,
) -> Result<Option<Vec<ByteRange>>, Failure> {
    let Some(header) = request.headers.get(RANGE) else { return Ok(None) };
    if !validators.range_applies(&request.headers) {
        return Ok(None);
    }
    let malformed = || Failure::bad_request("The Range header is malformed");
    match parse_ranges(header.to_str().map_err(|_| malformed())?, size) {
        Ok(ranges) => Ok(ranges),
        Err(RangeError::Malformed) => Err(malformed()),
        Err(RangeError::Unsatisfiable) => Err(Failure::range_not_satisfiable(size)),
    }
}

/// Makes the bodies of downloads, and counts what leaves.
struct Sender {
    drive: Drive,
    sent: Arc<dyn Fn(u64) + Send + Sync>,
}

impl Sender {
    fn stream(
        &self,
        readable: &Readable,
        range: Option<ByteRange>,
    ) -> BoxStream<'static, Result<Bytes, Error>> {
        let sent = Arc::clone(&self.sent);
        content::stream(&self.drive, readable, range)
            .inspect_ok(move |bytes| sent(bytes.len() as u64))
            .boxed()
    }

    async fn whole(&self, readable: &Readable) -> Result<Response<Body>, Error> {
        let bytes = begun(self.stream(readable, None)).await?;
        Ok(sized(StatusCode::OK, readable, readable.size, bytes))
    }

    async fn one_range(&self, readable: &Readable, range: ByteRange) -> Result<Response<Body>, Error> {
        let bytes = begun(self.stream(readable, Some(range))).await?;
        let mut response = sized(StatusCode::PARTIAL_CONTENT, readable, range.len(), bytes);
        reply::set(response.headers_mut(), CONTENT_RANGE, &content_range(range, readable.size));
        Ok(response)
    }

    fn several_ranges(&self, readable: &Readable, ranges: &[ByteRange]) -> Response<Body> {
        let mut length = 0;
        let mut parts: Vec<BoxStream<'static, Result<Bytes, Error>>> = Vec::new();
        for range in ranges {
            let head = format!(
                "\r\n--{BOUNDARY}\r\nContent-Type: {}\r\nContent-Range: {}\r\n\r\n",
                readable.info.mime_type,
                content_range(*range, readable.size)
            );
            length += head.len() as u64 + range.len();
            parts.push(once(head));
            parts.push(self.stream(readable, Some(*range)));
        }
        let end = format!("\r\n--{BOUNDARY}--\r\n");
        length += end.len() as u64;
        parts.push(once(end));
        let mut response =
            sized(StatusCode::PARTIAL_CONTENT, readable, length, stream::iter(parts).flatten().boxed());
        let kind = format!("multipart/byteranges; boundary={BOUNDARY}");
        reply::set(response.headers_mut(), CONTENT_TYPE, &kind);
        response
    }
}

/// Awaits the first bytes: while they cannot be had, the client can be told so, which it cannot later.
async fn begun(
    mut bytes: BoxStream<'static, Result<Bytes, Error>>,
) -> Result<BoxStream<'static, Result<Bytes, Error>>, Error> {
    let first = bytes.try_next().await?;
    Ok(stream::iter(first.map(Ok)).chain(bytes).boxed())
}

fn once(text: String) -> BoxStream<'static, Result<Bytes, Error>> {
    stream::once(std::future::ready(Ok(Bytes::from(text)))).boxed()
}

fn content_range(range: ByteRange, size: u64) -> String {
    format!("bytes {}-{}/{size}", range.start, range.end - 1)
}

fn sized(
    status: StatusCode,
    readable: &Readable,
    length: u64,
    bytes: BoxStream<'static, Result<Bytes, Error>>,
) -> Response<Body> {
    let mut response = reply::with_body(status, "application/octet-stream", reply::streamed(bytes));
    reply::set(response.headers_mut(), CONTENT_TYPE, readable.info.mime_type.as_str());
    response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(length));
    response
}

/// Says what the bytes are, and that a browser shall save them, not run them.
fn describe(response: &mut Response<Body>, readable: &Readable) {
    let digest = format!("sha-256={}", STANDARD.encode(readable.checksum.as_bytes()));
    let headers = response.headers_mut();
    headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    reply::set(headers, DIGEST, &digest);
    reply::as_attachment(headers, readable.info.name.as_str());
}

pub(crate) async fn archive(caller: Caller, request: Request) -> Answer {
    let id: FolderId = request.id("id")?;
    let format = request.query.word("format", "zip, tar")?.unwrap_or(archive::ArchiveFormat::Zip);
    let archive = archive::stream(&request.app.drive, &caller, id, format).await?;
    let kind = match format {
        archive::ArchiveFormat::Zip => "application/zip",
        archive::ArchiveFormat::Tar => "application/x-tar",
    };
    let sent = request.app.metrics.downloads(caller.tenant);
    let bytes = archive.body.inspect_ok(move |bytes| sent(bytes.len() as u64));
    let mut response = reply::with_body(StatusCode::OK, kind, reply::streamed(bytes));
    reply::as_attachment(response.headers_mut(), &archive.name);
    Ok(response)
}
