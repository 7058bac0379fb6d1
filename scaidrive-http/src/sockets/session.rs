//! One socket from its first frame to its last: alive, fair to others, and ended for a reason that is told.
//!
//! Nothing is queued for a client: what it is told is read when it can take it, from the socket's own place in the
//! feed. A client that takes nothing for ten seconds is let go.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use hyper::Response;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use scaidrive_core::model::{Caller, Error, Timestamp};
use scaidrive_core::services::identity;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::{CapacityError, ProtocolError};
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error as SocketError, Message};
use tracing::Instrument;

use super::heartbeat::{Beat, Heartbeat};
use super::{Admission, Ending, Handshake, Language, Said, Seen, Unseen, refusal, said};
use crate::app::App;
use crate::limits;
use crate::nudges::{Waiter, Woken};
use crate::reply::Body;

type Wire = WebSocketStream<TokioIo<Upgraded>>;

/// How long a client may take over what it is told.
const WRITE_PATIENCE: Duration = Duration::from_secs(10);

/// How long the last words of a socket may take, both ways.
const CLOSE_PATIENCE: Duration = Duration::from_secs(5);

/// How long a look that failed waits for the next one.
const RETRY: Duration = Duration::from_secs(1);

/// The longest frame that a client may send.
const LONGEST_FRAME: usize = 64 << 10;

/// Bytes kept for reading, and bytes gathered before they are written.
const READ_BUFFER: usize = 4 << 10;
const WRITE_BUFFER: usize = 16 << 10;

/// The token that a socket was opened with: what its client says counts against it. It has no `Debug`: nothing of it
/// may reach a log.
pub(crate) struct Token(pub(crate) String);

/// Turns a request into a socket, which lives on by itself.
pub(crate) fn open(
    app: &App,
    handshake: Handshake,
    admission: Admission,
    token: Token,
    language: Language,
) -> Response<Body> {
    let (response, upgrade) = handshake.accept();
    let server = app.clone();
    let life = async move {
        match upgrade.await {
            Ok(upgraded) => live(server, upgraded, admission, token, language).await,
            Err(error) => tracing::debug!(%error, "a connection was not turned over"),
        }
    };
    app.sockets.tasks.spawn(life.in_current_span());
    response
}

async fn live(app: App, upgraded: Upgraded, admission: Admission, token: Token, language: Language) {
    let config = WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER)
        .write_buffer_size(WRITE_BUFFER)
        .max_message_size(Some(LONGEST_FRAME))
        .max_frame_size(Some(LONGEST_FRAME));
    let mut wire = WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Server, Some(config)).await;
    let seated = admission.and_then(|caller| {
        let seat = app.sockets.seats.take(&caller).ok_or(Ending::CROWDED)?;
        Ok((caller, seat))
    });
    let ending = match seated {
        Ok((caller, _seat)) => {
            let _counted = app.metrics.sync.socket();
            Session::begin(app, caller, token, language, &mut wire).run().await
        }
        Err(ending) => Err(ending),
    };
    if let Err(ending) = ending {
        tracing::info!(code = u16::from(ending.code), "a socket was closed");
        close(wire, ending).await;
    }
}

/// Says why, and lets the client say that it has heard: a connection cut off at once might lose the words.
async fn close(mut wire: Wire, ending: Ending) {
    let last = CloseFrame { code: ending.code, reason: ending.reason.into() };
    let goodbye = async {
        if wire.close(Some(last)).await.is_ok() {
            while let Some(Ok(_)) = wire.next().await {}
            // What cannot be read as frames is taken, too: a connection with bytes left in it is reset.
            drop(wire.get_mut().shutdown().await);
        }
    };
    // A client that does not hear is cut off.
    drop(timeout(CLOSE_PATIENCE, goodbye).await);
}

