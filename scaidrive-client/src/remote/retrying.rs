//! Asks again what failed for a reason that passes.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

use super::{Answer, Batch, Changes, Device, Manifest, Remote, Share, Snapshot};
use crate::chunker::{Chunk, Chunking};
use crate::error::{Error, Result};
use crate::model::{DeviceId, ItemId, Sha256Hash, ShareId};
use crate::system::System;

/// The first wait; each next one is twice as long.
const FIRST_WAIT: Duration = Duration::from_millis(500);

/// The longest wait, unless the server asks for more.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// The longest wait that a server can ask for.
const LONGEST_ASKED: Duration = Duration::from_secs(600);

/// How often is asked again before the failure is reported.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// Times that a call is repeated.
    pub repeats: u32,
}

impl Default for Patience {
    /// Returns about a minute's worth.
    fn default() -> Self {
        Self { repeats: 7 }
    }
}

/// A server that is asked again, later and later, when it cannot be reached or asks to wait.
///
/// All calls are safe to repeat: reads, chunks that are named by their hash, and changes with ids of their own.
#[derive(Debug)]
pub struct Retrying {
    inner: Arc<dyn Remote>,
    system: Arc<dyn System>,
    patience: Patience,
}

impl Retrying {
    /// Wraps a server.
    pub fn new(inner: Arc<dyn Remote>, system: Arc<dyn System>, patience: Patience) -> Self {
        Self { inner, system, patience }
    }

    async fn again<T, F: Future<Output = Result<T>>>(&self, call: impl Fn() -> F) -> Result<T> {
        let mut wait = FIRST_WAIT;
        for _ in 0..self.patience.repeats {
            match call().await {
                Err(Error::Offline(_) | Error::Busy { retry_after: None, .. }) => {
                    self.system.sleep(self.jittered(wait)).await;
                    wait = (wait * 2).min(LONGEST_WAIT);
                }
                Err(Error::Busy { retry_after: Some(asked), .. }) => {
                    self.system.sleep(asked.min(LONGEST_ASKED) + self.jittered(FIRST_WAIT)).await;
                }
                outcome => return outcome,
            }
        }
        call().await
    }

    /// Returns between half of a wait and all of it: clients that failed together must not come back together.
    fn jittered(&self, wait: Duration) -> Duration {
        let thousandths = 500 + self.system.random() % 501;
        wait * u32::try_from(thousandths).unwrap_or(1000) / 1000
    }
}

#[async_trait]
impl Remote for Retrying {
    async fn chunking(&self) -> Result<Chunking> {
        self.again(|| self.inner.chunking()).await
    }

    async fn shares(&self) -> Result<Vec<Share>> {
        self.again(|| self.inner.shares()).await
    }

    async fn register(&self, device: &Device) -> Result<()> {
        self.again(|| self.inner.register(device)).await
    }

    async fn snapshot(&self, share: &ShareId) -> Result<Snapshot> {
        self.again(|| self.inner.snapshot(share)).await
    }

    async fn changes(&self, share: &ShareId, cursor: i64, wait: Duration) -> Result<Changes> {
        self.again(|| self.inner.changes(share, cursor, wait)).await
    }

    async fn acknowledge(&self, share: &ShareId, device: &DeviceId, cursor: i64) -> Result<()> {
        self.again(|| self.inner.acknowledge(share, device, cursor)).await
    }

    async fn missing(&self, share: &ShareId, hashes: &[Sha256Hash]) -> Result<Vec<Sha256Hash>> {
        self.again(|| self.inner.missing(share, hashes)).await
    }

    async fn put_chunks(&self, share: &ShareId, chunks: &[Chunk]) -> Result<()> {
        self.again(|| self.inner.put_chunks(share, chunks)).await
    }

    async fn manifest(&self, file: &ItemId) -> Result<Manifest> {
        self.again(|| self.inner.manifest(file)).await
    }

    async fn read(&self, file: &ItemId, version: u64, offset: u64, length: u64) -> Result<Bytes> {
        self.again(|| self.inner.read(file, version, offset, length)).await
    }

    async fn fetch(&self, files: &[ItemId]) -> Result<Vec<Chunk>> {
        self.again(|| self.inner.fetch(files)).await
    }

    async fn apply(&self, batch: &Batch) -> Result<Answer> {
        self.again(|| self.inner.apply(batch)).await
    }
}
