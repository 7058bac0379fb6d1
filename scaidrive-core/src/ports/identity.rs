//! Who a token speaks for.

use std::fmt;

use async_trait::async_trait;
use serde_json::Value;

use crate::model::{GroupId, Result, Scope, TenantId, Timestamp, UserId};

/// What a verified token says.
#[derive(Clone, Debug)]
pub struct Claims {
    /// The user.
    pub user: UserId,
    /// The tenant the request is pinned to.
    pub tenant: TenantId,
    /// Address, if the token tells.
    pub email: Option<String>,
    /// Name, if the token tells.
    pub name: Option<String>,
    /// Groups the token claims its user to be in.
    pub groups: Vec<GroupId>,
    /// When it was issued.
    pub issued_at: Timestamp,
    /// What the token allows; scopes that are not ours are left out.
    pub scopes: Vec<Scope>,
    /// The actor of a delegated token.
    pub service_account: Option<String>,
    /// When it expires.
    pub expires_at: Timestamp,
}

/// Verifies tokens: signature, issuer and times; whether its user may act is for the use-cases to say.
#[async_trait]
pub trait Identity: Send + Sync + fmt::Debug {
    /// Returns what a token says, or `Unauthenticated`.
    async fn verify(&self, token: &str) -> Result<Claims>;

    /// Returns the public keys that others verify our tokens with, where we are the issuer.
    fn jwks(&self) -> Option<Value>;
}
