//! Failures on the wire: the one place that turns an error of the core into a status and a body.

use std::error::Error as _;
use std::fmt::Write as _;
use std::time::Duration;

use hyper::header::{ALLOW, HeaderName, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use hyper::{Response, StatusCode};
use scaidrive_core::model::{Caller, Error, FieldError};
use scaidrive_core::ports::{Allowance, WINDOW_SECS};
use scaidrive_core::services::journal;
use serde::Serialize;
use serde_json::{Value, json};

use crate::app::App;
use crate::limits;
use crate::reply::{self, Body};

/// A field of a request that does not hold what it must, as the wire says it.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Fault {
    /// What kind of fault it is, for programs.
    #[serde(rename = "type")]
    pub(crate) kind: &'static str,
    /// Where it is: `body`, `query` or `path`, then the way to the field.
    pub(crate) loc: Vec<String>,
    /// What is wrong, for people.
    pub(crate) msg: String,
    /// What was given.
    pub(crate) input: Value,
}

impl Fault {
    fn move_to(&mut self, place: &str) {
        if let Some(first) = self.loc.first_mut() {
            place.clone_into(first);
        }
    }
}

/// Why a request was not answered as asked.
#[derive(Debug)]
pub(crate) struct Failure {
    status: StatusCode,
    code: &'static str,
    message: String,
    details: Value,
    faults: Vec<Fault>,
    retry_after: Option<Duration>,
    header: Option<(HeaderName, HeaderValue)>,
    /// What the log needs to know and the caller must not, or the audit.
    cause: Option<Box<Error>>,
    /// How a limit stands that refused the request.
    allowance: Option<Box<Allowance>>,
}

