//! What is hidden, or another tenant's, asks of the database what an id asks that never was: so the time that an
//! answer takes tells nothing.

use std::io::Cursor;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use scaidrive_core::Drive;
use scaidrive_core::adapters::sql::statements;
use scaidrive_core::model::acl::AceType;
use scaidrive_core::model::{
    Caller, Error, FileId, FolderId, NodeId, ParentId, Principal, QuotaTarget, ResourceId, Result, Right,
    ShareId, ShareRole,
};
use scaidrive_core::services::acl::{self, NewEntry};
use scaidrive_core::services::archive::{self, ArchiveFormat};
use scaidrive_core::services::files::{self, FilePatch, IfMatch, NewFile};
use scaidrive_core::services::folders::{self, Listing};
use scaidrive_core::services::invitations::{self, NewInvitation};
use scaidrive_core::services::members::{self, NewMember};
use scaidrive_core::services::moves::{self, Target};
use scaidrive_core::services::permissions::{self, Question};
use scaidrive_core::services::shares::{self, SharePatch};
use scaidrive_core::services::tenants::{self, NewUser};
use scaidrive_core::services::{content, copies, me, quotas, trash, versions};

use crate::backends::{House, name, share_named};

/// Somebody who may do everything in a share, and what it may use besides the secret: a file and a folder.
#[derive(Clone)]
struct Asker {
    drive: Drive,
    caller: Caller,
    share: ShareId,
    file: FileId,
    folder: FolderId,
}

/// A request about an id, by what it does.
type Request<I> = (&'static str, fn(Asker, I) -> BoxFuture<'static, Result<()>>);

/// Makes a list of requests, each an expression of the asker's parts and the id.
macro_rules! requests {
    ($($what:literal: |$asker:ident, $id:ident| $call:expr;)+) => {
        &[$(($what, |$asker, $id| async move { $call.await.map(drop) }.boxed())),+]
    };
}

fn target(folder: FolderId) -> Target {
    Target { parent: ParentId::Folder(folder), name: None }
}

fn new_file(share: ShareId, folder: Option<FolderId>) -> NewFile {
    NewFile { share, folder, name: name("new"), mime_type: None, modified_at: None }
}

fn entry() -> NewEntry {
    NewEntry {
        trustee: "user:guest".parse().unwrap(),
        kind: AceType::Allow,
        rights: Right::Read.into(),
        inherits: true,
    }
}

/// Asks for one right, or for two at once, of which the other one is had.
async fn check(asker: Asker, resource: ResourceId, along: bool) -> Result<()> {
    let right = Right::Read;
    let known = along.then_some(Question { resource: ResourceId::Node(asker.file.into()), right });
    let questions: Vec<Question> = known.into_iter().chain([Question { resource, right }]).collect();
    match permissions::check(&asker.drive, &asker.caller, &questions).await?.last() {
        Some(true) => Ok(()),
        _ => Err(Error::NotFound),
    }
}

const OF_FILES: &[Request<FileId>] = requests! {
    "get": |a, id| files::get(&a.drive, &a.caller, id);
    "read": |a, id| content::open(&a.drive, &a.caller, id, None);
    "read a version": |a, id| content::open(&a.drive, &a.caller, id, Some(1));
    "patch": |a, id| files::patch(&a.drive, &a.caller, id, FilePatch::default(), IfMatch::default());
    "write": |a, id| files::write(&a.drive, &a.caller, id, IfMatch::default(), Cursor::new(b"x"));
    "list versions": |a, id| versions::list(&a.drive, &a.caller, id, 10, 0);
    "restore a version": |a, id| versions::restore(&a.drive, &a.caller, id, 1);
    "delete a version": |a, id| versions::delete(&a.drive, &a.caller, id, 1);
    "copy": |a, id| copies::file(&a.drive, &a.caller, id, target(a.folder));
    "move": |a, id| moves::file(&a.drive, &a.caller, id, target(a.folder));
};

