//! What other systems tell us.

use std::time::Duration;

use scaidrive_core::model::{Error, WebhookEvent, WebhookHead, WebhookOutcome};
use scaidrive_core::services::webhook;
use serde_json::json;

use crate::reply::{self, Answer};
use crate::request::{Request, parse_json};

/// When to come again where no secret is set: somebody has to set it first.
const LATER: Duration = Duration::from_secs(60);

/// The field that carries the signature.
const SIGNATURE: &str = "x-scaikey-signature";

pub(crate) async fn scaikey(request: Request) -> Answer {
    let app = request.app.clone();
    let secret = app.config.scaikey_webhook_secret.as_ref();
    let secret = secret.ok_or_else(|| Error::unavailable("no webhook secret is set", LATER))?;
    let missing = Error::Unauthenticated { missing: true, reason: "X-ScaiKey-Signature is needed" };
    let told = request.headers.get(SIGNATURE).and_then(|value| value.to_str().ok());
    let signature = told.ok_or(missing)?.to_owned();
    let body = request.bytes().await?;
    webhook::verify(secret.reveal().as_bytes(), &signature, &body, app.drive.clock.now())?;
    let outcome = match parse_json::<WebhookHead>(&body)?.kind() {
        None => WebhookOutcome::Ignored,
        Some(_) => webhook::apply(&app.drive, parse_json::<WebhookEvent>(&body)?).await?,
    };
    reply::ok(&json!({ "status": outcome }))
}