impl Failure {
    fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            status,
            code,
            message: message.into(),
            details: json!({}),
            faults: Vec::new(),
            retry_after: None,
            header: None,
            cause: None,
            allowance: None,
        }
    }

    /// Returns the failure of a request that cannot be read: path, header, syntax, form.
    pub(crate) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "BAD_REQUEST", message)
    }

    /// Returns the failure of a path that is not known.
    pub(crate) fn no_such_path() -> Self {
        Self::new(StatusCode::NOT_FOUND, "NOT_FOUND", "No such path")
    }

    /// Returns the failure of a known path with another method; the contract has no code of its own for it.
    pub(crate) fn method_not_allowed(allowed: &str) -> Self {
        let allow = HeaderValue::from_str(allowed).ok().map(|value| (ALLOW, value));
        let message = format!("This path takes {allowed}");
        Self { header: allow, ..Self::new(StatusCode::METHOD_NOT_ALLOWED, "METHOD_NOT_ALLOWED", message) }
    }

    /// Returns the failure of a head that is too large.
    pub(crate) fn headers_too_large(limit: usize) -> Self {
        let message = format!("The header fields are larger than {limit} bytes");
        Self::new(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "BAD_REQUEST", message)
    }

    /// Returns the failure of a path and query that are too long.
    pub(crate) fn uri_too_long(limit: usize) -> Self {
        let message = format!("The path and query are longer than {limit} bytes");
        Self::new(StatusCode::URI_TOO_LONG, "BAD_REQUEST", message)
    }

    /// Returns the failure of fields that do not hold what they must.
    pub(crate) fn invalid(faults: Vec<Fault>) -> Self {
        let message = faults.iter().fold(String::new(), |mut all, fault| {
            let gap = if all.is_empty() { "" } else { "; " };
            let name = if fault.loc.len() > 1 { fault.loc[1..].join(".") } else { fault.loc.concat() };
            // Writing to a string cannot fail.
            let _ = write!(all, "{gap}{name}: {}", fault.msg);
            all
        });
        Self { faults, ..Self::new(StatusCode::UNPROCESSABLE_ENTITY, "VALIDATION_FAILED", message) }
    }

    /// Returns the failure of a query parameter.
    pub(crate) fn query(name: &str, message: impl Into<String>, input: &str) -> Self {
        Self::invalid(vec![Fault {
            kind: "value_error",
            loc: vec!["query".to_owned(), name.to_owned()],
            msg: message.into(),
            input: json!(input),
        }])
    }

    /// Returns the failure of parameters that must be there; `place` is `body` or `query`.
    pub(crate) fn missing(place: &str, names: &[&str]) -> Self {
        let fault = |name: &&str| Fault {
            kind: "missing",
            loc: vec![place.to_owned(), (*name).to_owned()],
            msg: "Field required".to_owned(),
            input: Value::Null,
        };
        Self::invalid(names.iter().map(fault).collect())
    }

    /// Returns the failure of a range outside a content of `size` bytes.
    pub(crate) fn range_not_satisfiable(size: u64) -> Self {
        let error = Self::from(Error::RangeNotSatisfiable { size });
        let range = HeaderValue::from_str(&format!("bytes */{size}")).ok();
        Self { header: range.map(|value| (hyper::header::CONTENT_RANGE, value)), ..error }
    }

    /// Returns what is told of a part of a request that was refused, while other parts went through.
    pub(crate) fn of_a_part(self) -> Value {
        json!({
            "status": self.status.as_u16(), "code": self.code, "detail": self.message, "details": self.details,
        })
    }

    /// Returns what is told to people: a text, or every fault found.
    pub(crate) fn detail(&self) -> Value {
        if self.faults.is_empty() { json!(self.message) } else { json!(self.faults) }
    }

    /// Tells whether the request was too large to be read.
    pub(crate) fn is_too_large(&self) -> bool {
        self.status == StatusCode::PAYLOAD_TOO_LARGE
    }

    /// Moves faults that the core cannot place to where the request carried them.
    #[must_use]
    pub(crate) fn in_query(mut self) -> Self {
        self.faults.iter_mut().for_each(|fault| fault.move_to("query"));
        self
    }

    /// Moves faults of this field to the path, which carried it.
    #[must_use]
    pub(crate) fn in_path(mut self, field: &str) -> Self {
        let concerned =
            self.faults.iter_mut().filter(|fault| fault.loc.last().is_some_and(|name| name == field));
        concerned.for_each(|fault| fault.move_to("path"));
        self
    }

    /// Returns its status.
    pub(crate) const fn status(&self) -> StatusCode {
        self.status
    }

    /// Returns what is told of it where there is no answer to carry it.
    pub(crate) fn told(&self) -> Value {
        let mut told = json!({ "code": self.code, "detail": self.message });
        if let Some(wait) = self.retry_after {
            told["retry_after"] = json!(seconds(wait));
        }
        told
    }

    /// Tells how the limit stands that refused the request.
    #[must_use]
    pub(crate) fn with_allowance(self, allowance: Allowance) -> Self {
        Self { allowance: Some(Box::new(allowance)), ..self }
    }

    /// Notes in the audit that a caller was refused, if it was.
    pub(crate) fn note_refusal(&self, app: &App, caller: &Caller, tried: &str) {
        if let Some(error) = &self.cause {
            journal::note_refusal(&app.drive, caller, tried, error);
        }
    }

    /// Logs what is our fault, with every cause down to the root.
    pub(crate) fn log(&self) {
        let Some(error) = self.cause.as_ref().filter(|error| error.is_internal()) else { return };
        let mut causes = format!("{error:?}");
        let mut source = error.source();
        while let Some(cause) = source {
            let _ = write!(causes, ": {cause}");
            source = cause.source();
        }
        tracing::error!(error = %causes, "a request failed, and it is our fault");
    }

    /// Returns the answer, in the body that both generations of clients read.
    pub(crate) fn render(self, request_id: &str) -> Response<Body> {
        let detail = self.detail();
        let mut error = json!({ "code": self.code, "message": self.message, "details": self.details });
        if let Some(wait) = self.retry_after {
            error["retry_after"] = json!(seconds(wait));
        }
        let body = json!({
            "status": "error", "detail": detail, "error": error, "meta": { "request_id": request_id },
        });
        let mut response = reply::json_value(self.status, &body);
        let headers = response.headers_mut();
        if let Some(wait) = self.retry_after {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds(wait)));
        }
        if let Some((name, value)) = self.header {
            headers.insert(name, value);
        }
        if let Some(allowance) = self.allowance {
            limits::write(headers, *allowance);
        }
        response
    }
}

/// Returns whole seconds, never none: a client that waits 0 s comes back at once.
fn seconds(wait: Duration) -> u64 {
    wait.as_secs_f64().ceil().max(1.0) as u64
}