const OF_FOLDERS: &[Request<FolderId>] = requests! {
    "get": |a, id| folders::get(&a.drive, &a.caller, id);
    "list": |a, id| async move {
        folders::children(&a.drive, &a.caller, a.share, Some(id), &Listing::default()).await
    };
    "archive": |a, id| archive::stream(&a.drive, &a.caller, id, ArchiveFormat::Tar);
    "rename": |a, id| folders::rename(&a.drive, &a.caller, id, name("new"));
    "create in it": |a, id| folders::create(&a.drive, &a.caller, a.share, Some(id), name("new"));
    "upload to it": |a, id| async move { files::check_create(&a.drive, &a.caller, &new_file(a.share, Some(id))).await };
    "copy": |a, id| copies::folder(&a.drive, &a.caller, id, target(a.folder));
    "move": |a, id| moves::folder(&a.drive, &a.caller, id, target(a.folder));
    "copy into it": |a, id| copies::file(&a.drive, &a.caller, a.file, target(id));
    "move into it": |a, id| moves::file(&a.drive, &a.caller, a.file, target(id));
};

const OF_NODES: &[Request<NodeId>] = requests! {
    "trash": |a, id| trash::delete(&a.drive, &a.caller, id, false);
    "purge": |a, id| trash::delete(&a.drive, &a.caller, id, true);
    "restore": |a, id| trash::restore(&a.drive, &a.caller, id);
    "mark": |a, id| me::set_favorite(&a.drive, &a.caller, id, true);
    "fence": |a, id| acl::set_inheritance(&a.drive, &a.caller, id.into(), false, false);
    "transfer": |a, id| members::transfer_node(&a.drive, &a.caller, id, a.caller.user.clone());
};

const OF_SHARES: &[Request<ShareId>] = requests! {
    "get": |a, id| shares::get(&a.drive, &a.caller, id);
    "patch": |a, id| shares::patch(&a.drive, &a.caller, id, SharePatch::default());
    "delete": |a, id| shares::delete(&a.drive, &a.caller, id);
    "restore": |a, id| shares::restore(&a.drive, &a.caller, id);
    "transfer": |a, id| members::transfer_share(&a.drive, &a.caller, id, "guest");
    "list": |a, id| async move {
        folders::children(&a.drive, &a.caller, id, None, &Listing::default()).await
    };
    "create in it": |a, id| folders::create(&a.drive, &a.caller, id, None, name("new"));
    "upload to it": |a, id| async move { files::check_create(&a.drive, &a.caller, &new_file(id, None)).await };
    "list its trash": |a, id| trash::list(&a.drive, &a.caller, id, None, 10);
    "empty its trash": |a, id| trash::empty(&a.drive, &a.caller, id);
    "look at its quota": |a, id| async move { quotas::get(&a.drive, &a.caller, &QuotaTarget::Share(id)).await };
    "list members": |a, id| members::list(&a.drive, &a.caller, id, 10, 0);
    "add a member": |a, id| {
        let principal = Principal::User(a.caller.user.clone());
        members::add(&a.drive, &a.caller, id, NewMember { principal, role: ShareRole::Reader, expires_at: None })
    };
    "list invitations": |a, id| invitations::list(&a.drive, &a.caller, id);
    "invite": |a, id| {
        let email = "a@example.org".to_owned();
        let new = NewInvitation { email, role: ShareRole::Reader, message: None, expires_in_days: 1 };
        invitations::create(&a.drive, &a.caller, id, new)
    };
};

const OF_ALL: &[Request<ResourceId>] = requests! {
    "check": |a, id| check(a, id, false);
    "check several": |a, id| check(a, id, true);
    "effective": |a, id| permissions::effective(&a.drive, &a.caller, id, None, true);
    "get the list": |a, id| acl::get(&a.drive, &a.caller, id);
    "add to the list": |a, id| acl::add(&a.drive, &a.caller, id, entry());
    "replace the list": |a, id| acl::replace(&a.drive, &a.caller, id, vec![entry()]);
};

/// Sends each request about each of these ids; returns those that did not run as many statements for all of them.
async fn uneven<I: Copy>(asker: &Asker, requests: &[Request<I>], ids: [I; 3]) -> Vec<String> {
    let mut found = Vec::new();
    for (what, request) in requests {
        let mut costs = Vec::new();
        for id in ids {
            let before = statements();
            let answer = request(asker.clone(), id).await;
            costs.push(statements() - before);
            assert!(matches!(answer, Err(Error::NotFound)), "{what}: {answer:?}");
        }
        if costs[1..] != costs[..2] {
            let kind = std::any::type_name::<I>().rsplit("::").next().unwrap();
            found.push(format!("{what}, {kind}: {costs:?} statements"));
        }
    }
    found
}

