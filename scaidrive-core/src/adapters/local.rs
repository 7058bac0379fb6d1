//! What a single process has of its own: the system's clock, ids, in-process fan-out and wake-ups.

use std::sync::Mutex;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use tokio::sync::{Notify, broadcast};
use ulid::{Generator, Ulid};

use crate::model::{Queue, Result, Timestamp};
use crate::ports::{Clock, Dispatch, Ids, Mail, Mailer, News, Nudge, PubSub};

/// The system's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the system's clock")]
    fn now(&self) -> Timestamp {
        let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
        Timestamp::from_micros(i64::try_from(since_epoch.as_micros()).unwrap_or(i64::MAX))
    }
}

/// Random ULIDs that grow within the process.
#[derive(Default)]
pub struct RandomIds(Mutex<Generator>);

impl std::fmt::Debug for RandomIds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RandomIds")
    }
}

impl Ids for RandomIds {
    #[expect(clippy::disallowed_methods, reason = "the one place that makes random ids")]
    fn ulid(&self) -> Ulid {
        let mut generator = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        // Fails only after 2^80 ids in one millisecond; a random one is as good then.
        generator.generate().unwrap_or_else(|_| Ulid::generate())
    }
}

/// Writes mail to the log, where nobody delivers it.
#[derive(Clone, Copy, Debug, Default)]
pub struct LogMailer;

/// Delivers no mail, and says so.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoMailer;

#[async_trait]
impl Mailer for NoMailer {
    async fn send(&self, _key: &str, mail: &Mail) -> Result<()> {
        tracing::warn!(subject = mail.subject, "a mail is not sent: SCAIDRIVE_SCAISEND_URL is not set");
        Ok(())
    }
}

#[async_trait]
impl Mailer for LogMailer {
    async fn send(&self, _key: &str, mail: &Mail) -> Result<()> {
        tracing::info!(to = mail.to, subject = mail.subject, text = mail.text, "a mail that nobody delivers");
        Ok(())
    }
}

/// Fan-out within the process.
#[derive(Debug)]
pub struct LocalPubSub(broadcast::Sender<News>);

impl Default for LocalPubSub {
    fn default() -> Self {
        Self(broadcast::channel(1024).0)
    }
}

impl LocalPubSub {
    /// Tells the own process something.
    pub(super) fn tell(&self, news: News) {
        // Nobody listening is no error.
        drop(self.0.send(news));
    }
}

#[async_trait]
impl PubSub for LocalPubSub {
    async fn publish(&self, nudge: Nudge) -> Result<()> {
        self.tell(News::Nudge(nudge));
        Ok(())
    }

    fn subscribe(&self) -> broadcast::Receiver<News> {
        self.0.subscribe()
    }
}

/// Wake-ups within the process.
#[derive(Debug, Default)]
pub struct LocalDispatch([Notify; Queue::ALL.len()]);

#[async_trait]
impl Dispatch for LocalDispatch {
    async fn wake(&self, queue: Queue) -> Result<()> {
        self.0[queue as usize].notify_one();
        Ok(())
    }

    async fn wait(&self, queues: &[Queue]) {
        let waits = queues.iter().map(|queue| Box::pin(self.0[*queue as usize].notified()));
        futures_util::future::select_all(waits).await;
    }
}