fn status(error: &Error) -> StatusCode {
    match error {
        Error::BadStream { .. } | Error::GrantRefused { unauthorized: false, .. } => StatusCode::BAD_REQUEST,
        Error::Unauthenticated { .. } | Error::GrantRefused { unauthorized: true, .. } => {
            StatusCode::UNAUTHORIZED
        }
        Error::Upstream { timed_out: true, .. } => StatusCode::GATEWAY_TIMEOUT,
        Error::Upstream { timed_out: false, .. } => StatusCode::BAD_GATEWAY,
        Error::PermissionDenied { .. }
        | Error::OwnerOnly { .. }
        | Error::Suspended
        | Error::ScopeInsufficient { .. } => StatusCode::FORBIDDEN,
        Error::NotFound => StatusCode::NOT_FOUND,
        Error::RateLimited { .. } => StatusCode::TOO_MANY_REQUESTS,
        Error::InProgress
        | Error::NameConflict { .. }
        | Error::AlreadyExists { .. }
        | Error::Cycle
        | Error::ChunksMissing { .. }
        | Error::VersionConflict { .. } => StatusCode::CONFLICT,
        Error::Gone { .. } | Error::SessionExpired { .. } | Error::CursorExpired => StatusCode::GONE,
        Error::PreconditionFailed => StatusCode::PRECONDITION_FAILED,
        Error::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
        Error::RangeNotSatisfiable { .. } => StatusCode::RANGE_NOT_SATISFIABLE,
        Error::Invalid { .. } | Error::ChecksumMismatch { .. } => StatusCode::UNPROCESSABLE_ENTITY,
        Error::Unavailable { .. } | Error::TouchExpired => StatusCode::SERVICE_UNAVAILABLE,
        Error::QuotaExceeded { .. } => StatusCode::INSUFFICIENT_STORAGE,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// Returns what is wrong with the body as a whole.
fn fault_of_body(kind: &'static str, msg: String) -> Fault {
    Fault { kind, loc: vec!["body".to_owned()], msg, input: Value::Null }
}

/// The core knows the field, not where the request carried it: the body, unless [`Failure::in_query`] says so.
fn fault(field: FieldError) -> Fault {
    let mut loc = vec!["body".to_owned()];
    // A body of bytes has no fields.
    loc.extend(Some(field.field).filter(|name| name != "body"));
    Fault { kind: "value_error", loc, msg: field.message, input: field.input }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let (status, code) = (status(&error), error.code());
        let mut failure = Self::new(status, code, error.to_string());
        match error {
            Error::Invalid { fields } => return Self::invalid(fields.into_iter().map(fault).collect()),
            Error::ChecksumMismatch { what } => {
                failure.faults = vec![fault_of_body("checksum_mismatch", what)];
            }
            Error::ChunksMissing { missing } => failure.details = json!({ "missing": missing }),
            Error::QuotaExceeded { level } => failure.details = json!({ "level": level }),
            Error::TooLarge { limit } => failure.details = json!({ "limit_bytes": limit }),
            Error::GrantRefused { error, description, .. } => {
                failure.details = json!({ "error": error, "error_description": description });
            }
            Error::Unavailable { retry_after, .. } => failure.retry_after = Some(retry_after),
            Error::RateLimited { dimension, limit, retry_after } => {
                failure.retry_after = Some(retry_after);
                failure.details =
                    json!({ "dimension": dimension, "limit": limit, "window_seconds": WINDOW_SECS });
            }
            Error::InProgress | Error::TouchExpired => failure.retry_after = Some(Duration::from_secs(1)),
            Error::Unauthenticated { missing, .. } => {
                let challenge = if missing { "Bearer" } else { "Bearer error=\"invalid_token\"" };
                failure.header = Some((WWW_AUTHENTICATE, HeaderValue::from_static(challenge)));
            }
            error if error.is_internal() => {
                "Internal error".clone_into(&mut failure.message);
                failure.cause = Some(Box::new(error));
            }
            Error::PermissionDenied { .. }
            | Error::OwnerOnly { .. }
            | Error::ScopeInsufficient { .. }
            | Error::NotFound => failure.cause = Some(Box::new(error)),
            _ => {}
        }
        failure
    }
}

impl From<FieldError> for Failure {
    fn from(field: FieldError) -> Self {
        Self::invalid(vec![fault(field)])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_faults_say_no_more_than_that_they_are_ours() {
        let source = Box::new(std::io::Error::other("SELECT secret FROM /var/lib"));
        for error in [
            Error::Storage { source },
            Error::internal("secret"),
            Error::Corrupt { what: "secret".to_owned() },
        ] {
            let failure = Failure::from(error);
            assert_eq!((failure.status, failure.code), (StatusCode::INTERNAL_SERVER_ERROR, "INTERNAL"));
            assert_eq!(failure.message, "Internal error");
            assert!(failure.cause.is_some());
        }
    }

    #[test]
    fn waiting_is_told_in_whole_seconds() {
        assert_eq!(seconds(Duration::from_millis(1)), 1);
        assert_eq!(seconds(Duration::from_millis(1001)), 2);
    }
}