/// A share with a folder and a file, of which nothing is for the guest.
struct Secret {
    share: ShareId,
    folder: FolderId,
    file: FileId,
}

impl Secret {
    fn never() -> Self {
        Self {
            share: "shr_01ARZ3NDEKTSV4RRFFQ69G5FAV".parse().unwrap(),
            folder: "fld_01ARZ3NDEKTSV4RRFFQ69G5FAV".parse().unwrap(),
            file: "fil_01ARZ3NDEKTSV4RRFFQ69G5FAV".parse().unwrap(),
        }
    }

    async fn in_share(drive: &Drive, caller: &Caller, share: ShareId) -> Self {
        let folder = folders::create(drive, caller, share, None, name("secret")).await.unwrap().id;
        let new = new_file(share, Some(folder));
        let file = files::create(drive, caller, new, Cursor::new(b"secret")).await.unwrap().id;
        Self { share, folder, file }
    }

    /// Makes one in another tenant.
    async fn foreign(drive: &Drive) -> Self {
        let other = tenants::create(drive, "Other").await.unwrap();
        let caller = tenants::system_caller(drive, other.id, "test").unwrap();
        let boss = NewUser {
            id: Some("boss".parse().unwrap()),
            admin_role: Some(scaidrive_core::model::AdminRole::TenantAdmin),
            ..NewUser::default()
        };
        let boss = tenants::create_user(drive, &caller, boss).await.unwrap().id;
        let caller = tenants::caller_for(drive, other.id, &boss).await.unwrap();
        Self::in_share(drive, &caller, project(drive, &caller).await).await
    }
}

async fn project(drive: &Drive, caller: &Caller) -> ShareId {
    shares::create(drive, caller, share_named("P")).await.unwrap().id
}

impl House {
    /// Makes a secret of which the guest sees the share alone, and one of which it does not see that either.
    async fn hidden(&self) -> (Secret, Secret) {
        let hide = async |on: ResourceId| {
            let rights = [Right::Read, Right::ManagePermissions];
            self.entry(on, "user:guest", AceType::Deny, &rights).await;
        };
        let nodes = Secret::in_share(&self.drive, &self.caller, self.share.id).await;
        hide(ResourceId::Node(nodes.folder.into())).await;
        hide(ResourceId::Node(nodes.file.into())).await;
        let whole =
            Secret::in_share(&self.drive, &self.caller, project(&self.drive, &self.caller).await).await;
        let principal = "user:guest".parse().unwrap();
        let member = NewMember { principal, role: ShareRole::Admin, expires_at: None };
        members::add(&self.drive, &self.caller, whole.share, member).await.unwrap();
        hide(whole.share.into()).await;
        (nodes, whole)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_hidden_costs_as_many_statements_as_what_never_was() {
    for house in House::both(|_| {}).await {
        let caller = house.person("guest", Some(ShareRole::Admin)).await;
        let (folder, file) = (house.dir(None, "open").await, house.doc(None, "open.txt").await);
        let asker = Asker { drive: house.drive.clone(), caller, share: house.share.id, file, folder };
        let (never, foreign) = (Secret::never(), Secret::foreign(&house.drive).await);
        let (nodes, whole) = house.hidden().await;
        let mut found = Vec::new();
        for hidden in [&nodes, &whole] {
            let (of_files, of_folders) =
                ([never.file, hidden.file, foreign.file], [never.folder, hidden.folder, foreign.folder]);
            found.extend(uneven(&asker, OF_FILES, of_files).await);
            found.extend(uneven(&asker, OF_FOLDERS, of_folders).await);
            for ids in [of_files.map(NodeId::from), of_folders.map(NodeId::from)] {
                found.extend(uneven(&asker, OF_NODES, ids).await);
                found.extend(uneven(&asker, OF_ALL, ids.map(ResourceId::Node)).await);
            }
        }
        let of_shares = [never.share, whole.share, foreign.share];
        found.extend(uneven(&asker, OF_SHARES, of_shares).await);
        found.extend(uneven(&asker, OF_ALL, of_shares.map(ResourceId::Share)).await);
        assert!(found.is_empty(), "{found:#?}");
        house.check().await;
    }
}
