//! `scaidrive token`.

use std::sync::Arc;

use scaidrive_core::adapters::issuer::EmbeddedIssuer;
use scaidrive_core::adapters::local::SystemClock;
use scaidrive_core::config;
use scaidrive_core::model::{Error, Scope};
use serde_json::json;

use crate::args::{Args, Token};
use crate::exit::{Code, Result};
use crate::session::Session;

pub(crate) async fn run(session: &Session, args: &Args, command: &Token) -> Result<Code> {
    let Token::Create { scopes, lifetime } = command;
    if session.config.scaikey_url.is_some() {
        let fault = "SCAIDRIVE_SCAIKEY_URL is set: tokens come from the identity provider";
        return Err(Error::Config { faults: vec![fault.to_owned()] }.into());
    }
    let scopes = scopes.iter().map(|scope| parse_scope(scope)).collect::<Result<Vec<_>, _>>()?;
    let lifetime =
        config::duration(lifetime).map_err(|why| Error::invalid("lifetime", why, lifetime.as_str()))?;
    let caller = session.caller(args).await?;
    let issuer = EmbeddedIssuer::open(&session.config.data_dir, Arc::new(SystemClock))?;
    let token = issuer.mint(caller.tenant, &caller.user, &scopes, lifetime)?;
    let value = json!({
        "token": token, "tenant_id": caller.tenant, "user_id": caller.user, "scopes": scopes,
        "expires_in": lifetime.as_secs(),
    });
    session.out.print(&value, || token.clone())?;
    Ok(Code::Done)
}

fn parse_scope(text: &str) -> Result<Scope, Error> {
    let all = || Scope::ALL.iter().map(|scope| scope.as_str()).collect::<Vec<_>>().join(", ");
    text.parse().map_err(|_| Error::invalid("scope", format!("must be one of {}", all()), text))
}
