//! Delta transfer: small chunks in, contents made of them, questions, and what an edit of a large file sends.

use std::fs::File;
use std::io::Write;
use std::path::Path;

use bytes::Bytes;
use divan::Bencher;
use divan::counter::ItemsCount;
use futures_util::stream;
use scaidrive_core::chunking;
use scaidrive_core::model::{Chunk, ChunkHash, ChunkingParams, Sha256Hash};
use scaidrive_core::services::delta::{self, Claim, Frame};

use crate::{Bench, noise, runtime};

const SMALL: usize = 10_000;

/// Changes that one apply carries at most.
const CLAIMS: usize = 1000;

fn small_chunks(salt: u64) -> Vec<Chunk> {
    let all = noise(SMALL * 4096, salt);
    let chunk = |number: usize| {
        let bytes = all.slice(number * 4096..(number + 1) * 4096);
        Chunk { hash: Sha256Hash::of(&bytes), bytes }
    };
    (0..SMALL).map(chunk).collect()
}

fn fresh() -> impl FnMut() -> Vec<Chunk> {
    let mut salt = 0;
    move || {
        salt += 1;
        small_chunks(salt)
    }
}

async fn receive(bench: &Bench, chunks: &[Chunk]) {
    let frames: Vec<_> =
        chunks.iter().map(|chunk| Ok(Frame { hash: chunk.hash, bytes: Some(chunk.bytes.clone()) })).collect();
    let receipts = delta::receive(&bench.drive, &bench.caller, stream::iter(frames)).await.expect("receipts");
    assert!(receipts.iter().all(|(_, outcome)| matches!(outcome, Ok(true))));
}

async fn assemble(bench: &Bench, chunks: &[Chunk]) {
    for part in chunks.chunks(CLAIMS) {
        let claim = |chunk: &Chunk| Claim { chunks: vec![(chunk.hash, 4096)], ..Claim::default() };
        let claims = part.iter().map(claim).collect();
        let contents = delta::assemble(&bench.drive, &bench.caller, bench.share, claims).await;
        assert!(contents.expect("contents").iter().all(Result::is_ok));
    }
}

/// What the goal S5 is measured against: a file made durable under its name, one after the other.
#[divan::bench(sample_count = 5, sample_size = 1)]
fn bare_durable_files_of_4_kib(bencher: Bencher) {
    const FILES: usize = 1000;
    let bytes = noise(4096, 1);
    let fresh = || tempfile::tempdir().expect("a directory");
    bencher.counter(ItemsCount::new(FILES)).with_inputs(fresh).bench_local_values(|dir| {
        let folder = File::open(dir.path()).expect("the directory");
        for number in 0..FILES {
            durable(dir.path(), &number.to_string(), &bytes);
            folder.sync_all().expect("a sync");
        }
        dir
    });
}

fn durable(dir: &Path, name: &str, bytes: &[u8]) {
    let draft = dir.join("draft");
    let mut file = File::create(&draft).expect("a file");
    file.write_all(bytes).expect("a write");
    file.sync_all().expect("a sync");
    std::fs::rename(draft, dir.join(name)).expect("a rename");
}

#[divan::bench(sample_count = 5, sample_size = 1)]
fn chunks_of_4_kib_received(bencher: Bencher) {
    let bench = Bench::new();
    bencher
        .counter(ItemsCount::new(SMALL))
        .with_inputs(fresh())
        .bench_local_values(|chunks| runtime().block_on(receive(&bench, &chunks)));
}

#[divan::bench(sample_count = 5, sample_size = 1)]
fn contents_of_a_sent_chunk_assembled(bencher: Bencher) {
    let bench = Bench::new();
    let mut fresh = fresh();
    let sent = || {
        let chunks = fresh();
        runtime().block_on(receive(&bench, &chunks));
        chunks
    };
    bencher
        .counter(ItemsCount::new(SMALL))
        .with_inputs(sent)
        .bench_local_values(|chunks| runtime().block_on(assemble(&bench, &chunks)));
}

/// Ten thousand hashes in one question, half of them in as many files of the share.
#[divan::bench(sample_count = 20, sample_size = 1)]
fn hashes_looked_up(bencher: Bencher) {
    let bench = Bench::new();
    bench.filled_folder_of(SMALL / 2, |number| Bytes::from(format!("small {number}")));
    let hashes: Vec<ChunkHash> =
        (0..SMALL).map(|number| Sha256Hash::of(format!("small {number}").as_bytes())).collect();
    bencher.counter(ItemsCount::new(SMALL)).bench_local(|| {
        let known = delta::known(&bench.drive, &bench.caller, bench.share, &hashes);
        assert_eq!(runtime().block_on(known).expect("an answer").len(), SMALL / 2);
    });
}

/// Reports what an edit of 500 MB sends (S16); the time is that of cutting it again.
#[divan::bench(args = ["one byte in front", "2 MB in the middle"], sample_count = 1, sample_size = 1)]
fn edit_of_500_mb(bencher: Bencher, edit: &str) {
    const SIZE: usize = 500_000_000;
    let params = ChunkingParams::default();
    let before = noise(SIZE, 1);
    let mut after = before.to_vec();
    match edit {
        "one byte in front" => after.insert(0, 1),
        _ => after[SIZE / 2..SIZE / 2 + 2_000_000].copy_from_slice(&noise(2_000_000, 2)),
    }
    let (held, _) = chunking::cut_bytes(before, &params);
    let held: std::collections::HashSet<ChunkHash> = held.iter().map(|chunk| chunk.hash).collect();
    let after = Bytes::from(after);
    bencher.bench_local(|| {
        let (chunks, _) = chunking::cut_bytes(after.clone(), &params);
        let new = chunks.iter().filter(|chunk| !held.contains(&chunk.hash));
        let sent: usize = new.map(|chunk| chunk.bytes.len() + 36).sum();
        eprintln!("{edit}: {sent} bytes sent");
    });
}
