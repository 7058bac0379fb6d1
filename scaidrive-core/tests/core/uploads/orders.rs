//! Whatever the order, the repetitions and the corrections: the file is what was sent last of every part.

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use scaidrive_core::model::{Error, Sha256Hash, UploadStatus};
use scaidrive_core::services::files::{self, NewFile};
use scaidrive_core::services::uploads::NewUpload;

use super::{Dice, PART, Session, everywhere, new_upload, shrink, told_missing};
use crate::backends::{House, name, rounds};

#[tokio::test(flavor = "multi_thread")]
async fn every_size_in_every_order_becomes_the_file() {
    let mut dice = Dice(1);
    for house in everywhere(|_| {}).await {
        for size in [0, 1, PART - 1, PART, PART + 1, 5 * PART, 12 * PART + 4711] {
            let content = dice.bytes(size);
            let in_order: Vec<u32> = (0..size.div_ceil(PART) as u32).collect();
            let reversed: Vec<u32> = in_order.iter().rev().copied().collect();
            let shuffled = dice.shuffled(in_order.clone());
            for (how, order) in [("in order", in_order), ("last to first", reversed), ("shuffled", shuffled)]
            {
                let file = format!("{size} {how}");
                let session = Session::begin(&house, &file, content.clone()).await;
                for (sent, part) in order.iter().enumerate() {
                    let stored = session.put(*part).await;
                    assert_eq!((stored.index, stored.received_chunks as usize), (*part, sent + 1));
                    assert_eq!(stored.sha256, Sha256Hash::of(&session.part(*part)));
                }
                let made = session.complete().await.unwrap_or_else(|error| panic!("{file}: {error:?}"));
                session.assert_made(&made, &content).await;
                assert_eq!((session.info().await.status, made.version), (UploadStatus::Completed, 1));
            }
        }
        house.check().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn parts_sent_at_once_and_twice_become_the_file() {
    let mut dice = Dice(2);
    for house in everywhere(|_| {}).await {
        let content = dice.bytes(24 * PART + 99);
        let session = Session::begin(&house, "a", content.clone()).await;
        let order = dice.shuffled((0..session.count()).chain(0..session.count()).collect());
        stream::iter(order)
            .for_each_concurrent(8, |part| {
                let s = &session;
                async move {
                    s.put(part).await;
                }
            })
            .await;
        let info = session.info().await;
        assert_eq!((info.received_chunks, info.missing.len()), (25, 0));
        let made = session.complete().await.unwrap();
        session.assert_made(&made, &content).await;
        house.check().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_in_parts_is_cut_as_one_in_a_stream() {
    for house in House::both(shrink).await {
        let content = Dice(3).bytes(20 * PART + 5);
        let new = NewFile {
            share: house.share.id,
            folder: None,
            name: name("streamed"),
            mime_type: None,
            modified_at: None,
        };
        files::create(&house.drive, &house.caller, new, std::io::Cursor::new(content.clone())).await.unwrap();
        let stats =
            || async { house.drive.read().await.unwrap().chunk_stats(house.caller.tenant).await.unwrap() };
        let before = stats().await;
        let session = Session::begin(&house, "in parts", content).await;
        session.put_all().await;
        session.complete().await.unwrap();
        assert_eq!(stats().await, before, "not one chunk or content more");
        house.check().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn parts_behind_the_frontier_are_removed() {
    for house in everywhere(|_| {}).await {
        let session = Session::begin(&house, "a", Dice(4).bytes(16 * PART)).await;
        for part in 0..12 {
            session.put(part).await;
        }
        let row = session.row().await;
        let behind = (row.frontier / PART as u64) as u32;
        assert!(behind >= 8, "the frontier stands at {}", row.frontier);
        for part in 0..12 {
            assert_eq!(session.has_object(part).await, part >= behind, "part {part} of {behind}");
        }
        assert!(row.lease.is_none());
        for part in 12..16 {
            session.put(part).await;
        }
        session.complete().await.unwrap();
        house.check().await;
    }
}

/// A client that sends parts in any order, some again, some with other bytes than before, and completes too early;
/// beside it, what the file must be.
async fn wander(house: &House, seed: u64) {
    let mut dice = Dice(seed);
    let size = 1 + dice.roll(14 * PART);
    let mut session = Session::begin(house, &format!("{seed}"), Bytes::from(vec![0; size])).await;
    let mut sent: Vec<Option<Bytes>> = vec![None; session.count() as usize];
    for _ in 0..3 * sent.len() {
        let part = dice.roll(sent.len());
        let length = session.range(part as u32).len();
        let bytes = match &sent[part] {
            // Mostly the same again; else other bytes, which replace those before, wherever they are by now.
            Some(bytes) if dice.roll(3) > 0 => bytes.clone(),
            _ => dice.bytes(length),
        };
        session.put_bytes(part as u32, bytes.clone()).await.unwrap();
        sent[part] = Some(bytes);
        let missing: Vec<u32> =
            (0..).zip(&sent).filter(|(_, bytes)| bytes.is_none()).map(|(part, _)| part).collect();
        let info = session.info().await;
        assert_eq!(info.missing, missing, "seed {seed}");
        if !missing.is_empty() && dice.roll(8) == 0 {
            let told = told_missing(session.complete().await);
            assert!(told.iter().copied().eq(missing.iter().copied().map(u64::from)), "seed {seed}");
        }
    }
    for (part, sent) in (0..).zip(&mut sent) {
        let bytes = sent.get_or_insert_with(|| dice.bytes(session.range(part).len())).clone();
        session.put_bytes(part, bytes).await.unwrap();
    }
    session.content = sent.into_iter().flatten().flatten().collect();
    let made = session.complete().await.unwrap_or_else(|error| panic!("seed {seed}: {error:?}"));
    session.assert_made(&made, &session.content).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_sent_last_of_every_part_is_the_file() {
    for house in House::both(shrink).await {
        for seed in 0..u64::from(rounds(200)) / 8 {
            wander(&house, seed).await;
        }
        house.check().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_checksum_leaves_the_session_open_until_the_bad_part_is_replaced() {
    for house in everywhere(|_| {}).await {
        let content = Dice(5).bytes(20 * PART + 1);
        let checksum = Some(Sha256Hash::of(&content));
        let new = NewUpload { checksum, ..new_upload(&house, "a", content.len()) };
        let session = Session::begin_as(&house, new, content.clone()).await;
        for part in 0..session.count() {
            let mut bytes = session.part(part).to_vec();
            bytes[0] ^= u8::from(part == 7);
            session.put_bytes(part, bytes.into()).await.unwrap();
        }
        for _ in 0..2 {
            let refused = session.complete().await;
            assert!(matches!(refused, Err(Error::ChecksumMismatch { .. })), "{refused:?}");
            let info = session.info().await;
            assert_eq!((info.status, info.received_chunks), (UploadStatus::Open, 21));
        }
        assert!(!session.has_object(7).await, "it was promoted");
        session.put(7).await;
        let made = session.complete().await.unwrap();
        session.assert_made(&made, &content).await;
        house.check().await;
    }
}
