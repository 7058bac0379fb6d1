//! The feed, snapshots, devices and how far they are.

use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt};
use hyper::StatusCode;
use hyper::header::{CACHE_CONTROL, HeaderValue};
use scaidrive_core::model::{Caller, DeviceId, Error, FeedRow, Preferences, ShareId, SyncMode};
use scaidrive_core::services::devices::{self, NewDevice};
use scaidrive_core::services::feed::{Changes, PAGE};
use scaidrive_core::services::snapshot::{self, SnapshotItem};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::errors::Failure;
use crate::longpoll::{self, Question};
use crate::query::Query;
use crate::reply::{self, Answer};
use crate::request::Request;
use crate::sockets::{Follower, Language, Watcher};

/// Rows of a page where the client does not say.
const DEFAULT_PAGE: u32 = 1000;

/// The longest wait: shorter than the idle time that proxies allow.
const LONGEST_WAIT: u32 = 50;

fn share_id(query: &Query) -> Result<Option<ShareId>, Failure> {
    // Ids are opaque: one that cannot exist is as good as one that does not.
    query.text("share_id").map(|text| text.parse().map_err(|_| Error::NotFound.into())).transpose()
}

fn required_share(query: &Query) -> Result<ShareId, Failure> {
    query.required("share_id")?;
    share_id(query)?.ok_or_else(|| Error::NotFound.into())
}

/// Returns the device that a parameter names. One that cannot exist is as good as one that does not.
fn required_device(query: &Query) -> Result<DeviceId, Failure> {
    query.required("device_id")?.parse().map_err(|_| Error::NotFound.into())
}

#[derive(Serialize)]
struct ChangesPage {
    changes: Vec<FeedRow>,
    cursor: i64,
    has_more: bool,
    share_id: Option<ShareId>,
}

pub(crate) async fn changes(caller: Caller, request: Request) -> Answer {
    let query = &request.query;
    let question = Question {
        share: share_id(query)?,
        cursor: query.position("cursor")?,
        limit: query.number("limit", 1..=PAGE)?.unwrap_or(DEFAULT_PAGE),
        wait: Duration::from_secs(query.number("wait", 0..=LONGEST_WAIT)?.unwrap_or(0).into()),
    };
    let page = longpoll::answer(&request.app, &caller, &question, request.presence).await?;
    request.app.metrics.sync.fetched(&page.changes);
    let (share_id, Changes { changes, cursor, has_more, .. }) = (question.share, page);
    let mut answer = reply::ok(&ChangesPage { changes, cursor, has_more, share_id })?;
    answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(answer)
}

pub(crate) async fn snapshot(caller: Caller, request: Request) -> Answer {
    let share = required_share(&request.query)?;
    let snapshot = snapshot::open(&request.app.drive, &caller, share).await?;
    let first = format!("{}\n", json!({ "cursor": snapshot.cursor, "share_id": share }));
    let head = futures_util::stream::once(std::future::ready(Ok(Bytes::from(first))));
    let pages = snapshot.pages.and_then(|items| std::future::ready(lines(&items)));
    let body = reply::streamed(head.chain(pages));
    let mut answer = reply::with_body(StatusCode::OK, "application/x-ndjson", body);
    answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(answer)
}

fn lines(items: &[SnapshotItem]) -> Result<Bytes, Error> {
    let mut text = Vec::with_capacity(items.len() * 400);
    for item in items {
        serde_json::to_writer(&mut text, item).map_err(|error| Error::internal(error.to_string()))?;
        text.push(b'\n');
    }
    Ok(text.into())
}

#[derive(Deserialize)]
struct DeviceBody {
    device_id: DeviceId,
    device_name: String,
    platform: Option<String>,
    client_version: Option<String>,
}

pub(crate) async fn register(caller: Caller, request: Request) -> Answer {
    let drive = request.app.drive.clone();
    let DeviceBody { device_id, device_name, platform, client_version } = request.json().await?;
    let new = NewDevice { device_id, device_name, platform, client_version };
    match devices::register(&drive, &caller, new).await? {
        (device, true) => reply::created(&device),
        (device, false) => reply::ok(&device),
    }
}

/// Answers again for a device that was registered.
pub(crate) async fn device(caller: Caller, request: Request) -> Answer {
    reply::ok(&devices::get(&request.app.drive, &caller, &request.id("device_id")?).await?)
}

pub(crate) async fn devices(caller: Caller, request: Request) -> Answer {
    reply::ok(&devices::list(&request.app.drive, &caller).await?)
}

pub(crate) async fn remove(caller: Caller, request: Request) -> Answer {
    devices::remove(&request.app.drive, &caller, &request.id("device_id")?).await?;
    Ok(reply::no_content())
}

pub(crate) async fn status(caller: Caller, request: Request) -> Answer {
    let (share, device) = (required_share(&request.query)?, required_device(&request.query)?);
    let status = devices::status(&request.app.drive, &caller, share, &device).await?;
    request.app.metrics.sync.lagging(&device, status.lag);
    reply::ok(&status)
}

pub(crate) async fn set_cursor(caller: Caller, request: Request) -> Answer {
    let query = &request.query;
    let (share, device) = (required_share(query)?, required_device(query)?);
    let position = query.position("position")?.ok_or_else(|| Failure::missing("query", &["position"]))?;
    let outcome = devices::set_cursor(&request.app.drive, &caller, share, &device, position).await;
    reply::ok(&outcome.map_err(|error| Failure::from(error).in_query())?)
}

pub(crate) async fn preferences(caller: Caller, request: Request) -> Answer {
    let (share, device) = (required_share(&request.query)?, required_device(&request.query)?);
    reply::ok(&devices::preferences(&request.app.drive, &caller, share, &device).await?)
}

#[derive(Deserialize)]
struct PreferencesBody {
    mode: SyncMode,
    #[serde(default)]
    folders: Vec<String>,
}

pub(crate) async fn set_preferences(caller: Caller, request: Request) -> Answer {
    let (share, device) = (required_share(&request.query)?, required_device(&request.query)?);
    let drive = request.app.drive.clone();
    let PreferencesBody { mode, folders } = request.json().await?;
    let wanted = Preferences { mode, folders };
    reply::ok(&devices::set_preferences(&drive, &caller, share, &device, wanted).await?)
}

/// Returns the language of a device's socket.
pub(crate) fn follow(request: &Request) -> Result<Language, Failure> {
    Ok(Language::Sync(Follower::new(request.id("device_id")?)))
}

/// Returns the language of a socket that shows what goes on.
#[expect(clippy::unnecessary_wraps, reason = "what every socket's row of the table names")]
pub(crate) fn watch(_request: &Request) -> Result<Language, Failure> {
    Ok(Language::Realtime(Watcher::default()))
}
