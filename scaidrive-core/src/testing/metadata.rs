//! The contract of [`MetadataStore`].

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::BoxFuture;
use ulid::Ulid;

use super::jobs;
use crate::model::{
    ChunkState, Error, FileName, FolderId, Node, NodeId, ParentId, Result, Sha256Hash, ShareId, TenantId,
    Timestamp, Usage, UsageChanges, UsageTarget, UserId,
};
use crate::ports::{MetadataStore, Outcome, WriteUnit, Writes};

/// Writers that race each other.
const RIVALS: usize = 8;

/// A write unit made of a closure, for tests.
pub struct Unit<F>(pub F);

#[async_trait]
impl<F> WriteUnit for Unit<F>
where
    F: for<'r> Fn(&'r mut dyn Writes) -> BoxFuture<'r, Result<Outcome>> + Send + Sync,
{
    async fn run(&self, rows: &mut dyn Writes) -> Result<Outcome> {
        (self.0)(rows).await
    }
}

/// Runs a closure as a write unit.
///
/// # Errors
/// What the closure or the commit fails with.
pub async fn write<F>(store: &dyn MetadataStore, act: F) -> Result<()>
where
    F: for<'r> Fn(&'r mut dyn Writes) -> BoxFuture<'r, Result<Outcome>> + Send + Sync + 'static,
{
    store.write(Arc::new(Unit(act))).await
}

/// Runs the whole suite on a migrated store; `seed` keeps runs on one database apart.
///
/// # Panics
/// Where the store breaks its contract.
pub async fn check(store: Arc<dyn MetadataStore>, seed: u64) {
    let place = |number| Place {
        tenant: TenantId::new(Ulid::from_parts(seed, number)),
        share: ShareId::new(Ulid::from_parts(seed, number)),
    };
    store.ping().await.expect("a store that works answers a ping");
    assert_eq!(store.pending_migrations().await.expect("migrations can be asked for"), Vec::<String>::new());
    store.migrate().await.expect("migrating twice does no harm");
    all_or_nothing(&*store, place(1)).await;
    a_panic_harms_only_its_unit(&*store, place(2)).await;
    a_caller_that_goes_away_changes_nothing(&store, place(3)).await;
    positions_have_no_hole(&store, place(4)).await;
    names_are_unique_by_their_fold_alone(&*store, place(5)).await;
    chunks_go_through_their_states(&*store, place(6)).await;
    jobs::check(&store, place(7).tenant).await;
    opposite_locks_both_get_through(&store, place(8)).await;
    values_survive(&*store, place(9)).await;
}

/// Where a test of the suite works, alone.
#[derive(Clone, Copy)]
struct Place {
    tenant: TenantId,
    share: ShareId,
}

fn user() -> UserId {
    "usr_test".parse().expect("a user id")
}

impl Place {
    fn folder(self, number: u128, name: &str) -> Node {
        Node {
            id: NodeId::Folder(FolderId::new(Ulid::from_parts(
                number as u64 + 1,
                self.tenant.ulid().random(),
            ))),
            tenant: self.tenant,
            share: self.share,
            parent: ParentId::Root(self.share),
            name: FileName::parse(name).expect("a name"),
            owner: user(),
            created_by: user(),
            created_at: Timestamp::from_micros(1),
            modified_by: user(),
            modified_at: Timestamp::from_micros(2),
            inherit_acl: true,
            trashed_at: None,
            file: None,
        }
    }

    async fn insert(self, store: &dyn MetadataStore, node: Node) -> Result<()> {
        write(store, move |rows| {
            let node = node.clone();
            Box::pin(async move {
                rows.insert_nodes(std::slice::from_ref(&node)).await?;
                Ok(Outcome::Commit)
            })
        })
        .await
    }

    async fn has(self, store: &dyn MetadataStore, name: &str) -> bool {
        let key = FileName::parse(name).expect("a name").key();
        let mut rows = store.read().await.expect("rows can be read");
        rows.child(self.tenant, ParentId::Root(self.share), &key)
            .await
            .expect("a child can be read")
            .is_some()
    }
}

