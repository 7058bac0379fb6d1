//! Devices, cursors, preferences.

use scaidrive_core::model::acl::AceType;
use scaidrive_core::model::{
    Caller, Cursor, DeviceId, Error, FeedRow, ParentId, Preferences, ResourceId, Right, ShareRole, SyncMode,
};
use scaidrive_core::services::devices::{self, COUNTED, NewDevice};
use scaidrive_core::services::retention::{self, Retention};
use scaidrive_core::services::{feed, members};

use crate::backends::House;

fn id(text: &str) -> DeviceId {
    text.parse().unwrap()
}

async fn register(house: &House, caller: &Caller, text: &str) -> bool {
    let new = NewDevice {
        device_id: id(text),
        device_name: format!("{text} of mine"),
        platform: Some("linux".to_owned()),
        client_version: None,
    };
    let (device, is_new) = devices::register(&house.drive, caller, new).await.unwrap();
    assert!(device.is_active && device.device.device_id == id(text));
    is_new
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_is_its_users_alone() {
    for house in House::both(|_| {}).await {
        let reader = house.person("reader", Some(ShareRole::Reader)).await;
        assert!(register(&house, &reader, "laptop ").await);
        assert!(register(&house, &reader, "laptop").await, "a space at the end is another device");
        assert!(!register(&house, &reader, "laptop").await);
        assert!(register(&house, &house.caller, "laptop").await, "another user means another one");
        let drive = &house.drive;
        assert_eq!(devices::list(drive, &reader).await.unwrap().len(), 2);
        devices::remove(drive, &house.caller, &id("laptop")).await.unwrap();
        let again = devices::remove(drive, &house.caller, &id("laptop")).await;
        assert!(matches!(again, Err(Error::NotFound)));
        let left: Vec<String> = devices::list(drive, &reader)
            .await
            .unwrap()
            .iter()
            .map(|d| d.device.device_id.to_string())
            .collect();
        assert_eq!(left, ["laptop ", "laptop"]);
        let theirs = devices::status(drive, &house.caller, house.share.id, &id("laptop")).await;
        assert!(matches!(theirs, Err(Error::NotFound)), "{theirs:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cursor_starts_at_the_head_goes_back_and_goes_with_its_device() {
    for house in House::both(|_| {}).await {
        let (drive, caller, share) = (&house.drive, &house.caller, house.share.id);
        let laptop = id("laptop");
        register(&house, caller, "laptop").await;
        let head = feed::head(drive, caller).await.unwrap();
        let status = devices::status(drive, caller, share, &laptop).await.unwrap();
        assert_eq!(status.cursor, Cursor { position: head, synced_at: None });
        assert_eq!((status.pending_changes, status.has_conflicts), (0, false));
        house.fill(share, ParentId::Root(share), "f", 5).await;
        assert_eq!(devices::status(drive, caller, share, &laptop).await.unwrap().pending_changes, 5);
        let set = async |position| devices::set_cursor(drive, caller, share, &laptop, position).await;
        assert!(set(head + 5).await.unwrap().synced_at.is_some());
        assert!(matches!(set(head + 6).await, Err(Error::Invalid { .. })));
        set(head + 2).await.unwrap();
        let status = devices::status(drive, caller, share, &laptop).await.unwrap();
        assert_eq!((status.cursor.position, status.pending_changes), (head + 2, 3));
        let keep = Retention { age: std::time::Duration::ZERO, rows: 2, batch: 100 };
        retention::compact(drive, caller.tenant, keep).await.unwrap();
        assert!(matches!(set(head + 2).await, Err(Error::CursorExpired)));
        let wanted = Preferences { mode: SyncMode::Selected, folders: vec!["/a".to_owned()] };
        devices::set_preferences(drive, caller, share, &laptop, wanted.clone()).await.unwrap();
        assert_eq!(devices::preferences(drive, caller, share, &laptop).await.unwrap(), wanted);
        devices::remove(drive, caller, &laptop).await.unwrap();
        assert!(matches!(set(head + 5).await, Err(Error::NotFound)));
        register(&house, caller, "laptop").await;
        let status = devices::status(drive, caller, share, &laptop).await.unwrap();
        assert_eq!(status.cursor, Cursor { position: head + 5, synced_at: None });
        let fresh = devices::preferences(drive, caller, share, &laptop).await.unwrap();
        assert_eq!(fresh, Preferences::default());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_for_a_device_is_counted_cheaply_and_only_what_its_user_may_see() {
    for house in House::both(|_| {}).await {
        let (drive, share) = (&house.drive, house.share.id);
        let reader = house.person("reader", Some(ShareRole::Reader)).await;
        register(&house, &reader, "phone").await;
        devices::status(drive, &reader, share, &id("phone")).await.unwrap();
        house.fill(share, ParentId::Root(share), "f", COUNTED as usize + 500).await;
        let status = devices::status(drive, &reader, share, &id("phone")).await.unwrap();
        assert_eq!(status.pending_changes, COUNTED);
        let head = feed::head(drive, &reader).await.unwrap();
        devices::set_cursor(drive, &reader, share, &id("phone"), head).await.unwrap();
        let hidden = house.dir(None, "hidden").await;
        house.entry(ResourceId::Node(hidden.into()), "user:reader", AceType::Deny, &[Right::Read]).await;
        house.fill(share, ParentId::Folder(hidden), "h", 50).await;
        let seen = feed::changes(drive, &reader, share, head, 1000).await.unwrap().changes;
        assert!(seen.iter().all(|row| matches!(row, FeedRow::Tombstone(_))));
        let status = devices::status(drive, &reader, share, &id("phone")).await.unwrap();
        assert_eq!(status.pending_changes as usize, seen.len());
        let mine = members::list(drive, &house.caller, share, 100, 0).await.unwrap();
        let member = mine.members.iter().find(|member| member.principal_id == "reader").unwrap().id;
        members::remove(drive, &house.caller, share, member).await.unwrap();
        let lost = devices::status(drive, &reader, share, &id("phone")).await;
        assert!(matches!(lost, Err(Error::NotFound)), "{lost:?}");
    }
}
