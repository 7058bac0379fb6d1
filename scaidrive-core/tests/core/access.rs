//! Permissions on real databases: what entries, roles and groups come to in listings, trees, feeds and races.

use std::io::Cursor;
use std::time::Duration;

use scaidrive_core::model::acl::AceType;
use scaidrive_core::model::{
    Caller, ChangeKind, Error, FileId, FolderId, GroupClaims, GroupId, ParentId, Principal, ResourceId,
    Right, Rights, ShareRole, Trustee, UserId,
};
use scaidrive_core::services::acl::{self, NewEntry, Which};
use scaidrive_core::services::files::{self, NewFile};
use scaidrive_core::services::folders::{self, Listing};
use scaidrive_core::services::groups::{self, NewGroup};
use scaidrive_core::services::members::{self, NewMember};
use scaidrive_core::services::moves::{self, Target};
use scaidrive_core::services::permissions::{self, Question};
use scaidrive_core::services::tenants::{self, NewUser};
use scaidrive_core::services::{copies, feed, identity, shares, trash};

use crate::backends::{House, name, rounds};

impl House {
    pub(crate) async fn person(&self, id: &str, role: Option<ShareRole>) -> Caller {
        let id: UserId = id.parse().unwrap();
        let new = NewUser { id: Some(id.clone()), ..NewUser::default() };
        tenants::create_user(&self.drive, &self.caller, new).await.unwrap();
        if let Some(role) = role {
            self.join(Principal::User(id.clone()), role).await;
        }
        tenants::caller_for(&self.drive, self.caller.tenant, &id).await.unwrap()
    }

    pub(crate) async fn join(&self, principal: Principal, role: ShareRole) {
        let member = NewMember { principal, role, expires_at: None };
        members::add(&self.drive, &self.caller, self.share.id, member).await.unwrap();
    }

    pub(crate) async fn dir(&self, parent: Option<FolderId>, text: &str) -> FolderId {
        folders::create(&self.drive, &self.caller, self.share.id, parent, name(text)).await.unwrap().id
    }

    pub(crate) async fn doc(&self, parent: Option<FolderId>, text: &str) -> FileId {
        let new = NewFile {
            share: self.share.id,
            folder: parent,
            name: name(text),
            mime_type: None,
            modified_at: None,
        };
        files::create(&self.drive, &self.caller, new, Cursor::new(text.to_owned().into_bytes()))
            .await
            .unwrap()
            .id
    }

    pub(crate) async fn entry(
        &self,
        on: impl Into<ResourceId>,
        trustee: &str,
        kind: AceType,
        rights: &[Right],
    ) {
        let new = NewEntry {
            trustee: trustee.parse().unwrap(),
            kind,
            rights: rights.iter().copied().collect(),
            inherits: true,
        };
        acl::add(&self.drive, &self.caller, on.into(), new).await.unwrap();
    }

    pub(crate) async fn fence(&self, folder: FolderId, copy: bool) -> acl::Inheritance {
        let id = ResourceId::Node(folder.into());
        acl::set_inheritance(&self.drive, &self.caller, id, false, copy).await.unwrap()
    }

    pub(crate) async fn listed(&self, caller: &Caller, folder: Option<FolderId>) -> Vec<String> {
        let listing = Listing { limit: 1000, ..Listing::default() };
        let page = folders::children(&self.drive, caller, self.share.id, folder, &listing).await.unwrap();
        assert_eq!(page.total, Some(page.items.len() as u64));
        page.items.iter().map(|item| item.name.to_string()).collect()
    }

    pub(crate) async fn walked(&self, caller: &Caller) -> Vec<String> {
        let all = folders::walk(&self.drive, caller, self.share.id, None).await.unwrap();
        let mut paths: Vec<String> = all.iter().map(|found| found.path.to_string()).collect();
        paths.sort();
        paths
    }
}

pub(crate) fn file_id(id: FileId) -> ResourceId {
    ResourceId::Node(id.into())
}