async fn all_or_nothing(store: &dyn MetadataStore, place: Place) {
    place.insert(store, place.folder(1, "kept")).await.expect("a commit works");
    for fails in [true, false] {
        let outcome = write(store, move |rows| {
            Box::pin(async move {
                rows.insert_nodes(&[place.folder(2, "lost")]).await?;
                if fails { Err(Error::NotFound) } else { Ok(Outcome::RollBack) }
            })
        })
        .await;
        assert_eq!(outcome.is_err(), fails);
        assert!(place.has(store, "kept").await && !place.has(store, "lost").await);
    }
}

async fn a_panic_harms_only_its_unit(store: &dyn MetadataStore, place: Place) {
    let outcome = write(store, move |rows| {
        Box::pin(async move {
            rows.insert_nodes(&[place.folder(1, "lost")]).await?;
            panic!("this panic is part of the test")
        })
    })
    .await;
    assert!(outcome.is_err());
    place.insert(store, place.folder(2, "next")).await.expect("the store goes on");
    assert!(!place.has(store, "lost").await);
}

async fn a_caller_that_goes_away_changes_nothing(store: &Arc<dyn MetadataStore>, place: Place) {
    let (begun, started) = tokio::sync::oneshot::channel();
    let begun = Arc::new(Mutex::new(Some(begun)));
    let writer = Arc::clone(store);
    let caller = tokio::spawn(async move {
        write(&*writer, move |rows| {
            let begun = begun.lock().expect("not poisoned").take();
            Box::pin(async move {
                rows.insert_nodes(&[place.folder(1, "half")]).await?;
                // Nobody waits where the unit runs a second time.
                let _ = begun.map(|begun| begun.send(()));
                tokio::time::sleep(Duration::from_millis(50)).await;
                rows.insert_nodes(&[place.folder(2, "whole")]).await?;
                Ok(Outcome::Commit)
            })
        })
        .await
    });
    started.await.expect("the unit runs");
    caller.abort();
    for _ in 0..100 {
        if place.has(&**store, "whole").await {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(place.has(&**store, "half").await && place.has(&**store, "whole").await);
}

async fn positions_have_no_hole(store: &Arc<dyn MetadataStore>, place: Place) {
    const EACH: usize = 20;
    let seen = Arc::new(Mutex::new(Vec::new()));
    let rivals: Vec<_> = (0..RIVALS)
        .map(|rival| {
            let (store, seen) = (Arc::clone(store), Arc::clone(&seen));
            tokio::spawn(async move {
                for _ in 0..EACH {
                    let got = Arc::new(Mutex::new(0));
                    let inner = Arc::clone(&got);
                    write(&*store, move |rows| {
                        let got = Arc::clone(&inner);
                        Box::pin(charge_one(rows, place, rival, got))
                    })
                    .await
                    .expect("a charge works");
                    seen.lock().expect("not poisoned").push(*got.lock().expect("not poisoned"));
                }
            })
        })
        .collect();
    for rival in rivals {
        rival.await.expect("no rival panics");
    }
    let mut all = seen.lock().expect("not poisoned").clone();
    all.sort_unstable();
    assert_eq!(all, (1..=(RIVALS * EACH) as i64).collect::<Vec<_>>());
    let mut rows = store.read().await.expect("rows can be read");
    let usage = rows.usage(place.tenant, &UsageTarget::Tenant).await.expect("usage can be read");
    assert_eq!((usage.file_count, usage.file_bytes), ((RIVALS * EACH) as i64, 3 * (RIVALS * EACH) as i64));
}

async fn charge_one(
    rows: &mut dyn Writes,
    place: Place,
    rival: usize,
    got: Arc<Mutex<i64>>,
) -> Result<Outcome> {
    let mut usage = UsageChanges::default();
    let owner: UserId = format!("usr_{rival}").parse().map_err(|_| Error::NotFound)?;
    usage.charge(place.share, &owner, Usage { file_bytes: 3, file_count: 1, ..Usage::default() });
    let position = rows.advance(place.tenant, &usage.into_sorted(), 1).await?;
    *got.lock().expect("not poisoned") = position;
    Ok(Outcome::Commit)
}

async fn names_are_unique_by_their_fold_alone(store: &dyn MetadataStore, place: Place) {
    for (number, name) in ["plan", "plan ", "strasse", "straße", "e\u{301}"].iter().enumerate() {
        place.insert(store, place.folder(number as u128, name)).await.expect("these names are five");
    }
    for (number, name) in ["PLAN", "Plan ", "STRASSE", "STRAßE", "\u{c9}"].iter().enumerate() {
        let taken = place.insert(store, place.folder(100 + number as u128, name)).await;
        assert!(matches!(taken, Err(Error::NameConflict { .. })), "{name}: {taken:?}");
    }
    let mut trashed = place.folder(200, "plan");
    trashed.trashed_at = Some(Timestamp::from_micros(5));
    place.insert(store, trashed).await.expect("what is in the trash takes no name");
}

async fn chunks_go_through_their_states(store: &dyn MetadataStore, place: Place) {
    let (a, b) = (Sha256Hash::of(b"a"), Sha256Hash::of(b"b"));
    let at = |micros| Timestamp::from_micros(micros);
    write(store, move |rows| {
        Box::pin(async move {
            let tenant = place.tenant;
            assert!(rows.touch_chunks(tenant, &[a, b], at(10)).await?.is_empty());
            rows.insert_writing(tenant, &[(a, 1), (b, 2)], at(10)).await?;
            rows.insert_writing(tenant, &[(a, 1)], at(5)).await?;
            let rows_now = rows.touch_chunks(tenant, &[a, b], at(20)).await?;
            assert!(rows_now.len() == 2 && rows_now.iter().all(|row| row.state == ChunkState::Writing));
            assert_eq!(rows.mark_live(tenant, &[a]).await?, 1);
            assert!(!rows.mark_deleting(tenant, a, at(20), at(30)).await?, "needed at the cutoff");
            assert!(rows.mark_deleting(tenant, a, at(21), at(30)).await?);
            assert!(!rows.mark_deleting(tenant, a, at(99), at(31)).await?, "marked already");
            assert_eq!(rows.mark_live(tenant, &[a]).await?, 0);
            let rows_now = rows.touch_chunks(tenant, &[a], at(40)).await?;
            assert_eq!(rows_now[0].state, ChunkState::Deleting);
            assert!(!rows.renew_deleting(tenant, a, at(30), at(50)).await?, "an attempt is still young");
            assert!(rows.renew_deleting(tenant, a, at(31), at(50)).await?);
            assert!(!rows.remove_deleted(tenant, a, at(50)).await?);
            assert!(rows.remove_deleted(tenant, a, at(51)).await?);
            assert!(!rows.remove_deleted(tenant, b, at(99)).await?, "not even marked");
            Ok(Outcome::Commit)
        })
    })
    .await
    .expect("the states are kept");
}

async fn opposite_locks_both_get_through(store: &Arc<dyn MetadataStore>, place: Place) {
    let nodes = [place.folder(1, "one"), place.folder(2, "two")];
    for node in &nodes {
        place.insert(&**store, node.clone()).await.expect("a commit works");
    }
    let rivals: Vec<_> = (0..RIVALS)
        .map(|rival| {
            let (store, mut nodes) = (Arc::clone(store), nodes.clone());
            if rival % 2 == 0 {
                nodes.reverse();
            }
            tokio::spawn(async move {
                write(&*store, move |rows| {
                    let nodes = nodes.clone();
                    Box::pin(async move {
                        for node in &nodes {
                            rows.lock_node(node.tenant, node.id).await?;
                            rows.update_node(node).await?;
                            tokio::time::sleep(Duration::from_millis(5)).await;
                        }
                        Ok(Outcome::Commit)
                    })
                })
                .await
            })
        })
        .collect();
    for rival in rivals {
        rival.await.expect("no rival panics").expect("a deadlock is run again");
    }
}

async fn values_survive(store: &dyn MetadataStore, place: Place) {
    let mut node = place.folder(1, "Ünï😀 'quoted\" -- ; DROP");
    node.owner = "auth0|5f7c8ec7c33c6c004bbafe82 \u{1f600} ".parse().expect("a foreign id");
    node.modified_at = Timestamp::from_micros(i64::MAX);
    node.inherit_acl = false;
    place.insert(store, node.clone()).await.expect("a commit works");
    let mut rows = store.read().await.expect("rows can be read");
    assert_eq!(rows.node(place.tenant, node.id).await.expect("a node can be read"), Some(node.clone()));
    let other = TenantId::new(Ulid::from_parts(1, 1));
    assert_eq!(
        rows.node(other, node.id).await.expect("a node can be read"),
        None,
        "the wall between tenants"
    );
    let now = (store.now().await.expect("time can be read"), rows.now().await.expect("time can be read"));
    assert!(now.1.since(now.0) < Duration::from_secs(60), "one clock");
}
