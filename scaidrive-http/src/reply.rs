//! Answers: bodies, JSON, streams, and the headers that go with them.

use bytes::Bytes;
use futures_util::{Stream, TryStreamExt};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Frame;
use hyper::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderValue};
use hyper::{Response, StatusCode};
use scaidrive_core::model::Error;
use serde::Serialize;

use crate::errors::Failure;

/// The body of every answer: bytes at once, or a stream of them.
pub type Body = UnsyncBoxBody<Bytes, Error>;

/// What a handler comes to.
pub type Answer = Result<Response<Body>, Failure>;

/// Returns a body of bytes that are there already.
pub fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed_unsync()
}

/// Returns a body of bytes as they come. An error breaks the connection off, so that nobody takes half for all.
pub fn streamed(bytes: impl Stream<Item = Result<Bytes, Error>> + Send + 'static) -> Body {
    let span = tracing::Span::current();
    let told = bytes.inspect_err(move |error| {
        span.in_scope(|| tracing::error!(error = ?error, "an answer broke off"));
    });
    StreamBody::new(told.map_ok(Frame::data)).boxed_unsync()
}

/// Returns an answer of a type and a body, without a length.
pub fn with_body(status: StatusCode, content_type: &'static str, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

/// Returns bytes of a type, with their length: a HEAD answers it too.
pub fn bytes(status: StatusCode, content_type: &'static str, bytes: impl Into<Bytes>) -> Response<Body> {
    let bytes = bytes.into();
    let length = HeaderValue::from(bytes.len());
    let mut response = with_body(status, content_type, full(bytes));
    response.headers_mut().insert(CONTENT_LENGTH, length);
    response
}

/// Returns what cannot fail to be written as JSON.
pub fn json_value(status: StatusCode, value: &serde_json::Value) -> Response<Body> {
    bytes(status, "application/json", value.to_string())
}

/// Returns the JSON text of a value.
pub fn to_json(value: &impl Serialize) -> Result<Vec<u8>, Failure> {
    serde_json::to_vec(value).map_err(|error| Error::internal(format!("an answer has no JSON: {error}")).into())
}

/// Returns an answer with a JSON body.
pub fn json(status: StatusCode, value: &impl Serialize) -> Answer {
    Ok(bytes(status, "application/json", to_json(value)?))
}

/// Returns a thing as it is.
pub fn ok(value: &impl Serialize) -> Answer {
    json(StatusCode::OK, value)
}

/// Returns a thing that was just made.
pub fn created(value: &impl Serialize) -> Answer {
    json(StatusCode::CREATED, value)
}

/// Says that it is done, and there is nothing to show.
pub fn no_content() -> Answer {
    let mut response = Response::new(full(Bytes::new()));
    *response.status_mut() = StatusCode::NO_CONTENT;
    Ok(response)
}
