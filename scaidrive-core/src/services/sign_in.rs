//! Signing in at the identity provider on behalf of clients that cannot keep a secret.

use serde_json::Value;

use super::identity::{self, RequestInfo};
use crate::Drive;
use crate::model::{Error, Result};
use crate::ports::{Grant, SignIn};

/// What a client needs to begin a sign-in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Where a browser begins.
    pub authorize_url: String,
    /// The client to sign in as.
    pub client_id: String,
}

/// Returns where to sign in; `NotFound` where there is no provider, or no client is registered there.
pub async fn entry(drive: &Drive) -> Result<Entry> {
    let (provider, client_id) = registered(drive)?;
    Ok(Entry { authorize_url: provider.authorize_url().await?, client_id: client_id.to_owned() })
}

/// Returns the tokens that the provider gives for a grant. Whom they speak for has signed in with that: this is noted
/// here, and not again when the token is used. A refusal of the provider's names nobody; it is only logged.
pub async fn exchange(drive: &Drive, grant: &Grant, request: RequestInfo) -> Result<Value> {
    let tokens = registered(drive)?.0.exchange(grant).await?;
    if let (Some(identity), Some(token)) = (&drive.identity, tokens["access_token"].as_str()) {
        // Whatever is wrong with it will be said when it is used; the provider gave it, and it may be good once only.
        if let Err(error) = identity::let_in(drive, identity.as_ref(), token, request, grant.kind()).await {
            tracing::info!(%error, "the provider gave a token that lets nobody in here");
        }
    }
    Ok(tokens)
}

/// Tells whether tokens can be verified; nothing where there is no provider.
pub async fn is_ready(drive: &Drive) -> Option<bool> {
    Some(provider(drive)?.is_ready().await)
}

/// Tells whether people sign in at a provider.
pub fn has_provider(drive: &Drive) -> bool {
    provider(drive).is_some()
}

fn provider(drive: &Drive) -> Option<&dyn SignIn> {
    drive.identity.as_ref()?.provider()
}

fn registered(drive: &Drive) -> Result<(&dyn SignIn, &str)> {
    let provider = provider(drive).ok_or(Error::NotFound)?;
    Ok((provider, provider.client_id().ok_or(Error::NotFound)?))
}
