//! Answers: bodies, JSON, streams, and the headers that go with them.

use bytes::Bytes;
use futures_util::{Stream, TryStreamExt};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Frame;
use hyper::header::{
    CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_TYPE, HeaderName, HeaderValue, X_CONTENT_TYPE_OPTIONS,
};
use hyper::{HeaderMap, Response, StatusCode};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use scaidrive_core::model::{Error, Timestamp};
use serde::Serialize;

use crate::conditional::{Validators, Verdict};
use crate::errors::Failure;

/// The body of every answer: bytes at once, or a stream of them.
pub(crate) type Body = UnsyncBoxBody<Bytes, Error>;

/// What a handler comes to.
pub(crate) type Answer = Result<Response<Body>, Failure>;

/// Sets a header field to a text made of checked parts; one that cannot be a field's value is left out.
pub(crate) fn set(headers: &mut HeaderMap, name: HeaderName, text: &str) {
    if let Ok(value) = HeaderValue::from_str(text) {
        headers.insert(name, value);
    }
}

/// Returns a body of bytes that are there already.
pub(crate) fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed_unsync()
}

/// Returns a body of bytes as they come. An error breaks the connection off, so that nobody takes half for all.
pub(crate) fn streamed(bytes: impl Stream<Item = Result<Bytes, Error>> + Send + 'static) -> Body {
    let span = tracing::Span::current();
    let told = bytes.inspect_err(move |error| {
        span.in_scope(|| tracing::error!(error = ?error, "an answer broke off"));
    });
    StreamBody::new(told.map_ok(Frame::data)).boxed_unsync()
}

/// Returns an answer of a type and a body, without a length.
pub(crate) fn with_body(status: StatusCode, content_type: &'static str, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

/// Returns bytes of a type, with their length: a HEAD answers it too.
pub(crate) fn bytes(
    status: StatusCode,
    content_type: &'static str,
    bytes: impl Into<Bytes>,
) -> Response<Body> {
    let bytes = bytes.into();
    let length = HeaderValue::from(bytes.len());
    let mut response = with_body(status, content_type, full(bytes));
    response.headers_mut().insert(CONTENT_LENGTH, length);
    response
}

/// Returns what cannot fail to be written as JSON.
pub(crate) fn json_value(status: StatusCode, value: &serde_json::Value) -> Response<Body> {
    bytes(status, "application/json", value.to_string())
}

/// Returns the JSON text of a value.
pub(crate) fn to_json(value: &impl Serialize) -> Result<Vec<u8>, Failure> {
    serde_json::to_vec(value)
        .map_err(|error| Error::internal(format!("an answer has no JSON: {error}")).into())
}

/// Returns an answer with a JSON body.
pub(crate) fn json(status: StatusCode, value: &impl Serialize) -> Answer {
    Ok(bytes(status, "application/json", to_json(value)?))
}

/// Returns a thing as it is.
pub(crate) fn ok(value: &impl Serialize) -> Answer {
    json(StatusCode::OK, value)
}

/// Returns a thing that was just made.
pub(crate) fn created(value: &impl Serialize) -> Answer {
    json(StatusCode::CREATED, value)
}

/// Returns metadata with a tag over its own body, or 304 to who has it.
pub(crate) fn tagged(asked: &HeaderMap, value: &impl Serialize, modified: Timestamp) -> Answer {
    let body = to_json(value)?;
    let validators = Validators::of_body(&body, modified);
    match validators.judge(asked) {
        Verdict::Failed => return Err(Error::PreconditionFailed.into()),
        Verdict::NotModified => return Ok(not_modified(&validators)),
        Verdict::Answer => {}
    }
    let mut response = bytes(StatusCode::OK, "application/json", body);
    validators.write(response.headers_mut());
    Ok(response)
}

/// Says that the client has it.
pub(crate) fn not_modified(validators: &Validators) -> Response<Body> {
    let mut response = Response::new(full(Bytes::new()));
    *response.status_mut() = StatusCode::NOT_MODIFIED;
    validators.write(response.headers_mut());
    response
}

/// Makes a browser save what comes, under this name (RFC 6266): the name as it is for who reads `filename*`, and
/// an ASCII shadow of it for who does not.
pub(crate) fn as_attachment(headers: &mut HeaderMap, name: &str) {
    const KEPT: &AsciiSet = &NON_ALPHANUMERIC
        .remove(b'!')
        .remove(b'#')
        .remove(b'$')
        .remove(b'&')
        .remove(b'+')
        .remove(b'-')
        .remove(b'.')
        .remove(b'^')
        .remove(b'_')
        .remove(b'`')
        .remove(b'|')
        .remove(b'~');
    let shadow: String =
        name.chars()
            .map(|letter| {
                if matches!(letter, ' '..='~') && !matches!(letter, '"' | '\\' | '%') { letter } else { '_' }
            })
            .collect();
    let value =
        format!("attachment; filename=\"{shadow}\"; filename*=UTF-8''{}", utf8_percent_encode(name, KEPT));
    set(headers, CONTENT_DISPOSITION, &value);
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
}

/// Says that it is done, and there is nothing to show.
pub(crate) fn no_content() -> Response<Body> {
    let mut response = Response::new(full(Bytes::new()));
    *response.status_mut() = StatusCode::NO_CONTENT;
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn disposition(name: &str) -> String {
        let mut headers = HeaderMap::new();
        as_attachment(&mut headers, name);
        headers[CONTENT_DISPOSITION].to_str().unwrap().to_owned()
    }

    #[test]
    fn every_name_survives_the_header() {
        assert_eq!(disposition("plan.odt"), "attachment; filename=\"plan.odt\"; filename*=UTF-8''plan.odt");
        assert_eq!(
            disposition("Übung \"1\";.txt"),
            "attachment; filename=\"_bung _1_;.txt\"; filename*=UTF-8''%C3%9Cbung%20%221%22%3B.txt"
        );
        assert!(disposition("100%.txt").contains("filename=\"100_.txt\""));
    }
}
