//! A request as handlers see it.

use std::str::FromStr;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::Stream;
use hyper::HeaderMap;
use hyper::body::Incoming;
use hyper::header::{CONTENT_LENGTH, CONTENT_TYPE};
use scaidrive_core::model::{Error, Once};
use scaidrive_core::ports::metadata::DoneOnce;
use scaidrive_core::services::identity::RequestInfo;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::Value;
use tokio::io::AsyncRead;
use tokio_util::io::StreamReader;

use crate::app::App;
use crate::body::{self, MAX_JSON};
use crate::errors::{Failure, Fault};
use crate::once::asked_for;
use crate::pointed::{Step, scalar_at};
use crate::query::Query;
use crate::socket::Presence;

/// A request whose route is known and whose caller, if it needs one, was let in.
pub(crate) struct Request {
    /// The server.
    pub(crate) app: App,
    /// Whether it came in on the operators' address.
    pub(crate) for_operators: bool,
    /// Header fields.
    pub(crate) headers: HeaderMap,
    /// Query parameters.
    pub(crate) query: Query,
    /// Parts of the path.
    pub(crate) params: Vec<(String, String)>,
    /// The body, not read yet; nothing where it was read already.
    pub(crate) body: Option<Incoming>,
    /// What it tells about itself, for audit, where no caller does.
    pub(crate) info: RequestInfo,
    /// Whether who asks is still there; nothing where nobody can tell.
    pub(crate) presence: Option<Presence>,
    /// Set where the request must have one effect and had none yet.
    pub(crate) once: Option<Arc<Once>>,
    /// Set where it had its effect already, and only the handler can tell whether it asks for the same.
    pub(crate) done: Option<(DoneOnce, Arc<Once>)>,
}

impl Request {
    /// Returns a request whose body was read already, and that asks for nothing in its header.
    pub(crate) fn without_body(
        app: App,
        for_operators: bool,
        query: Query,
        params: Vec<(String, String)>,
    ) -> Self {
        Self {
            app,
            for_operators,
            headers: HeaderMap::new(),
            query,
            params,
            body: None,
            info: RequestInfo::default(),
            presence: None,
            once: None,
            done: None,
        }
    }

    /// Returns a part of the path.
    pub(crate) fn param(&self, name: &str) -> &str {
        self.params.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value)
    }

    /// Returns an id in the path. Ids are opaque: one that cannot exist is as good as one that does not.
    pub(crate) fn id<T: FromStr>(&self, name: &str) -> Result<T, Failure> {
        self.param(name).parse().map_err(|_| Error::NotFound.into())
    }

    /// Returns the length that the header says the body has.
    pub(crate) fn content_length(&self) -> Option<u64> {
        self.headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
    }

    /// Returns the content type, without surrounding space.
    pub(crate) fn content_type(&self) -> Option<&str> {
        self.headers.get(CONTENT_TYPE)?.to_str().ok().map(str::trim)
    }

    /// Returns the JSON body.
    pub(crate) async fn json<T: DeserializeOwned>(self) -> Result<T, Failure> {
        let text = body::collect(self.body, MAX_JSON).await?;
        if let Some(once) = &self.once {
            // Set once: a request has one body.
            let _ = once.digest.set(asked_for(&self.params, &text));
        }
        parse_json(&text)
    }

    /// Returns a JSON body that may be larger than others; it is not held a second time as a tree of values.
    pub(crate) async fn json_within<T: DeserializeOwned>(self, limit: usize) -> Result<T, Failure> {
        let text = body::collect(self.body, limit).await?;
        let mut reader = serde_json::Deserializer::from_slice(&text);
        let no_json =
            |error: &dyn std::fmt::Display| Failure::bad_request(format!("The body is no JSON: {error}"));
        // Where a word is wanted, null or an object is told like bad syntax.
        let is_shape = |error: &serde_json::Error| {
            let is_a_value = || serde_json::from_slice::<IgnoredAny>(&text).is_ok();
            error.is_data() || (error.to_string().starts_with("expected value") && is_a_value())
        };
        let read = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
            if !is_shape(error.inner()) {
                return no_json(error.inner());
            }
            shape_failure(&error, |way| scalar_at(&text, way))
        })?;
        reader.end().map_err(|error| no_json(&error))?;
        Ok(read)
    }

    /// Returns the fields of a form.
    pub(crate) async fn form(self) -> Result<Query, Failure> {
        const FORM: &str = "application/x-www-form-urlencoded";
        let is_form =
            |told: &str| told.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case(FORM);
        if !self.content_type().is_some_and(is_form) {
            return Err(Failure::bad_request(format!("The body must be {FORM}")));
        }
        Ok(Query::of_form(&body::collect(self.body, MAX_JSON).await?))
    }

    /// Returns the body's bytes, of which there are few.
    pub(crate) async fn bytes(self) -> Result<Bytes, Failure> {
        body::collect(self.body, MAX_JSON).await
    }

    /// Returns the body as a reader.
    pub(crate) fn into_reader(self) -> impl AsyncRead + Send + Unpin + 'static {
        StreamReader::new(self.into_stream())
    }

    /// Returns the body's bytes as they come.
    pub(crate) fn into_stream(self) -> impl Stream<Item = std::io::Result<Bytes>> + Send + Unpin {
        body::stream(self.body)
    }
}

