//! Signing in at the identity provider on behalf of clients that cannot keep a secret.

use serde_json::Value;

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

/// Returns the tokens that the provider gives for a grant.
pub async fn exchange(drive: &Drive, grant: &Grant) -> Result<Value> {
    registered(drive)?.0.exchange(grant).await
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