struct Session<'w> {
    app: App,
    caller: Caller,
    token: Token,
    language: Language,
    wire: &'w mut Wire,
    waiter: Waiter,
    heartbeat: Heartbeat,
    expires: Option<Instant>,
    /// What is to be looked at, not before a time.
    pending: Option<(Woken, Instant)>,
    /// No look begins before: the last one was not long ago.
    rests_until: Instant,
}

/// What a session was woken by.
enum Event {
    Heard(Option<Result<Message, SocketError>>),
    Nudged(Woken),
    Due,
    Beats,
    Expires,
    Stops,
}

/// How a step of a session comes out: the client has left, or the socket ends.
type Step = Result<bool, Ending>;

const GOES_ON: Step = Ok(true);
const HAS_LEFT: Step = Ok(false);

impl<'w> Session<'w> {
    fn begin(app: App, caller: Caller, token: Token, language: Language, wire: &'w mut Wire) -> Self {
        let now = Instant::now();
        let left = |at: Timestamp| now + at.since(app.drive.clock.now());
        let expires = caller.expires_at.map(left);
        let waiter = app.nudges.waiter(caller.tenant, &caller.user);
        let heartbeat = Heartbeat::begin(now);
        let rests_until = now;
        Self { app, caller, token, language, wire, waiter, heartbeat, expires, pending: None, rests_until }
    }

    /// Lives until the client leaves, or the socket ends for a reason to be told.
    async fn run(mut self) -> Result<(), Ending> {
        match self.language.open(&self.app, &self.caller).await {
            Ok(frames) => {
                if !self.tell(frames).await? {
                    return Ok(());
                }
            }
            Err(error) => {
                tracing::warn!(%error, "a socket could not be opened");
                return Err(Ending::STOPS);
            }
        }
        loop {
            let event = self.next().await;
            if self.is_expired() {
                return Err(Ending::EXPIRED);
            }
            let goes_on = match event {
                Event::Heard(message) => self.hear(message).await?,
                Event::Nudged(woken) => self.will_look(woken, Instant::now()),
                Event::Due => self.look().await?,
                Event::Beats => self.beat().await?,
                Event::Expires => return Err(Ending::EXPIRED),
                Event::Stops => return Err(Ending::STOPS),
            };
            if !goes_on {
                return Ok(());
            }
        }
    }

    /// Tells whether the token has expired by the clock of the drive: timers stand still while a machine sleeps, and do
    /// not know when the clock was set right.
    fn is_expired(&self) -> bool {
        self.caller.expires_at.is_some_and(|at| at <= self.app.drive.clock.now())
    }

    async fn next(&mut self) -> Event {
        let Self { app, wire, waiter, language, heartbeat, expires, pending, .. } = self;
        let due = pending.as_ref().map(|(_, at)| *at);
        tokio::select! {
            message = wire.next() => Event::Heard(message),
            woken = waiter.woken(|share| language.concerns(share)) => Event::Nudged(woken),
            () = at(due) => Event::Due,
            () = sleep_until(heartbeat.next()) => Event::Beats,
            () = at(*expires) => Event::Expires,
            () = app.stopping() => Event::Stops,
        }
    }

    /// Notes that there may be news, to be looked at at a time; at the earlier one where something waits already.
    fn will_look(&mut self, woken: Woken, at: Instant) -> bool {
        match &mut self.pending {
            Some((waiting, _)) => waiting.and(woken),
            None => self.pending = Some((woken, at.max(self.rests_until))),
        }
        true
    }

    async fn hear(&mut self, message: Option<Result<Message, SocketError>>) -> Step {
        match message {
            Some(Ok(message)) => {
                self.heartbeat.heard(Instant::now());
                match message {
                    Message::Text(text) => self.answer(&text).await,
                    Message::Binary(_) => {
                        let reason = "a frame must be text".to_owned();
                        self.tell(vec![refusal(&Error::BadStream { reason }, json!({}))]).await
                    }
                    // What is owed for a ping or a close is sent with the next write, or with the end of the stream.
                    _ => self.tell(Vec::new()).await,
                }
            }
            Some(Err(SocketError::Capacity(CapacityError::MessageTooLong { .. }))) => Err(Ending::TOO_LONG),
            // Cut off in the middle: nobody is there to be told.
            Some(Err(SocketError::Protocol(ProtocolError::ResetWithoutClosingHandshake))) => HAS_LEFT,
            Some(Err(SocketError::Protocol(_))) => Err(Ending::MALFORMED),
            Some(Err(SocketError::Utf8(_))) => Err(Ending::NO_TEXT),
            Some(Err(_)) | None => HAS_LEFT,
        }
    }