/// Reads JSON: bad syntax is 400, another shape than wanted is 422 and names the field.
pub(crate) fn parse_json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Failure> {
    let value: Value = serde_json::from_slice(bytes)
        .map_err(|error| Failure::bad_request(format!("The body is no JSON: {error}")))?;
    let at = |way: &[Step]| {
        let step = |at: &Value, step: &Step| match step {
            Step::Field(name) => at.get(name).cloned(),
            Step::Element(number) => at.get(number).cloned(),
        };
        way.iter().try_fold(value.clone(), |at, next| step(&at, next)).unwrap_or_default()
    };
    serde_path_to_error::deserialize(&value).map_err(|error| shape_failure(&error, at))
}

/// Returns the failure that names the field which is not as it must be; `at` looks up what was given there.
fn shape_failure(
    error: &serde_path_to_error::Error<serde_json::Error>,
    at: impl Fn(&[Step]) -> Value,
) -> Failure {
    let message = plain(error.inner());
    let mut way: Vec<Step> = error.path().iter().filter_map(step).collect();
    // Serde names what is missing in its message, not in the path.
    let missing = message.strip_prefix("missing field `").and_then(|rest| rest.split('`').next());
    let kind = if missing.is_some() { "missing" } else { "value_error" };
    way.extend(missing.map(|name| Step::Field(name.to_owned())));
    let msg = without_middle(&message);
    let input = at(&way);
    let input = if input.is_object() || input.is_array() { Value::Null } else { short(&input) };
    let loc = std::iter::once("body".to_owned()).chain(way.iter().map(Step::to_string)).collect();
    Failure::invalid(vec![Fault { kind, loc, msg, input }])
}

fn step(segment: &serde_path_to_error::Segment) -> Option<Step> {
    use serde_path_to_error::Segment;
    match segment {
        Segment::Seq { index } => Some(Step::Element(*index)),
        Segment::Map { key } => Some(Step::Field(key.clone())),
        Segment::Enum { .. } | Segment::Unknown => None,
    }
}

/// Returns what is wrong, without where in the text that is: the field says it.
fn plain(error: &serde_json::Error) -> String {
    let message = error.to_string();
    let place = format!(" at line {} column {}", error.line(), error.column());
    match message.strip_suffix(&place).unwrap_or(&message) {
        // What is there is no text.
        "expected value" => "invalid type: expected one of the words that may stand here".to_owned(),
        plain => plain.to_owned(),
    }
}

/// Cuts the middle out of a long message: what was sent stands there, between what was wrong with it and what may be.
fn without_middle(message: &str) -> String {
    const END: usize = 200;
    let length = message.chars().count();
    if length <= 2 * END {
        return message.to_owned();
    }
    let (start, end) = (message.chars().take(END), message.chars().skip(length - END));
    start.chain(['…']).chain(end).collect()
}

/// Cuts a long text: an error must not send back what was sent.
fn short(input: &Value) -> Value {
    match input.as_str() {
        Some(text) if text.chars().nth(200).is_some() => text.chars().take(200).collect::<String>().into(),
        _ => input.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, serde::Deserialize)]
    struct Wanted {
        #[expect(dead_code, reason = "only its shape matters")]
        name: String,
    }

    fn told(body: &[u8]) -> Value {
        parse_json::<Wanted>(body).unwrap_err().detail()
    }

    #[test]
    fn bad_json_says_where_it_is_bad() {
        assert!(told(b"{").as_str().unwrap().starts_with("The body is no JSON"));
        assert!(told(b"\xff").is_string());
        assert_eq!(told(b"{}")[0]["loc"], serde_json::json!(["body", "name"]));
        assert_eq!(told(b"{}")[0]["type"], "missing");
        assert_eq!(told(br#"{"name":7}"#)[0]["loc"], serde_json::json!(["body", "name"]));
        assert_eq!(told(br#"{"name":7}"#)[0]["input"], 7);
        assert_eq!(told(b"[]")[0]["loc"], serde_json::json!(["body"]));
    }

    #[test]
    fn what_was_sent_is_not_sent_back() {
        let huge = format!("\"{}\"", "é".repeat(1 << 19));
        let told = parse_json::<Vec<()>>(huge.as_bytes()).unwrap_err().detail();
        let message = told[0]["msg"].as_str().unwrap();
        assert!(message.starts_with("invalid type: string \"é") && message.ends_with("expected a sequence"));
        assert!(told.to_string().len() < 2000);
    }
}
