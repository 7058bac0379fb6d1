//! One large file: the chunks that are here already are copied, the rest is fetched in ranges.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use sha2::{Digest, Sha256};

use super::sources::{Pieces, Sources};
use super::{Failure, finish};
use crate::chunker::{ChunkRef, Chunking};
use crate::engine::{Event, Moved, Ports, blocking};
use crate::error::Error;
use crate::model::{ItemId, Sha256Hash};
use crate::plan::Download;
use crate::trees::Stamp;

/// Bytes handled at once.
const RUN_BYTES: u64 = 4 << 20;

/// Runs fetched ahead of the one that is being written, at most.
const AHEAD: usize = 3;

/// Chunks that follow each other and come from the same side.
#[derive(Debug)]
struct Run {
    offset: u64,
    chunks: Vec<ChunkRef>,
    is_here: bool,
}

impl Run {
    fn size(&self) -> u64 {
        self.chunks.iter().map(|chunk| u64::from(chunk.size)).sum()
    }
}

/// Fetches a file.
pub(super) async fn fetch(
    ports: &Ports,
    chunking: &Chunking,
    sources: &Arc<Sources>,
    download: &Download,
    ahead: usize,
) -> Result<Stamp, Failure> {
    let manifest = ports.remote.manifest(&download.id).await?;
    if manifest.checksum_sha256 != download.file.checksum {
        return Err(Failure::Changed("it changes on the server all the time"));
    }
    let old =
        sources.file(&download.file.checksum).or(download.over.as_ref().map(|_| &download.path)).cloned();
    let (fs, chunking) = (Arc::clone(&ports.fs), chunking.clone());
    let pieces = blocking(move || old.map(|old| Pieces::of(&*fs, &chunking, &old)).unwrap_or_default()).await;
    let pieces = Arc::new(pieces);
    let runs = runs(&manifest.chunks, |chunk| pieces.have(chunk));
    let version = manifest.version;
    let fs = Arc::clone(&ports.fs);
    let mut draft = blocking(move || fs.draft()).await?;
    let mut whole = Sha256::new();
    let mut bytes = stream::iter(runs)
        .map(|run| read(ports, &pieces, &download.id, version, run))
        .buffered(ahead.clamp(1, AHEAD));
    while let Some(bytes) = bytes.next().await {
        let (bytes, travelled) = bytes?;
        ports.observer.event(&Event::Received(Moved { bytes: bytes.len() as u64, travelled }));
        let written = blocking(move || {
            whole.update(&bytes);
            draft.write_all(&bytes).map(|()| (draft, whole))
        });
        (draft, whole) = written.await?;
    }
    if Sha256Hash::from_bytes(whole.finalize().into()) != download.file.checksum {
        return Err(Error::Damaged(download.path.to_string()).into());
    }
    let download = download.clone();
    blocking(move || finish(draft, &download)).await
}

/// Puts chunks together that can be read together.
fn runs(chunks: &[ChunkRef], is_here: impl Fn(&ChunkRef) -> bool) -> Vec<Run> {
    let (mut runs, mut offset): (Vec<Run>, u64) = (Vec::new(), 0);
    for chunk in chunks {
        let is_here = is_here(chunk);
        match runs.last_mut().filter(|run| run.is_here == is_here && run.size() < RUN_BYTES) {
            Some(run) => run.chunks.push(*chunk),
            None => runs.push(Run { offset, chunks: vec![*chunk], is_here }),
        }
        offset += u64::from(chunk.size);
    }
    runs
}

/// Returns the bytes of a run, and how many of them had to travel.
async fn read(
    ports: &Ports,
    pieces: &Arc<Pieces>,
    file: &ItemId,
    version: u64,
    run: Run,
) -> Result<(Bytes, u64), Failure> {
    if run.is_here {
        let (fs, pieces, chunks) = (Arc::clone(&ports.fs), Arc::clone(pieces), run.chunks.clone());
        let here = blocking(move || pieces.read(&*fs, &chunks)).await;
        // A file that changes under our hands is no source: then all of it is fetched.
        if let Ok(Some(bytes)) = here {
            return Ok((bytes, 0));
        }
    }
    let bytes = ports.remote.read(file, version, run.offset, run.size()).await?;
    if bytes.len() as u64 != run.size() {
        return Err(Error::Garbled("a range of another size was answered".to_owned()).into());
    }
    Ok((bytes, run.size()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_together_is_read_together_within_bounds() {
        let chunk = |number: u8, size: u32| ChunkRef { sha256: Sha256Hash::of(&[number]), size };
        let chunks: Vec<ChunkRef> = (0..12).map(|number| chunk(number, 1 << 20)).collect();
        let here = Sha256Hash::of(&[6]);
        let runs = runs(&chunks, |chunk| chunk.sha256 == here);
        let shape: Vec<(u64, usize, bool)> =
            runs.iter().map(|run| (run.offset >> 20, run.chunks.len(), run.is_here)).collect();
        assert_eq!(shape, [(0, 4, false), (4, 2, false), (6, 1, true), (7, 4, false), (11, 1, false)]);
    }
}