    async fn answer(&mut self, text: &str) -> Step {
        let counted = limits::count(&self.app, &self.caller, &self.token.0, 1).await;
        let answer = match (counted, said(text)) {
            (Err(failure), _) => super::frame("error", failure.told()),
            (Ok(_), Err(error)) => refusal(&error, json!({})),
            (Ok(_), Ok(said)) => {
                let about = said.about();
                match self.reply(said).await {
                    Err(Unseen::Ends(ending)) => return Err(ending),
                    Err(Unseen::Failed(error)) => refusal(&error, about),
                    Ok(frame) => frame,
                }
            }
        };
        self.tell(vec![answer]).await
    }

    async fn reply(&mut self, said: Said) -> Result<Value, Unseen> {
        if said != Said::Ping {
            self.caller = refreshed(&self.app, &self.caller).await?;
        }
        Ok(self.language.answer(&self.app, &self.caller, said).await?)
    }

    /// Looks at what may be news, as who the caller is by now, and tells it.
    async fn look(&mut self) -> Step {
        let Some((woken, _)) = self.pending.take() else { return GOES_ON };
        match self.see(&woken).await {
            Ok(Seen { frames, more }) => {
                self.rests_until = Instant::now() + self.app.sockets.rest();
                if let Some(more) = more {
                    self.will_look(more, self.rests_until);
                }
                self.tell(frames).await
            }
            Err(Unseen::Ends(ending)) => Err(ending),
            Err(Unseen::Failed(error)) => {
                tracing::warn!(%error, "a socket cannot look; trying again");
                Ok(self.will_look(woken, Instant::now() + RETRY))
            }
        }
    }

    async fn see(&mut self, woken: &Woken) -> Result<Seen, Unseen> {
        let _turn = self.app.turn().await;
        self.caller = refreshed(&self.app, &self.caller).await?;
        self.language.look(&self.app, &self.caller, woken).await
    }

    /// Asks the client whether it is there, and looks for itself: a nudge may have got lost.
    async fn beat(&mut self) -> Step {
        match self.heartbeat.beat(Instant::now()) {
            Beat::Lost => Err(Ending::SLOW),
            Beat::Ask => {
                self.will_look(Woken::by_anything(), Instant::now());
                self.send([Message::Ping(bytes::Bytes::new())]).await
            }
        }
    }

    async fn tell(&mut self, frames: Vec<Value>) -> Step {
        self.send(frames.into_iter().map(|frame| Message::text(frame.to_string()))).await
    }

    async fn send(&mut self, messages: impl IntoIterator<Item = Message>) -> Step {
        let wire = &mut *self.wire;
        let sends = async {
            for message in messages {
                wire.feed(message).await?;
            }
            wire.flush().await
        };
        match timeout(WRITE_PATIENCE, sends).await {
            Ok(Ok(())) => GOES_ON,
            Ok(Err(_)) => HAS_LEFT,
            Err(_) => Err(Ending::SLOW),
        }
    }
}

/// Returns who a caller is by now: what it may do may have changed since it came.
async fn refreshed(app: &App, caller: &Caller) -> Result<Caller, Unseen> {
    let mut rows = app.drive.read().await?;
    match identity::refreshed(&mut *rows, caller).await {
        Err(Error::NotFound) => Err(Unseen::Ends(Ending::FORBIDDEN)),
        caller => Ok(caller?),
    }
}

/// Returns at a time, or never.
async fn at(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => std::future::pending().await,
    }
}
