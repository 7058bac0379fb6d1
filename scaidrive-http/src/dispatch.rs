//! What happens to every request on its way to its handler and back: id, limits, route, caller, failure, log.

use std::net::{IpAddr, SocketAddr};
use std::panic::AssertUnwindSafe;
use std::time::Instant;

use futures_util::FutureExt;
use hyper::body::{Body as _, Incoming};
use hyper::header::{AUTHORIZATION, CONNECTION, CONTENT_LENGTH, HeaderName, HeaderValue, USER_AGENT};
use hyper::upgrade::OnUpgrade;
use hyper::{HeaderMap, Method, Response, StatusCode, Version};
use percent_encoding::percent_decode_str;
use scaidrive_core::model::{Caller, DeviceId, Error, Scope};
use scaidrive_core::ports::Allowance;
use scaidrive_core::services::identity::{self, RequestInfo};
use tracing::Instrument;

use crate::app::App;
use crate::errors::Failure;
use crate::query::Query;
use crate::reply::{Answer, Body};
use crate::request::Request;
use crate::routes::{Answering, Audience, Endpoint, Found, Route, Speaks};
use crate::socket::Presence;
use crate::sockets::{self, Admission, Ending, Handshake, Token};
use crate::{limits, once, telemetry};

/// The most bytes of path, query and header fields, together and each: what proxies allow.
const MAX_HEAD: usize = 8 << 10;

/// The longest request id that is taken over.
const MAX_REQUEST_ID: usize = 128;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Names the device that asks; what it changes carries the name, so that it knows its own changes again.
const DEVICE_ID: HeaderName = HeaderName::from_static("x-device-id");

/// Where a request comes from.
#[derive(Clone)]
pub(crate) struct Origin {
    /// Which listener took it.
    pub(crate) audience: Audience,
    /// The other end of the connection.
    pub(crate) peer: SocketAddr,
    /// Whether that is still there.
    pub(crate) presence: Presence,
}

