//! What the server's answers mean.

use std::time::Duration;

use bytes::Bytes;
use reqwest::Response;
use reqwest::header::RETRY_AFTER;
use serde::Deserialize;
use serde_json::Value;

use crate::error::{Error, Result};

/// The longest error that is read, in bytes.
const MAX_ERROR: usize = 64 << 10;

/// Returns what a failed request means; the address is left out, for a query may tell too much.
pub(super) fn unreachable(error: reqwest::Error) -> Error {
    let mut text = error.without_url().to_string();
    text.truncate(text.floor_char_boundary(300));
    Error::Offline(text)
}

/// Returns what an answer that is no success means.
pub(super) async fn refusal(response: Response) -> Error {
    let status = response.status().as_u16();
    let waits = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
    let body = response.bytes().await.unwrap_or_default();
    of_body(status, waits, &body[..body.len().min(MAX_ERROR)])
}

fn of_body(status: u16, waits: Option<u64>, body: &[u8]) -> Error {
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    let code = body["error"]["code"].as_str().unwrap_or_default();
    let message = body["error"]["message"].as_str().or(body["detail"].as_str());
    let detail = message.map_or_else(|| format!("status {status}"), str::to_owned);
    let waits = body["error"]["retry_after"].as_u64().or(waits).map(Duration::from_secs);
    match Error::of_code(status, code, &detail) {
        Error::Busy { reason, .. } => Error::Busy { reason, retry_after: waits },
        error => error,
    }
}

#[derive(Deserialize)]
struct Receipts {
    results: Vec<Receipt>,
}

/// What became of a frame that was sent.
#[derive(Deserialize)]
struct Receipt {
    status: String,
    #[serde(default)]
    code: String,
}

/// Fails if a frame was not taken.
pub(super) fn check_receipts(body: &Bytes) -> Result<()> {
    let receipts: Receipts =
        serde_json::from_slice(body).map_err(|error| Error::Garbled(error.to_string()))?;
    match receipts.results.iter().find(|receipt| receipt.status == "error") {
        Some(refused) => Err(Error::Damaged(format!("a chunk that was sent ({})", refused.code))),
        None => Ok(()),
    }
}

/// Cuts a stream into lines.
#[derive(Debug, Default)]
pub(super) struct Lines {
    bytes: Vec<u8>,
    /// Up to where there is no end of a line.
    seen: usize,
}

impl Lines {
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Returns the next whole line.
    pub(super) fn next(&mut self) -> Option<Vec<u8>> {
        let Some(end) = self.bytes[self.seen..].iter().position(|byte| *byte == b'\n') else {
            self.seen = self.bytes.len();
            return None;
        };
        let rest = self.bytes.split_off(self.seen + end + 1);
        let mut line = std::mem::replace(&mut self.bytes, rest);
        line.pop();
        self.seen = 0;
        Some(line)
    }

    /// Returns what came after the last line.
    pub(super) fn rest(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.bytes)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn errors_are_understood_by_status_and_code() {
        let body = |code: &str| {
            let body = serde_json::json!({
                "status": "error", "detail": "words", "error": { "code": code, "message": "words", "retry_after": 7 },
            });
            serde_json::to_vec(&body).unwrap()
        };
        assert!(matches!(of_body(410, None, &body("CURSOR_EXPIRED")), Error::CursorExpired));
        assert!(matches!(of_body(410, None, &body("GONE")), Error::NotFound(_)));
        assert!(matches!(of_body(507, None, &body("QUOTA_EXCEEDED")), Error::Full(_)));
        let busy = of_body(429, None, &body("RATE_LIMITED"));
        assert!(
            matches!(busy, Error::Busy { retry_after: Some(wait), .. } if wait.as_secs() == 7),
            "{busy:?}"
        );
        let proxy = of_body(503, Some(3), b"<html>");
        assert!(
            matches!(proxy, Error::Busy { retry_after: Some(wait), .. } if wait.as_secs() == 3),
            "{proxy:?}"
        );
    }

    proptest! {
        #[test]
        fn lines_are_the_same_however_they_arrive(text in "[a-c\n]{0,60}", size in 1..20usize) {
            let (mut lines, mut found) = (Lines::default(), Vec::new());
            for part in text.as_bytes().chunks(size) {
                lines.push(part);
                while let Some(line) = lines.next() {
                    found.push(line);
                }
            }
            found.push(lines.rest());
            let wanted: Vec<&[u8]> = text.as_bytes().split(|byte| *byte == b'\n').collect();
            prop_assert_eq!(found, wanted);
        }
    }
}
