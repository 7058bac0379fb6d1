//! Facts about chunking as callers see it.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use fastcdc::v2020::{FastCDC, Normalization};
use futures_util::{FutureExt, StreamExt, stream};
use proptest::prelude::*;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::sync::oneshot;
use tokio_util::io::{InspectReader, StreamReader};

use super::{ChunkReader, ContentDigest, content_id, cut_bytes};
use crate::model::{Chunk, ChunkingParams, Sha256Hash};

/// The smallest sizes that FastCDC allows: a few kilobytes hold every kind of edge.
const TINY: ChunkingParams =
    ChunkingParams { algorithm: "fastcdc-v2020", min: 64, avg: 256, max: 1024, normalization: 2 };

/// Returns bytes that look random, by SplitMix64.
fn noise(size: usize, seed: u64) -> Bytes {
    let mut state = seed;
    let mut word = || {
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)).to_le_bytes()
    };
    std::iter::repeat_with(&mut word).take(size.div_ceil(8)).flatten().take(size).collect()
}

/// Returns a reader that gives the content in pieces of these sizes, over and over, and yields between them.
fn in_pieces(mut content: Bytes, sizes: Vec<usize>) -> impl AsyncRead + Send + Unpin + 'static {
    let pieces = sizes.into_iter().cycle().map_while(move |size| {
        let size = size.min(content.len());
        (size > 0).then(|| Ok::<_, io::Error>(content.split_to(size)))
    });
    StreamReader::new(Box::pin(stream::iter(pieces).then(|piece| tokio::task::yield_now().map(|()| piece))))
}

/// Returns a reader that gives so many bytes and then fails.
fn failing_after(size: usize) -> impl AsyncRead + Send + Unpin + 'static {
    let error = io::Error::new(io::ErrorKind::ConnectionReset, "the client went away");
    StreamReader::new(stream::iter([Ok(noise(size, 1)), Err(error)]))
}

/// Returns a reader that goes on for ever.
fn endless() -> impl AsyncRead + Send + Unpin + 'static {
    StreamReader::new(stream::repeat(noise(100_000, 7)).map(Ok::<_, io::Error>))
}

async fn read_all(mut reader: ChunkReader) -> io::Result<(Vec<Chunk>, ContentDigest)> {
    let mut chunks = Vec::new();
    while let Some(chunk) = reader.next().await? {
        chunks.push(chunk);
    }
    Ok((chunks, reader.finish().await?))
}

fn sizes(chunks: &[Chunk]) -> Vec<usize> {
    chunks.iter().map(|chunk| chunk.bytes.len()).collect()
}

/// Demands that these are the chunks of the content, each under its hash, and its digest.
fn assert_chunks_of(
    content: &Bytes,
    params: &ChunkingParams,
    (chunks, digest): &(Vec<Chunk>, ContentDigest),
) {
    let [min, avg, max] = [params.min, params.avg, params.max].map(|size| size as usize);
    let expected: Vec<usize> = FastCDC::with_level(content, min, avg, max, Normalization::Level2)
        .map(|chunk| chunk.length)
        .collect();
    assert_eq!(sizes(chunks), expected);
    assert!(chunks.iter().all(|chunk| chunk.hash == Sha256Hash::of(&chunk.bytes)));
    assert!(chunks.iter().flat_map(|chunk| &chunk.bytes).eq(content));
    assert_eq!(*digest, ContentDigest { size: content.len() as u64, checksum: Sha256Hash::of(content) });
}

/// Cuts the content as a stream and in memory, and demands that both are right.
async fn assert_cut_right(content: Bytes, params: ChunkingParams) -> Vec<usize> {
    let read = read_all(ChunkReader::new(io::Cursor::new(content.clone()), params)).await.unwrap();
    assert_chunks_of(&content, &params, &read);
    assert_chunks_of(&content, &params, &cut_bytes(content.clone(), &params));
    sizes(&read.0)
}

fn golden() -> Vec<(usize, Sha256Hash)> {
    let lines = include_str!("../../tests/data/chunks.golden").lines().filter(|line| !line.starts_with('#'));
    let pair =
        |line: &str| line.split_once(' ').map(|(size, hash)| (size.parse().unwrap(), hash.parse().unwrap()));
    lines.map(|line| pair(line).unwrap()).collect()
}

