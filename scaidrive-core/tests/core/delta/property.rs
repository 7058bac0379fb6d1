//! Any edit of any file: a client that cuts alike and sends what is missing ends with the same bytes.

use std::collections::HashSet;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use scaidrive_core::chunking;
use scaidrive_core::model::{Chunk, ChunkHash, ChunkingParams, FileId, Sha256Hash};
use scaidrive_core::services::delta;
use scaidrive_core::services::files::{self, IfMatch};

use super::{assemble, claim, noise, put, read, send};
use crate::backends::House;

/// Small chunks, so that small files have many.
const PARAMS: ChunkingParams =
    ChunkingParams { algorithm: "fastcdc-v2020", min: 256, avg: 1024, max: 4096, normalization: 2 };

/// One edit; places and lengths are parts of the file's size, in thousandths.
#[derive(Clone, Debug)]
enum Edit {
    Insert(usize, u64, usize),
    Remove(usize, usize),
    Overwrite(usize, u64, usize),
    Repeat(usize, usize),
    Truncate(usize),
}

fn edit() -> impl Strategy<Value = Edit> {
    let (place, seed, length) = (0..=1000usize, any::<u64>(), 0..20_000usize);
    prop_oneof![
        (place.clone(), seed, length.clone()).prop_map(|(at, seed, length)| Edit::Insert(at, seed, length)),
        (place.clone(), place.clone()).prop_map(|(from, to)| Edit::Remove(from.min(to), from.max(to))),
        (place.clone(), seed, length).prop_map(|(at, seed, length)| Edit::Overwrite(at, seed, length)),
        (place.clone(), place.clone()).prop_map(|(from, to)| Edit::Repeat(from.min(to), from.max(to))),
        place.prop_map(Edit::Truncate),
    ]
}

fn apply(bytes: &mut Vec<u8>, edit: &Edit) {
    let at = |part: usize| bytes.len() * part / 1000;
    match *edit {
        Edit::Insert(place, seed, length) => {
            let place = at(place);
            bytes.splice(place..place, noise(seed, length));
        }
        Edit::Remove(from, to) => drop(bytes.drain(at(from)..at(to))),
        Edit::Overwrite(place, seed, length) => {
            let place = at(place);
            let end = bytes.len().min(place + length);
            bytes.splice(place..end, noise(seed, end - place));
        }
        Edit::Repeat(from, to) => bytes.extend_from_within(at(from)..at(to)),
        Edit::Truncate(place) => bytes.truncate(at(place)),
    }
}

/// Saves a new version as a client does, and returns what it sent.
async fn save(house: &House, file: FileId, bytes: &[u8]) -> Vec<Chunk> {
    let (chunks, digest) = chunking::cut_bytes(bytes.to_vec().into(), &house.drive.chunking);
    let manifest = delta::manifest(&house.drive, &house.caller, file, None).await.unwrap();
    let held: HashSet<ChunkHash> = manifest.chunks.iter().map(|cut| cut.sha256).collect();
    let unknown = chunks.iter().map(|chunk| chunk.hash).filter(|hash| !held.contains(hash)).collect();
    let missing = delta::missing(&house.drive, &house.caller, house.share.id, unknown).await.unwrap();
    let mut missing: HashSet<ChunkHash> = missing.into_iter().collect();
    let sent: Vec<Chunk> = chunks.iter().filter(|chunk| missing.remove(&chunk.hash)).cloned().collect();
    send(house, &house.caller, &sent).await.unwrap();
    let claim =
        delta::Claim { size: Some(digest.size), checksum: Some(Sha256Hash::of(bytes)), ..claim(&chunks) };
    let stored = assemble(house, &house.caller, claim).await.unwrap();
    let write = files::write_from(&house.drive, &house.caller, file, IfMatch::default(), None, stored);
    assert_eq!(write.await.unwrap().checksum_sha256, digest.checksum);
    sent
}

async fn edits_arrive(house: &House, name: &str, mut bytes: Vec<u8>, edits: &[Edit]) {
    let file = put(house, &house.caller, None, name, &bytes).await.id;
    let mut seen: HashSet<ChunkHash> = HashSet::new();
    for edit in edits {
        let held = delta::manifest(&house.drive, &house.caller, file, None).await.unwrap();
        seen.extend(held.chunks.iter().map(|cut| cut.sha256));
        apply(&mut bytes, edit);
        let sent = save(house, file, &bytes).await;
        assert!(
            sent.iter().all(|chunk| !seen.contains(&chunk.hash)),
            "what a version holds is not sent again"
        );
        assert!(read(house, &house.caller, file).await == bytes, "{edit:?}");
    }
}

#[test]
fn any_edit_arrives_and_only_what_is_new_is_sent() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    for house in runtime.block_on(House::both(|ports| ports.chunking = PARAMS)) {
        let mut runner =
            TestRunner::new(Config { cases: 24, failure_persistence: None, ..Config::default() });
        let strategy = (any::<u64>(), 0..60_000usize, prop::collection::vec(edit(), 1..6));
        let number = std::cell::Cell::new(0);
        let outcome = runner.run(&strategy, |(seed, length, edits)| {
            number.set(number.get() + 1);
            runtime.block_on(edits_arrive(&house, &number.get().to_string(), noise(seed, length), &edits));
            Ok(())
        });
        outcome.unwrap();
        runtime.block_on(house.check());
    }
}
