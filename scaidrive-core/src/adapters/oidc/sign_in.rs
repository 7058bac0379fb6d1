//! Signing in: the discovery document, and what the token endpoint is asked and answers.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use form_urlencoded::{Serializer, byte_serialize};
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use reqwest::{Client, RequestBuilder, StatusCode};
use serde_json::Value;
use tokio::sync::Mutex;

use super::fetch::{Fetcher, unusable};
use super::{OidcSettings, endpoint};
use crate::model::{Error, Result, Timestamp};
use crate::ports::{Clock, Grant};

/// The document is good for so long.
const FRESH: Duration = Duration::from_secs(5 * 60);

/// The longest text of the provider that is passed on, in characters.
const LONGEST_WORDS: usize = 300;

/// The provider's discovery document, kept.
pub(super) struct Discovery {
    fetcher: Fetcher,
    url: String,
    clock: Arc<dyn Clock>,
    held: Mutex<Option<(Timestamp, Arc<Value>)>>,
}

impl Discovery {
    pub(super) fn new(fetcher: Fetcher, url: String, clock: Arc<dyn Clock>) -> Self {
        Self { fetcher, url, clock, held: Mutex::default() }
    }

    /// Returns the document; an old one if no newer can be had.
    pub(super) async fn document(&self) -> Result<Arc<Value>> {
        let mut held = self.held.lock().await;
        let now = self.clock.now();
        if let Some((at, document)) = held.as_ref()
            && now.since(*at) < FRESH
        {
            return Ok(Arc::clone(document));
        }
        match (self.fetcher.json(&self.url).await, held.as_ref()) {
            (Ok(document), _) => {
                let document = Arc::new(document);
                *held = Some((now, Arc::clone(&document)));
                Ok(document)
            }
            (Err(_), Some((_, old))) => Ok(Arc::clone(old)),
            (Err(error), None) => Err(error),
        }
    }

    /// Returns an address that the document names.
    pub(super) async fn endpoint(&self, name: &str) -> Result<String> {
        endpoint(&*self.document().await?, name, &self.url)
    }
}

/// Returns the request that a grant is put into, in our own name.
pub(super) fn request(
    client: &Client,
    url: &str,
    document: &Value,
    settings: &OidcSettings,
    grant: &Grant,
) -> RequestBuilder {
    let mut form = Serializer::new(String::new());
    form.append_pair("grant_type", grant.kind());
    match grant {
        Grant::Code { code, redirect_uri, verifier } => {
            form.append_pair("code", code);
            form.append_pair("redirect_uri", redirect_uri).append_pair("code_verifier", verifier);
        }
        Grant::Refresh(token) => {
            form.append_pair("refresh_token", token);
        }
    }
    let id = settings.client_id.as_deref().unwrap_or_default();
    let mut request = client.post(url).header(ACCEPT, "application/json");
    match &settings.client_secret {
        Some(secret) if takes_basic(document) => request = request.header(AUTHORIZATION, basic(id, secret)),
        Some(secret) => drop(form.append_pair("client_id", id).append_pair("client_secret", secret)),
        None => drop(form.append_pair("client_id", id)),
    }
    request.header(CONTENT_TYPE, "application/x-www-form-urlencoded").body(form.finish())
}

/// Tells whether the secret goes into a header field: every provider takes that unless it says otherwise.
fn takes_basic(document: &Value) -> bool {
    let told = document["token_endpoint_auth_methods_supported"].as_array();
    told.is_none_or(|methods| {
        let has = |name: &str| methods.iter().any(|method| method == name);
        has("client_secret_basic") || !has("client_secret_post")
    })
}

/// Returns the credentials of a client, each encoded before they are joined (RFC 6749, 2.3.1).
fn basic(id: &str, secret: &str) -> String {
    let encode = |text: &str| byte_serialize(text.as_bytes()).collect::<String>();
    format!("Basic {}", STANDARD.encode(format!("{}:{}", encode(id), encode(secret))))
}

/// Returns tokens, or what the provider has against it.
pub(super) fn answer((status, body): (StatusCode, Option<Value>)) -> Result<Value> {
    if status.is_success() {
        return body.filter(|body| body["access_token"].is_string()).ok_or_else(unusable);
    }
    if status == StatusCode::TOO_MANY_REQUESTS {
        return Err(Error::unavailable("the identity provider is too busy", Duration::from_secs(10)));
    }
    if !status.is_client_error() {
        tracing::warn!(status = status.as_u16(), "the identity provider failed");
        return Err(unusable());
    }
    let body = body.unwrap_or_default();
    let words = |name: &str| Some(body[name].as_str()?.chars().take(LONGEST_WORDS).collect::<String>());
    let error = words("error").unwrap_or_else(|| "invalid_request".to_owned());
    tracing::info!(status = status.as_u16(), error, "the identity provider refused a grant");
    let unauthorized = status == StatusCode::UNAUTHORIZED;
    Err(Error::GrantRefused { unauthorized, error, description: words("error_description") })
}
