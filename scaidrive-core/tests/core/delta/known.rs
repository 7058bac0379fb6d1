//! What is present for whom: an attacker who knows a hash learns nothing from it.

use scaidrive_core::model::acl::AceType;
use scaidrive_core::model::{ChunkHash, Error, NodeId, ParentId, ResourceId, Right, Rights, ShareRole};
use scaidrive_core::services::acl::{self, NewEntry};
use scaidrive_core::services::bulk::{self, BulkFile};
use scaidrive_core::services::files::{self, IfMatch};
use scaidrive_core::services::moves::Target;
use scaidrive_core::services::tenants::{self, NewUser};
use scaidrive_core::services::{copies, delta, folders, members, trash, versions};

use super::{chunk, collect_all, cost, hours_ago, noise, present, present_in, put, send, sent_at, user};
use crate::backends::{House, name};

/// A hash that nobody ever stored.
fn never() -> ChunkHash {
    chunk("never stored").hash
}

async fn hide(house: &House, from: &str, what: impl Into<NodeId>) {
    let entry = NewEntry {
        trustee: from.parse().unwrap(),
        kind: AceType::Deny,
        rights: Rights::from(Right::Read),
        inherits: true,
    };
    acl::add(&house.drive, &house.caller, ResourceId::Node(what.into()), entry).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_caller_may_download_is_present_with_its_size() {
    for house in House::both(|_| {}).await {
        let reader = user(&house, "reader", Some(ShareRole::Reader)).await;
        let bytes = noise(1, 3_000_000);
        put(&house, &house.caller, None, "a", &bytes).await;
        let (cut, _) = scaidrive_core::chunking::cut_bytes(bytes.into(), &house.drive.chunking);
        let mut hashes: Vec<ChunkHash> = cut.iter().map(|chunk| chunk.hash).collect();
        hashes.extend([never(), cut[0].hash]);
        let known = delta::known(&house.drive, &reader, house.share.id, &hashes).await.unwrap();
        assert_eq!(known.len(), cut.len());
        assert!(cut.iter().all(|chunk| known[&chunk.hash] as usize == chunk.bytes.len()));
        assert!(delta::known(&house.drive, &reader, house.share.id, &[]).await.unwrap().is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_somebody_else_sent_is_missing() {
    for house in House::both(|_| {}).await {
        let (ada, bob) = (
            user(&house, "ada", Some(ShareRole::Contributor)).await,
            user(&house, "bob", Some(ShareRole::Contributor)).await,
        );
        let sent = chunk("of ada");
        assert!(send(&house, &ada, std::slice::from_ref(&sent)).await.unwrap().contains(&sent.hash));
        assert_eq!(present(&house, &ada, &[sent.hash, never()]).await, [sent.hash].into());
        for stranger in [&bob, &house.caller] {
            assert_eq!(present(&house, stranger, &[sent.hash, never()]).await, [].into());
        }
        // It is new to whoever sends it, stored or not.
        assert!(send(&house, &bob, std::slice::from_ref(&sent)).await.unwrap().contains(&sent.hash));
        assert!(send(&house, &bob, std::slice::from_ref(&sent)).await.unwrap().is_empty());
        assert_eq!(present(&house, &bob, &[sent.hash]).await, [sent.hash].into());
        house.check().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_sent_counts_for_a_day() {
    for house in House::both(|_| {}).await {
        let sent = chunk("soon forgotten");
        send(&house, &house.caller, std::slice::from_ref(&sent)).await.unwrap();
        sent_at(&house, &house.caller, &[sent.hash], hours_ago(&house, 23).await).await;
        assert_eq!(present(&house, &house.caller, &[sent.hash]).await, [sent.hash].into());
        sent_at(&house, &house.caller, &[sent.hash], hours_ago(&house, 25).await).await;
        assert_eq!(present(&house, &house.caller, &[sent.hash]).await, [].into());
        assert!(send(&house, &house.caller, std::slice::from_ref(&sent)).await.unwrap().contains(&sent.hash));
        assert_eq!(present(&house, &house.caller, &[sent.hash]).await, [sent.hash].into());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_share_that_cannot_be_seen_tells_nothing_and_lends_nothing() {
    for house in House::both(|_| {}).await {
        let ada = user(&house, "ada", None).await;
        let hash = chunk("secret").hash;
        put(&house, &house.caller, None, "a", b"secret").await;
        for asked in [hash, never()] {
            let refused = present_in(&house, &ada, house.share.id, &[asked]).await;
            assert!(matches!(refused, Err(Error::NotFound)), "{refused:?}");
        }
        let own = house.share_of(&ada, "Other").await;
        assert_eq!(present_in(&house, &ada, own.id, &[hash, never()]).await.unwrap(), [].into());
        // Nor does a share that can be seen lend to another: only what lies in the named one is looked at.
        assert_eq!(present_in(&house, &house.caller, own.id, &[hash]).await.unwrap(), [].into());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_tenant_has_nothing() {
    for house in House::both(|_| {}).await {
        let other = tenants::create(&house.drive, "Other").await.unwrap();
        let system = tenants::system_caller(&house.drive, other.id, "test").unwrap();
        let new = NewUser { id: Some(house.caller.user.clone()), ..NewUser::default() };
        tenants::create_user(&house.drive, &system, new).await.unwrap();
        let twin = tenants::caller_for(&house.drive, other.id, &house.caller.user).await.unwrap();
        let sent = chunk("sent");
        put(&house, &house.caller, None, "a", b"stored").await;
        send(&house, &house.caller, std::slice::from_ref(&sent)).await.unwrap();
        let share = house.share_of(&twin, "Other").await;
        let asked = [chunk("stored").hash, sent.hash, never()];
        assert_eq!(present_in(&house, &twin, share.id, &asked).await.unwrap(), [].into());
        assert!(matches!(present_in(&house, &twin, house.share.id, &asked).await, Err(Error::NotFound)));
        assert!(matches!(present_in(&house, &house.caller, share.id, &asked).await, Err(Error::NotFound)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hidden_file_in_a_visible_share_tells_nothing() {
    for house in House::both(|_| {}).await {
        let ada = user(&house, "ada", Some(ShareRole::Contributor)).await;
        let folder =
            folders::create(&house.drive, &house.caller, house.share.id, None, name("F")).await.unwrap();
        let file = put(&house, &house.caller, None, "denied", b"denied").await;
        put(&house, &house.caller, Some(folder.id), "fenced", b"fenced").await;
        let hashes = [chunk("denied").hash, chunk("fenced").hash, never()];
        assert_eq!(present(&house, &ada, &hashes).await.len(), 2, "not hidden yet");
        hide(&house, "user:ada", file.id).await;
        let fence = ResourceId::Node(folder.id.into());
        acl::set_inheritance(&house.drive, &house.caller, fence, false, false).await.unwrap();
        assert_eq!(present(&house, &ada, &hashes).await, [].into());
        assert_eq!(present(&house, &house.caller, &hashes).await.len(), 2);
        // A copy that can be read makes the bytes the caller's to know.
        put(&house, &house.caller, None, "open", b"denied").await;
        assert_eq!(present(&house, &ada, &hashes).await, [hashes[0]].into());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_member_knows_nothing_any_more() {
    for house in House::both(|_| {}).await {
        let ada = user(&house, "ada", Some(ShareRole::Reader)).await;
        let hash = chunk("bytes").hash;
        put(&house, &house.caller, None, "a", b"bytes").await;
        assert_eq!(present(&house, &ada, &[hash]).await, [hash].into());
        let all = members::list(&house.drive, &house.caller, house.share.id, 10, 0).await.unwrap();
        let id = all.members.iter().find(|member| member.principal_id == "ada").unwrap().id;
        members::remove(&house.drive, &house.caller, house.share.id, id).await.unwrap();
        assert!(matches!(present_in(&house, &ada, house.share.id, &[hash]).await, Err(Error::NotFound)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn trash_lends_nothing_until_it_is_restored() {
    for house in House::both(|_| {}).await {
        let folder =
            folders::create(&house.drive, &house.caller, house.share.id, None, name("F")).await.unwrap();
        let file = put(&house, &house.caller, None, "a", b"alone").await;
        put(&house, &house.caller, Some(folder.id), "b", b"below").await;
        let hashes = [chunk("alone").hash, chunk("below").hash];
        trash::delete(&house.drive, &house.caller, file.id.into(), false).await.unwrap();
        trash::delete(&house.drive, &house.caller, folder.id.into(), false).await.unwrap();
        assert_eq!(present(&house, &house.caller, &hashes).await, [].into());
        trash::restore(&house.drive, &house.caller, file.id.into()).await.unwrap();
        trash::restore(&house.drive, &house.caller, folder.id.into()).await.unwrap();
        assert_eq!(present(&house, &house.caller, &hashes).await, hashes.into());
        trash::delete(&house.drive, &house.caller, file.id.into(), true).await.unwrap();
        assert_eq!(present(&house, &house.caller, &hashes).await, [hashes[1]].into());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn old_versions_count_until_they_are_deleted() {
    for house in House::both(|_| {}).await {
        let file = put(&house, &house.caller, None, "a", b"one").await;
        let write = files::write(&house.drive, &house.caller, file.id, IfMatch::default(), &b"two"[..]);
        write.await.unwrap();
        let hashes = [chunk("one").hash, chunk("two").hash];
        assert_eq!(present(&house, &house.caller, &hashes).await, hashes.into());
        versions::delete(&house.drive, &house.caller, file.id, 1).await.unwrap();
        assert_eq!(present(&house, &house.caller, &hashes).await, [hashes[1]].into());
        collect_all(&house).await;
        assert_eq!(present(&house, &house.caller, &hashes).await, [hashes[1]].into());
        house.check().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn hidden_copies_do_not_crowd_out_the_callers_own() {
    for house in House::both(|_| {}).await {
        let ada = user(&house, "ada", Some(ShareRole::Contributor)).await;
        let folder =
            folders::create(&house.drive, &house.caller, house.share.id, None, name("F")).await.unwrap();
        let first = put(&house, &house.caller, Some(folder.id), "0", b"common").await;
        for number in 1..40 {
            let target =
                Target { parent: ParentId::Folder(folder.id), name: Some(name(&number.to_string())) };
            copies::file(&house.drive, &house.caller, first.id, target).await.unwrap();
        }
        hide(&house, "user:ada", folder.id).await;
        let hash = chunk("common").hash;
        assert_eq!(present(&house, &ada, &[hash]).await, [].into());
        put(&house, &ada, None, "mine", b"common").await;
        assert_eq!(present(&house, &ada, &[hash]).await, [hash].into());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_hashes_cost_few_statements() {
    for house in House::both(|_| {}).await {
        let parent = ParentId::Root(house.share.id);
        let file = |number: usize| BulkFile {
            parent,
            name: name(&number.to_string()),
            modified_at: None,
            bytes: format!("small {number}").into(),
        };
        for part in (0..5000).collect::<Vec<_>>().chunks(1000) {
            let all = part.iter().map(|number| file(*number)).collect();
            bulk::write(&house.drive, &house.caller, house.share.id, all).await.unwrap();
        }
        let hashes: Vec<ChunkHash> =
            (0..10_000).map(|number| chunk(format!("small {number}")).hash).collect();
        let (count, known) = cost(present(&house, &house.caller, &hashes)).await;
        assert_eq!(known.len(), 5000);
        assert!(count < 100, "{count} statements for 10,000 hashes of 5,000 files");
        eprintln!("10,000 hashes, 5,000 of them in as many files: {count} statements");
    }
}
