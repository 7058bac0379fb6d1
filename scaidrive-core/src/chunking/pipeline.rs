//! How a large content is cut and hashed: the async side reads, short jobs on the blocking pool compute.
//!
//! The work goes in rounds of two jobs that run beside each other and beside the reading of the next block:
//!
//! ```text
//! round n   job 1: cut block n,                        then hash chunks of block n-1
//!           job 2: hash block n-1 into the whole,      then hash chunks of block n-1
//!           async: once block n is cut, read block n+1 behind what is left of it
//! ```
//!
//! Both jobs take chunks from one list until it is empty, so they end together although cutting is quicker than
//! hashing: two cores are busy to the end, and one core does the same work without a detour. A job never waits,
//! neither for another job nor for a peer: a thousand slow uploads hold no thread, and the pool cannot fill up
//! with jobs that wait for jobs behind them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::{io, mem};

use bytes::{BufMut, Bytes, BytesMut};
use sha2::{Digest, Sha256};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::sync::{mpsc, oneshot};
use tokio::task::spawn_blocking;

use super::cutter::Cutter;
use super::hashed;
use crate::model::{Chunk, Sha256Hash};

/// Bytes for which a content has room at first; more comes as its bytes do.
const FIRST_ROOM: usize = 16 << 10;

/// A chunk that would keep more than so many times its own size alive is copied out of its block.
const MAX_RETAINED: usize = 8;

/// Where a content comes from, and what of it was read but not cut.
pub(super) struct Source {
    reader: Box<dyn AsyncRead + Send + Unpin>,
    cutter: Cutter,
    uncut: BytesMut,
    ended: bool,
}

impl Source {
    pub(super) fn new(reader: Box<dyn AsyncRead + Send + Unpin>, cutter: Cutter) -> Self {
        Self { reader, cutter, uncut: BytesMut::new(), ended: false }
    }

    pub(super) fn cutter(&self) -> &Cutter {
        &self.cutter
    }

    /// Returns the whole content if it is smaller than `limit` and a block, else keeps what it read of it.
    pub(super) async fn read_small(&mut self, limit: usize) -> io::Result<Option<Bytes>> {
        self.fill(limit.min(self.cutter.max())).await?;
        Ok(self.ended.then(|| mem::take(&mut self.uncut).freeze()))
    }

    /// Reads the next block, as much as the largest chunk, behind what is uncut.
    async fn read_block(&mut self) -> io::Result<()> {
        self.fill(self.uncut.len() + self.cutter.max()).await
    }

    /// Reads until so many bytes are uncut or the content ends; loses nothing when dropped half-way.
    async fn fill(&mut self, goal: usize) -> io::Result<()> {
        while self.uncut.len() < goal && !self.ended {
            let missing = goal - self.uncut.len();
            if self.uncut.len() == self.uncut.capacity() {
                self.uncut.reserve(self.uncut.len().max(FIRST_ROOM).min(missing));
            }
            self.ended = self.reader.read_buf(&mut (&mut self.uncut).limit(missing)).await? == 0;
        }
        Ok(())
    }

    /// Whether everything was read and given out to be cut.
    fn is_done(&self) -> bool {
        self.ended && self.uncut.is_empty()
    }

    /// Gives out what is uncut.
    fn take_block(&mut self) -> Block {
        Block { bytes: mem::take(&mut self.uncut), is_last: self.ended, cutter: self.cutter }
    }
}

/// The pieces of a block, and what is left of it with room for the next.
type Cut = (Vec<Bytes>, BytesMut);

/// Bytes to cut, which begin at a boundary.
struct Block {
    bytes: BytesMut,
    is_last: bool,
    cutter: Cutter,
}

