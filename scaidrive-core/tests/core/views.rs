//! What a user gets together from everywhere, archives, recent files and favourites, among things it may not see.

use futures_util::{StreamExt, TryStreamExt};
use scaidrive_core::model::acl::AceType;
use scaidrive_core::model::{Caller, Error, FileId, FolderId, NodeId, ResourceId, Right, ShareRole};
use scaidrive_core::services::acl::{self, Which};
use scaidrive_core::services::archive::{self, ArchiveFormat};
use scaidrive_core::services::files::{self, FilePatch, IfMatch};
use scaidrive_core::services::me;

use crate::access::file_id;
use crate::backends::{House, name};

/// A folder with something open, something hidden, and something open in a hidden folder, as `guest` sees it.
struct Tree {
    top: FolderId,
    shut: FolderId,
    /// Below `shut`, readable by an entry of its own.
    inner: FolderId,
    seen: FileId,
    hidden: FileId,
    /// In `inner`, readable as that is.
    deep: FileId,
}

impl Tree {
    async fn grow(house: &House) -> Self {
        let top = house.dir(None, "top").await;
        let (open, shut) = (house.dir(Some(top), "open").await, house.dir(Some(top), "shut").await);
        let inner = house.dir(Some(shut), "inner").await;
        Self {
            seen: house.doc(Some(open), "seen.txt").await,
            hidden: house.doc(Some(open), "hidden.txt").await,
            deep: house.doc(Some(inner), "deep.txt").await,
            top,
            shut,
            inner,
        }
    }

    /// Keeps `guest` out of what it must not see.
    async fn shut(&self, house: &House) {
        let (shut, inner) = (ResourceId::Node(self.shut.into()), ResourceId::Node(self.inner.into()));
        house.entry(file_id(self.hidden), "user:guest", AceType::Deny, &[Right::Read]).await;
        house.entry(shut, "user:guest", AceType::Deny, &[Right::Read]).await;
        house.entry(inner, "user:guest", AceType::Allow, &[Right::Read]).await;
    }
}

async fn packed(house: &House, caller: &Caller, folder: FolderId, format: ArchiveFormat) -> Vec<u8> {
    let archive = archive::stream(&house.drive, caller, folder, format).await.unwrap();
    archive.body.map_ok(|part| part.to_vec()).try_concat().await.unwrap()
}

async fn names(house: &House, caller: &Caller, folder: FolderId) -> Vec<String> {
    let bytes = packed(house, caller, folder, ArchiveFormat::Tar).await;
    let mut entries = tokio_tar::Archive::new(bytes.as_slice()).entries().unwrap();
    let mut names = Vec::new();
    while let Some(entry) = entries.next().await {
        names.push(entry.unwrap().path().unwrap().display().to_string());
    }
    names.sort();
    names
}

#[tokio::test(flavor = "multi_thread")]
async fn an_archive_holds_what_may_be_read_below_what_may_be_read() {
    for house in House::both(|_| {}).await {
        let guest = house.person("guest", Some(ShareRole::Reader)).await;
        let tree = Tree::grow(&house).await;
        tree.shut(&house).await;
        assert_eq!(names(&house, &guest, tree.top).await, ["open/", "open/seen.txt"]);
        let zip = packed(&house, &guest, tree.top, ArchiveFormat::Zip).await;
        let holds = |name: &str| zip.windows(name.len()).any(|part| part == name.as_bytes());
        assert!(holds("seen.txt") && !holds("hidden.txt") && !holds("shut") && !holds("deep.txt"));
        // Reached by its id it is a folder like others.
        assert_eq!(names(&house, &guest, tree.inner).await, ["deep.txt"]);
        let shut = archive::stream(&house.drive, &guest, tree.shut, ArchiveFormat::Tar).await;
        assert!(matches!(shut.err(), Some(Error::NotFound)));
        let all = names(&house, &house.caller, tree.top).await;
        assert_eq!(
            all,
            ["open/", "open/hidden.txt", "open/seen.txt", "shut/", "shut/inner/", "shut/inner/deep.txt"]
        );
        house.check().await;
    }
}

async fn favorites(house: &House, caller: &Caller) -> Vec<NodeId> {
    let all = me::favorites(&house.drive, caller).await.unwrap();
    let mut ids: Vec<NodeId> = all.iter().map(|favorite| favorite.resource_id).collect();
    ids.sort();
    ids
}

#[tokio::test(flavor = "multi_thread")]
async fn favourites_show_what_listings_show_and_come_back_with_the_right() {
    for house in House::both(|_| {}).await {
        let guest = house.person("guest", Some(ShareRole::Reader)).await;
        let tree = Tree::grow(&house).await;
        let mark = async |id: NodeId| me::set_favorite(&house.drive, &guest, id, true).await;
        let marked: [NodeId; 5] =
            [tree.seen.into(), tree.hidden.into(), tree.deep.into(), tree.shut.into(), tree.inner.into()];
        for id in marked {
            mark(id).await.unwrap();
        }
        assert_eq!(favorites(&house, &guest).await.len(), marked.len());
        tree.shut(&house).await;
        assert_eq!(favorites(&house, &guest).await, [NodeId::from(tree.seen)]);
        for id in [tree.hidden.into(), tree.shut.into()] {
            let refused = mark(id).await;
            assert!(matches!(refused, Err(Error::NotFound)), "{refused:?}");
        }
        let which = || Which::Of("user:guest".parse().unwrap(), AceType::Deny);
        for on in [file_id(tree.hidden), ResourceId::Node(tree.shut.into())] {
            acl::remove(&house.drive, &house.caller, on, which()).await.unwrap();
        }
        assert_eq!(favorites(&house, &guest).await.len(), marked.len());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn recent_files_show_what_listings_show() {
    for house in House::both(|_| {}).await {
        let guest = house.person("guest", Some(ShareRole::Contributor)).await;
        let tree = Tree::grow(&house).await;
        for (file, to) in [(tree.seen, "seen2.txt"), (tree.hidden, "hidden2.txt"), (tree.deep, "deep2.txt")] {
            let patch = FilePatch { name: Some(name(to)), ..FilePatch::default() };
            files::patch(&house.drive, &guest, file, patch, IfMatch::default()).await.unwrap();
        }
        let recent = async |caller: &Caller| {
            let files = me::recent(&house.drive, caller, 10).await.unwrap();
            let mut names: Vec<String> = files.iter().map(|file| file.name.to_string()).collect();
            names.sort();
            names
        };
        assert_eq!(recent(&guest).await, ["deep2.txt", "hidden2.txt", "seen2.txt"]);
        tree.shut(&house).await;
        assert_eq!(recent(&guest).await, ["seen2.txt"]);
        assert!(recent(&house.caller).await.is_empty(), "what others changed is theirs");
    }
}
