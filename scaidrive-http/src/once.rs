//! `Idempotency-Key`: a repeated request is answered again, from what the first one made.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use hyper::{HeaderMap, StatusCode};
use scaidrive_core::model::{Caller, Error, Once, Sha256Hash};
use scaidrive_core::ports::metadata::DoneOnce;
use scaidrive_core::services::once;

use crate::body::{self, MAX_JSON};
use crate::errors::Failure;
use crate::reply::Answer;
use crate::request::Request;
use crate::routes::{Again, Answering, Route};

/// The longest key.
const MAX_KEY: usize = 128;

type Slot = (String, String, String, String);

/// The requests of this process that must have one effect and are being served now.
#[derive(Default)]
pub(crate) struct UnderWay(Mutex<HashSet<Slot>>);

/// Holds a request's place among them.
struct Claim<'w> {
    under_way: &'w UnderWay,
    slot: Slot,
}

impl UnderWay {
    fn claim(&self, caller: &Caller, once: &Once) -> Result<Claim<'_>, Error> {
        let slot = (caller.tenant.to_string(), caller.user.to_string(), once.route.clone(), once.key.clone());
        let is_first = self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(slot.clone());
        if is_first { Ok(Claim { under_way: self, slot }) } else { Err(Error::InProgress) }
    }
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        self.under_way.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.slot);
    }
}

/// Returns the key of a request that must have one effect.
fn key(headers: &HeaderMap) -> Result<Option<String>, Failure> {
    let Some(value) = headers.get("idempotency-key") else { return Ok(None) };
    let text = value.to_str().unwrap_or_default();
    if (1..=MAX_KEY).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Ok(Some(text.to_owned()));
    }
    Err(Failure::bad_request(format!("Idempotency-Key must have 1 to {MAX_KEY} visible ASCII characters")))
}

/// Serves a request; one that was served before is answered from what it made then.
pub(crate) async fn serve(
    route: &'static Route,
    handler: fn(Caller, Request) -> Answering,
    mut caller: Caller,
    mut request: Request,
) -> Answer {
    let (Some(again), Some(key)) = (route.again, key(&request.headers)?) else {
        return handler(caller, request).await;
    };
    let app = request.app.clone();
    let once = Arc::new(Once::new(key, format!("{} {}", route.method_name(), route.path)));
    let _claim = app.under_way.claim(&caller, &once)?;
    match once::find(&app.drive, &caller, &once).await? {
        None => {
            caller.once = Some(Arc::clone(&once));
            request.once = Some(once);
            handler(caller, request).await
        }
        Some(done) if route.takes == "Upload" => {
            request.done = Some((done, once));
            handler(caller, request).await
        }
        Some(done) => repeat(again, caller, request, &done, &once.key).await,
    }
}

/// Returns a digest of what a request asks for: of what its path names, and of its body.
pub(crate) fn asked_for(params: &[(String, String)], body: &[u8]) -> Sha256Hash {
    let mut all = Vec::new();
    for (_, value) in params {
        all.extend_from_slice(value.as_bytes());
        all.push(0);
    }
    all.extend_from_slice(body);
    Sha256Hash::of(&all)
}

async fn repeat(again: Again, caller: Caller, request: Request, done: &DoneOnce, key: &str) -> Answer {
    let Request { app, for_operators, headers: _, query, mut params, body, .. } = request;
    let text = body::collect(body, MAX_JSON).await?;
    once::check_same(done, asked_for(&params, &text), key)?;
    params.retain(|(name, _)| name != again.param);
    params.push((again.param.to_owned(), done.resource_id.clone()));
    let asked = Request::without_body(app, for_operators, query, params);
    let mut answer = (again.handler)(caller, asked).await?;
    *answer.status_mut() = StatusCode::CREATED;
    Ok(answer)
}
