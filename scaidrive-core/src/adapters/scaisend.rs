//! Mail through ScaiSend, whose API has the shape of SendGrid's `v3/mail/send`.

use std::time::Duration;

use async_trait::async_trait;
use reqwest::{Client, StatusCode};
use serde_json::json;

use crate::model::{Error, Result};
use crate::ports::{Mail, Mailer};

/// How long ScaiSend may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// Hands mail to ScaiSend.
pub struct ScaiSend {
    client: Client,
    endpoint: String,
    key: String,
    from: String,
}

impl std::fmt::Debug for ScaiSend {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ScaiSend({})", self.endpoint)
    }
}

impl ScaiSend {
    /// Returns the mailer at a base URL, with an API key, that sends in the name of an address.
    pub fn new(url: &str, key: String, from: String) -> Result<Self> {
        let client = Client::builder().timeout(PATIENCE).redirect(reqwest::redirect::Policy::none()).build();
        let client = client.map_err(|error| Error::internal(format!("a client for mail: {error}")))?;
        Ok(Self { client, endpoint: format!("{}/v3/mail/send", url.trim_end_matches('/')), key, from })
    }
}

#[async_trait]
impl Mailer for ScaiSend {
    async fn send(&self, key: &str, mail: &Mail) -> Result<()> {
        let body = json!({
            "personalizations": [{ "to": [{ "email": mail.to }] }],
            "from": { "email": self.from },
            "subject": mail.subject,
            "content": [
                { "type": "text/plain", "value": mail.text },
                { "type": "text/html", "value": mail.html },
            ],
        });
        let request = self.client.post(&self.endpoint).bearer_auth(&self.key).header("Idempotency-Key", key);
        let sent = request.json(&body).send().await;
        // Addresses of people stay out of errors, which are logged and kept.
        let answer = sent.map_err(|error| away(format!("cannot be reached: {}", error.without_url())))?;
        match answer.status() {
            StatusCode::ACCEPTED | StatusCode::OK => Ok(()),
            status if status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error() => {
                Err(away(format!("answers {status}")))
            }
            status => Err(Error::internal(format!("ScaiSend refuses a mail: {status}"))),
        }
    }
}

fn away(why: String) -> Error {
    Error::unavailable(format!("ScaiSend, which {why}"), Duration::from_secs(30))
}
