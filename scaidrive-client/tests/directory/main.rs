//! The real directory: what is seen in it, and what may happen to it.

#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;
use scaidrive_client::fs::{LocalFs, RealFs};
use scaidrive_client::model::{Sha256Hash, TreePath};
use scaidrive_client::scan::{Contents, Scan, scan};
use scaidrive_client::system::System;
use scaidrive_client::trees::{Content, LocalKind};

/// A clock that stands still.
#[derive(Debug)]
struct Frozen(i64);

#[async_trait]
impl System for Frozen {
    fn now(&self) -> i64 {
        self.0
    }

    fn random(&self) -> u64 {
        0
    }

    async fn sleep(&self, _time: Duration) {}
}

/// Long after everything that a test does.
const LATER: Frozen = Frozen(i64::MAX / 2);

struct Directory {
    dir: tempfile::TempDir,
    fs: RealFs,
}

impl Directory {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let fs = RealFs::open(dir.path()).unwrap();
        Self { dir, fs }
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.dir.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    fn scan(&self, contents: &mut Contents, clock: &Frozen) -> Scan {
        scan(&self.fs, contents, clock).unwrap()
    }

    fn place(&self, name: &str, text: &str, over: bool) -> bool {
        let path: TreePath = name.into();
        let before = over.then(|| self.fs.look(&path).unwrap().unwrap().stamp);
        self.place_over(&path, text, before.as_ref())
    }

    fn place_over(
        &self,
        path: &TreePath,
        text: &str,
        before: Option<&scaidrive_client::trees::Stamp>,
    ) -> bool {
        let mut draft = self.fs.draft().unwrap();
        draft.write_all(text.as_bytes()).unwrap();
        draft.place(path, before, 1_700_000_000_000_000_000).unwrap().is_some()
    }

    /// Returns what is left of the drafts.
    fn drafts(&self) -> usize {
        fs::read_dir(self.path(".scaidrive/drafts")).unwrap().count()
    }
}

/// Returns what was seen: path, and kind or content.
fn seen(scan: &Scan) -> Vec<(String, String)> {
    let kind = |kind: &LocalKind| match kind {
        LocalKind::Folder { is_complete: true } => "folder".to_owned(),
        LocalKind::Folder { is_complete: false } => "folder, not whole".to_owned(),
        LocalKind::File { content: Content::Known { hash, .. } } => hash.to_string()[..6].to_owned(),
        LocalKind::File { content: Content::Unknown } => "unknown".to_owned(),
        LocalKind::Other { is_junk } => if *is_junk { "junk" } else { "other" }.to_owned(),
    };
    let nodes = scan.tree.nodes().iter().enumerate().skip(1);
    let mut all: Vec<_> =
        nodes.map(|(number, node)| (scan.tree.path(number).to_string(), kind(&node.kind))).collect();
    all.sort();
    all
}

fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0)
}

#[test]
fn everything_is_seen_and_what_cannot_be_synced_is_told() {
    let directory = Directory::new();
    fs::create_dir(directory.path("docs")).unwrap();
    directory.write("docs/a", "abc");
    directory.write(".DS_Store", "x");
    directory.write("film.part", "x");
    directory.write("bad\nname", "x");
    symlink("docs", directory.path("link")).unwrap();
    nix::unistd::mkfifo(&directory.path("pipe"), nix::sys::stat::Mode::S_IRUSR).unwrap();
    let hash = Sha256Hash::of(b"abc").to_string();
    let scan = directory.scan(&mut Contents::default(), &LATER);
    let wanted = [
        (".DS_Store", "junk"),
        (".scaidrive", "junk"),
        ("bad\nname", "other"),
        ("docs", "folder"),
        ("docs/a", &hash[..6]),
        ("film.part", "other"),
        ("link", "other"),
        ("pipe", "other"),
    ];
    let wanted: Vec<_> = wanted.map(|(path, kind)| (path.to_owned(), kind.to_owned())).into();
    assert_eq!(seen(&scan), wanted);
    let told: Vec<String> = scan.notes.iter().map(|note| note.path.to_string()).collect();
    assert_eq!(told, ["bad\nname", "link", "pipe"]);
}

#[test]
fn a_file_is_read_again_if_and_only_if_its_stamp_changed_or_is_too_young() {
    let directory = Directory::new();
    directory.write("a", "abc");
    let mut contents = Contents::default();
    directory.scan(&mut contents, &LATER);
    // Unreadable to all but the superuser: whoever reads it again fails, so it was not read again.
    if !is_root() {
        fs::set_permissions(directory.path("a"), fs::Permissions::from_mode(0o000)).unwrap();
    }
    let stamp = directory.fs.look(&"a".into()).unwrap().unwrap().stamp;
    contents.learn(stamp, Sha256Hash::of(b"what is remembered"), true);
    let remembered = Sha256Hash::of(b"what is remembered").to_string();
    assert_eq!(seen(&directory.scan(&mut contents, &LATER))[1].1, remembered[..6]);
    fs::set_permissions(directory.path("a"), fs::Permissions::from_mode(0o644)).unwrap();
    directory.write("a", "abcd");
    assert_eq!(seen(&directory.scan(&mut contents, &LATER))[1].1, Sha256Hash::of(b"abcd").to_string()[..6]);
    let young = Frozen(directory.fs.look(&"a".into()).unwrap().unwrap().stamp.changed);
    let mut contents = Contents::default();
    let scan = directory.scan(&mut contents, &young);
    let is_settled = scan.tree.nodes().iter().any(|node| {
        matches!(node.kind, LocalKind::File { content: Content::Known { is_settled: true, .. } })
    });
    assert!(!is_settled, "a second change in the same tick would not show");
}

