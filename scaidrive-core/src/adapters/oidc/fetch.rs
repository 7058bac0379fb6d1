//! Asking the provider over HTTP: soon, not too much, and nobody else.

use std::time::Duration;

use reqwest::redirect::{Attempt, Policy};
use reqwest::{Client, RequestBuilder, StatusCode};
use serde_json::Value;

use crate::model::{Error, Result};

/// The provider must answer within this, connecting included.
const PATIENCE: Duration = Duration::from_secs(5);

/// The largest answer that is read, in bytes.
const LONGEST_ANSWER: usize = 1 << 20;

/// How often an address may send us on.
const REDIRECTS: usize = 3;

/// How errors call the provider.
const PROVIDER: &str = "The identity provider";

/// Fetches JSON from the provider.
#[derive(Clone, Debug)]
pub(super) struct Fetcher(Client);

impl Fetcher {
    /// Returns a fetcher with the system's certificates.
    pub(super) fn new() -> Result<Self> {
        let client = Client::builder()
            .timeout(PATIENCE)
            .connect_timeout(PATIENCE)
            .redirect(Policy::custom(follow_at_home))
            .user_agent(concat!("scaidrive/", env!("CARGO_PKG_VERSION")))
            .build();
        client.map(Self).map_err(|error| Error::internal(format!("no HTTP client: {error}")))
    }

    /// Returns the client, for requests that are more than a GET.
    pub(super) const fn client(&self) -> &Client {
        &self.0
    }

    /// Returns the JSON at an address; anything but 200 is a failure.
    pub(super) async fn json(&self, url: &str) -> Result<Value> {
        let (status, body) = send(self.0.get(url)).await?;
        if status == StatusCode::OK {
            return body.ok_or_else(unusable);
        }
        tracing::debug!(url, status = status.as_u16(), "the identity provider has nothing there");
        Err(unusable())
    }
}

/// Sends a request; returns the status, and the body if it is JSON.
pub(super) async fn send(request: RequestBuilder) -> Result<(StatusCode, Option<Value>)> {
    let mut response = request.send().await.map_err(failed)?;
    let status = response.status();
    let mut body = Vec::new();
    while let Some(part) = response.chunk().await.map_err(failed)? {
        if body.len() + part.len() > LONGEST_ANSWER {
            tracing::warn!("the identity provider's answer is longer than 1 MiB");
            return Err(unusable());
        }
        body.extend_from_slice(&part);
    }
    Ok((status, serde_json::from_slice(&body).ok()))
}

/// Follows a redirect on the same host only, and never away from TLS: keys from elsewhere sign for elsewhere.
fn follow_at_home(attempt: Attempt<'_>) -> reqwest::redirect::Action {
    let same = attempt.previous().last().is_some_and(|from| {
        let to = attempt.url();
        (from.host_str(), from.port_or_known_default()) == (to.host_str(), to.port_or_known_default())
            && from.scheme() == to.scheme()
    });
    if same && attempt.previous().len() <= REDIRECTS { attempt.follow() } else { attempt.stop() }
}

fn failed(error: reqwest::Error) -> Error {
    let timed_out = error.is_timeout();
    tracing::warn!(error = ?error.without_url(), "the identity provider cannot be asked");
    Error::Upstream { what: PROVIDER, timed_out }
}

/// Returns the failure of an answer that is none.
pub(super) const fn unusable() -> Error {
    Error::Upstream { what: PROVIDER, timed_out: false }
}
