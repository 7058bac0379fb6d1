//! Objects that vanish or change behind the server's back: told as missing, never taken for good.

use bytes::Bytes;
use scaidrive_core::model::{UploadId, UploadStatus};
use scaidrive_core::ports::Key;
use scaidrive_core::services::uploads;
use ulid::Ulid;

use super::{Dice, PART, Session, everywhere, told_missing};

/// Sends all parts but those from 12 on, so that the frontier stands inside of one; returns that part.
async fn send_most(session: &Session<'_>) -> u32 {
    for part in 0..12 {
        session.put(part).await;
    }
    let frontier = session.row().await.frontier;
    assert!(
        !frontier.is_multiple_of(PART as u64),
        "the frontier stands between two parts: choose another seed"
    );
    (frontier / PART as u64) as u32
}

async fn send_rest(session: &Session<'_>) {
    for part in 12..session.count() {
        session.put(part).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn parts_that_a_lifecycle_rule_removed_are_told_missing() {
    for house in everywhere(|_| {}).await {
        let session = Session::begin(&house, "a", Dice(6).bytes(16 * PART + 7)).await;
        let halved = send_most(&session).await;
        house.drive.blobs.delete(&Key::part(session.id, halved)).await.unwrap();
        send_rest(&session).await;
        house.drive.blobs.delete(&Key::part(session.id, 13)).await.unwrap();
        let mut told = Vec::new();
        // Each completion finds the first that is not there.
        for _ in 0..2 {
            told.extend(told_missing(session.complete().await));
            assert_eq!(session.info().await.status, UploadStatus::Open);
            let missing = session.info().await.missing;
            assert!(!missing.is_empty());
            for part in missing {
                session.put(part).await;
            }
        }
        assert_eq!(told, [u64::from(halved), 13]);
        let made = session.complete().await.unwrap();
        session.assert_made(&made, &session.content).await;
        house.check().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vanished_part_that_was_half_cut_may_come_back_with_other_bytes() {
    for house in everywhere(|_| {}).await {
        let mut session = Session::begin(&house, "a", Dice(6).bytes(16 * PART + 7)).await;
        let halved = send_most(&session).await;
        house.drive.blobs.delete(&Key::part(session.id, halved)).await.unwrap();
        send_rest(&session).await;
        assert_eq!(told_missing(session.complete().await), [u64::from(halved)]);
        let mut content = session.content.to_vec();
        content[session.range(halved)].copy_from_slice(&Dice(99).bytes(PART));
        session.content = content.into();
        session.put(halved).await;
        let made = session.complete().await.unwrap();
        session.assert_made(&made, &session.content).await;
        house.check().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_changed_in_the_store_are_never_taken() {
    for house in everywhere(|_| {}).await {
        let session = Session::begin(&house, "a", Dice(7).bytes(4 * PART)).await;
        for part in [1, 2, 3] {
            session.put(part).await;
        }
        // A put that was sent long ago, by somebody who died since, arrives now.
        let late = vec![(Key::part(session.id, 2), Bytes::from(vec![7; PART]))];
        house.drive.blobs.put_all(late).await.unwrap();
        session.put(0).await;
        assert_eq!(told_missing(session.complete().await), [2]);
        session.put(2).await;
        let made = session.complete().await.unwrap();
        session.assert_made(&made, &session.content).await;
        house.check().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn deletes_that_come_late_harm_nobody() {
    for house in everywhere(|_| {}).await {
        let mut session = Session::begin(&house, "a", Dice(8).bytes(16 * PART)).await;
        session.put_all().await;
        // Part 3 was promoted and its object removed; it comes again, and the delete of before arrives after that.
        let mut content = session.content.to_vec();
        content[session.range(3)].copy_from_slice(&Dice(98).bytes(PART));
        session.content = content.into();
        session.put(3).await;
        for part in 0..8 {
            house.drive.blobs.delete(&Key::part(session.id, part)).await.unwrap();
        }
        let made = session.complete().await.unwrap();
        session.assert_made(&made, &session.content).await;
        house.check().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn parts_of_no_live_session_are_swept_and_others_are_not() {
    for house in everywhere(|_| {}).await {
        let live = Session::begin(&house, "live", Dice(9).bytes(2 * PART)).await;
        live.put(1).await;
        let over = Session::begin(&house, "over", Dice(10).bytes(PART)).await;
        over.put(0).await;
        over.complete().await.unwrap();
        // Of another installation that shares the store: its database alone can tell whether it is live, while young.
        let young = UploadId::new(house.drive.ids.ulid());
        let old = UploadId::new(Ulid::from_parts(young.ulid().timestamp_ms() - 49 * 3_600_000, 1));
        let late = [over.id, young, old].map(|id| (Key::part(id, 0), Bytes::from_static(b"late")));
        house.drive.blobs.put_all(late.to_vec()).await.unwrap();
        assert!(uploads::sweep_orphans(&house.drive).await.unwrap() >= 2);
        assert!(live.has_object(1).await && !over.has_object(0).await);
        let there = |id| {
            let key = Key::part(id, 0);
            let blobs = &house.drive.blobs;
            async move { blobs.head(&key).await.unwrap().is_some() }
        };
        assert!(there(young).await && !there(old).await);
        house.drive.blobs.delete(&Key::part(young, 0)).await.unwrap();
        live.put(0).await;
        live.complete().await.unwrap();
        house.check().await;
    }
}
