//! Conditions of RFC 9110 §13: whether a client has the current state already, or insists on it.

use std::time::{Duration, SystemTime};

use hyper::HeaderMap;
use hyper::header::{
    CACHE_CONTROL, ETAG, HeaderName, HeaderValue, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE,
    IF_UNMODIFIED_SINCE, LAST_MODIFIED,
};
use scaidrive_core::model::{Sha256Hash, Timestamp};
use scaidrive_core::services::files::IfMatch;

use crate::reply;

/// What tells one state of a thing from another.
#[derive(Clone, Debug)]
pub(crate) struct Validators {
    /// The strong entity tag without its quotes.
    tag: String,
    /// The change, in whole seconds: HTTP knows no finer time.
    modified: SystemTime,
}

/// What the conditions of a request come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Answer.
    Answer,
    /// The client has it.
    NotModified,
    /// The client wanted another state: 412.
    Failed,
}

impl Validators {
    /// Returns the validators of a content: its checksum is its tag.
    pub(crate) fn of_content(checksum: Sha256Hash, modified: Timestamp) -> Self {
        Self::new(checksum.to_string(), modified)
    }

    /// Returns the validators of metadata: a tag over the very body, so that a rename changes it.
    pub(crate) fn of_body(body: &[u8], modified: Timestamp) -> Self {
        Self::new(Sha256Hash::of(body).to_string()[..32].to_owned(), modified)
    }

    fn new(tag: String, modified: Timestamp) -> Self {
        let seconds = u64::try_from(modified.as_secs()).unwrap_or(0);
        Self { tag, modified: SystemTime::UNIX_EPOCH + Duration::from_secs(seconds) }
    }

    /// Tells the client, who may keep what it got but must ask before using it again.
    pub(crate) fn write(&self, headers: &mut HeaderMap) {
        let date = httpdate::fmt_http_date(self.modified);
        reply::set(headers, ETAG, &format!("\"{}\"", self.tag));
        reply::set(headers, LAST_MODIFIED, &date);
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    }

    /// Judges the conditions of a GET or HEAD in the order of RFC 9110 §13.2.2.
    pub(crate) fn judge(&self, headers: &HeaderMap) -> Verdict {
        match tags(headers, &IF_MATCH) {
            Some(wanted) if !self.matches(&wanted) => return Verdict::Failed,
            None if date(headers, &IF_UNMODIFIED_SINCE).is_some_and(|limit| self.modified > limit) => {
                return Verdict::Failed;
            }
            _ => {}
        }
        let known = match tags(headers, &IF_NONE_MATCH) {
            Some(held) => held
                .iter()
                .any(|tag| tag == "*" || tag.trim_start_matches("W/").trim_matches('"') == self.tag),
            None => date(headers, &IF_MODIFIED_SINCE).is_some_and(|since| self.modified <= since),
        };
        if known { Verdict::NotModified } else { Verdict::Answer }
    }

    /// Tells whether a range may be answered: the part the client has is of this very state.
    pub(crate) fn range_applies(&self, headers: &HeaderMap) -> bool {
        let Some(condition) = text(headers, &IF_RANGE) else { return true };
        match httpdate::parse_http_date(condition) {
            Ok(date) => date == self.modified,
            // A weak tag proves nothing about bytes.
            Err(_) => condition.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) == Some(&self.tag),
        }
    }

    /// Tells whether one of the tags names this very state.
    pub(crate) fn matches(&self, wanted: &[String]) -> bool {
        wanted.iter().any(|tag| tag == "*" || *tag == self.tag)
    }
}

/// Returns what a write insists on: content tags or version ids, quoted or not.
pub(crate) fn if_match(headers: &HeaderMap) -> IfMatch {
    IfMatch(tags(headers, &IF_MATCH))
}

/// Returns the tags of a header without their quotes; a weak one keeps its `W/`, and so matches nothing strongly.
fn tags(headers: &HeaderMap, name: &HeaderName) -> Option<Vec<String>> {
    if !headers.contains_key(name) {
        return None;
    }
    let lines = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    let bare = |tag: &str| {
        let tag = tag.trim();
        tag.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(tag).to_owned()
    };
    Some(lines.flat_map(|line| line.split(',')).map(bare).filter(|tag| !tag.is_empty()).collect())
}

fn date(headers: &HeaderMap, name: &HeaderName) -> Option<SystemTime> {
    text(headers, name).and_then(|text| httpdate::parse_http_date(text).ok())
}

fn text<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h str> {
    headers.get(name)?.to_str().ok().map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn validators() -> Validators {
        Validators::new("abc".to_owned(), Timestamp::from_micros(1_700_000_000_500_000))
    }

    fn judge(lines: &[(HeaderName, &'static str)]) -> Verdict {
        validators()
            .judge(&lines.iter().map(|(name, text)| (name.clone(), HeaderValue::from_static(text))).collect())
    }

    const AT: &str = "Tue, 14 Nov 2023 22:13:20 GMT";
    const BEFORE: &str = "Tue, 14 Nov 2023 22:13:19 GMT";

    #[test]
    fn what_the_client_has_is_not_sent_again() {
        for (name, text) in [
            (IF_NONE_MATCH, "\"abc\""),
            (IF_NONE_MATCH, "\"x\", W/\"abc\""),
            (IF_NONE_MATCH, "*"),
            (IF_MODIFIED_SINCE, AT),
        ] {
            assert_eq!(judge(&[(name, text)]), Verdict::NotModified, "{text}");
        }
        assert_eq!(judge(&[(IF_MODIFIED_SINCE, BEFORE)]), Verdict::Answer);
        assert_eq!(judge(&[(IF_MODIFIED_SINCE, "nonsense")]), Verdict::Answer);
        // The tag counts, not the date beside it.
        assert_eq!(judge(&[(IF_NONE_MATCH, "\"x\""), (IF_MODIFIED_SINCE, AT)]), Verdict::Answer);
    }

    #[test]
    fn another_state_fails_the_precondition() {
        assert_eq!(judge(&[(IF_MATCH, "\"x\"")]), Verdict::Failed);
        assert_eq!(judge(&[(IF_MATCH, "W/\"abc\"")]), Verdict::Failed);
        assert_eq!(judge(&[(IF_MATCH, "\"x\", \"abc\"")]), Verdict::Answer);
        assert_eq!(judge(&[(IF_UNMODIFIED_SINCE, BEFORE)]), Verdict::Failed);
    }

    #[test]
    fn a_range_goes_on_only_with_the_same_state() {
        let applies = |text| {
            validators().range_applies(&HeaderMap::from_iter([(IF_RANGE, HeaderValue::from_static(text))]))
        };
        assert!(applies("\"abc\"") && applies(AT));
        assert!(!applies("W/\"abc\"") && !applies("\"x\"") && !applies(BEFORE) && !applies("abc"));
    }
}
