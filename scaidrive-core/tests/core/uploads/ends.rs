//! How sessions end: by time, by their users, and by becoming a file; and what is left then.

use std::sync::Arc;
use std::time::Duration;

use scaidrive_core::jobs::Worker;
use scaidrive_core::model::{Error, UploadStatus};
use scaidrive_core::services::uploads;
use scaidrive_core::testing::limiter::HandClock;

use super::{Dice, PART, Session, a_moment, everywhere};
use crate::backends::House;

const HOUR: i64 = 3600;

/// Drives whose clock for everything but leases is moved by hand.
async fn with_clock() -> Vec<(House, Arc<HandClock>)> {
    let clock = Arc::new(HandClock::default());
    let hand = Arc::clone(&clock);
    let houses = everywhere(|ports| ports.clock = Arc::clone(&hand) as _).await;
    houses.into_iter().map(|house| (house, Arc::clone(&clock))).collect()
}

async fn assert_ended(session: &Session<'_>, status: UploadStatus) {
    let gone = |outcome: Result<(), Error>| {
        assert!(matches!(outcome, Err(Error::SessionExpired { .. })), "{outcome:?}");
    };
    gone(session.put_bytes(0, session.part(0)).await.map(drop));
    gone(session.complete().await.map(drop));
    let info = session.info().await;
    assert_eq!((info.status, info.missing.len(), info.file_id), (status, 0, None));
}

