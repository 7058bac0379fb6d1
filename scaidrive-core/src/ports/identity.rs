//! Who a token speaks for, and where tokens come from.

use std::fmt;

use async_trait::async_trait;
use serde_json::Value;

use crate::model::{GroupId, PartnerId, Result, Scope, TenantRef, Timestamp, UserId};

/// What a verified token says.
#[derive(Clone, Debug)]
pub struct Claims {
    /// The user.
    pub user: UserId,
    /// The tenant the request is pinned to, as the token names it.
    pub tenant: TenantRef,
    /// The partner above it, if the token tells.
    pub partner: Option<PartnerId>,
    /// Address, if the token tells.
    pub email: Option<String>,
    /// Name, if the token tells.
    pub name: Option<String>,
    /// Groups the token claims its user to be in; whether they count is for the use-cases to say.
    pub groups: Vec<GroupId>,
    /// What the token allows; scopes that are not ours are left out.
    pub scopes: Vec<Scope>,
    /// The actor of a delegated token.
    pub service_account: Option<String>,
    /// When it was issued; the epoch where the token does not tell, so that everything counts as later.
    pub issued_at: Timestamp,
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

    /// Tells whether its tokens are minted by nobody but who runs this installation: only such speak for the
    /// administrator that it began with.
    fn is_embedded(&self) -> bool {
        false
    }

    /// Returns the provider that tokens come from, where we are not the issuer.
    fn provider(&self) -> Option<&dyn SignIn> {
        None
    }
}

/// What somebody gets tokens for. It has no `Debug`: nothing of it may reach a log.
pub enum Grant {
    /// A code that a sign-in ended with (RFC 6749, 7636).
    Code {
        /// The code.
        code: String,
        /// Where the browser was sent with it.
        redirect_uri: String,
        /// The secret whose hash the sign-in began with.
        verifier: String,
    },
    /// A refresh token.
    Refresh(String),
}

impl Grant {
    /// Returns its name in OAuth.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Code { .. } => "authorization_code",
            Self::Refresh(_) => "refresh_token",
        }
    }
}

/// An identity provider that people sign in at.
#[async_trait]
pub trait SignIn: Send + Sync + fmt::Debug {
    /// Returns the client we are there; nothing where none is registered.
    fn client_id(&self) -> Option<&str>;

    /// Returns where a browser begins to sign in.
    async fn authorize_url(&self) -> Result<String>;

    /// Returns the provider's answer to a grant: `GrantRefused` if it refuses, `Upstream` if it cannot be asked.
    async fn exchange(&self, grant: &Grant) -> Result<Value>;

    /// Tells whether tokens can be verified: their keys are at hand, or can be fetched now.
    async fn is_ready(&self) -> bool;
}