/// Answers a request, whatever it holds.
pub(crate) async fn answer(app: App, origin: Origin, request: hyper::Request<Incoming>) -> Response<Body> {
    let began = Instant::now();
    let id = request_id(&app, request.headers());
    let found = find(&app, origin.audience, &request);
    let (method, path) =
        found.as_ref().map_or(("OTHER", "(none)"), |(route, _)| (route.method_name(), route.path));
    let has_body = has_body(&request);
    let takes_no_body = has_body && found.as_ref().is_ok_and(|(route, _)| route.takes.is_empty());
    let is_counted =
        origin.audience == Audience::Public && found.as_ref().map_or(true, |(route, _)| route.cost > 0);
    let address = limits::client_address(&app.config.trusted_proxies, origin.peer.ip(), request.headers());
    let span = tracing::info_span!(
        "request", request_id = %id, method, path, tenant_id = tracing::field::Empty, user_id = tracing::field::Empty
    );
    telemetry::begin(&span, request.headers(), method, path);
    let work = async {
        let outcome = match found {
            Ok(matched) => guarded(&app, matched, (origin, address), &id, request).await,
            Err(failure) => Err(failure),
        };
        let response = outcome.unwrap_or_else(|failure| {
            failure.log();
            failure.render(&id)
        });
        let took = began.elapsed();
        tracing::info!(status = response.status().as_u16(), ms = took.as_millis() as u64, "answered");
        app.metrics.answered(method, path, response.status().as_u16(), took);
        telemetry::end(&tracing::Span::current(), response.status());
        response
    };
    let mut response = work.instrument(span).await;
    if let Ok(value) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    if is_counted && !limits::is_told(response.headers()) {
        limits::tell_address(&app, address, response.headers_mut()).await;
    }
    let is_refused = response.status().is_client_error() || response.status().is_server_error();
    if takes_no_body || (has_body && is_refused) {
        // What is left of the body would be read as the next request: the client must not send one after it.
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// Tells whether a request has a body on a connection where the next request follows it: HTTP/2 keeps them apart.
fn has_body(request: &hyper::Request<Incoming>) -> bool {
    request.version() <= Version::HTTP_11 && !request.body().is_end_stream()
}

/// Returns the client's own request id if it is a decent one, else a new one.
fn request_id(app: &App, headers: &HeaderMap) -> String {
    let given = headers.get(REQUEST_ID).and_then(|value| value.to_str().ok());
    let decent =
        |id: &&str| (1..=MAX_REQUEST_ID).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_graphic());
    given.filter(decent).map_or_else(|| app.drive.ids.ulid().to_string(), str::to_owned)
}

type Params = Vec<(String, String)>;
type Matched = (&'static Route, Params);
/// Where a request comes from, and the address it counts against.
type Whence = (Origin, IpAddr);

fn find(app: &App, audience: Audience, request: &hyper::Request<Incoming>) -> Result<Matched, Failure> {
    let uri = request.uri();
    if uri.path_and_query().map_or(0, |text| text.as_str().len()) > MAX_HEAD {
        return Err(Failure::uri_too_long(MAX_HEAD));
    }
    let fields: usize =
        request.headers().iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
    if fields > MAX_HEAD {
        return Err(Failure::headers_too_large(MAX_HEAD));
    }
    match app.router.find(request.method(), uri.path(), audience) {
        Found::Route(route, params) => Ok((route, decoded(params)?)),
        Found::OtherMethods(allowed) => Err(Failure::method_not_allowed(&allowed)),
        Found::Nothing => Err(Failure::no_such_path()),
    }
}

fn decoded(params: Params) -> Result<Params, Failure> {
    let decode = |(name, value): (String, String)| match percent_decode_str(&value).decode_utf8() {
        Ok(text) => Ok((name, text.into_owned())),
        Err(_) => Err(Failure::bad_request("The path is not UTF-8")),
    };
    params.into_iter().map(decode).collect()
}

/// Runs the handler so that a panic in it costs one answer, not the connection of many.
async fn guarded(
    app: &App,
    matched: Matched,
    origin: Whence,
    id: &str,
    request: hyper::Request<Incoming>,
) -> Answer {
    let handled = AssertUnwindSafe(handle(app, matched, origin, id, request)).catch_unwind().await;
    handled.unwrap_or_else(|_| Err(Error::internal("a handler panicked").into()))
}

async fn handle(
    app: &App,
    (route, params): Matched,
    (origin, address): Whence,
    id: &str,
    request: hyper::Request<Incoming>,
) -> Answer {
    let sent = request.body().size_hint().exact();
    let wants_body = request.method() != Method::HEAD;
    let (mut head, body) = request.into_parts();
    let upgrade = head.extensions.remove().filter(|_| wants_body && sent == Some(0));
    let request = Request {
        for_operators: origin.audience == Audience::Operators,
        info: info(route, &head.headers, address, id),
        headers: head.headers,
        body: Some(body),
        presence: Some(origin.presence),
        ..Request::without_body(app.clone(), false, Query::parse(head.uri.query()), params)
    };
    let (allowance, answer) = match route.endpoint {
        Endpoint::Public(handler) => {
            (limits::count_public(app, address, route.cost).await?, handler(request).await)
        }
        Endpoint::Socket(scope, language) => {
            open_socket(app, (route, scope, language), (address, upgrade), request).await?
        }
        Endpoint::User(scope, handler) => {
            let in_bytes = route.by_bytes.map_or(0, |most| sent.unwrap_or(most));
            answer_user(app, (route, scope, handler), (address, in_bytes, wants_body), request).await?
        }
    };
    let Some(allowance) = allowance else { return answer };
    match answer {
        Ok(mut response) => {
            limits::write(response.headers_mut(), allowance);
            Ok(response)
        }
        Err(failure) => Err(failure.with_allowance(allowance)),
    }
}

/// How the limits stand, where something was counted, and the answer.
type Counted = (Option<Allowance>, Answer);

/// Answers who has a token.
async fn answer_user(
    app: &App,
    (route, scope, handler): (&'static Route, Scope, fn(Caller, Request) -> Answering),
    (address, in_bytes, wants_body): (IpAddr, u64, bool),
    request: Request,
) -> Result<Counted, Failure> {
    let missing = Error::Unauthenticated { missing: true, reason: "A bearer token is needed" };
    let token = bearer(&request.headers).ok_or(missing)?.to_owned();
    let caller = authenticate(app, &token, address, request.info.clone()).await?;
    let caller = Caller { device: device(&request.headers)?, ..caller };
    let cost = u32::from(route.cost) + limits::units_of_bytes(&caller, in_bytes);
    let allowance = limits::count(app, &caller, &token, cost).await?;
    let answer = serve(app, (scope, handler), caller.clone(), (route, request)).await;
    match answer {
        Ok(response) if route.by_bytes.is_some() && wants_body => {
            let cost = limits::units_of_bytes(&caller, length(&response));
            let more = limits::count(app, &caller, &token, cost).await?;
            Ok((more.or(allowance), Ok(response)))
        }
        answer => Ok((allowance, answer)),
    }
}

/// Turns a request into a socket; `upgrade` is there where its connection can be turned over.
async fn open_socket(
    app: &App,
    (route, scope, language): (&'static Route, Scope, Speaks),
    (address, upgrade): (IpAddr, Option<OnUpgrade>),
    request: Request,
) -> Result<Counted, Failure> {
    let handshake = Handshake::of(&request.headers, upgrade)?;
    // Browsers cannot send a header field with a socket; nothing else reads a token from there.
    let token = bearer(&request.headers).or_else(|| request.query.text("token")).unwrap_or_default();
    let comer = Comer { token: token.to_owned(), address, info: request.info.clone() };
    let (admission, allowance) = admit(app, route, scope, &comer).await?;
    let language = language(&request)?;
    Ok((allowance, Ok(sockets::open(app, handshake, admission, Token(comer.token), language))))
}

/// Who wants to open a socket.
struct Comer {
    /// Empty where there is none.
    token: String,
    address: IpAddr,
    info: RequestInfo,
}

/// Lets somebody onto a socket, or only so far as to be told why not.
async fn admit(
    app: &App,
    route: &Route,
    scope: Scope,
    comer: &Comer,
) -> Result<(Admission, Option<Allowance>), Failure> {
    if comer.token.is_empty() {
        let allowance = limits::count_public(app, comer.address, route.cost).await?;
        return Ok((Err(Ending::UNAUTHENTICATED), allowance));
    }
    let caller = match authenticate(app, &comer.token, comer.address, comer.info.clone()).await {
        Ok(caller) => caller,
        Err(failure) => match failure.status() {
            StatusCode::UNAUTHORIZED => return Ok((Err(Ending::UNAUTHENTICATED), None)),
            StatusCode::FORBIDDEN => return Ok((Err(Ending::FORBIDDEN), None)),
            _ => return Err(failure),
        },
    };
    let allowance = limits::count(app, &caller, &comer.token, route.cost.into()).await?;
    if caller.has_scope(scope) {
        return Ok((Ok(caller), allowance));
    }
    Failure::from(Error::ScopeInsufficient { scope: scope.as_str() }).note_refusal(
        app,
        &caller,
        &comer.info.tried,
    );
    Ok((Err(Ending::FORBIDDEN), allowance))
}

/// Returns the bytes that an answer is going to send, as far as it tells: they are not made yet.
fn length(response: &Response<Body>) -> u64 {
    let told = response.headers().get(CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    told.and_then(|text| text.parse().ok()).unwrap_or(0)
}

async fn serve(
    app: &App,
    (scope, handler): (Scope, fn(Caller, Request) -> Answering),
    caller: Caller,
    (route, request): (&'static Route, Request),
) -> Answer {
    let (who, tried) = (caller.clone(), request.info.tried.clone());
    let answer = if caller.has_scope(scope) {
        once::serve(route, handler, caller, request).await
    } else {
        Err(Error::ScopeInsufficient { scope: scope.as_str() }.into())
    };
    answer.inspect_err(|failure| failure.note_refusal(app, &who, &tried))
}

/// Returns what a request tells about itself: what it asks for by the route's template, never what was sent.
fn info(route: &Route, headers: &HeaderMap, address: IpAddr, id: &str) -> RequestInfo {
    let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    RequestInfo {
        request_id: id.to_owned(),
        ip: Some(address.to_string()),
        user_agent: text(USER_AGENT).map(|agent| agent.chars().take(255).collect()),
        tried: format!("{} {}", route.method_name(), route.path),
    }
}

async fn authenticate(app: &App, token: &str, address: IpAddr, info: RequestInfo) -> Result<Caller, Failure> {
    limits::check_address(app, address).await?;
    let caller = match identity::authenticate(&app.drive, token, info).await {
        Err(error @ Error::Unauthenticated { .. }) => {
            // No tenant's log can tell of it: whoever it was is known to none.
            tracing::info!(%address, reason = %error, "a token was refused");
            limits::count_bad_token(app, address).await;
            return Err(error.into());
        }
        outcome => outcome?,
    };
    let span = tracing::Span::current();
    span.record("tenant_id", tracing::field::display(caller.tenant));
    span.record("user_id", tracing::field::display(&caller.user));
    Ok(caller)
}

fn device(headers: &HeaderMap) -> Result<Option<DeviceId>, Failure> {
    let read = |value: &HeaderValue| std::str::from_utf8(value.as_bytes()).ok()?.parse().ok();
    let malformed = || Failure::bad_request("X-Device-Id must have 1 to 128 printable characters");
    headers.get(DEVICE_ID).map(|value| read(value).ok_or_else(malformed)).transpose()
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim()).filter(|token| !token.is_empty())
}
