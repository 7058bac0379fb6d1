//! Room for what is under way: quotas at the beginning and at the end, caps, and sizes that cannot be.

use futures_util::future::join_all;
use scaidrive_core::model::{Error, Limits, QuotaTarget, Result, UsageTarget};
use scaidrive_core::services::files::{self, NewFile};
use scaidrive_core::services::groups::{self, NewGroup};
use scaidrive_core::services::uploads::{self, NewUpload};
use scaidrive_core::services::{quotas, tenants};

use super::{Dice, PART, Session, everywhere, new_upload, shrink};
use crate::backends::{House, name};

async fn limit(house: &House, target: &QuotaTarget, bytes: Option<u64>) {
    let limits = Limits { limit_bytes: bytes, ..Limits::default() };
    quotas::set(&house.drive, &house.caller, target.clone(), limits).await.unwrap();
}

async fn begin(house: &House, file: &str, size: usize) -> Result<scaidrive_core::model::UploadId> {
    let new = new_upload(house, file, size);
    uploads::create(&house.drive, &house.caller, new).await.map(|created| created.session_id)
}

async fn write(house: &House, file: &str, size: usize) -> Result<()> {
    let new =
        NewFile { share: house.share.id, folder: None, name: name(file), mime_type: None, modified_at: None };
    files::create(&house.drive, &house.caller, new, std::io::Cursor::new(vec![1; size])).await.map(drop)
}

#[track_caller]
fn full<T: std::fmt::Debug>(outcome: Result<T>, level: &str) {
    assert!(matches!(outcome, Err(Error::QuotaExceeded { level: told }) if told == level), "{outcome:?}");
}

async fn used(house: &House) -> i64 {
    house
        .drive
        .read()
        .await
        .unwrap()
        .usage(house.caller.tenant, &UsageTarget::Tenant)
        .await
        .unwrap()
        .total_bytes()
}

#[tokio::test(flavor = "multi_thread")]
async fn of_sixteen_beginnings_with_room_for_ten_exactly_ten_succeed() {
    for house in House::both(shrink).await {
        let user = QuotaTarget::User(house.caller.user.clone());
        limit(&house, &user, Some(1000)).await;
        let files: Vec<String> = (0..16).map(|number| number.to_string()).collect();
        let outcomes = join_all(files.iter().map(|file| begin(&house, file, 100))).await;
        let (good, bad): (Vec<_>, Vec<_>) = outcomes.into_iter().partition(Result::is_ok);
        assert_eq!((good.len(), bad.len()), (10, 6));
        for outcome in bad {
            full(outcome, "user");
        }
        full(write(&house, "beside", 1).await, "user");
        assert_eq!(used(&house).await, 0, "nothing is charged yet");
        let aborted = good.into_iter().next().unwrap().unwrap();
        uploads::abort(&house.drive, &house.caller, aborted).await.unwrap();
        write(&house, "beside", 60).await.unwrap();
        full(begin(&house, "more", 41).await, "user");
        begin(&house, "more", 40).await.unwrap();
        house.check().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_complete_is_charged_once_and_pending_no_more() {
    for house in everywhere(|_| {}).await {
        let user = QuotaTarget::User(house.caller.user.clone());
        let size = 6 * PART;
        limit(&house, &user, Some(2 * size as u64)).await;
        let one = Session::begin(&house, "one", Dice(30).bytes(size)).await;
        let two = Session::begin(&house, "two", Dice(31).bytes(size)).await;
        full(begin(&house, "three", 1).await, "user");
        one.put_all().await;
        one.complete().await.unwrap();
        assert_eq!(used(&house).await, size as i64);
        full(begin(&house, "three", 1).await, "user");
        two.put_all().await;
        two.complete().await.unwrap();
        assert_eq!(used(&house).await, 2 * size as i64);
        house.check().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_level_is_asked_at_both_ends() {
    for house in House::both(shrink).await {
        let new = NewGroup { name: "all".to_owned(), ..NewGroup::default() };
        let group = groups::create(&house.drive, &house.caller, new).await.unwrap().id;
        let me = scaidrive_core::model::Principal::User(house.caller.user.clone());
        groups::set_member(&house.drive, &house.caller, &group, me, true).await.unwrap();
        for target in [
            QuotaTarget::Tenant,
            QuotaTarget::Share(house.share.id),
            QuotaTarget::User(house.caller.user.clone()),
            QuotaTarget::Group(group),
        ] {
            let before = used(&house).await as u64;
            limit(&house, &target, Some(before + 2 * PART as u64)).await;
            full(begin(&house, "too large", 2 * PART + 1).await, target.kind());
            let file = format!("{target}").replace(':', " ");
            let session = Session::begin(&house, &file, Dice(32).bytes(2 * PART)).await;
            session.put_all().await;
            limit(&house, &target, Some(before + PART as u64)).await;
            full(session.complete().await, target.kind());
            assert_eq!(used(&house).await as u64, before);
            limit(&house, &target, None).await;
            session.complete().await.unwrap();
        }
        house.check().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_cap_is_asked_at_both_ends() {
    for house in House::both(shrink).await {
        let cap = |bytes: u64| {
            let (drive, caller) = (house.drive.clone(), house.caller.clone());
            async move {
                let mut settings = tenants::get(&drive, caller.tenant).await.unwrap().settings;
                settings.max_file_size_bytes = bytes;
                tenants::set_settings(&drive, &caller, settings).await.unwrap();
            }
        };
        let session = Session::begin(&house, "a", Dice(33).bytes(2 * PART)).await;
        session.put_all().await;
        cap(2 * PART as u64 - 1).await;
        assert!(matches!(session.complete().await, Err(Error::TooLarge { .. })));
        assert!(matches!(begin(&house, "b", 2 * PART).await, Err(Error::TooLarge { .. })));
        cap(2 * PART as u64).await;
        begin(&house, "b", 2 * PART).await.unwrap();
        session.complete().await.unwrap();
        let huge = NewUpload { size: u64::MAX, ..new_upload(&house, "c", 0) };
        let huge = uploads::create(&house.drive, &house.caller, huge).await;
        assert!(matches!(huge, Err(Error::TooLarge { .. })), "{huge:?}");
        house.check().await;
    }
}