#[tokio::test(flavor = "multi_thread")]
async fn listings_trees_and_feed_show_what_may_be_read() {
    for house in House::both(|_| {}).await {
        let reader = house.person("reader", Some(ShareRole::Reader)).await;
        let start = feed::head(&house.drive, &reader).await.unwrap();
        let (open, shut) = (house.dir(None, "open").await, house.dir(None, "shut").await);
        let inner = house.dir(Some(shut), "inner").await;
        let (seen, hidden) =
            (house.doc(Some(open), "seen.txt").await, house.doc(Some(open), "hidden.txt").await);
        let deep = house.doc(Some(inner), "deep.txt").await;
        house.entry(file_id(hidden), "user:reader", AceType::Deny, &[Right::Read]).await;
        house.entry(ResourceId::Node(shut.into()), "user:reader", AceType::Deny, &[Right::Read]).await;
        house.entry(file_id(deep), "user:reader", AceType::Allow, &[Right::Read]).await;
        assert_eq!(house.listed(&reader, None).await, ["open"]);
        assert_eq!(house.listed(&reader, Some(open)).await, ["seen.txt"]);
        assert_eq!(house.listed(&house.caller, Some(open)).await, ["hidden.txt", "seen.txt"]);
        assert_eq!(house.walked(&reader).await, ["/open", "/open/seen.txt"]);
        assert!(matches!(files::get(&house.drive, &reader, hidden).await, Err(Error::NotFound)));
        let by_id = files::get(&house.drive, &reader, deep).await.unwrap();
        assert_eq!(by_id.path, "…/deep.txt", "no name of a hidden folder leaks");
        assert_eq!(files::get(&house.drive, &reader, seen).await.unwrap().path, "/open/seen.txt");
        let rows = feed::changes(&house.drive, &reader, house.share.id, start, 1000).await.unwrap().changes;
        let text = serde_json::to_string(&rows).unwrap();
        assert!(text.contains("seen.txt"));
        for leak in ["hidden", "shut", "inner", "deep.txt"] {
            assert!(!text.contains(leak), "{leak} in {text}");
        }
        let gone = |id: &str| {
            rows.iter().any(|row| row.resource_id() == id && row.change_type() == ChangeKind::Deleted)
        };
        assert!(
            gone(&hidden.to_string()) && gone(&shut.to_string()),
            "access changes are tombstones to who lost"
        );
        house.check().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_are_full_and_totals_exact_among_hidden_children() {
    for house in House::both(|_| {}).await {
        let reader = house.person("reader", Some(ShareRole::Reader)).await;
        for number in 0..60 {
            let id = house.doc(None, &format!("{number:03}")).await;
            if number % 3 != 0 {
                house.entry(file_id(id), "user:reader", AceType::Deny, &[Right::Read]).await;
            }
        }
        let (mut seen, mut after, mut total) = (Vec::new(), None, None);
        loop {
            let listing = Listing { limit: 7, after: after.clone(), ..Listing::default() };
            let page =
                folders::children(&house.drive, &reader, house.share.id, None, &listing).await.unwrap();
            total = total.or(page.total);
            assert!(page.items.len() == 7 || page.next.is_none(), "a page in the middle is full");
            seen.extend(page.items.iter().map(|item| item.name.to_string()));
            match page.next {
                Some(next) => after = Some(next),
                None => break,
            }
        }
        assert_eq!(seen, (0..60).step_by(3).map(|number| format!("{number:03}")).collect::<Vec<_>>());
        assert_eq!(total, Some(20));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_may_not_be_removed_or_read_stays_and_is_not_named() {
    for house in House::both(|_| {}).await {
        let worker = house.person("worker", Some(ShareRole::Contributor)).await;
        let (top, other) = (house.dir(None, "top").await, house.dir(None, "other").await);
        let middle = house.dir(Some(top), "middle").await;
        let secret = house.doc(Some(middle), "secret.txt").await;
        house.entry(file_id(secret), "everyone", AceType::Deny, &[Right::Read, Right::Delete]).await;
        let remove = trash::delete(&house.drive, &worker, top.into(), false).await;
        let error = remove.unwrap_err().to_string();
        assert!(
            error.starts_with("Permission denied: DELETE") && !error.contains(&secret.to_string()),
            "{error}"
        );
        let target = Target { parent: ParentId::Folder(other), name: None };
        for outcome in [
            moves::folder(&house.drive, &worker, top, target.clone()).await,
            copies::folder(&house.drive, &worker, top, target.clone()).await,
        ] {
            assert!(matches!(outcome, Err(Error::PermissionDenied { right: "READ", .. })), "{outcome:?}");
        }
        assert_eq!(house.listed(&worker, None).await, ["other", "top"]);
        trash::delete(&house.drive, &house.caller, top.into(), false).await.unwrap();
        // In the trash, too, only its readers see it.
        let listed = trash::list(&house.drive, &worker, house.share.id, None, 10).await.unwrap();
        assert_eq!((listed.items.len(), listed.total), (1, Some(1)));
        trash::delete(&house.drive, &house.caller, top.into(), true).await.unwrap();
        let left = house.drive.read().await.unwrap().acl(house.caller.tenant, file_id(secret)).await.unwrap();
        assert!(left.is_empty(), "entries go with what carried them");
        house.check().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fence_with_a_copy_takes_and_never_gives() {
    for house in House::both(|_| {}).await {
        let reader = house.person("reader", Some(ShareRole::Reader)).await;
        let worker = house.person("worker", Some(ShareRole::Contributor)).await;
        let folder = house.dir(None, "plans").await;
        let inside = house.doc(Some(folder), "a.txt").await;
        house.entry(house.share.id, "user:worker", AceType::Deny, &[Right::Delete]).await;
        house.entry(ResourceId::Node(folder.into()), "user:worker", AceType::Allow, &[Right::Delete]).await;
        let rights = async |caller: &Caller| {
            let id = file_id(inside);
            permissions::effective(&house.drive, caller, id, None, false).await.map(|found| found.permissions)
        };
        assert_eq!((rights(&reader).await.unwrap(), rights(&worker).await.unwrap()), (1, 15));
        let fenced = house.fence(folder, true).await;
        assert_eq!(fenced.narrowed.len(), 1);
        assert_eq!(
            fenced.narrowed[0].permissions,
            Rights::from(Right::Delete),
            "now a deny of the same level"
        );
        assert_eq!((rights(&reader).await.unwrap(), rights(&worker).await.unwrap()), (1, 11));
        acl::replace(&house.drive, &house.caller, ResourceId::Node(folder.into()), Vec::new()).await.unwrap();
        assert!(matches!(rights(&reader).await, Err(Error::NotFound)), "fenced in without a copy");
        let id = ResourceId::Node(folder.into());
        acl::set_inheritance(&house.drive, &house.caller, id, true, false).await.unwrap();
        assert_eq!((rights(&reader).await.unwrap(), rights(&worker).await.unwrap()), (1, 11));
        house.check().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn groups_nest_to_a_depth_and_not_in_circles() {
    for house in House::both(|_| {}).await {
        let member = house.person("member", None).await;
        let mut all: Vec<GroupId> = Vec::new();
        for number in 0..9 {
            let new = NewGroup { name: format!("g{number}"), ..NewGroup::default() };
            all.push(groups::create(&house.drive, &house.caller, new).await.unwrap().id);
        }
        let put = async |outer: &GroupId, inner: Principal| {
            groups::set_member(&house.drive, &house.caller, outer, inner, true).await
        };
        put(&all[0], Principal::User(member.user.clone())).await.unwrap();
        for number in 1..8 {
            put(&all[number], Principal::Group(all[number - 1].clone())).await.unwrap();
        }
        let ninth = put(&all[8], Principal::Group(all[7].clone())).await;
        assert!(matches!(ninth, Err(Error::Invalid { .. })), "{ninth:?}");
        for number in [0, 3, 7] {
            let circle = put(&all[0], Principal::Group(all[number].clone())).await;
            assert!(matches!(circle, Err(Error::Cycle)), "{circle:?}");
        }
        house.join(Principal::Group(all[7].clone()), ShareRole::Contributor).await;
        let now = async || tenants::caller_for(&house.drive, member.tenant, &member.user).await.unwrap();
        assert_eq!(now().await.groups.len(), 8);
        assert_eq!(shares::mine(&house.drive, &now().await).await.unwrap()[0].role, ShareRole::Contributor);
        groups::delete(&house.drive, &house.caller, &all[4]).await.unwrap();
        assert!(shares::mine(&house.drive, &now().await).await.unwrap().is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removal_wins_over_every_claim_older_than_itself() {
    for house in House::both(|_| {}).await {
        let member = house.person("member", None).await;
        let new =
            NewGroup { id: Some("idp-group".parse().unwrap()), name: "G".to_owned(), ..NewGroup::default() };
        let group = groups::create(&house.drive, &house.caller, new).await.unwrap().id;
        house.join(Principal::Group(group.clone()), ShareRole::Reader).await;
        let claiming = |after: i64| {
            let now = house.drive.clock.now().as_micros() + after * 1_000_000;
            let claims = GroupClaims {
                groups: vec![group.clone(), "unknown".parse().unwrap()],
                issued_at: scaidrive_core::model::Timestamp::from_micros(now),
            };
            Caller { claims: Some(claims), ..member.clone() }
        };
        let reads = async |caller: &Caller| {
            let mut rows = house.drive.read().await.unwrap();
            let caller = identity::refreshed(&mut *rows, caller).await.unwrap();
            assert!(!caller.groups.contains(&"unknown".parse().unwrap()), "a claim makes no group");
            drop(rows);
            shares::get(&house.drive, &caller, house.share.id).await.is_ok()
        };
        let old = claiming(0);
        assert!(reads(&old).await, "claimed, and known here");
        let principal = Principal::User(member.user.clone());
        groups::set_member(&house.drive, &house.caller, &group, principal.clone(), true).await.unwrap();
        groups::set_member(&house.drive, &house.caller, &group, principal.clone(), false).await.unwrap();
        assert!(!reads(&old).await, "the token still claims it");
        assert!(reads(&claiming(5)).await, "a newer token knows better");
        groups::set_member(&house.drive, &house.caller, &group, principal, true).await.unwrap();
        assert!(reads(&old).await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn memberships_run_out_at_their_very_time_and_readers_are_told() {
    for house in House::both(|_| {}).await {
        let guest = house.person("guest", None).await;
        let end = house.drive.clock.now().plus(Duration::from_millis(400));
        let principal = Principal::User(guest.user.clone());
        let new = NewMember { principal, role: ShareRole::Contributor, expires_at: Some(end) };
        let id = members::add(&house.drive, &house.caller, house.share.id, new).await.unwrap().id;
        house.entry(house.share.id, "user:guest", AceType::Allow, &[Right::Read]).await;
        shares::get(&house.drive, &guest, house.share.id).await.unwrap();
        while house.drive.clock.now() < end {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let after = shares::get(&house.drive, &guest, house.share.id).await;
        assert!(matches!(after, Err(Error::NotFound)), "nor does an entry of its count: {after:?}");
        let start = feed::head(&house.drive, &house.caller).await.unwrap();
        let worker = scaidrive_core::jobs::Worker::new(house.drive.clone());
        assert_eq!(worker.run_due().await.unwrap(), 1);
        let told =
            feed::changes(&house.drive, &house.caller, house.share.id, start, 10).await.unwrap().changes;
        assert!(serde_json::to_string(&told).unwrap().contains("access_changed"));
        members::remove(&house.drive, &house.caller, house.share.id, id).await.unwrap();
        let left = house.drive.read().await.unwrap().acl(guest.tenant, house.share.id.into()).await.unwrap();
        assert!(left.is_empty(), "a removed member's allows go with it");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_grants_a_role_above_their_own_and_the_owner_stays() {
    let house = House::embedded().await;
    let worker = house.person("worker", Some(ShareRole::Contributor)).await;
    house.entry(house.share.id, "user:worker", AceType::Allow, &[Right::ManagePermissions]).await;
    house.person("guest", None).await;
    let guest = |role| NewMember { principal: "user:guest".parse().unwrap(), role, expires_at: None };
    let admin = members::add(&house.drive, &worker, house.share.id, guest(ShareRole::Admin)).await;
    assert!(matches!(admin, Err(Error::PermissionDenied { .. })), "{admin:?}");
    let owner = members::add(&house.drive, &worker, house.share.id, guest(ShareRole::Owner)).await;
    assert!(matches!(owner, Err(Error::Invalid { .. })), "{owner:?}");
    members::add(&house.drive, &worker, house.share.id, guest(ShareRole::Reader)).await.unwrap();
    let all = members::list(&house.drive, &house.caller, house.share.id, 10, 0).await.unwrap().members;
    assert_eq!(all[0].role, ShareRole::Owner);
    let removed = members::remove(&house.drive, &house.caller, house.share.id, all[0].id).await;
    assert!(matches!(removed, Err(Error::OwnerOnly { .. })), "{removed:?}");
    let moved = members::transfer_share(&house.drive, &worker, house.share.id, "worker").await;
    assert!(matches!(moved, Err(Error::OwnerOnly { .. })), "{moved:?}");
    let moved = members::transfer_share(&house.drive, &house.caller, house.share.id, "worker").await.unwrap();
    assert_eq!(moved.owner.to_string(), "user:worker");
    shares::delete(&house.drive, &worker, house.share.id).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_owner_of_files_is_charged_for_them_and_nothing_more() {
    for house in House::both(|_| {}).await {
        house.person("payer", None).await;
        let file = house.doc(None, "a.txt").await;
        members::transfer_node(&house.drive, &house.caller, file.into(), "payer".parse().unwrap())
            .await
            .unwrap();
        let payer =
            tenants::caller_for(&house.drive, house.caller.tenant, &"payer".parse().unwrap()).await.unwrap();
        assert!(matches!(files::get(&house.drive, &payer, file).await, Err(Error::NotFound)));
        let usage = scaidrive_core::model::UsageTarget::User(payer.user);
        let mut rows = house.drive.read().await.unwrap();
        assert_eq!(rows.usage(house.caller.tenant, &usage).await.unwrap().file_bytes, 5);
        drop(rows);
        house.check().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_right_is_explained() {
    let house = House::embedded().await;
    let worker = house.person("worker", Some(ShareRole::Contributor)).await;
    let file = house.doc(None, "a.txt").await;
    house.entry(file_id(file), "everyone", AceType::Deny, &[Right::Write]).await;
    let told = permissions::effective(&house.drive, &worker, file_id(file), None, true).await.unwrap();
    let told = serde_json::to_value(&told).unwrap();
    assert_eq!((&told["can_read"], &told["can_write"]), (&true.into(), &false.into()));
    let why = told["explanation"].as_array().unwrap();
    assert_eq!((&why[0]["decided_by"], &why[0]["role"]), (&"role".into(), &"contributor".into()));
    assert_eq!(why[1]["entry"]["principal_type"], "everyone");
    assert_eq!(why[1]["entry"]["resource_id"], file.to_string());
    let as_admin =
        permissions::effective(&house.drive, &house.caller, file_id(file), Some(&worker.user), true).await;
    assert_eq!(as_admin.unwrap().permissions, 1 + 4 + 8);
    let ask = |right| Question { resource: file_id(file), right };
    let answers =
        permissions::check(&house.drive, &worker, &[ask(Right::Read), ask(Right::Write)]).await.unwrap();
    assert_eq!(answers, [true, false]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_says_no_of_what_cannot_be_read_whatever_else_is_granted() {
    for house in House::both(|_| {}).await {
        let worker = house.person("worker", Some(ShareRole::Admin)).await;
        let file = house.doc(None, "a.txt").await;
        house.entry(file_id(file), "user:worker", AceType::Deny, &[Right::Read]).await;
        let ask = |right| Question { resource: file_id(file), right };
        let all: Vec<Question> = Right::ALL.iter().copied().map(ask).collect();
        let answers = permissions::check(&house.drive, &worker, &all).await.unwrap();
        let allowed: Vec<Right> =
            Right::ALL.iter().zip(answers).filter(|(_, yes)| *yes).map(|(right, _)| *right).collect();
        assert_eq!(allowed, [Right::ManagePermissions], "that needs no READ");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn after_the_answer_to_a_revoke_nothing_succeeds() {
    for house in House::both(|_| {}).await {
        let reader = house.person("reader", None).await;
        let file = house.doc(None, "a.txt").await;
        let on = file_id(file);
        let grant = |rights: &[Right]| NewEntry {
            trustee: "user:reader".parse::<Trustee>().unwrap(),
            kind: AceType::Allow,
            rights: rights.iter().copied().collect(),
            inherits: true,
        };
        let which = || Which::Of("user:reader".parse().unwrap(), AceType::Allow);
        let (mut before, mut after) = (0, 0);
        for round in 0..rounds(200) {
            acl::add(&house.drive, &house.caller, on, grant(&[Right::Read, Right::Write])).await.unwrap();
            let patch =
                files::FilePatch { name: Some(name(&format!("{round}"))), ..files::FilePatch::default() };
            // Two administrators take it away, while its holder uses it.
            let revoke = async || acl::remove(&house.drive, &house.caller, on, which()).await;
            let used = files::patch(&house.drive, &reader, file, patch.clone(), files::IfMatch::default());
            // Who is first in line takes turns.
            let (one, other, used) = if round % 2 == 0 {
                tokio::join!(revoke(), revoke(), used)
            } else {
                let (used, one, other) = tokio::join!(used, revoke(), revoke());
                (one, other, used)
            };
            assert!(one.is_ok() || other.is_ok(), "{one:?} {other:?}");
            match used {
                Ok(_) => before += 1,
                Err(Error::NotFound) => after += 1,
                Err(error) => panic!("{error}"),
            }
            assert!(matches!(files::get(&house.drive, &reader, file).await, Err(Error::NotFound)));
            let late = files::patch(&house.drive, &reader, file, patch, files::IfMatch::default()).await;
            assert!(matches!(late, Err(Error::NotFound)), "{late:?}");
        }
        eprintln!("used before the revoke {before} times, refused {after} times");
        house.check().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_first_requests_of_one_user_make_one() {
    for house in House::both(|_| {}).await {
        for round in 0..rounds(200) / 20 {
            let user: UserId = format!("new{round}").parse().unwrap();
            let caller = Caller::local(house.caller.tenant, user.clone(), "r".to_owned());
            let first = || tenants::provision(&house.drive, &caller, NewUser::default());
            let (one, other) = tokio::join!(first(), first());
            assert_eq!(one.unwrap().id, other.unwrap().id);
            let sign_in = || tenants::sign_in_first(&house.drive, &caller);
            let (one, other) = tokio::join!(sign_in(), sign_in());
            one.unwrap();
            other.unwrap();
            let now = tenants::caller_for(&house.drive, caller.tenant, &user).await.unwrap();
            assert_eq!(shares::mine(&house.drive, &now).await.unwrap().len(), 1, "one share of its own");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_lay_behind_a_fence_is_not_restored_in_front_of_it() {
    for house in House::both(|_| {}).await {
        let drive = &house.drive;
        let worker = house.person("worker", Some(ShareRole::Contributor)).await;
        let secret = house.dir(None, "Secret").await;
        let leaf = house.doc(Some(secret), "leaf").await;
        house.fence(secret, false).await;
        house
            .entry(file_id(leaf), "user:worker", AceType::Allow, &[Right::Read, Right::Write, Right::Delete])
            .await;
        trash::delete(drive, &worker, leaf.into(), false).await.unwrap();
        let refused = trash::restore(drive, &worker, leaf.into()).await;
        assert!(matches!(refused, Err(Error::PermissionDenied { right: "CREATE", .. })), "{refused:?}");
        // Where the folder is gone too, the root takes it in.
        trash::delete(drive, &house.caller, secret.into(), false).await.unwrap();
        trash::restore(drive, &worker, leaf.into()).await.unwrap();
        assert_eq!(house.listed(&worker, None).await, ["leaf"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_share_goes_to_the_group_that_was_meant_not_to_the_user_of_its_name() {
    for house in House::both(|_| {}).await {
        house.person("sales", None).await;
        let id: GroupId = "sales".parse().unwrap();
        let new = NewGroup { id: Some(id.clone()), name: "Sales".to_owned(), ..NewGroup::default() };
        groups::create(&house.drive, &house.caller, new).await.unwrap();
        let group = Principal::Group(id);
        let share = house.share.id;
        let moved = members::transfer_share(&house.drive, &house.caller, share, group.clone()).await.unwrap();
        assert_eq!(moved.owner, group);
        let moved = members::transfer_share(&house.drive, &house.caller, share, "sales").await.unwrap();
        assert_eq!(moved.owner, Principal::User("sales".parse().unwrap()));
    }
}
