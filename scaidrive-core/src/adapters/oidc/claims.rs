//! What a token with a good signature says, judged: issuer, times, audience, tenant, scopes.

use std::str::FromStr;
use std::time::Duration;

use serde_json::Value;

use crate::model::{Error, Result, Scope, ScopelessTokens, TenantRef, Timestamp, UserId, tidy};
use crate::ports::Claims;

/// Clocks may differ by so much.
const LEEWAY: Duration = Duration::from_secs(60);

/// Scopes of OpenID Connect itself: they ask for claims, and grant nothing.
const OIDC_SCOPES: [&str; 6] = ["openid", "profile", "email", "address", "phone", "offline_access"];

/// What a token must say.
#[derive(Clone, Debug)]
pub(super) struct Rules {
    /// The one issuer, where it is set.
    pub(super) issuer: Option<String>,
    /// Base address of the provider: the issuer, and what the issuers of its tenants begin with.
    pub(super) base: String,
    /// Whom tokens are for, where it is set.
    pub(super) audience: Option<String>,
    /// What a token without an application's scope may do.
    pub(super) scopeless: ScopelessTokens,
}

impl Rules {
    /// Returns what the token says, or why it is not good enough.
    pub(super) fn judge(&self, token: &Value, now: Timestamp) -> Result<Claims> {
        let tenant: TenantRef = parsed(token, "tenant_id").ok_or(super::REFUSED)?;
        if !(self.is_issuer(token, &tenant) && self.is_for_us(token) && is_current(token, now)) {
            return Err(super::REFUSED);
        }
        Ok(Claims {
            user: user(token).ok_or(super::REFUSED)?,
            tenant,
            partner: parsed(token, "partner_id"),
            email: text(token, "email"),
            name: text(token, "name"),
            groups: words(&token["groups"]).filter_map(|group| group.parse().ok()).collect(),
            scopes: self.scopes(token)?,
            service_account: text(&token["act"], "client_id").or_else(|| text(&token["act"], "sub")),
            issued_at: time(token, "iat").map_or(Timestamp::default(), at),
            expires_at: at(time(token, "exp").ok_or(super::REFUSED)?),
        })
    }

    fn is_issuer(&self, token: &Value, tenant: &TenantRef) -> bool {
        let Some(told) = token["iss"].as_str() else { return false };
        match &self.issuer {
            Some(issuer) => told == issuer,
            None => told == self.base || told == format!("{}/tenants/{tenant}", self.base),
        }
    }

    fn is_for_us(&self, token: &Value) -> bool {
        let Some(wanted) = &self.audience else { return true };
        let told = &token["aud"];
        told.as_str() == Some(wanted) || words(told).any(|audience| audience == wanted)
    }

    /// Returns our scopes among those of the token. One that is limited to other applications has none of ours;
    /// one that is not limited at all gets what the installation says.
    fn scopes(&self, token: &Value) -> Result<Vec<Scope>> {
        let held = [&token["scope"], &token["scp"]];
        let told: Vec<&str> = held.into_iter().flat_map(spaced).collect();
        if told.iter().all(|scope| OIDC_SCOPES.contains(scope)) {
            return match self.scopeless.scopes() {
                [] => Err(Error::ScopeInsufficient { scope: Scope::FilesRead.as_str() }),
                scopes => Ok(scopes.to_vec()),
            };
        }
        Ok(told.into_iter().filter_map(|scope| scope.parse().ok()).collect())
    }
}

/// Returns whom the token is about; names that our own work goes by in the audit are nobody's.
fn user(token: &Value) -> Option<UserId> {
    parsed(token, "sub").filter(|user: &UserId| !user.as_str().starts_with("system:"))
}

/// Tells whether now is between the token's times, as far as it has them; it must say when it ends.
fn is_current(token: &Value, now: Timestamp) -> bool {
    let (now, leeway) = (now.as_secs(), LEEWAY.as_secs() as i64);
    let begun = |name| match &token[name] {
        Value::Null => true,
        _ => time(token, name).is_some_and(|at| at <= now + leeway),
    };
    time(token, "exp").is_some_and(|at| at > now - leeway) && begun("nbf") && begun("iat")
}

/// Returns whole seconds; a NumericDate may have a fraction (RFC 7519).
fn time(token: &Value, name: &str) -> Option<i64> {
    token[name].as_i64().or_else(|| token[name].as_f64().map(|seconds| seconds.floor() as i64))
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_micros(seconds.saturating_mul(1_000_000))
}

fn text(token: &Value, name: &str) -> Option<String> {
    tidy(token[name].as_str()?)
}

fn parsed<T: FromStr>(token: &Value, name: &str) -> Option<T> {
    token[name].as_str()?.parse().ok()
}

/// Returns the texts of a list; what else is in it counts for nothing.
fn words(value: &Value) -> impl Iterator<Item = &str> {
    value.as_array().into_iter().flatten().filter_map(Value::as_str)
}

/// Returns the words of a text, or of every text of a list.
fn spaced(value: &Value) -> impl Iterator<Item = &str> {
    value.as_str().into_iter().chain(words(value)).flat_map(str::split_whitespace)
}
