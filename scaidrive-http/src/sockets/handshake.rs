//! The handshake (RFC 6455, section 4.2): what a request must say to become a socket, and the answer that makes it one.

use bytes::Bytes;
use hyper::header::{
    CONNECTION, HeaderName, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION,
    UPGRADE,
};
use hyper::upgrade::OnUpgrade;
use hyper::{HeaderMap, Response, StatusCode};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use crate::errors::Failure;
use crate::reply::{self, Body};

/// A request that may become a socket.
pub(crate) struct Handshake {
    accept: String,
    upgrade: OnUpgrade,
}

impl Handshake {
    /// Returns the handshake of a request, or what is wrong with it; `upgrade` is there where the connection can be
    /// turned over, and nothing of the request is still to come on it.
    pub(crate) fn of(headers: &HeaderMap, upgrade: Option<OnUpgrade>) -> Result<Self, Failure> {
        let wants = names(headers, &CONNECTION, "upgrade") && names(headers, &UPGRADE, "websocket");
        let key = headers.get(SEC_WEBSOCKET_KEY).filter(|key| key.len() == 24);
        let speaks = headers.get(SEC_WEBSOCKET_VERSION).is_some_and(|version| version == "13");
        match (key, upgrade) {
            (Some(key), Some(upgrade)) if wants && speaks => {
                Ok(Self { accept: derive_accept_key(key.as_bytes()), upgrade })
            }
            _ => Err(Failure::bad_request(
                "This path speaks WebSocket, version 13: upgrade a GET without a body, over HTTP/1.1",
            )),
        }
    }

    /// Returns the answer that turns the connection over, and what becomes of it.
    pub(super) fn accept(self) -> (Response<Body>, OnUpgrade) {
        let mut response = Response::new(reply::full(Bytes::new()));
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        let headers = response.headers_mut();
        headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
        reply::set(headers, SEC_WEBSOCKET_ACCEPT, &self.accept);
        (response, self.upgrade)
    }
}

/// Tells whether a list in a header field names a word, whatever its case.
fn names(headers: &HeaderMap, field: &HeaderName, word: &str) -> bool {
    let lines = headers.get_all(field).iter().filter_map(|line| line.to_str().ok());
    lines.flat_map(|line| line.split(',')).any(|part| part.trim().eq_ignore_ascii_case(word))
}
