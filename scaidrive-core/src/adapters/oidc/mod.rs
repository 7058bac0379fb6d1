//! ScaiKey, or any other OpenID Connect provider: verifies its tokens, and lets people sign in there.
//!
//! `fetch` asks it, `keys` and `cache` hold what it signs with, `claims` judges what tokens say, `sign_in` passes
//! codes and refresh tokens on.

mod cache;
mod claims;
mod fetch;
mod keys;
mod sign_in;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use serde_json::Value;

use cache::{KeyCache, KeyPlaces};
use claims::Rules;
use fetch::{Fetcher, unusable};
use sign_in::Discovery;

use crate::model::{Error, Result, ScopelessTokens};
use crate::ports::{Claims, Clock, Grant, Identity, SignIn};

/// Longer texts are no token, and are not worth parsing.
const LONGEST_TOKEN: usize = 8192;

/// What a token that does not hold is answered: the same whatever is wrong, so that nobody can feel his way.
const REFUSED: Error =
    Error::Unauthenticated { missing: false, reason: "The token is not valid or has expired" };

/// How a provider is reached, and what its tokens must say.
#[derive(Clone)]
pub struct OidcSettings {
    /// Base address of the provider.
    pub url: String,
    /// `iss` of its tokens; nothing for the base address, and those of its tenants.
    pub issuer: Option<String>,
    /// `aud` of its tokens; nothing if it does not matter.
    pub audience: Option<String>,
    /// Where its keys are; nothing to look in the usual places.
    pub jwks_url: Option<String>,
    /// The client we are there.
    pub client_id: Option<String>,
    /// That client's secret; nothing for a public client.
    pub client_secret: Option<String>,
    /// What tokens without an application's scope may do.
    pub scopeless: ScopelessTokens,
}

/// An OpenID Connect provider.
pub struct OidcProvider {
    settings: OidcSettings,
    rules: Rules,
    keys: KeyCache,
    fetcher: Fetcher,
    discovery: Discovery,
    clock: Arc<dyn Clock>,
}

impl fmt::Debug for OidcProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OidcProvider({})", self.settings.url)
    }
}

impl OidcProvider {
    /// Returns the provider; it is asked for nothing before the first token comes.
    pub fn new(mut settings: OidcSettings, clock: Arc<dyn Clock>) -> Result<Self> {
        settings.url.truncate(settings.url.trim_end_matches('/').len());
        let base = settings.url.clone();
        let discovery = format!("{base}/.well-known/openid-configuration");
        let places = settings.jwks_url.clone().map_or_else(
            || KeyPlaces::Found {
                keys: format!("{base}/api/v1/platform/.well-known/jwks.json"),
                discovery: discovery.clone(),
            },
            KeyPlaces::At,
        );
        let fetcher = Fetcher::new()?;
        Ok(Self {
            rules: Rules {
                issuer: settings.issuer.clone(),
                base,
                audience: settings.audience.clone(),
                scopeless: settings.scopeless,
            },
            keys: KeyCache::new(fetcher.clone(), places, Arc::clone(&clock)),
            discovery: Discovery::new(fetcher.clone(), discovery, Arc::clone(&clock)),
            fetcher,
            settings,
            clock,
        })
    }
}

#[async_trait]
impl Identity for OidcProvider {
    async fn verify(&self, token: &str) -> Result<Claims> {
        if token.len() > LONGEST_TOKEN {
            return Err(REFUSED);
        }
        let header = jsonwebtoken::decode_header(token).map_err(|_| REFUSED)?;
        if header.crit.is_some() {
            // It must be refused by who does not understand what is critical (RFC 7515), and we know no extension.
            return Err(REFUSED);
        }
        let says = self.keys.open(token, &header).await?.ok_or(REFUSED)?;
        self.rules.judge(&says, self.clock.now())
    }

    fn jwks(&self) -> Option<Value> {
        None
    }

    fn provider(&self) -> Option<&dyn SignIn> {
        Some(self)
    }
}

#[async_trait]
impl SignIn for OidcProvider {
    fn client_id(&self) -> Option<&str> {
        self.settings.client_id.as_deref()
    }

    async fn authorize_url(&self) -> Result<String> {
        self.discovery.endpoint("authorization_endpoint").await
    }

    async fn exchange(&self, grant: &Grant) -> Result<Value> {
        let document = self.discovery.document().await?;
        let url = endpoint(&document, "token_endpoint", &self.settings.url)?;
        let request = sign_in::request(self.fetcher.client(), &url, &document, &self.settings, grant);
        sign_in::answer(fetch::send(request).await?)
    }

    async fn is_ready(&self) -> bool {
        self.keys.has_keys().await
    }
}

/// Returns an address that a discovery document names; one that is less safe than the document's own is refused.
fn endpoint(document: &Value, name: &str, origin: &str) -> Result<String> {
    let url = document[name].as_str().unwrap_or_default();
    let is_safe =
        url.starts_with("https://") || (url.starts_with("http://") && origin.starts_with("http://"));
    if is_safe {
        return Ok(url.to_owned());
    }
    tracing::warn!(name, "the identity provider's discovery document names no address that can be used");
    Err(unusable())
}
