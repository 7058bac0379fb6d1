//! Sockets: a request becomes a WebSocket, whose client is nudged by what the feed says.
//!
//! `handshake` turns the connection over, `seats` counts whose sockets are open, `session` keeps one socket alive and
//! fair, `sync` and `realtime` are the two languages spoken on it. Sockets are nudges, the feed is the truth: what they
//! tell is read from the feed, from a position of the socket's own, judged as every reader's is.

mod handshake;
mod heartbeat;
mod realtime;
mod seats;
mod session;
mod sync;
#[cfg(test)]
mod tests;

use std::time::Duration;

use scaidrive_core::model::{Caller, Error, ShareId};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_util::task::TaskTracker;

use crate::app::App;
use crate::nudges::Woken;

pub(crate) use handshake::Handshake;
pub(crate) use realtime::Watcher;
pub(crate) use session::{Token, open};
pub(crate) use sync::Follower;

use seats::Seats;

/// How long sockets may take to say goodbye when the server stops.
const LAST_WORDS: Duration = Duration::from_secs(10);

/// The most frames that one look at the database makes: what was judged together is sent together.
const PAGE: u32 = 100;

/// Every socket of this process.
#[derive(Default)]
pub(crate) struct Sockets {
    tasks: TaskTracker,
    seats: Seats,
}

impl Sockets {
    /// Waits until the sockets have ended, which they do by themselves when the server stops.
    pub(crate) async fn ended(&self) {
        self.tasks.close();
        if tokio::time::timeout(LAST_WORDS, self.tasks.wait()).await.is_err() {
            tracing::warn!("sockets were still open after 10 s and were cut off");
        }
    }

    /// Returns how long a socket rests after a look: the more there are, the longer, so that all of them together leave
    /// room for others.
    fn rest(&self) -> Duration {
        rest_among(self.tasks.len())
    }
}

fn rest_among(open: usize) -> Duration {
    let open = u32::try_from(open).unwrap_or(u32::MAX);
    Duration::from_micros(200).saturating_mul(open).min(Duration::from_secs(2))
}

/// Why a socket ends: a code that programs read, and a word for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ending {
    code: CloseCode,
    reason: &'static str,
}

impl Ending {
    /// The token is missing, not valid, or has expired.
    pub(crate) const UNAUTHENTICATED: Self = Self::new(4401, "A valid token is needed");
    const EXPIRED: Self = Self::new(4401, "The token has expired");
    /// The caller may not act (any more).
    pub(crate) const FORBIDDEN: Self = Self::new(4403, "The user or its token may not do this");
    const SLOW: Self = Self::new(4408, "The client takes nothing, or says nothing");
    const REMOVED: Self = Self::new(4410, "The device was removed");
    const CROWDED: Self = Self::new(4429, "The user has too many sockets: close some");
    const MALFORMED: Self = Self { code: CloseCode::Protocol, reason: "This is no WebSocket frame" };
    const NO_TEXT: Self = Self { code: CloseCode::Invalid, reason: "A frame is not UTF-8" };
    const TOO_LONG: Self = Self { code: CloseCode::Size, reason: "A frame is longer than 64 KiB" };
    const STOPS: Self = Self { code: CloseCode::Away, reason: "The server stops; come back" };

    const fn new(code: u16, reason: &'static str) -> Self {
        Self { code: CloseCode::Library(code), reason }
    }
}

/// A caller on a socket, or why it is let in only to be told that it may not stay.
pub(crate) type Admission = Result<Caller, Ending>;

/// The language spoken on a socket.
pub(crate) enum Language {
    /// Of a client that syncs.
    Sync(Follower),
    /// Of a client that shows what goes on.
    Realtime(Watcher),
}

/// What a look at the database came to.
#[derive(Default)]
struct Seen {
    /// What the client is told.
    frames: Vec<Value>,
    /// What there is more of already.
    more: Option<Woken>,
}

/// Why a look came to nothing.
enum Unseen {
    /// The socket ends.
    Ends(Ending),
    /// It failed; another one may not.
    Failed(Error),
}

impl From<Error> for Unseen {
    fn from(error: Error) -> Self {
        match error {
            Error::Suspended => Self::Ends(Ending::FORBIDDEN),
            error => Self::Failed(error),
        }
    }
}

impl Language {
    /// Returns what a client is told when it comes.
    async fn open(&mut self, app: &App, caller: &Caller) -> Result<Vec<Value>, Error> {
        match self {
            Self::Sync(follower) => follower.open(app, caller).await,
            Self::Realtime(watcher) => Ok(watcher.open(app, caller)),
        }
    }

    /// Returns what answers a client.
    async fn answer(&mut self, app: &App, caller: &Caller, said: Said) -> Result<Value, Error> {
        match (self, said) {
            (_, Said::Ping) => Ok(frame("pong", json!({}))),
            (Self::Sync(follower), said) => follower.answer(app, caller, &said).await,
            (Self::Realtime(watcher), said) => watcher.answer(app, caller, said).await,
        }
    }

    /// Tells whether the client waits for what happens in a share.
    fn concerns(&self, share: ShareId) -> bool {
        match self {
            Self::Sync(follower) => follower.concerns(share),
            Self::Realtime(watcher) => watcher.concerns(share),
        }
    }

    /// Looks at what may be news.
    async fn look(&mut self, app: &App, caller: &Caller, woken: &Woken) -> Result<Seen, Unseen> {
        match self {
            Self::Sync(follower) => follower.look(app, caller, woken).await,
            Self::Realtime(watcher) => watcher.look(app, caller, woken).await,
        }
    }
}

/// Returns a frame: its kind stands under both names that documented clients read.
fn frame(kind: &str, fields: Value) -> Value {
    let mut frame = fields;
    frame["type"] = kind.into();
    frame["event_type"] = kind.into();
    frame
}

/// Returns the frame that refuses what a client asked for.
fn refusal(error: &Error, about: Value) -> Value {
    let mut fields = about;
    fields["code"] = error.code().into();
    fields["detail"] = if error.is_internal() { "Internal error".into() } else { error.to_string().into() };
    frame("error", fields)
}

/// What a client says.
#[derive(Debug, PartialEq, Eq)]
enum Said {
    Ping,
    Subscribe(Option<String>),
    Unsubscribe(Option<String>),
}

impl Said {
    /// Returns what it is about, for an answer that refuses it.
    fn about(&self) -> Value {
        match self {
            Self::Ping => json!({}),
            Self::Subscribe(share) | Self::Unsubscribe(share) => json!({ "share_id": share }),
        }
    }
}

/// Reads what a client says; an error says what is wrong with it.
fn said(text: &str) -> Result<Said, Error> {
    let unreadable = |why: &str| Error::BadStream { reason: why.to_owned() };
    let value: Value = serde_json::from_str(text).map_err(|_| unreadable("a frame is no JSON"))?;
    let share = value["share_id"].as_str().map(str::to_owned);
    match value["type"].as_str() {
        Some("ping") => Ok(Said::Ping),
        Some("subscribe") => Ok(Said::Subscribe(share)),
        Some("unsubscribe") => Ok(Said::Unsubscribe(share)),
        _ => Err(unreadable("a frame's type must be ping, subscribe or unsubscribe")),
    }
}