impl Block {
    fn cut(self) -> Cut {
        let capacity = self.bytes.capacity();
        let (mut pieces, rest) = self.cutter.cut(self.bytes.freeze(), self.is_last);
        for piece in &mut pieces {
            if piece.len() * MAX_RETAINED < capacity {
                *piece = Bytes::copy_from_slice(piece);
            }
        }
        let room = if self.is_last { 0 } else { self.cutter.max() };
        let mut uncut = BytesMut::with_capacity(rest.len() + room);
        uncut.extend_from_slice(&rest);
        (pieces, uncut)
    }
}

/// The chunks of one block, not hashed yet, from which both jobs take.
struct Pieces {
    all: Vec<Bytes>,
    taken: AtomicUsize,
}

impl Pieces {
    fn new(all: Vec<Bytes>) -> Arc<Self> {
        Arc::new(Self { all, taken: AtomicUsize::new(0) })
    }

    /// Hashes one piece after the other until none is left to take; returns each with its place.
    fn hash_some(&self) -> Vec<(usize, Chunk)> {
        let mut chunks = Vec::new();
        loop {
            let place = self.taken.fetch_add(1, Ordering::Relaxed);
            let Some(piece) = self.all.get(place) else { return chunks };
            chunks.push((place, hashed(piece.clone())));
        }
    }
}

/// What is known of the content as a whole.
#[derive(Default)]
pub(super) struct Whole {
    size: u64,
    hasher: Sha256,
    /// Whether one chunk is all of it: its hash is the whole's then, and is not computed twice.
    is_lone_chunk: bool,
}

impl Whole {
    fn add(&mut self, pieces: &[Bytes]) {
        for piece in pieces {
            self.size += piece.len() as u64;
            if !self.is_lone_chunk {
                self.hasher.update(piece);
            }
        }
    }

    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// Returns the checksum, unless it is the lone chunk's hash.
    pub(super) fn checksum(self) -> Option<Sha256Hash> {
        (!self.is_lone_chunk).then(|| Sha256Hash::from_bytes(self.hasher.finalize().into()))
    }
}

/// Reads the source to its end and sends the chunks of each block; ends early when nobody receives them.
pub(super) async fn run(mut source: Source, blocks: mpsc::Sender<Vec<Chunk>>) -> io::Result<Whole> {
    let mut whole = Whole::default();
    let mut pieces = Vec::new();
    source.read_block().await?;
    while !source.is_done() || !pieces.is_empty() {
        // Nothing is computed for which there is no room.
        let room = blocks.reserve().await.map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))?;
        whole.is_lone_chunk = source.is_done() && whole.size == 0 && pieces.len() == 1;
        let (cut, round) = start_round(source.take_block(), Pieces::new(pieces), whole);
        (pieces, source.uncut) = cut.await.map_err(|_| io::Error::other("a cutting job panicked"))?;
        let deliver = async {
            let (chunks, whole) = round.await?;
            room.send(chunks);
            Ok(whole)
        };
        ((), whole) = tokio::try_join!(source.read_block(), deliver)?;
    }
    Ok(whole)
}

/// Starts the two jobs of a round; gives the block's cut as soon as it is made, and the pieces as chunks with what is
/// known of the whole when both jobs have ended.
fn start_round(
    block: Block,
    pieces: Arc<Pieces>,
    mut whole: Whole,
) -> (oneshot::Receiver<Cut>, impl Future<Output = io::Result<(Vec<Chunk>, Whole)>>) {
    let (sender, cut) = oneshot::channel();
    let theirs = Arc::clone(&pieces);
    let cutting = spawn_blocking(move || {
        // Nobody receives it when the reader was dropped.
        let _ = sender.send(block.cut());
        theirs.hash_some()
    });
    let summing = spawn_blocking(move || {
        whole.add(&pieces.all);
        (pieces.hash_some(), whole)
    });
    let round = async {
        let mut chunks = cutting.await?;
        let (more, whole) = summing.await?;
        chunks.extend(more);
        chunks.sort_unstable_by_key(|(place, _)| *place);
        Ok((chunks.into_iter().map(|(_, chunk)| chunk).collect(), whole))
    };
    (cut, round)
}
