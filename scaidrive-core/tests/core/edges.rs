//! What accidents and attackers try: rights that outlive their reason, changes that cross each other, texts that no
//! database takes.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use scaidrive_core::model::acl::AceType;
use scaidrive_core::model::{
    Error, Limits, NodeId, ParentId, Principal, QuotaTarget, ResourceId, Right, Rights, ShareRole, Timestamp,
    UserStatus,
};
use scaidrive_core::ports::metadata::AuditQuery;
use scaidrive_core::services::bulk::{self, BulkFile};
use scaidrive_core::services::groups::{self, GroupPatch, NewGroup};
use scaidrive_core::services::members::{self, MemberPatch, NewMember};
use scaidrive_core::services::moves::{self, Target};
use scaidrive_core::services::shares::{self, NewShare, SharePatch};
use scaidrive_core::services::tenants::{self, NewTenant, NewUser, TenantPatch};
use scaidrive_core::services::users::{self, UserPatch};
use scaidrive_core::services::{audit, copies, feed, files, folders, permissions, quotas, trash};

use crate::access::file_id;
use crate::backends::{House, name, rounds, share_named};

fn of_folder(id: scaidrive_core::model::FolderId) -> ResourceId {
    ResourceId::Node(id.into())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_former_owner_keeps_nothing_that_it_was_allowed() {
    for house in House::both(|_| {}).await {
        let old = house.person("old", None).await;
        house.person("new", None).await;
        let folder = house.dir(None, "plans").await;
        house.entry(of_folder(folder), "user:old", AceType::Allow, &[Right::Read, Right::Write]).await;
        let hand = async |to: &str| {
            members::transfer_share(&house.drive, &house.caller, house.share.id, to).await.unwrap();
        };
        hand("old").await;
        folders::get(&house.drive, &old, folder).await.unwrap();
        hand("new").await;
        let after = folders::get(&house.drive, &old, folder).await;
        assert!(matches!(after, Err(Error::NotFound)), "{after:?}");
        house.entry(of_folder(folder), "user:new", AceType::Allow, &[Right::Read]).await;
        hand("new").await;
        let kept = house.drive.read().await.unwrap().acl(old.tenant, of_folder(folder)).await.unwrap();
        assert_eq!(kept.len(), 1, "handed to who has it already, nothing ends");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_who_was_removed_comes_to_own_anything() {
    for house in House::both(|_| {}).await {
        let gone = house.person("gone", None).await;
        let file = house.doc(None, "a.txt").await;
        users::set_status(&house.drive, &house.caller, &gone.user, UserStatus::Deleted).await.unwrap();
        let field = |error: Error| match error {
            Error::Invalid { fields } => fields[0].field.clone(),
            other => panic!("{other:?}"),
        };
        let charged =
            members::transfer_node(&house.drive, &house.caller, file.into(), gone.user.clone()).await;
        assert_eq!(field(charged.unwrap_err()), "new_owner_id");
        let handed = members::transfer_share(&house.drive, &house.caller, house.share.id, "gone").await;
        assert_eq!(field(handed.unwrap_err()), "new_owner_id");
        let new = NewShare { owner: Some("gone".to_owned()), ..share_named("G") };
        assert_eq!(field(shares::create(&house.drive, &house.caller, new).await.unwrap_err()), "owner_id");
        house.check().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_of_different_settings_at_once_are_all_kept() {
    for house in House::both(|_| {}).await {
        let (drive, caller) = (&house.drive, &house.caller);
        let new = NewGroup { name: "g".to_owned(), ..NewGroup::default() };
        let group = groups::create(drive, caller, new).await.unwrap().id;
        for round in 0..rounds(200) / 10 {
            let set = |key: usize| {
                let settings = [(format!("key_{key}"), round.into())].into_iter().collect();
                tenants::patch(drive, caller, TenantPatch { settings, ..TenantPatch::default() })
            };
            for outcome in futures_util::future::join_all((0..8).map(set)).await {
                outcome.unwrap();
            }
            let all = tenants::get(drive, caller.tenant).await.unwrap().settings.other;
            for key in 0..8 {
                assert_eq!(all[&format!("key_{key}")], round, "round {round}, key_{key}");
            }
            let text = format!("{round}");
            let named = GroupPatch { name: Some(text.clone()), ..GroupPatch::default() };
            let described = GroupPatch { description: Some(Some(text.clone())), ..GroupPatch::default() };
            let (one, other) = tokio::join!(
                groups::patch(drive, caller, &group, named),
                groups::patch(drive, caller, &group, described)
            );
            one.unwrap();
            other.unwrap();
            let now = groups::get(drive, caller, &group).await.unwrap();
            assert_eq!((now.name, now.description), (text.clone(), Some(text)), "round {round}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn people_and_groups_are_found_whatever_the_case_of_their_letters() {
    for house in House::both(|_| {}).await {
        let (drive, caller) = (&house.drive, &house.caller);
        let new = NewUser { name: Some("Ödön Élan".to_owned()), ..NewUser::default() };
        let user = tenants::create_user(drive, caller, new).await.unwrap().id;
        let new = NewGroup { name: "ÄRZTE 50%".to_owned(), ..NewGroup::default() };
        let group = groups::create(drive, caller, new).await.unwrap().id;
        for text in ["Ödön", "ödön élan", "ÖDÖN", "Élan", "éLAN"] {
            let found = users::search(drive, caller, text, Some("user"), 10).await.unwrap();
            assert_eq!(found.users.iter().map(|user| &user.id).collect::<Vec<_>>(), [&user], "{text}");
        }
        for text in ["ärzte", "Ärzte", "ÄRZTE", "50%"] {
            let found = users::search(drive, caller, text, Some("group"), 10).await.unwrap();
            assert_eq!(found.groups.iter().map(|group| &group.id).collect::<Vec<_>>(), [&group], "{text}");
        }
        for text in ["Odon", "50_", "%zz"] {
            let found = users::search(drive, caller, text, None, 10).await.unwrap();
            assert!(found.users.is_empty() && found.groups.is_empty(), "{text}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_database_would_not_keep_both_refuse() {
    for house in House::both(|_| {}).await {
        let (drive, caller) = (&house.drive, &house.caller);
        let person = house.person("person", None).await;
        let long = "x".repeat(70_000);
        let refused = |outcome: Result<(), Error>, field: &str| match outcome {
            Err(Error::Invalid { fields }) => assert_eq!(fields[0].field, field),
            other => panic!("{field}: {other:?}"),
        };
        for text in [long.clone(), "a\0b".to_owned()] {
            let new = NewShare { description: Some(text.clone()), ..share_named("D") };
            refused(shares::create(drive, caller, new).await.map(drop), "description");
            let patch = SharePatch { description: Some(Some(text.clone())), ..SharePatch::default() };
            refused(shares::patch(drive, caller, house.share.id, patch).await.map(drop), "description");
            let new =
                NewGroup { name: "g".to_owned(), description: Some(text.clone()), ..NewGroup::default() };
            refused(groups::create(drive, caller, new).await.map(drop), "description");
            let patch = UserPatch { avatar_url: Some(Some(text)), ..UserPatch::default() };
            refused(users::patch(drive, caller, &person.user, patch).await.map(drop), "avatar_url");
        }
        let many: serde_json::Map<_, _> = [("x".to_owned(), long.into())].into_iter().collect();
        let patch = SharePatch { settings: Some(many.clone()), ..SharePatch::default() };
        refused(shares::patch(drive, caller, house.share.id, patch).await.map(drop), "settings");
        let patch = TenantPatch { settings: many, ..TenantPatch::default() };
        refused(tenants::patch(drive, caller, patch).await.map(drop), "settings");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_membership_that_ran_out_does_not_come_back_in_another_share() {
    for house in House::both(|_| {}).await {
        let guest = house.person("guest", None).await;
        let other = shares::create(&house.drive, &house.caller, share_named("Other")).await.unwrap();
        let folder = house.dir(None, "plans").await;
        let inside = house.doc(Some(folder), "a.txt").await;
        house.person("friend", None).await;
        for on in [of_folder(folder), file_id(inside)] {
            for who in ["user:guest", "user:friend"] {
                house.entry(on, who, AceType::Allow, &[Right::Read]).await;
            }
        }
        let end = house.drive.clock.now().plus(Duration::from_millis(50));
        let principal = Principal::User(guest.user.clone());
        let new = NewMember { principal, role: ShareRole::Reader, expires_at: Some(end) };
        members::add(&house.drive, &house.caller, house.share.id, new).await.unwrap();
        while house.drive.clock.now() < end {
            tokio::task::yield_now().await;
        }
        let reads = async |id| files::get(&house.drive, &guest, id).await.is_ok();
        assert!(!reads(inside).await, "run out");
        let target = Target { parent: ParentId::Root(other.id), name: None };
        moves::folder(&house.drive, &house.caller, folder, target).await.unwrap();
        assert!(!reads(inside).await, "nor does it count where nothing says that it ran out");
        let mut rows = house.drive.read().await.unwrap();
        for on in [of_folder(folder), file_id(inside)] {
            let left = rows.acl(guest.tenant, on).await.unwrap();
            let left: Vec<String> = left.iter().map(|entry| entry.trustee.to_string()).collect();
            assert_eq!(left, ["user:friend"], "who needs no membership keeps what it has");
        }
        drop(rows);
        house.check().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_copy_stops_where_its_reader_loses_the_source() {
    for house in House::both(|_| {}).await {
        let worker = house.person("worker", Some(ShareRole::Contributor)).await;
        let source = house.dir(None, "source").await;
        let parent = ParentId::Folder(source);
        for batch in 0..2 {
            let file = |number: i32| BulkFile {
                parent,
                name: name(&format!("{batch}-{number}")),
                modified_at: None,
                bytes: Bytes::from_static(b"same"),
            };
            let files = (0..1000).map(file).collect();
            bulk::write(&house.drive, &house.caller, house.share.id, files).await.unwrap();
        }
        let target = Target { parent: ParentId::Root(house.share.id), name: Some(name("target")) };
        let (drive, copier) = (house.drive.clone(), worker.clone());
        let copying = tokio::spawn(async move { copies::folder(&drive, &copier, source, target).await });
        let count = async || {
            let mut rows = house.drive.read().await.unwrap();
            let root = ParentId::Root(house.share.id);
            match rows.child(worker.tenant, root, &name("target").key()).await.unwrap().map(|node| node.id) {
                Some(NodeId::Folder(id)) => {
                    rows.count_children(worker.tenant, ParentId::Folder(id), false, 10_000).await.unwrap()
                }
                _ => 0,
            }
        };
        while count().await == 0 && !copying.is_finished() {
            tokio::task::yield_now().await;
        }
        house.entry(of_folder(source), "user:worker", AceType::Deny, &[Right::Read]).await;
        let revoked = count().await;
        copying.await.unwrap().unwrap();
        assert_eq!(count().await, revoked, "nothing is copied after the answer to the revoke");
        house.check().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_of_what_was_inherited_tells_who_loses_by_being_in_two_groups() {
    for house in House::both(|_| {}).await {
        let (drive, caller) = (&house.drive, &house.caller);
        let both = house.person("both", None).await;
        house.person("one", None).await;
        let mut ids = Vec::new();
        for members in [vec!["user:both", "user:one"], vec!["user:both"]] {
            let new = NewGroup { name: "g".to_owned(), ..NewGroup::default() };
            let group = groups::create(drive, caller, new).await.unwrap().id;
            for member in members {
                groups::set_member(drive, caller, &group, member.parse().unwrap(), true).await.unwrap();
            }
            ids.push(group);
        }
        let outer = house.dir(None, "outer").await;
        let folder = house.dir(Some(outer), "inner").await;
        house.entry(of_folder(outer), &format!("group:{}", ids[1]), AceType::Deny, &[Right::Read]).await;
        house.entry(of_folder(folder), &format!("group:{}", ids[0]), AceType::Allow, &[Right::Read]).await;
        let both = tenants::caller_for(drive, both.tenant, &both.user).await.unwrap();
        let reads =
            async || permissions::effective(drive, &both, of_folder(folder), None, false).await.is_ok();
        assert!(reads().await, "the nearer allow beats the farther deny");
        let told = house.fence(folder, true).await.narrowed;
        assert!(!reads().await, "at one level the deny wins");
        let told: Vec<_> = told.iter().map(|one| (one.principal_id.as_deref(), one.permissions)).collect();
        assert_eq!(told, [(Some("both"), Rights::from(Right::Read))]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_that_is_set_while_others_write_stays_set() {
    for house in House::both(|_| {}).await {
        let (drive, caller) = (&house.drive, &house.caller);
        let partner = tenants::get(drive, caller.tenant).await.unwrap().partner_id;
        // Set from another tenant: whoever sets it does not wait for the counters of this one.
        let above =
            tenants::create_for_partner(drive, caller, partner, NewTenant::named("Above")).await.unwrap();
        let system = tenants::system_caller(drive, above.id, "operator").unwrap();
        for round in 0..rounds(200) / 4 {
            let bytes = 1000 + u64::from(round % 2);
            let limits = Limits { limit_bytes: Some(bytes), ..Limits::default() };
            let file = house.doc(None, &format!("{round}")).await;
            let (set, written) = tokio::join!(
                quotas::set_tenant(drive, &system, caller.tenant, limits),
                files::write(
                    drive,
                    caller,
                    file,
                    files::IfMatch::default(),
                    std::io::Cursor::new(vec![1; 700])
                ),
            );
            set.unwrap();
            written.unwrap();
            let now = quotas::tenant(drive, &system, caller.tenant).await.unwrap();
            assert_eq!(now.limits.limit_bytes, Some(bytes), "round {round}");
            trash::delete(drive, caller, file.into(), true).await.unwrap();
        }
        house.check().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_done_to_another_tenant_is_told_with_its_name() {
    for house in House::both(|_| {}).await {
        let (drive, caller) = (&house.drive, &house.caller);
        let partner = tenants::get(drive, caller.tenant).await.unwrap().partner_id;
        let other =
            tenants::create_for_partner(drive, caller, partner, NewTenant::named("Other")).await.unwrap();
        quotas::set_tenant(drive, caller, other.id, Limits::default()).await.unwrap();
        let query = AuditQuery { limit: 2, ..AuditQuery::default() };
        let told = audit::find(drive, caller, query).await.unwrap().events;
        let told: Vec<_> = told.iter().map(|one| (one.action.as_str(), one.resource.id.clone())).collect();
        assert_eq!(
            told,
            [("quota.set", format!("tenant:{}", other.id)), ("tenant.create", other.id.to_string())]
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quota_of_a_group_goes_with_the_group() {
    for house in House::both(|_| {}).await {
        let (drive, caller) = (&house.drive, &house.caller);
        let new = NewGroup { name: "g".to_owned(), ..NewGroup::default() };
        let group = groups::create(drive, caller, new).await.unwrap().id;
        quotas::set(drive, caller, QuotaTarget::Group(group.clone()), Limits::default()).await.unwrap();
        groups::delete(drive, caller, &group).await.unwrap();
        assert_eq!(quotas::list(drive, caller, "group", 10, 0).await.unwrap().total, 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn old_paths_do_not_tell_the_names_of_hidden_folders() {
    for house in House::both(|_| {}).await {
        let reader = house.person("reader", Some(ShareRole::Reader)).await;
        let start = feed::head(&house.drive, &reader).await.unwrap();
        let hidden = house.dir(None, "merger with acme").await;
        house.fence(hidden, false).await;
        let folder = house.dir(Some(hidden), "public").await;
        house.doc(Some(folder), "a.txt").await;
        let target = Target { parent: ParentId::Root(house.share.id), name: None };
        moves::folder(&house.drive, &house.caller, folder, target).await.unwrap();
        let rows = feed::changes(&house.drive, &reader, house.share.id, start, 1000).await.unwrap().changes;
        let text = serde_json::to_string(&rows).unwrap();
        assert!(text.contains("/public/a.txt"), "{text}");
        assert!(!text.contains("acme"), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_restored_under_a_condition_stays_in_the_trash_where_that_fails() {
    for house in House::both(|_| {}).await {
        let file = house.doc(None, "a.txt").await;
        trash::delete(&house.drive, &house.caller, file.into(), false).await.unwrap();
        house.doc(None, "taken.txt").await;
        let restore = async |as_name: &str, holds: trash::Precondition| {
            trash::restore_as(&house.drive, &house.caller, file.into(), Some(name(as_name)), holds).await
        };
        let failed = restore("b.txt", Arc::new(|_| Err(Error::PreconditionFailed))).await;
        assert!(matches!(failed, Err(Error::PreconditionFailed)), "{failed:?}");
        let failed = restore("taken.txt", Arc::new(|_| Ok(()))).await;
        assert!(matches!(failed, Err(Error::NameConflict { .. })), "{failed:?}");
        assert_eq!(house.listed(&house.caller, None).await, ["taken.txt"]);
        restore("b.txt", Arc::new(|_| Ok(()))).await.unwrap();
        assert_eq!(house.listed(&house.caller, None).await, ["b.txt", "taken.txt"]);
        house.check().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_end_of_a_membership_can_be_taken_back() {
    for house in House::both(|_| {}).await {
        let guest = house.person("guest", None).await;
        let end = house.drive.clock.now().plus(Duration::from_millis(20));
        let principal = Principal::User(guest.user.clone());
        let new = NewMember { principal, role: ShareRole::Reader, expires_at: Some(end) };
        let member = members::add(&house.drive, &house.caller, house.share.id, new).await.unwrap().id;
        while house.drive.clock.now() < end {
            tokio::task::yield_now().await;
        }
        let reads = async || shares::get(&house.drive, &guest, house.share.id).await.is_ok();
        assert!(!reads().await);
        let past = MemberPatch { expires_at: Some(Some(Timestamp::default())), ..MemberPatch::default() };
        assert!(members::patch(&house.drive, &house.caller, house.share.id, member, past).await.is_err());
        let forever = MemberPatch { expires_at: Some(None), ..MemberPatch::default() };
        members::patch(&house.drive, &house.caller, house.share.id, member, forever).await.unwrap();
        assert!(reads().await);
    }
}