#[test]
fn a_folder_that_cannot_be_listed_is_not_empty() {
    let directory = Directory::new();
    fs::create_dir(directory.path("closed")).unwrap();
    directory.write("closed/a", "abc");
    fs::set_permissions(directory.path("closed"), fs::Permissions::from_mode(0o000)).unwrap();
    let scan = directory.scan(&mut Contents::default(), &LATER);
    fs::set_permissions(directory.path("closed"), fs::Permissions::from_mode(0o755)).unwrap();
    let kind = &seen(&scan)[1].1;
    assert!(kind == "folder, not whole" || (is_root() && kind == "folder"), "{kind}");
}

#[test]
fn a_root_that_is_gone_or_another_one_is_not_empty() {
    let directory = Directory::new();
    directory.write("a", "abc");
    let moved = directory.dir.path().with_extension("moved");
    fs::rename(directory.dir.path(), &moved).unwrap();
    assert!(scan(&directory.fs, &mut Contents::default(), &LATER).is_err());
    fs::create_dir_all(directory.path(".scaidrive")).unwrap();
    assert!(scan(&directory.fs, &mut Contents::default(), &LATER).is_err());
    fs::remove_dir_all(directory.dir.path()).unwrap();
    fs::rename(&moved, directory.dir.path()).unwrap();
    assert!(scan(&directory.fs, &mut Contents::default(), &LATER).is_ok());
}

#[test]
fn one_process_has_the_directory() {
    let directory = Directory::new();
    let second = RealFs::open(directory.dir.path());
    assert_eq!(second.unwrap_err().kind(), std::io::ErrorKind::ResourceBusy);
}

#[test]
fn a_new_file_is_put_only_where_nothing_is() {
    let directory = Directory::new();
    assert!(directory.place("a", "new", false));
    assert_eq!(directory.read("a"), "new");
    assert_eq!(fs::metadata(directory.path("a")).unwrap().mtime(), 1_700_000_000);
    assert!(!directory.place("a", "other", false));
    assert_eq!(directory.read("a"), "new");
    assert_eq!(directory.drafts(), 0, "what could not be placed is gone");
}

#[test]
fn a_file_is_replaced_only_if_it_is_as_it_was() {
    let directory = Directory::new();
    directory.write("a", "old");
    assert!(directory.place("a", "new", true));
    assert_eq!(directory.read("a"), "new");
    let before = directory.fs.look(&"a".into()).unwrap().unwrap().stamp;
    directory.write("a", "edited");
    assert!(!directory.place_over(&"a".into(), "newer", Some(&before)));
    assert_eq!(directory.read("a"), "edited");
    assert_eq!(directory.drafts(), 0);
}

#[test]
fn what_replaces_a_file_may_be_read_and_run_by_whom_the_file_could() {
    let directory = Directory::new();
    directory.write("run.sh", "old");
    fs::set_permissions(directory.path("run.sh"), fs::Permissions::from_mode(0o750)).unwrap();
    assert!(directory.place("run.sh", "new", true));
    assert_eq!(fs::metadata(directory.path("run.sh")).unwrap().mode() & 0o777, 0o750);
    assert_eq!(directory.read("run.sh"), "new");
}

#[test]
fn what_looks_like_the_file_that_it_was_is_removed_and_nothing_else() {
    let directory = Directory::new();
    directory.write("a", "old");
    let before = directory.fs.look(&"a".into()).unwrap().unwrap().stamp;
    directory.write("a", "edited");
    assert!(!directory.fs.remove_file(&"a".into(), &before).unwrap());
    assert_eq!(directory.read("a"), "edited");
    let now = directory.fs.look(&"a".into()).unwrap().unwrap().stamp;
    assert!(directory.fs.remove_file(&"a".into(), &now).unwrap());
    assert!(!directory.path("a").exists());
    assert_eq!(directory.drafts(), 0);
}

#[test]
fn nothing_is_moved_over_anything() {
    let directory = Directory::new();
    directory.write("a", "a");
    directory.write("b", "b");
    let error = directory.fs.rename(&"a".into(), &"b".into()).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::AlreadyExists);
    directory.fs.rename(&"a".into(), &"A".into()).unwrap();
    assert_eq!((directory.read("A"), directory.read("b")), ("a".to_owned(), "b".to_owned()));
    directory.fs.sync_folders(&BTreeSet::from([TreePath::root(), "gone".into()])).unwrap();
}

#[test]
fn a_link_is_never_followed() {
    let directory = Directory::new();
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("secret"), "secret").unwrap();
    symlink(outside.path().join("secret"), directory.path("link")).unwrap();
    assert!(directory.fs.open(&"link".into()).is_err());
    assert!(!directory.place("link", "x", false));
    assert_eq!(fs::read_to_string(outside.path().join("secret")).unwrap(), "secret");
}

#[test]
fn drafts_of_a_life_that_ended_early_are_gone() {
    let dir = tempfile::tempdir().unwrap();
    drop(RealFs::open(dir.path()).unwrap());
    fs::write(dir.path().join(".scaidrive/drafts/half"), "half a file").unwrap();
    drop(RealFs::open(dir.path()).unwrap());
    assert!(!Path::new(&dir.path().join(".scaidrive/drafts/half")).exists());
}
