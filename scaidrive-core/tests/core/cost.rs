//! What a request costs: statements, whatever the depth and the size.

use std::io::Cursor;

use scaidrive_core::adapters::sql::statements;
use scaidrive_core::model::acl::AceType;
use scaidrive_core::model::{
    Caller, FileId, FolderId, ParentId, ResourceId, Right, Rights, ShareRole, UserId,
};
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

fn entry(kind: AceType) -> NewEntry {
    let trustee = "user:reader".parse().unwrap();
    NewEntry { trustee, kind, rights: Rights::from(Right::Read), inherits: true }
}

async fn reader(house: &House) -> Caller {
    let id: UserId = "reader".parse().unwrap();
    let new = NewUser { id: Some(id.clone()), ..NewUser::default() };
    tenants::create_user(&house.drive, &house.caller, new).await.unwrap();
    let principal = "user:reader".parse().unwrap();
    let member = NewMember { principal, role: ShareRole::Reader, expires_at: None };
    members::add(&house.drive, &house.caller, house.share.id, member).await.unwrap();
    tenants::caller_for(&house.drive, house.caller.tenant, &id).await.unwrap()
}

/// Makes a tree 200 deep with an entry every 20 levels; returns its deepest folder, and a file at 2 and one at 200.
async fn deep_tree(house: &House) -> (FolderId, Vec<FileId>) {
    let (mut parent, mut files_at): (Option<FolderId>, _) = (None, Vec::new());
    for depth in 1..=200 {
        let folder_name = name(&depth.to_string());
        let made =
            folders::create(&house.drive, &house.caller, house.share.id, parent, folder_name).await.unwrap();
        parent = Some(made.id);
        if depth % 20 == 0 {
            let on = ResourceId::Node(made.id.into());
            acl::add(&house.drive, &house.caller, on, entry(AceType::Allow)).await.unwrap();
        }
        if depth == 2 || depth == 200 {
            let new = NewFile {
                share: house.share.id,
                folder: parent,
                name: name("f"),
                mime_type: None,
                modified_at: None,
            };
            files_at
                .push(files::create(&house.drive, &house.caller, new, Cursor::new(b"x")).await.unwrap().id);
        }
    }
    (parent.unwrap(), files_at)
}

/// Makes a folder of so many files; every fiftieth of the first thousand is denied to the reader.
async fn wide_folder(house: &House, parent: FolderId, size: usize) -> FolderId {
    let (drive, share) = (&house.drive, house.share.id);
    let title = name(&format!("of {size}"));
    let folder = folders::create(drive, &house.caller, share, Some(parent), title).await.unwrap().id;
    let file = |number: usize| BulkFile {
        parent: ParentId::Folder(folder),
        name: name(&format!("{number:05}")),
        modified_at: None,
        bytes: "x".into(),
    };
    for part in (0..size).collect::<Vec<_>>().chunks(1000) {
        let all = part.iter().map(|number| file(*number)).collect();
        for outcome in bulk::write(drive, &house.caller, share, all).await.unwrap() {
            outcome.unwrap();
        }
    }
    let page = Listing { limit: 1000, ..Listing::default() };
    let all = folders::children(drive, &house.caller, share, Some(folder), &page).await.unwrap();
    for child in all.items.iter().step_by(50) {
        acl::add(drive, &house.caller, ResourceId::Node(child.id), entry(AceType::Deny)).await.unwrap();
    }
    folder
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_costs_few_statements_whatever_the_depth_and_the_size() {
    for house in House::both(|_| {}).await {
        let (drive, share) = (&house.drive, house.share.id);
        let reader = reader(&house).await;
        let (deepest, files_at) = deep_tree(&house).await;
        for file in files_at {
            let (count, found) =
                cost(&house, &reader, |caller| async move { files::get(drive, &caller, file).await }).await;
            found.unwrap();
            assert!(count <= 3, "{count} statements for a file, besides noting a sign-in");
        }
        let (count, _) =
            cost(&house, &reader, |caller| async move { shares::get(drive, &caller, share).await }).await;
        assert!(count <= 4, "{count} statements for a share");
        for (size, seen) in [(10, 9), (3000, 2980)] {
            let folder = wide_folder(&house, deepest, size).await;
            let (count, found) = cost(&house, &reader, |caller| {
                let page = Listing { limit: 100, ..Listing::default() };
                async move { folders::children(drive, &caller, share, Some(folder), &page).await }
            })
            .await;
            assert_eq!(found.unwrap().total, Some(seen));
            assert!(count <= 6, "{count} statements for a page of {size} children");
            eprintln!("a page of {size} children, 200 deep: {count} statements");
        }
    }
}