/// Runs what is due, and demands that nothing of the session is left but that it was.
async fn assert_cleared(session: &Session<'_>) {
    let house = session.house;
    uploads::clear(&house.drive, house.caller.tenant, session.id).await.unwrap();
    for part in 0..session.count() {
        assert!(!session.has_object(part).await, "part {part}");
    }
    let mut rows = house.drive.read().await.unwrap();
    assert_eq!(rows.upload_part_numbers(house.caller.tenant, session.id).await.unwrap(), [0_u32; 0]);
    assert!(rows.upload_manifest(house.caller.tenant, session.id).await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_ends_24_hours_after_the_last_part() {
    for (house, clock) in with_clock().await {
        let session = Session::begin(&house, "a", Dice(11).bytes(12 * PART)).await;
        clock.advance(23 * HOUR);
        session.put(0).await;
        clock.advance(23 * HOUR);
        session.put(1).await;
        assert_eq!(session.info().await.status, UploadStatus::Open);
        clock.advance(24 * HOUR - 1);
        session.info().await;
        clock.advance(1);
        assert_ended(&session, UploadStatus::Expired).await;
        uploads::sweep(&house.drive, house.caller.tenant).await.unwrap();
        assert_eq!(session.row().await.status, UploadStatus::Expired);
        assert_ended(&session, UploadStatus::Expired).await;
        assert_cleared(&session).await;
        house.check().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_ends_47_hours_after_its_beginning_whatever_comes() {
    for (house, clock) in with_clock().await {
        let session = Session::begin(&house, "a", Dice(12).bytes(50 * PART)).await;
        let mut expiry = session.info().await.expires_at;
        for hour in 0..46 {
            session.put(hour).await;
            clock.advance(HOUR);
            let next = session.info().await.expires_at;
            assert!(next >= expiry);
            expiry = next;
        }
        assert_eq!(expiry.since(session.row().await.created_at), Duration::from_secs(47 * 3600));
        session.put(46).await;
        clock.advance(HOUR);
        assert_ended(&session, UploadStatus::Expired).await;
        house.check().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_aborted_session_is_gone_with_all_it_held() {
    for house in everywhere(|_| {}).await {
        let session = Session::begin(&house, "a", Dice(13).bytes(12 * PART)).await;
        for part in 0..10 {
            session.put(part).await;
        }
        for _ in 0..2 {
            uploads::abort(&house.drive, &house.caller, session.id).await.unwrap();
            assert_ended(&session, UploadStatus::Aborted).await;
        }
        // The job that the abort asked for.
        Worker::new(house.drive.clone()).run_due().await.unwrap();
        assert!(!session.has_object(9).await);
        assert_cleared(&session).await;
        house.check().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_completed_session_answers_the_same_whatever_became_of_the_file() {
    use scaidrive_core::services::files::{self, IfMatch};
    for (house, clock) in with_clock().await {
        let session = Session::begin(&house, "a", Dice(14).bytes(3 * PART)).await;
        session.put_all().await;
        let made = session.complete().await.unwrap();
        assert_eq!(session.complete().await.unwrap(), made);
        let other = std::io::Cursor::new(b"other");
        files::write(&house.drive, &house.caller, made.file_id, IfMatch::default(), other).await.unwrap();
        assert_cleared(&session).await;
        scaidrive_core::services::trash::delete(&house.drive, &house.caller, made.file_id.into(), true)
            .await
            .unwrap();
        clock.advance(48 * HOUR);
        assert_eq!(session.complete().await.unwrap(), made);
        let info = session.info().await;
        assert_eq!((info.status, info.file_id), (UploadStatus::Completed, Some(made.file_id)));
        let aborted = uploads::abort(&house.drive, &house.caller, session.id).await;
        assert!(matches!(aborted, Err(Error::SessionExpired { .. })), "{aborted:?}");
        clock.advance(8 * 24 * HOUR);
        uploads::sweep(&house.drive, house.caller.tenant).await.unwrap();
        assert!(matches!(session.complete().await, Err(Error::NotFound)), "it is remembered for a week");
        house.check().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_hourly_job_ends_what_is_overdue_and_nothing_else() {
    for (house, clock) in with_clock().await {
        let old = Session::begin(&house, "old", Dice(15).bytes(2 * PART)).await;
        old.put(0).await;
        clock.advance(24 * HOUR);
        let young = Session::begin(&house, "young", Dice(16).bytes(2 * PART)).await;
        young.put(0).await;
        let worker = Worker::new(house.drive.clone());
        worker.schedule().await.unwrap();
        while worker.run_due().await.unwrap() > 0 {}
        assert_eq!(old.row().await.status, UploadStatus::Expired);
        assert!(!old.has_object(0).await);
        assert_eq!(young.row().await.status, UploadStatus::Open);
        young.put(1).await;
        young.complete().await.unwrap();
        let events = house.drive.read().await.unwrap().audit_events(house.caller.tenant, 100).await.unwrap();
        let told = |action: &str| {
            events
                .iter()
                .filter(|event| event.action == action)
                .map(|event| event.resource_id.clone())
                .collect::<Vec<_>>()
        };
        assert_eq!(told("upload.expire"), [old.id.to_string()]);
        assert_eq!(told("upload.create"), [young.id.to_string(), old.id.to_string()]);
        house.check().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_ended_session_held_is_collected_a_grace_later() {
    use scaidrive_core::services::collect::{self, Plan};
    for house in House::both(super::shrink).await {
        let session = Session::begin(&house, "a", Dice(17).bytes(12 * PART)).await;
        session.put_all().await;
        let plan = Plan { grace: Duration::ZERO, dry_run: false, quarantine: Duration::ZERO };
        a_moment().await;
        let held = collect::run(&house.drive, house.caller.tenant, plan).await.unwrap();
        assert_eq!(held.chunks, 0, "a live session holds them");
        let chunks = house.drive.read().await.unwrap().chunk_stats(house.caller.tenant).await.unwrap().chunks;
        assert!(chunks > 10);
        uploads::abort(&house.drive, &house.caller, session.id).await.unwrap();
        assert_cleared(&session).await;
        let grace = Plan { grace: Duration::from_secs(3600), ..plan };
        assert_eq!(
            collect::run(&house.drive, house.caller.tenant, grace).await.unwrap().chunks,
            0,
            "too young"
        );
        a_moment().await;
        let done = collect::run(&house.drive, house.caller.tenant, plan).await.unwrap();
        assert_eq!(done.chunks as i64, chunks);
        house.check().await;
    }
}
