//! Cursors that lead nowhere: too old by the clock, never given out, or another tenant's.

use std::sync::Arc;
use std::time::Duration;

use scaidrive_core::model::{Caller, Error, FeedRow, ParentId, ShareId, TenantId, UserId};
use scaidrive_core::services::retention::{self, Retention};
use scaidrive_core::services::tenants::{self, NewUser};
use scaidrive_core::services::{feed, folders};
use scaidrive_core::testing::limiter::HandClock;

use crate::backends::{House, name};

const DAY: i64 = 24 * 3600;

/// Returns what a reader gets after a position.
async fn reads(house: &House, caller: &Caller, after: i64) -> Result<Vec<FeedRow>, Error> {
    Ok(feed::changes(&house.drive, caller, None, after, 1000).await?.changes)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cursor_is_good_for_thirty_days_and_then_told_to_have_expired() {
    let clock = Arc::new(HandClock::default());
    for house in House::both(|ports| ports.clock = Arc::clone(&clock) as Arc<_>).await {
        let (drive, tenant) = (&house.drive, house.caller.tenant);
        let root = ParentId::Root(house.share.id);
        house.fill(house.share.id, root, "old", 20).await;
        let old = feed::head(drive, &house.caller).await.unwrap();
        clock.advance(DAY);
        house.fill(house.share.id, root, "young", 5).await;
        let head = feed::head(drive, &house.caller).await.unwrap();
        let keep = Retention { rows: 0, batch: 7, ..Retention::default() };
        clock.advance(29 * DAY - 60);
        assert_eq!(retention::compact(drive, tenant, keep).await.unwrap(), 0, "thirty days are not over");
        assert_eq!(reads(&house, &house.caller, 0).await.unwrap().len() as i64, head);
        clock.advance(120);
        assert_eq!(retention::compact(drive, tenant, keep).await.unwrap() as i64, old);
        for expired in [0, 1, old - 1] {
            let read = reads(&house, &house.caller, expired).await;
            assert!(matches!(read, Err(Error::CursorExpired)), "{expired}");
        }
        assert_eq!(reads(&house, &house.caller, old).await.unwrap().len(), 5, "nothing lies between");
        clock.advance(2 * DAY);
        assert_eq!(retention::compact(drive, tenant, keep).await.unwrap(), 5);
        assert!(matches!(reads(&house, &house.caller, old).await, Err(Error::CursorExpired)));
        assert!(reads(&house, &house.caller, head).await.unwrap().is_empty(), "who is up to date stays so");
        // A clock that was set back takes nothing away, and gives nothing twice.
        clock.advance(-365 * DAY);
        house.fill(house.share.id, root, "again", 3).await;
        assert_eq!(retention::compact(drive, tenant, keep).await.unwrap(), 0);
        let rows = reads(&house, &house.caller, head).await.unwrap();
        assert_eq!(rows.iter().map(FeedRow::position).collect::<Vec<_>>(), [head + 1, head + 2, head + 3]);
        house.check().await;
        // The next one begins when this one began.
        clock.advance((365 - 32) * DAY - 60);
    }
}

/// Makes another tenant with a share of its own.
async fn neighbour(house: &House) -> (Caller, ShareId) {
    let tenant: TenantId = tenants::create(&house.drive, "Other").await.unwrap().id;
    let system = tenants::system_caller(&house.drive, tenant, "test").unwrap();
    let boss: UserId = "boss".parse().unwrap();
    let new = NewUser {
        id: Some(boss.clone()),
        admin_role: Some(scaidrive_core::model::AdminRole::TenantAdmin),
        ..NewUser::default()
    };
    tenants::create_user(&house.drive, &system, new).await.unwrap();
    let caller = tenants::caller_for(&house.drive, tenant, &boss).await.unwrap();
    let share = house.share_of(&caller, "N").await.id;
    (caller, share)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cursor_of_another_tenant_opens_nothing_of_it() {
    for house in House::both(|_| {}).await {
        let (drive, mine) = (&house.drive, house.share.id);
        let (stranger, theirs) = neighbour(&house).await;
        house.fill(mine, ParentId::Root(mine), "mine", 50).await;
        folders::create(drive, &stranger, theirs, None, name("theirs")).await.unwrap();
        let (my_head, their_head) =
            (feed::head(drive, &house.caller).await.unwrap(), feed::head(drive, &stranger).await.unwrap());
        assert!(their_head < my_head);
        // Beyond their head it is no position of theirs at all.
        for cursor in [my_head, their_head + 1, i64::MAX, -1, i64::MIN] {
            assert!(matches!(reads(&house, &stranger, cursor).await, Err(Error::CursorExpired)), "{cursor}");
        }
        // Below it is one by chance, and tells of what is theirs.
        for cursor in 0..=their_head {
            let rows = reads(&house, &stranger, cursor).await.unwrap();
            assert_eq!(rows.len() as i64, their_head - cursor);
            assert!(rows.iter().all(|row| row.share_id() == theirs), "{rows:?}");
        }
        let asked = feed::changes(drive, &stranger, mine, 0, 10).await;
        assert!(matches!(asked, Err(Error::NotFound)), "{asked:?}");
        // The one's log grows old; the other's cursors do not.
        let keep = Retention { age: Duration::ZERO, rows: 0, batch: 10 };
        retention::compact(drive, house.caller.tenant, keep).await.unwrap();
        assert!(matches!(reads(&house, &house.caller, 0).await, Err(Error::CursorExpired)));
        assert_eq!(reads(&house, &stranger, 0).await.unwrap().len() as i64, their_head);
        house.check().await;
    }
}
