//! Looks at the directory: every entry, and the content of what changed since it was read last.

use std::collections::HashMap;
use std::io::{self, Read};

use sha2::{Digest, Sha256};

use crate::fs::{FoundKind, LocalFs};
use crate::ignore_rules::{IGNORE_FILE, IgnoreRules, MAX_IGNORE_FILE};
use crate::model::{Kind, Sha256Hash, TreePath, fault};
use crate::plan::{Ignore, Note, Verdict};
use crate::system::System;
use crate::trees::{Content, FileKey, LocalKind, LocalTree, Stamp, SyncedItem, Tree};

/// Bytes read at once.
const BUFFER: usize = 128 << 10;

/// A second change this soon after the first may leave the same stamp, in nanoseconds: one tick of the kernel's clock,
/// where the file system keeps more than that ...
const FINE_TICK: i64 = 20_000_000;

/// ... and of the coarsest file system, where it does not.
const COARSE_TICK: i64 = 2_000_000_000;

/// Contents that were read, by the file they are in.
#[derive(Clone, Debug, Default)]
pub struct Contents(HashMap<FileKey, Known>);

#[derive(Clone, Copy, Debug)]
struct Known {
    stamp: Stamp,
    hash: Sha256Hash,
}

impl Contents {
    /// Returns what was known when both sides last agreed.
    pub fn of(synced: &Tree<SyncedItem>) -> Self {
        let mut contents = Self::default();
        for item in synced.iter() {
            if let Some(file) = &item.file {
                contents.learn(item.stamp, file.checksum, file.is_settled);
            }
        }
        contents
    }

    /// Remembers the content of a file, if its stamp can be believed; without a number of the file system's there is
    /// nothing to tell it by.
    pub fn learn(&mut self, stamp: Stamp, hash: Sha256Hash, is_settled: bool) {
        if is_settled && stamp.key != FileKey::default() {
            self.0.insert(stamp.key, Known { stamp, hash });
        } else {
            self.0.remove(&stamp.key);
        }
    }

    fn recall(&self, stamp: &Stamp) -> Option<Sha256Hash> {
        self.0.get(&stamp.key).filter(|known| known.stamp == *stamp).map(|known| known.hash)
    }
}

/// Tells whether a stamp is old enough to be believed: whatever changes the file from now on changes it, too.
pub fn is_settled(stamp: &Stamp, now: i64) -> bool {
    let latest = stamp.modified.max(stamp.changed);
    let is_fine = stamp.changed % 1_000_000 != 0;
    now - latest > if is_fine { FINE_TICK } else { COARSE_TICK }
}

/// What was seen.
#[derive(Debug)]
pub struct Scan {
    /// Every entry.
    pub tree: LocalTree,
    /// What is left out.
    pub rules: IgnoreRules,
    /// What cannot be synced as it is.
    pub notes: Vec<Note>,
    /// Files that changed while they were read.
    pub changing: usize,
}

/// Looks at the whole directory.
///
/// # Errors
/// Of the root alone. What cannot be read below it is told in the notes.
pub fn scan(fs: &dyn LocalFs, contents: &mut Contents, system: &dyn System) -> io::Result<Scan> {
    fs.check()?;
    let rules = IgnoreRules::new(&ignore_file(fs));
    let scan = Scan { tree: LocalTree::empty(true), rules, notes: Vec::new(), changing: 0 };
    let mut scanner = Scanner { fs, contents, system, scan };
    let mut open = vec![(0, TreePath::root())];
    while let Some((number, path)) = open.pop() {
        scanner.folder(number, &path, &mut open);
    }
    // The root went away meanwhile: what is missing below it is not gone.
    fs.check()?;
    Ok(scanner.scan)
}

fn ignore_file(fs: &dyn LocalFs) -> String {
    let mut text = String::new();
    if let Ok(file) = fs.open(&IGNORE_FILE.into()) {
        // What is no text names nothing.
        let _ = file.take(MAX_IGNORE_FILE).read_to_string(&mut text);
    }
    text
}

struct Scanner<'a> {
    fs: &'a dyn LocalFs,
    contents: &'a mut Contents,
    system: &'a dyn System,
    scan: Scan,
}

impl Scanner<'_> {
    fn folder(&mut self, number: usize, path: &TreePath, open: &mut Vec<(usize, TreePath)>) {
        let entries = match self.fs.list(path) {
            Ok(entries) => entries,
            Err(error) => {
                self.scan.tree.mark_incomplete(number);
                return self.note(path.clone(), format!("cannot be listed: {error}"));
            }
        };
        for entry in entries {
            let path = path.join(&entry.name);
            let (kind, is_folder) = self.kind(&path, entry.kind, &entry.stamp);
            let number = self.scan.tree.add(number, &entry.name, kind, entry.stamp);
            if is_folder {
                open.push((number, path));
            }
        }
    }

    /// Returns what an entry is to the planner, and whether to look into it.
    fn kind(&mut self, path: &TreePath, found: FoundKind, stamp: &Stamp) -> (LocalKind, bool) {
        let kind = match found {
            FoundKind::Folder => Kind::Folder,
            FoundKind::File => Kind::File,
            FoundKind::Other(reason) => {
                self.note(path.clone(), format!("not synced: {reason}"));
                return (LocalKind::Other { is_junk: false }, false);
            }
        };
        let verdict = self.scan.rules.verdict(path, kind);
        if verdict != Verdict::Synced {
            return (LocalKind::Other { is_junk: verdict == Verdict::Junk }, false);
        }
        if let Some(reason) = path.name().and_then(fault) {
            self.note(path.clone(), format!("not synced: {reason}"));
            return (LocalKind::Other { is_junk: false }, false);
        }
        match kind {
            Kind::Folder => (LocalKind::Folder { is_complete: true }, true),
            Kind::File => (LocalKind::File { content: self.content(path, stamp) }, false),
        }
    }

    fn content(&mut self, path: &TreePath, stamp: &Stamp) -> Content {
        if let Some(hash) = self.contents.recall(stamp) {
            return Content::Known { hash, is_settled: true };
        }
        match read(self.fs, path, stamp) {
            Ok(Some(hash)) => {
                let is_settled = is_settled(stamp, self.system.now());
                self.contents.learn(*stamp, hash, is_settled);
                Content::Known { hash, is_settled }
            }
            Ok(None) => {
                self.scan.changing += 1;
                self.note(path.clone(), "not sent yet: it changes all the time".to_owned());
                Content::Unknown
            }
            Err(error) => {
                self.note(path.clone(), format!("cannot be read: {error}"));
                Content::Unknown
            }
        }
    }

    fn note(&mut self, path: TreePath, reason: String) {
        self.scan.notes.push(Note { path, reason });
    }
}

/// Returns the hash of a file's content; nothing if the file changed meanwhile.
fn read(fs: &dyn LocalFs, path: &TreePath, stamp: &Stamp) -> io::Result<Option<Sha256Hash>> {
    let mut file = fs.open(path)?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; BUFFER];
    loop {
        match file.read(&mut buffer)? {
            0 => break,
            read => hasher.update(&buffer[..read]),
        }
    }
    let is_same = file.stamp()? == *stamp;
    Ok(is_same.then(|| Sha256Hash::from_bytes(hasher.finalize().into())))
}
