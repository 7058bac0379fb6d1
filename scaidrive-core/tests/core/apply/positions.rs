//! How far a device has read when it deletes: what it tells, and what the server knows of it.

use scaidrive_core::model::{ConflictType, Error, Strategy};
use scaidrive_core::services::apply::Batch;
use scaidrive_core::services::devices::{self, NewDevice};
use serde_json::json;

use super::{Device, delete, folder};
use crate::backends::House;

impl Device<'_> {
    async fn register(&self) {
        let new = NewDevice {
            device_id: self.id.parse().unwrap(),
            device_name: self.id.clone(),
            platform: None,
            client_version: None,
        };
        devices::register(&self.house.drive, &self.caller, new).await.unwrap();
    }

    /// Notes on the server that the device is as far as the log goes.
    async fn is_at_the_head(&self) {
        let head = self.house.drive.read().await.unwrap().head(self.caller.tenant).await.unwrap();
        let id = self.id.parse().unwrap();
        devices::set_cursor(&self.house.drive, &self.caller, self.share, &id, head).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_tells_no_position_is_judged_by_the_one_that_the_server_holds() {
    for house in House::both(|_| {}).await {
        let (one, other, third) = (house.device("one"), house.device("other"), house.device("third"));
        other.register().await;
        let dir = one.plain(folder("/dir")).await;
        other.is_at_the_head().await;
        one.plain(one.file("/dir/new", "unread").await).await;
        let (applied, met) = other.clash(Strategy::KeepBoth, delete(&dir)).await;
        assert_eq!((applied, met.conflict_type), (None, ConflictType::DeleteEdit));
        assert!(house.tree().await.contains(&("/dir/new".to_owned(), "unread".to_owned())));
        other.is_at_the_head().await;
        assert!(other.plain(delete(&dir)).await.change_id.is_some(), "it has read of all");
        // Of a device that never was anywhere nothing is known: it deletes what it says.
        let dir = one.plain(folder("/dir")).await;
        one.plain(one.file("/dir/new", "unread").await).await;
        assert!(third.plain(delete(&dir)).await.change_id.is_some());
        house.check().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn positions_that_cannot_be_fail_the_whole_request() {
    for house in House::both(|_| {}).await {
        let device = house.device("one");
        let head = house.drive.read().await.unwrap().head(house.caller.tenant).await.unwrap();
        let at = |seen| Batch { seen: Some(seen), ..device.batch(Strategy::KeepBoth, &[folder("/a")]) };
        for never in [-1, i64::MIN] {
            assert!(matches!(device.run(at(never)).await, Err(Error::Invalid { .. })), "{never}");
        }
        for beyond in [head + 1, i64::MAX] {
            assert!(matches!(device.run(at(beyond)).await, Err(Error::CursorExpired)), "{beyond}");
        }
        assert!(house.tree().await.is_empty());
        assert_eq!(device.run(at(head)).await.unwrap().applied.len(), 1);
        // Far behind is no fault: a device that has read so little deletes nothing that others changed.
        assert_eq!(device.run(at(0)).await.unwrap().applied.len(), 1, "{}", json!(head));
        house.check().await;
    }
}
