//! What goes by itself after a while: the trash, and versions that were replaced.

use std::io::Cursor;
use std::sync::Arc;

use scaidrive_core::model::{Error, FileId, TenantSettings};
use scaidrive_core::services::files::{self, IfMatch};
use scaidrive_core::services::shares::{self, SharePatch};
use scaidrive_core::services::{feed, recovery, sweep, tenants, trash, versions};
use scaidrive_core::testing::limiter::HandClock;
use serde_json::json;

use crate::backends::House;

const DAY: i64 = 24 * 3600;

async fn houses() -> Vec<(House, Arc<HandClock>)> {
    let clock = Arc::new(HandClock::default());
    let houses = House::both(|ports| ports.clock = Arc::clone(&clock) as _).await;
    houses.into_iter().map(|house| (house, Arc::clone(&clock))).collect()
}

async fn set(house: &House, settings: TenantSettings) {
    tenants::set_settings(&house.drive, &house.caller, settings).await.unwrap();
}

/// Says what the share itself wants.
async fn set_share(house: &House, settings: serde_json::Value) {
    let patch = SharePatch { settings: settings.as_object().cloned(), ..SharePatch::default() };
    shares::patch(&house.drive, &house.caller, house.share.id, patch).await.unwrap();
}

async fn sweep_trash(house: &House) -> u64 {
    let tenant = tenants::first(&house.drive).await.unwrap();
    sweep::trash(&house.drive, &tenant).await.unwrap()
}

async fn sweep_versions(house: &House) -> u64 {
    let tenant = tenants::first(&house.drive).await.unwrap();
    sweep::versions(&house.drive, &tenant).await.unwrap()
}

async fn numbers(house: &House, file: FileId) -> Vec<u32> {
    let all = versions::list(&house.drive, &house.caller, file, 100, 0).await.unwrap();
    all.versions.iter().map(|version| version.number).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_lay_in_the_trash_for_its_time_is_gone() {
    for (house, clock) in houses().await {
        let old = house.put("old", b"old".to_vec()).await;
        let young = house.put("young", b"young".to_vec()).await;
        trash::delete(&house.drive, &house.caller, old.id.into(), false).await.unwrap();
        clock.advance(29 * DAY);
        trash::delete(&house.drive, &house.caller, young.id.into(), false).await.unwrap();
        assert_eq!(sweep_trash(&house).await, 0);
        clock.advance(DAY);
        assert_eq!(sweep_trash(&house).await, 1, "thirty days, unless somebody says otherwise");
        assert!(matches!(files::get(&house.drive, &house.caller, old.id).await, Err(Error::NotFound)));
        trash::restore(&house.drive, &house.caller, young.id.into()).await.unwrap();
        clock.advance(100 * DAY);
        assert_eq!(sweep_trash(&house).await, 0, "who was restored in time stays");
        trash::delete(&house.drive, &house.caller, young.id.into(), false).await.unwrap();
        set_share(&house, json!({ "trash_retention_days": 1 })).await;
        clock.advance(DAY - 1);
        assert_eq!(sweep_trash(&house).await, 0);
        clock.advance(1);
        assert_eq!(sweep_trash(&house).await, 1, "the share's own word goes before the tenant's");
        house.check().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_restore_cursors_have_expired_and_nothing_is_collected_at_once() {
    let grace = std::time::Duration::from_millis(300);
    for house in House::both(|ports| ports.gc_grace = grace).await {
        let file = house.put("a", b"unused soon".to_vec()).await;
        trash::delete(&house.drive, &house.caller, file.id.into(), true).await.unwrap();
        let cursor = feed::head(&house.drive, &house.caller).await.unwrap();
        tokio::time::sleep(grace * 2).await;
        assert_eq!(house.collect(grace).await.contents, 1);
        tokio::time::sleep(grace * 2).await;
        let done = recovery::finish(&house.drive).await.unwrap();
        assert_eq!((done.len(), done[0].chunks), (1, 1));
        assert!(done[0].position >= cursor + 1_000_000_000);
        assert_eq!(house.collect(grace).await.chunks, 0, "whoever knows it may still need it");
        let old = feed::changes(&house.drive, &house.caller, house.share.id, cursor, 10).await;
        assert!(matches!(old, Err(Error::CursorExpired)), "{old:?}");
        let new = feed::changes(&house.drive, &house.caller, house.share.id, done[0].position, 10).await;
        assert_eq!(new.unwrap().changes.len(), 0);
        house.check().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn versions_go_when_they_were_replaced_too_long_ago() {
    for (house, clock) in houses().await {
        let file = house.put("plan", b"1".to_vec()).await;
        for text in ["2", "3"] {
            clock.advance(10 * DAY);
            let content = Cursor::new(text.as_bytes());
            files::write(&house.drive, &house.caller, file.id, IfMatch::default(), content).await.unwrap();
        }
        clock.advance(1000 * DAY);
        assert_eq!(sweep_versions(&house).await, 0, "all are kept, unless somebody says otherwise");
        set(&house, TenantSettings { version_retention_days: Some(1005), ..TenantSettings::default() }).await;
        assert_eq!(sweep_versions(&house).await, 1);
        assert_eq!(numbers(&house, file.id).await, [3, 2], "the second was replaced a thousand days ago");
        set_share(&house, json!({ "version_retention_days": 0 })).await;
        assert_eq!(sweep_versions(&house).await, 1);
        assert_eq!(numbers(&house, file.id).await, [3], "the current one always stays");
        assert_eq!(sweep_versions(&house).await, 0);
        house.check().await;
    }
}
