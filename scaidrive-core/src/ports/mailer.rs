//! Mail to people.

use std::fmt;

use async_trait::async_trait;

use crate::model::Result;

/// A mail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mail {
    /// The recipient's address.
    pub to: String,
    /// What it is about.
    pub subject: String,
    /// Its text.
    pub text: String,
    /// The same for those who see HTML.
    pub html: String,
}

/// Sends mail. It is called by a job, so that a failure is tried again and a mutation never waits for it.
#[async_trait]
pub trait Mailer: Send + Sync + fmt::Debug {
    /// Hands a mail to whoever delivers it.
    ///
    /// A worker that dies before it has noted the answer leaves the mail to be sent again: then `key` is the same, and
    /// no other mail ever has it, so that who delivers can tell.
    async fn send(&self, key: &str, mail: &Mail) -> Result<()>;
}
