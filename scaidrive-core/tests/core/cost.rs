//! What a request costs: statements, whatever the depth and the size.

use std::io::Cursor;

use scaidrive_core::adapters::sql::statements;
use scaidrive_core::model::acl::AceType;
use scaidrive_core::model::{Caller, FolderId, ResourceId, Right, Rights, ShareRole, UserId};
use scaidrive_core::services::acl::{self, NewEntry};
use scaidrive_core::services::bulk::{self, BulkFile};
use scaidrive_core::services::files::{self, NewFile};
use scaidrive_core::services::folders::{self, Listing};
use scaidrive_core::services::members::{self, NewMember};
use scaidrive_core::services::tenants::{self, NewUser};
use scaidrive_core::services::{identity, shares};

use crate::backends::{House, name};

/// Returns the statements of one request: who asks is read with every one.
async fn cost<F: Future>(
    house: &House,
    caller: &Caller,
    request: impl FnOnce(Caller) -> F,
) -> (u64, F::Output) {
    let before = statements();
    let mut rows = house.drive.read().await.unwrap();
    let caller = identity::refreshed(&mut *rows, caller).await.unwrap();
    drop(rows);
    let answer = request(caller).await;
    (statements() - before, answer)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_costs_few_statements_whatever_the_depth_and_the_size() {
    for house in House::both(|_| {}).await {
        let drive = &house.drive;
        let id: UserId = "reader".parse().unwrap();
        let new = NewUser { id: Some(id.clone()), ..NewUser::default() };
        tenants::create_user(drive, &house.caller, new).await.unwrap();
        let member = NewMember {
            principal: "user:reader".parse().unwrap(),
            role: ShareRole::Reader,
            expires_at: None,
        };
        members::add(drive, &house.caller, house.share.id, member).await.unwrap();
        let reader = tenants::caller_for(drive, house.caller.tenant, &id).await.unwrap();
        let entry = |kind| NewEntry {
            trustee: "user:reader".parse().unwrap(),
            kind,
            rights: Rights::from(Right::Read),
            inherits: true,
        };
        let mut parent: Option<FolderId> = None;
        let mut files_at = Vec::new();
        for depth in 1..=200 {
            let made =
                folders::create(drive, &house.caller, house.share.id, parent, name(&depth.to_string())).await;
            parent = Some(made.unwrap().id);
            if depth % 20 == 0 {
                let on = ResourceId::Node(parent.unwrap().into());
                acl::add(drive, &house.caller, on, entry(AceType::Allow)).await.unwrap();
            }
            if depth == 2 || depth == 200 {
                let new = NewFile {
                    share: house.share.id,
                    folder: parent,
                    name: name("f"),
                    mime_type: None,
                    modified_at: None,
                };
                files_at.push(files::create(drive, &house.caller, new, Cursor::new(b"x")).await.unwrap().id);
            }
        }
        for file in files_at {
            let (count, found) =
                cost(&house, &reader, |caller| async move { files::get(drive, &caller, file).await }).await;
            found.unwrap();
            assert!(count <= 3, "{count} statements for a file, besides noting a sign-in");
        }
        let (count, _) =
            cost(&house, &reader, |caller| async move { shares::get(drive, &caller, house.share.id).await })
                .await;
        assert!(count <= 4, "{count} statements for a share");
        for size in [10, 3000] {
            let folder =
                folders::create(drive, &house.caller, house.share.id, parent, name(&format!("of {size}")))
                    .await;
            let folder = folder.unwrap().id;
            let file = |number: usize| BulkFile {
                parent: scaidrive_core::model::ParentId::Folder(folder),
                name: name(&format!("{number:05}")),
                modified_at: None,
                bytes: "x".into(),
            };
            for part in (0..size).collect::<Vec<_>>().chunks(1000) {
                let all = part.iter().map(|number| file(*number)).collect();
                for outcome in bulk::write(drive, &house.caller, house.share.id, all).await.unwrap() {
                    outcome.unwrap();
                }
            }
            let page = Listing { limit: 1000, ..Listing::default() };
            let all =
                folders::children(drive, &house.caller, house.share.id, Some(folder), &page).await.unwrap();
            for child in all.items.iter().step_by(50) {
                let on = ResourceId::Node(child.id);
                acl::add(drive, &house.caller, on, entry(AceType::Deny)).await.unwrap();
            }
            let (count, found) = cost(&house, &reader, |caller| {
                let page = Listing { limit: 100, ..Listing::default() };
                async move { folders::children(drive, &caller, house.share.id, Some(folder), &page).await }
            })
            .await;
            let found = found.unwrap();
            assert_eq!(found.total, Some(if size == 10 { 9 } else { 3000 - 20 }));
            assert!(count <= 6, "{count} statements for a page of {size} children");
            eprintln!("a page of {size} children, 200 deep: {count} statements");
        }
    }
}
