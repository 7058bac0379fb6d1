//! A connection that neither a silent nor a slow peer can hold for ever, and that ends so that its last answer
//! arrives.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{Instant, Sleep};

/// The first bytes must come within this: before them it is not even known which HTTP is spoken.
const PREFACE_PATIENCE: Duration = Duration::from_secs(30);

/// Bytes after which the protocol looks after its own time limits: the preface of HTTP/2.
const PREFACE: usize = 24;

/// A peer that takes nothing for so long is gone.
const WRITE_PATIENCE: Duration = Duration::from_secs(60);

/// How long a peer may go on sending what nobody reads, after the last answer. Closing at once would reset the
/// connection, and the answer (413, say) would be lost in the middle of the peer's upload.
const LINGER: Duration = Duration::from_secs(5);

/// Whether the peer of a connection is still there, for who makes it wait.
///
/// A peer that closed its side may still want the answer, so nobody looks whether it did, unless somebody asks here.
#[derive(Clone)]
pub(crate) struct Presence(Arc<Watch>);

struct Watch {
    watchers: AtomicUsize,
    gone: watch::Sender<bool>,
}

impl Presence {
    /// Returns the presence of a peer that has just come.
    pub(crate) fn new() -> Self {
        Self(Arc::new(Watch { watchers: AtomicUsize::new(0), gone: watch::Sender::new(false) }))
    }

    /// Returns once the peer has closed its side. On a connection of many requests (HTTP/2) it may never: there the one
    /// who waits is dropped instead.
    pub(crate) async fn gone(&self) {
        struct Watching<'w>(&'w Watch);
        impl Drop for Watching<'_> {
            fn drop(&mut self) {
                self.0.watchers.fetch_sub(1, Ordering::Relaxed);
            }
        }
        self.0.watchers.fetch_add(1, Ordering::Relaxed);
        let _watching = Watching(&self.0);
        // The sender is held here: the wait ends by the peer's going alone.
        drop(self.0.gone.subscribe().wait_for(|gone| *gone).await);
    }

    /// Looks whether the peer has closed its side, and has the connection woken when it does; only while somebody asks.
    fn look(&self, stream: &TcpStream, context: &mut Context<'_>) {
        if self.0.watchers.load(Ordering::Relaxed) == 0 {
            return;
        }
        let mut byte = [0];
        if let Poll::Ready(Ok(0) | Err(_)) = stream.poll_peek(context, &mut ReadBuf::new(&mut byte)) {
            self.0.gone.send_replace(true);
        }
    }
}

/// A TCP connection with these limits.
pub(crate) struct Socket {
    stream: TcpStream,
    presence: Presence,
    received: usize,
    reading: Pin<Box<Sleep>>,
    writing: Option<Pin<Box<Sleep>>>,
    lingering: Option<Pin<Box<Sleep>>>,
}

impl Socket {
    /// Puts the limits on a connection that was just accepted.
    pub(crate) fn new(stream: TcpStream, presence: Presence) -> Self {
        let reading = Box::pin(tokio::time::sleep(PREFACE_PATIENCE));
        Self { stream, presence, received: 0, reading, writing: None, lingering: None }
    }

    /// Lets a write's outcome pass; one that waits too long fails.
    fn watch_write<T>(
        &mut self,
        context: &mut Context<'_>,
        outcome: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if outcome.is_ready() {
            self.writing = None;
            return outcome;
        }
        let limit = self.writing.get_or_insert_with(|| Box::pin(tokio::time::sleep(WRITE_PATIENCE)));
        match limit.as_mut().poll(context) {
            Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let outcome = Pin::new(&mut self.stream).poll_read(context, buffer);
        self.received = self.received.saturating_add(buffer.filled().len() - before);
        if outcome.is_pending() && self.received < PREFACE {
            ready!(self.reading.as_mut().poll(context));
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        outcome
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.watch_write(context, outcome)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.watch_write(context, outcome)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        // The protocol flushes whenever it is woken, also while it waits for the answer.
        self.presence.look(&self.stream, context);
        let outcome = Pin::new(&mut self.stream).poll_flush(context);
        self.watch_write(context, outcome)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.lingering.is_none() {
            ready!(Pin::new(&mut self.stream).poll_shutdown(context))?;
            self.lingering = Some(Box::pin(tokio::time::sleep_until(Instant::now() + LINGER)));
        }
        loop {
            let mut scratch = [0; 16 << 10];
            let mut buffer = ReadBuf::new(&mut scratch);
            match Pin::new(&mut self.stream).poll_read(context, &mut buffer) {
                Poll::Ready(Ok(())) if !buffer.filled().is_empty() => {}
                Poll::Ready(_) => return Poll::Ready(Ok(())),
                Poll::Pending => break,
            }
        }
        match &mut self.lingering {
            Some(limit) => limit.as_mut().poll(context).map(Ok),
            None => Poll::Ready(Ok(())),
        }
    }
}