#[tokio::test]
async fn chunks_are_the_golden_ones() {
    let params = ChunkingParams::default();
    assert_eq!(params.to_string(), "fastcdc-v2020:131072:262144:1048576:2");
    let content = noise(6 << 20, 0);
    let (chunks, digest) =
        read_all(ChunkReader::new(io::Cursor::new(content.clone()), params)).await.unwrap();
    let pairs = |chunks: &[Chunk]| chunks.iter().map(|c| (c.bytes.len(), c.hash)).collect::<Vec<_>>();
    assert_eq!(pairs(&chunks), golden());
    assert_eq!(pairs(&cut_bytes(content, &params).0), golden());
    assert_eq!(
        digest.checksum.to_string(),
        "6d32cd1750404e2aea178a7f4fe0ebf0bdb2e245e3e2e844980b73fab4c6da5e"
    );
    let id = content_id(chunks.iter().map(|chunk| (chunk.hash, chunk.bytes.len() as u64)));
    assert_eq!(id.to_string(), "2a9e8d1bb329fd8ab54dd5f992e9bd80f85e281baf7d05a39cf0377fd7b5924f");
}

#[test]
fn content_id_depends_on_order_and_size() {
    let [a, b] = [b"a", b"b"].map(|bytes| Sha256Hash::of(bytes));
    assert_eq!(content_id([]), Sha256Hash::of(b""));
    assert_ne!(content_id([(a, 1), (b, 1)]), content_id([(b, 1), (a, 1)]));
    assert_ne!(content_id([(a, 1)]), content_id([(a, 2)]));
}

proptest! {
    #[test]
    fn boundaries_do_not_depend_on_the_reads(
        // Noise is cut where FastCDC likes, a run of one byte only at the largest size.
        parts in prop::collection::vec((any::<bool>(), 0..5_000_usize, any::<u64>()), 0..6),
        reads in prop::collection::vec(
            prop_oneof![Just(1_usize), Just(37), Just(255), Just(1024), Just(64 << 10), 1..3_000_usize],
            1..6,
        ),
    ) {
        let content: Bytes = parts
            .iter()
            .flat_map(|&(is_noise, size, seed)| if is_noise { noise(size, seed) } else { vec![seed as u8; size].into() })
            .collect();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let reader = ChunkReader::new(in_pieces(content.clone(), reads), TINY);
        let read = runtime.block_on(read_all(reader)).unwrap();
        assert_chunks_of(&content, &TINY, &read);
        assert_chunks_of(&content, &TINY, &cut_bytes(content.clone(), &TINY));
    }
}

#[tokio::test]
async fn boundaries_do_not_depend_on_the_reads_at_full_size() {
    let (content, params) = (noise(5_000_001, 3), ChunkingParams::default());
    for size in [255, 64 << 10, 1 << 20, 3_000_000] {
        let read = read_all(ChunkReader::new(in_pieces(content.clone(), vec![size]), params)).await.unwrap();
        assert_chunks_of(&content, &params, &read);
    }
}

#[tokio::test]
async fn empty_content_has_no_chunks() {
    assert!(assert_cut_right(Bytes::new(), TINY).await.is_empty());
}

#[tokio::test]
async fn content_is_cut_right_around_every_limit() {
    for params in [TINY, ChunkingParams::default()] {
        let blocks = [1, 2, 3].map(|count| count * params.max as usize);
        for limit in [1, params.min as usize, params.avg as usize, 64 << 10].into_iter().chain(blocks) {
            for size in [limit - 1, limit, limit + 1] {
                assert_cut_right(noise(size, 5), params).await;
                assert_cut_right(vec![0; size].into(), params).await;
            }
        }
    }
}

#[tokio::test]
async fn chunk_of_the_largest_size_may_be_all() {
    let params = ChunkingParams::default();
    assert_eq!(assert_cut_right(vec![0; 1 << 20].into(), params).await, [1 << 20]);
    assert_eq!(assert_cut_right(vec![0; (1 << 20) + 1].into(), params).await, [1 << 20, 1]);
}

#[tokio::test]
async fn one_byte_in_front_costs_one_chunk() {
    let (content, params) = (noise(6 << 20, 9), ChunkingParams::default());
    let before = cut_bytes(content.clone(), &params).0;
    let moved = io::Cursor::new(b"!").chain(io::Cursor::new(content));
    let (after, _) = read_all(ChunkReader::new(moved, params)).await.unwrap();
    let new = after.iter().filter(|chunk| before.iter().all(|known| known.hash != chunk.hash)).count();
    assert_eq!((new, after.len()), (1, before.len()));
}

#[tokio::test]
async fn failing_reader_gives_its_error_and_no_end() {
    for size in [0, 100, 70_000, 6 << 20] {
        let mut reader = ChunkReader::new(failing_after(size), ChunkingParams::default());
        let mut given = 0;
        let error = loop {
            match reader.next().await {
                Ok(chunk) => given += chunk.unwrap().bytes.len(),
                Err(error) => break error,
            }
        };
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
        assert!(given <= size);
        assert!(reader.next().await.is_err(), "an error is not followed by an end");
        assert!(reader.finish().await.is_err());
    }
}

