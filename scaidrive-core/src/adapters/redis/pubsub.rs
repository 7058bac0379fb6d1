//! Nudges between replicas: one channel a share, `scaidrive:nudges:{tenant}:{share}`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::StreamExt;
use redis::{Client, Msg, Pipeline, RedisResult};
use tokio::sync::{broadcast, mpsc};
use tokio_util::task::AbortOnDropHandle;

use super::link::{Link, PATIENCE};
use crate::adapters::local::LocalPubSub;
use crate::model::Result;
use crate::ports::{Ids, News, Nudge, PubSub};

/// Where every process says that it is there, or that nudges of its own were lost.
const HEARTBEATS: &str = "scaidrive:nudges";

/// Nudges that wait to be sent; more are lost, and that is told.
const QUEUE: usize = 4096;

/// Nudges sent in one round trip.
const AT_ONCE: usize = 256;

/// How often a process says that it is there.
const BEAT: Duration = Duration::from_secs(5);

/// How long a subscription that hears nothing, not even the own heartbeat, is believed in.
const SILENCE: Duration = Duration::from_secs(12);

/// How long to wait before the next attempt to subscribe.
const RETRY: Duration = Duration::from_millis(500);

/// Fan-out to every process that shares a Redis.
///
/// The own process is told at once, whatever becomes of Redis, and a commit never waits for it. Who was not connected
/// looks at everything once it is again, and who could not send makes everybody do so: no change stays unseen.
#[derive(Debug)]
pub struct RedisPubSub {
    local: Arc<LocalPubSub>,
    link: Link,
    queue: mpsc::Sender<Nudge>,
    has_lost: Arc<AtomicBool>,
    _tasks: [AbortOnDropHandle<()>; 2],
}

impl RedisPubSub {
    pub(super) fn new(client: Client, link: Link, ids: &dyn Ids) -> Self {
        let (local, has_lost) = (Arc::new(LocalPubSub::default()), Arc::new(AtomicBool::new(false)));
        let (queue, queued) = mpsc::channel(QUEUE);
        let origin = ids.ulid().to_string();
        let listener = Listener { client, origin: origin.clone(), local: Arc::clone(&local) };
        let sender = Sender { link: link.clone(), origin, has_lost: Arc::clone(&has_lost) };
        let tasks = [tokio::spawn(listener.run()), tokio::spawn(sender.run(queued))];
        Self { local, link, queue, has_lost, _tasks: tasks.map(AbortOnDropHandle::new) }
    }
}

#[async_trait]
impl PubSub for RedisPubSub {
    async fn publish(&self, nudge: Nudge) -> Result<()> {
        if self.queue.try_send(nudge.clone()).is_err() {
            self.has_lost.store(true, Ordering::Relaxed);
        }
        self.local.publish(nudge).await
    }

    fn subscribe(&self) -> broadcast::Receiver<News> {
        self.local.subscribe()
    }

    async fn ping(&self) -> Result<()> {
        self.link.with(async |mut redis| redis::cmd("PING").exec_async(&mut redis).await).await
    }
}

/// Sends what the own process publishes.
struct Sender {
    link: Link,
    origin: String,
    has_lost: Arc<AtomicBool>,
}

impl Sender {
    async fn run(self, mut queued: mpsc::Receiver<Nudge>) {
        let mut beat = tokio::time::interval(BEAT);
        let mut nudges = Vec::with_capacity(AT_ONCE);
        loop {
            tokio::select! {
                received = queued.recv_many(&mut nudges, AT_ONCE) => if received == 0 { return },
                _ = beat.tick() => {}
            }
            self.send(nudges.drain(..)).await;
        }
    }

    /// Sends nudges, or that the process is there: that says a nudge as well.
    async fn send(&self, nudges: impl ExactSizeIterator<Item = Nudge>) {
        let has_lost = self.has_lost.swap(false, Ordering::Relaxed);
        let mut pipe = redis::pipe();
        if has_lost || nudges.len() == 0 {
            let state = if has_lost { "lost" } else { "here" };
            pipe.publish(HEARTBEATS, format!("{} {state}", self.origin)).ignore();
        }
        nudges.for_each(|nudge| self.add(&mut pipe, &nudge));
        if self.link.with(async |mut redis| pipe.exec_async(&mut redis).await).await.is_err() {
            self.has_lost.store(true, Ordering::Relaxed);
        }
    }

    fn add(&self, pipe: &mut Pipeline, nudge: &Nudge) {
        let share = nudge.share.map_or_else(|| "-".to_owned(), |share| share.to_string());
        // A user's id is its provider's word: it comes last, whatever is in it.
        let user = nudge.user.as_ref().map(|user| format!(" {user}")).unwrap_or_default();
        let message = format!("{} {}{user}", self.origin, nudge.position);
        pipe.publish(format!("{HEARTBEATS}:{}:{share}", nudge.tenant), message).ignore();
    }
}

/// Passes on what other processes publish.
struct Listener {
    client: Client,
    origin: String,
    local: Arc<LocalPubSub>,
}

impl Listener {
    async fn run(self) {
        let mut was_heard = true;
        loop {
            let outcome = self.listen().await;
            // Told once: an outage of hours is one line.
            if was_heard && let Err(error) = &outcome {
                tracing::warn!(%error, "nudges of other processes are not heard; trying again");
            }
            was_heard = outcome.is_ok();
            tokio::time::sleep(RETRY).await;
        }
    }

    /// Subscribes, and passes on what comes until nothing does any more.
    async fn listen(&self) -> RedisResult<()> {
        let connecting = async {
            let mut subscription = self.client.get_async_pubsub().await?;
            subscription.psubscribe(format!("{HEARTBEATS}*")).await?;
            RedisResult::Ok(subscription)
        };
        let connected = tokio::time::timeout(PATIENCE, connecting).await;
        let mut subscription =
            connected.map_err(|_| std::io::Error::from(std::io::ErrorKind::TimedOut))??;
        // What was published before is not known.
        self.local.tell(News::Lost);
        let mut messages = subscription.on_message();
        while let Ok(Some(message)) = tokio::time::timeout(SILENCE, messages.next()).await {
            if let Some(news) = read(&message, &self.origin) {
                self.local.tell(news);
            }
        }
        tracing::warn!("the subscription to nudges of other processes ended");
        Ok(())
    }
}

/// Reads a message of another process; nothing where it is the own one's, or says nothing new.
fn read(message: &Msg, origin: &str) -> Option<News> {
    let payload: String = message.get_payload().ok()?;
    let (sender, rest) = payload.split_once(' ')?;
    if sender == origin {
        return None;
    }
    let channel = message.get_channel_name();
    let Some(channel) = channel.strip_prefix(HEARTBEATS)?.strip_prefix(':') else {
        return (rest == "lost").then_some(News::Lost);
    };
    // What cannot be read is of another version: something has happened, and it is not known what.
    Some(nudge(channel, rest).map_or(News::Lost, News::Nudge))
}

fn nudge(channel: &str, rest: &str) -> Option<Nudge> {
    let (tenant, share) = channel.split_once(':')?;
    let (position, user) = rest.split_once(' ').map_or((rest, None), |(at, user)| (at, Some(user)));
    Some(Nudge {
        tenant: tenant.parse().ok()?,
        share: if share == "-" { None } else { Some(share.parse().ok()?) },
        user: user.map(str::parse).transpose().ok()?,
        position: position.parse().ok()?,
    })
}
