//! The embedding API, as a host program uses it.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod access;

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::time::Duration;

use futures_util::StreamExt;
use scaidrive_embed::{ChangeKind, Config, Error, Item, ScaiDrive, Share, blocking};
use tokio::io::AsyncReadExt;

async fn open(dir: &tempfile::TempDir) -> (ScaiDrive, Share) {
    let drive = ScaiDrive::open_dir(dir.path()).await.unwrap();
    let share = drive.create_share("S").await.unwrap();
    (drive, share)
}

fn noise(seed: u32, length: usize) -> Vec<u8> {
    (0..length as u32)
        .map(|at| (at.wrapping_mul(2_654_435_761).wrapping_add(seed * 97) >> 13) as u8)
        .collect()
}

async fn names(share: &Share, path: &str) -> Vec<String> {
    share.list(path).await.unwrap().into_iter().map(|child| child.name.to_string()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn files_are_written_read_and_versioned_by_path() {
    let dir = tempfile::tempdir().unwrap();
    let (drive, share) = open(&dir).await;
    let large = noise(1, 3_000_000);
    let file = share.write("a/b/c.bin", std::io::Cursor::new(large.clone())).await.unwrap();
    assert_eq!((file.path.as_str(), file.version, file.size), ("/a/b/c.bin", 1, 3_000_000));
    let mut reader = share.read("A/B/C.BIN").await.unwrap();
    assert_eq!((reader.size(), reader.checksum()), (3_000_000, file.checksum_sha256.to_string()));
    let mut got = Vec::new();
    reader.read_to_end(&mut got).await.unwrap();
    assert!(got == large);
    assert_eq!(share.write_bytes("a/b/c.bin", "short").await.unwrap().version, 2);
    assert_eq!(share.read_to_vec("a/b/c.bin").await.unwrap(), b"short");
    let mut old = Vec::new();
    share.read_version("a/b/c.bin", 1).await.unwrap().read_to_end(&mut old).await.unwrap();
    assert!(old == large);
    assert_eq!(share.restore("a/b/c.bin", 1).await.unwrap(), 3);
    let numbers: Vec<u32> =
        share.versions("a/b/c.bin").await.unwrap().iter().map(|version| version.number).collect();
    assert_eq!(numbers, [3, 2, 1]);
    assert!(
        share.read_range("a/b/c.bin", 1_000_000..1_000_100).await.unwrap() == large[1_000_000..1_000_100]
    );
    assert_eq!(share.read_range("a/b/c.bin", 2_999_999..9_000_000).await.unwrap().len(), 1);
    drive.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn trees_are_listed_walked_moved_copied_and_removed() {
    let dir = tempfile::tempdir().unwrap();
    let (drive, share) = open(&dir).await;
    share.create_folder("x/y").await.unwrap();
    share.create_folder("x/y").await.unwrap();
    share.write_bytes("x/y/f", "1").await.unwrap();
    assert_eq!(names(&share, "x").await, ["y"]);
    assert!(matches!(share.rename("x", "x/y/z").await, Err(Error::Cycle)));
    assert_eq!(share.rename("x/y", "moved").await.unwrap().path(), "/moved");
    assert_eq!(share.copy("moved", "x/copy").await.unwrap().path(), "/x/copy");
    assert!(matches!(share.copy("moved", "x/copy").await, Err(Error::NameConflict { .. })));
    let walked: Vec<String> =
        share.walk("/").await.unwrap().iter().map(|found| found.path.to_string()).collect();
    assert_eq!(
        walked.iter().map(String::as_str).collect::<BTreeSet<_>>(),
        ["/moved", "/moved/f", "/x", "/x/copy", "/x/copy/f"].into()
    );
    share.remove("moved").await.unwrap();
    assert!(matches!(share.read("moved/f").await, Err(Error::NotFound)));
    share.write_bytes("moved", "in its place").await.unwrap();
    let trash = share.trash().await.unwrap();
    assert_eq!(trash.len(), 1);
    let back = share.restore_from_trash(trash[0].id).await.unwrap();
    assert_eq!(back.path(), "/moved (restored)");
    share.remove_permanently("moved (restored)").await.unwrap();
    assert!(share.trash().await.unwrap().is_empty());
    assert!(matches!(share.metadata("moved").await.unwrap(), Item::File(file) if file.size == 12));
    drive.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_is_told_by_meaning() {
    let dir = tempfile::tempdir().unwrap();
    let (drive, share) = open(&dir).await;
    share.write_bytes("file", "x").await.unwrap();
    share.create_folder("folder").await.unwrap();
    assert!(matches!(share.read("nothing").await, Err(Error::NotFound)));
    assert!(matches!(share.read("folder").await, Err(Error::NotFound)));
    assert!(matches!(share.read_to_vec("a/../b").await, Err(Error::Invalid { .. })));
    assert!(matches!(share.write_bytes("/", "x").await, Err(Error::Invalid { .. })));
    assert!(matches!(share.write_bytes("folder", "x").await, Err(Error::NameConflict { .. })));
    assert!(matches!(share.write_bytes("file/below", "x").await, Err(Error::NameConflict { .. })));
    assert!(matches!(share.read_range("file", 1..2).await, Err(Error::RangeNotSatisfiable { size: 1 })));
    assert!(matches!(share.restore("file", 7).await, Err(Error::NotFound)));
    assert!(matches!(drive.share("T").await, Err(Error::NotFound)));
    assert!(matches!(drive.create_share("").await, Err(Error::Invalid { .. })));
    drive.create_share("S").await.unwrap();
    assert!(matches!(drive.share("S").await, Err(Error::Invalid { .. })), "two of that name");
    let failing = tokio_util::io::StreamReader::new(futures_util::stream::iter([
        Ok(bytes::Bytes::from_static(b"half")),
        Err(std::io::Error::other("the disk went away")),
    ]));
    assert!(matches!(share.write("file", failing).await, Err(Error::BadStream { .. })));
    assert_eq!(share.read_to_vec("file").await.unwrap(), b"x");
    let user = drive.create_user(Some("usr_1".parse().unwrap()), Some("One")).await.unwrap();
    let theirs = drive.as_user(&user.id).await.unwrap();
    assert!(theirs.shares().await.unwrap().is_empty());
    assert!(matches!(theirs.share(&share.facts().id.to_string()).await, Err(Error::NotFound)));
    theirs.create_share("Own").await.unwrap().write_bytes("a", "b").await.unwrap();
    drive.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watcher_sees_every_change_once_and_in_order() {
    const WRITERS: usize = 8;
    const EACH: usize = 25;
    let dir = tempfile::tempdir().unwrap();
    let (drive, share) = open(&dir).await;
    let changes = share.watch().await.unwrap();
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let share = share.clone();
            tokio::spawn(async move {
                for number in 0..EACH {
                    share
                        .write_bytes(&format!("{writer}-{number}"), format!("{writer} {number}"))
                        .await
                        .unwrap();
                }
            })
        })
        .collect();
    let seen: Vec<_> = changes.take(WRITERS * EACH).map(Result::unwrap).collect().await;
    for writer in writers {
        writer.await.unwrap();
    }
    assert!(seen.windows(2).all(|pair| pair[0].position() < pair[1].position()));
    assert!(seen.iter().all(|change| change.change_type() == ChangeKind::Created));
    let paths: BTreeSet<_> = seen.iter().filter_map(|change| change.new_path().map(str::to_owned)).collect();
    assert_eq!(paths.len(), WRITERS * EACH);
    assert_eq!(seen.last().unwrap().position(), share.position().await.unwrap());
    drive.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_of_another_process_wakes_a_watcher() {
    let dir = tempfile::tempdir().unwrap();
    let (drive, share) = open(&dir).await;
    let mut changes = share.watch().await.unwrap();
    // Another store on the same file, as another process would have; the first one polls for its commits.
    let other = ScaiDrive::open_dir(dir.path()).await.unwrap();
    other.share("S").await.unwrap().write_bytes("from afar", "x").await.unwrap();
    let change =
        tokio::time::timeout(Duration::from_secs(20), changes.next()).await.expect("a nudge, not the poll");
    assert_eq!(change.unwrap().unwrap().new_path(), Some("/from afar"));
    other.close().await;
    drive.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_written_is_there_after_reopening() {
    let dir = tempfile::tempdir().unwrap();
    let (drive, share) = open(&dir).await;
    share.write_bytes("a", "kept").await.unwrap();
    drive.close().await;
    let drive = ScaiDrive::open(&Config::embedded(dir.path())).await.unwrap();
    assert_eq!(drive.share("S").await.unwrap().read_to_vec("a").await.unwrap(), b"kept");
    drive.close().await;
}

/// A reader that always fails.
struct Broken;

impl Read for Broken {
    fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
        Err(std::io::Error::other("broken"))
    }
}

#[test]
fn blocking_code_does_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let drive = blocking::ScaiDrive::open_dir(dir.path()).unwrap();
    let share = drive.create_share("S").unwrap();
    let bytes = noise(7, 2_000_000);
    assert_eq!(share.write("a/b", bytes.as_slice()).unwrap().size, 2_000_000);
    let mut got = Vec::new();
    share.read("a/b").unwrap().read_to_end(&mut got).unwrap();
    assert!(got == bytes);
    let start = share.position().unwrap();
    share.write_bytes("c", "x").unwrap();
    let change = share.watch_from(start).next().unwrap().unwrap();
    assert_eq!(change.new_path(), Some("/c"));
    assert!(matches!(share.write("c", Broken), Err(Error::BadStream { .. })));
    std::io::sink().write_all(&share.read_to_vec("c").unwrap()).unwrap();
    drop(share);
    drive.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn another_user_sees_what_it_may_see_now() {
    use scaidrive_core::model::{Principal, ShareRole};
    use scaidrive_core::services::groups::{self, NewGroup};
    use scaidrive_core::services::members::{self, NewMember};
    let dir = tempfile::tempdir().unwrap();
    let drive = ScaiDrive::open_dir(dir.path()).await.unwrap();
    let share = drive.create_share("S").await.unwrap();
    share.write_bytes("a.txt", "x").await.unwrap();
    let user = drive.create_user(Some("ada".parse().unwrap()), Some("Ada")).await.unwrap();
    let ada = drive.as_user(&user.id).await.unwrap();
    assert!(ada.share("S").await.is_err(), "no member yet");
    let (core, admin) = (drive.core(), drive.caller());
    let new = NewGroup { name: "G".to_owned(), ..NewGroup::default() };
    let group = groups::create(core, admin, new).await.unwrap().id;
    let member =
        NewMember { principal: Principal::Group(group.clone()), role: ShareRole::Reader, expires_at: None };
    members::add(core, admin, share.id(), member).await.unwrap();
    let in_group = async |is_member| {
        let who = Principal::User(user.id.clone());
        groups::set_member(core, admin, &group, who, is_member).await.unwrap();
    };
    in_group(true).await;
    let hers = ada.share("S").await.unwrap();
    assert_eq!(hers.read_to_vec("a.txt").await.unwrap(), b"x");
    let refused = hers.write_bytes("b.txt", "y").await.unwrap_err();
    assert!(matches!(refused, scaidrive_embed::Error::PermissionDenied { .. }), "{refused}");
    in_group(false).await;
    let gone = hers.read_to_vec("a.txt").await.unwrap_err();
    assert!(matches!(gone, scaidrive_embed::Error::NotFound), "the handle is old, the answer is not: {gone}");
    drive.close().await;
}