#[tokio::test]
async fn panicking_reader_is_an_error() {
    let after = stream::once(async { Ok::<_, io::Error>(noise(100_000, 1)) });
    let panics = stream::poll_fn(|_| panic!("a reader's own mistake"));
    let reader = StreamReader::new(Box::pin(after.chain(panics)));
    let error = read_all(ChunkReader::new(reader, ChunkingParams::default())).await.unwrap_err();
    assert!(error.to_string().contains("panicked"), "{error}");
}

#[tokio::test]
async fn finishing_early_still_digests_all() {
    for size in [50_000, 3 << 20] {
        let content = noise(size, 2);
        let mut reader = ChunkReader::new(io::Cursor::new(content.clone()), ChunkingParams::default());
        reader.next().await.unwrap();
        let digest = reader.finish().await.unwrap();
        assert_eq!(digest, ContentDigest { size: size as u64, checksum: Sha256Hash::of(&content) });
    }
}

#[tokio::test]
async fn dropping_ends_the_reading() {
    // Once while it waits for room, once while it waits for bytes that never come.
    for more in [stream::repeat(noise(100_000, 7)).left_stream(), stream::pending().right_stream()] {
        let (guard, dropped) = oneshot::channel::<()>();
        let content = stream::iter([noise(3 << 20, 7)]).chain(more).map(Ok::<_, io::Error>);
        let source = InspectReader::new(StreamReader::new(content), move |_| _ = &guard);
        let mut reader = ChunkReader::new(source, ChunkingParams::default());
        reader.next().await.unwrap().unwrap();
        drop(reader);
        let waited = tokio::time::timeout(Duration::from_secs(10), dropped).await;
        assert!(waited.unwrap().is_err(), "the source is dropped, and its guard with it");
    }
}

#[tokio::test]
async fn little_is_read_ahead() {
    let read = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&read);
    let count = move |piece: &[u8]| _ = counter.fetch_add(piece.len() as u64, Ordering::Relaxed);
    let mut reader = ChunkReader::new(InspectReader::new(endless(), count), TINY);
    let mut given = 0;
    for _ in 0..5_000 {
        given += reader.next().await.unwrap().unwrap().bytes.len() as u64;
        let ahead = read.load(Ordering::Relaxed) - given;
        assert!(ahead <= 8 * u64::from(TINY.max), "{ahead} bytes were read and not given out");
    }
}

#[tokio::test]
async fn asking_and_leaving_loses_nothing() {
    let (content, params) = (noise(4 << 20, 4), ChunkingParams::default());
    let mut reader = ChunkReader::new(in_pieces(content.clone(), vec![30_000]), params);
    let mut chunks = Vec::new();
    loop {
        match reader.next().now_or_never() {
            Some(Ok(Some(chunk))) => chunks.push(chunk),
            Some(end) => break assert!(end.unwrap().is_none()),
            None => tokio::task::yield_now().await,
        }
    }
    assert_chunks_of(&content, &params, &(chunks, reader.finish().await.unwrap()));
}

#[test]
fn many_readers_need_no_more_than_one_blocking_thread() {
    let runtime = tokio::runtime::Builder::new_multi_thread().max_blocking_threads(1).build().unwrap();
    let content = noise(3 << 20, 6);
    let readers: Vec<_> = std::iter::repeat_with(|| io::Cursor::new(content.clone()))
        .take(16)
        .map(|source| runtime.spawn(read_all(ChunkReader::new(source, ChunkingParams::default()))))
        .collect();
    for reader in readers {
        let read = runtime.block_on(reader).unwrap().unwrap();
        assert_chunks_of(&content, &ChunkingParams::default(), &read);
    }
}

#[tokio::test]
async fn chunk_kept_alone_keeps_little_memory() {
    let content = noise((4 << 20) + 20_000, 8);
    let (chunks, _) = cut_bytes(content.clone(), &ChunkingParams::default());
    for kept in 0..chunks.len() {
        let mut reader = ChunkReader::new(io::Cursor::new(content.clone()), ChunkingParams::default());
        for _ in 0..kept {
            reader.next().await.unwrap();
        }
        let chunk = reader.next().await.unwrap().unwrap();
        let size = chunk.bytes.len();
        reader.finish().await.unwrap();
        let memory = chunk.bytes.try_into_mut().expect("nobody else holds the block").capacity();
        assert!(memory <= 8 * size, "{size} bytes keep {memory}");
    }
}

#[test]
#[should_panic(expected = "within FastCDC's limits")]
fn odd_sizes_are_refused() {
    cut_bytes(Bytes::new(), &ChunkingParams { min: 65, ..TINY });
}
