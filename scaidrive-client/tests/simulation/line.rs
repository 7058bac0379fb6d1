//! The line between a device and the server. Every call waits until it is told to go on, so that one thing happens at
//! a time; the call may be carried out, fail, be carried out without an answer, or be carried out twice.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use scaidrive_client::chunker::{Chunk, Chunking};
use scaidrive_client::model::{DeviceId, ItemId, Sha256Hash, ShareId};
use scaidrive_client::remote::{Answer, Batch, Changes, Device, Manifest, Remote, Share, Snapshot};
use scaidrive_client::{Error, Result};
use tokio::sync::{mpsc, oneshot};

/// What becomes of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Passage {
    /// It is carried out.
    Open,
    /// The server cannot be reached.
    Closed,
    /// It is carried out, but nobody hears of it.
    AnswerLost,
    /// It is carried out twice.
    Twice,
    /// Something on the way takes no batch of more than one change.
    Narrow,
}

/// Asks for passage.
pub(crate) type Waiting = (&'static str, oneshot::Sender<Passage>);

/// A device's line.
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) server: Arc<dyn Remote>,
    pub(crate) waiting: mpsc::UnboundedSender<Waiting>,
}

fn closed() -> Error {
    Error::Offline("the line is closed".to_owned())
}

impl Line {
    async fn call<T, F: Future<Output = Result<T>>>(
        &self,
        name: &'static str,
        call: impl Fn() -> F,
    ) -> Result<T> {
        self.call_if(name, true, call).await
    }

    /// Makes a call that a narrow line may not take.
    async fn call_if<T, F: Future<Output = Result<T>>>(
        &self,
        name: &'static str,
        is_small: bool,
        call: impl Fn() -> F,
    ) -> Result<T> {
        let (sender, passage) = oneshot::channel();
        self.waiting.send((name, sender)).map_err(|_| closed())?;
        match passage.await.unwrap_or(Passage::Closed) {
            Passage::Closed => Err(closed()),
            Passage::Narrow if !is_small => {
                Err(Error::of_code(413, "PAYLOAD_TOO_LARGE", "the batch is too large"))
            }
            Passage::Open | Passage::Narrow => call().await,
            Passage::AnswerLost => {
                drop(call().await);
                Err(closed())
            }
            Passage::Twice => {
                drop(call().await);
                call().await
            }
        }
    }
}

#[async_trait]
impl Remote for Line {
    async fn chunking(&self) -> Result<Chunking> {
        self.server.chunking().await
    }

    async fn shares(&self) -> Result<Vec<Share>> {
        self.server.shares().await
    }

    async fn register(&self, device: &Device) -> Result<()> {
        self.call("register", || self.server.register(device)).await
    }

    async fn snapshot(&self, share: &ShareId) -> Result<Snapshot> {
        self.call("snapshot", || self.server.snapshot(share)).await
    }

    async fn changes(&self, share: &ShareId, cursor: i64, wait: Duration) -> Result<Changes> {
        self.call("changes", || self.server.changes(share, cursor, wait)).await
    }

    async fn acknowledge(&self, _share: &ShareId, _device: &DeviceId, _cursor: i64) -> Result<()> {
        Ok(())
    }

    async fn missing(&self, share: &ShareId, hashes: &[Sha256Hash]) -> Result<Vec<Sha256Hash>> {
        self.call("missing", || self.server.missing(share, hashes)).await
    }

    async fn put_chunks(&self, share: &ShareId, chunks: &[Chunk]) -> Result<()> {
        self.call("put_chunks", || self.server.put_chunks(share, chunks)).await
    }

    async fn manifest(&self, file: &ItemId) -> Result<Manifest> {
        self.call("manifest", || self.server.manifest(file)).await
    }

    async fn read(&self, file: &ItemId, version: u64, offset: u64, length: u64) -> Result<Bytes> {
        self.call("read", || self.server.read(file, version, offset, length)).await
    }

    async fn fetch(&self, files: &[ItemId]) -> Result<Vec<Chunk>> {
        self.call("fetch", || self.server.fetch(files)).await
    }

    async fn apply(&self, batch: &Batch) -> Result<Answer> {
        let is_small = batch.changes.len() <= 1;
        self.call_if("apply", is_small, || self.server.apply(batch)).await
    }
}
