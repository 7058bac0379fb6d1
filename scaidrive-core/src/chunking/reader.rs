//! What callers see of a content that goes by: its chunks in order, then its digest.

use std::io;
use std::vec;

use tokio::io::AsyncRead;
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

use super::cutter::Cutter;
use super::pipeline::{self, Source, Whole};
use super::{ContentDigest, cut_whole};
use crate::model::{Chunk, ChunkHash, ChunkingParams};

/// A content up to this size is hashed where it is read: cheaper than the way to another thread and back.
const SMALL: usize = 64 << 10;

/// Blocks whose chunks are ready or in work before the caller asks for them.
const BLOCKS_AHEAD: usize = 2;

/// Cuts what a reader gives into chunks, in order, while the whole is hashed on another core.
///
/// The boundaries are those of FastCDC over the whole content, whatever the pieces in which the reader gives it.
/// Memory is bounded by a few of the largest chunks: nothing is read further ahead while nobody asks for the next
/// chunk. Dropping the reader ends the reading at once.
///
/// Chunks share the blocks they were read into, so one alone may keep up to eight times its own size alive: who
/// keeps chunks for long (a cache) copies them.
pub struct ChunkReader {
    stage: Stage,
    ready: vec::IntoIter<Chunk>,
    /// The first chunk's hash, which is the checksum too when no other chunk follows.
    first: Option<ChunkHash>,
}

/// How far the reading has come.
enum Stage {
    /// It is not known yet whether the content is small.
    Starting(Source),
    /// It is not, and a task reads it.
    Running(Running),
    /// All was read.
    Ended(ContentDigest),
    /// The error was given out.
    Failed,
}

/// The task that reads, and what it sends: the chunks of one block at a time.
struct Running {
    task: AbortOnDropHandle<io::Result<Whole>>,
    blocks: mpsc::Receiver<Vec<Chunk>>,
}

impl ChunkReader {
    /// Returns the chunks that these parameters make of a content; nothing is read yet.
    ///
    /// # Panics
    /// If `params` lie outside the limits of FastCDC.
    pub fn new(reader: impl AsyncRead + Send + Unpin + 'static, params: ChunkingParams) -> Self {
        let source = Source::new(Box::new(reader), Cutter::new(&params));
        Self { stage: Stage::Starting(source), ready: Vec::new().into_iter(), first: None }
    }

    /// Returns the next chunk in order, or nothing at the end.
    ///
    /// Needs a tokio runtime. Dropping the future half-way loses nothing.
    ///
    /// # Errors
    /// What the reader failed with, after the chunks of the blocks before; that a hashing job panicked. Every
    /// later call fails as well.
    pub async fn next(&mut self) -> io::Result<Option<Chunk>> {
        loop {
            if let Some(chunk) = self.ready.next() {
                self.first.get_or_insert(chunk.hash);
                return Ok(Some(chunk));
            }
            if let Stage::Ended(_) = self.stage {
                return Ok(None);
            }
            if let Err(error) = self.advance().await {
                self.stage = Stage::Failed;
                return Err(error);
            }
        }
    }

    /// Returns the size and checksum of the whole; chunks not asked for so far are read and dropped.
    ///
    /// # Errors
    /// As [`next`](Self::next).
    pub async fn finish(mut self) -> io::Result<ContentDigest> {
        loop {
            while self.next().await?.is_some() {}
            if let Stage::Ended(digest) = self.stage {
                return Ok(digest);
            }
        }
    }

    /// Goes on until chunks are ready or the stage is another one.
    async fn advance(&mut self) -> io::Result<()> {
        match &mut self.stage {
            Stage::Starting(source) => {
                if let Some(content) = source.read_small(SMALL).await? {
                    let (chunks, digest) = cut_whole(content, source.cutter());
                    self.ready = chunks.into_iter();
                    self.stage = Stage::Ended(digest);
                } else if let Stage::Starting(source) = std::mem::replace(&mut self.stage, Stage::Failed) {
                    self.stage = Stage::Running(Running::start(source));
                }
            }
            Stage::Running(running) => match running.blocks.recv().await {
                Some(chunks) => self.ready = chunks.into_iter(),
                None => self.stage = Stage::Ended(running.digest(self.first).await?),
            },
            Stage::Ended(_) => {}
            Stage::Failed => return Err(io::Error::other("the content could not be read before")),
        }
        Ok(())
    }
}

impl Running {
    fn start(source: Source) -> Self {
        let (sender, blocks) = mpsc::channel(BLOCKS_AHEAD);
        Self { task: AbortOnDropHandle::new(tokio::spawn(pipeline::run(source, sender))), blocks }
    }

    /// Returns what the task found out about the whole, of which `first` is the first chunk.
    async fn digest(&mut self, first: Option<ChunkHash>) -> io::Result<ContentDigest> {
        let whole = (&mut self.task).await??;
        let size = whole.size();
        let checksum = whole.checksum().or(first).ok_or_else(|| io::Error::other("no chunk was read"))?;
        Ok(ContentDigest { size, checksum })
    }
}
