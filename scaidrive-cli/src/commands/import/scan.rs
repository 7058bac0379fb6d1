//! What there is to import: the source tree as folders and files, and what of it cannot be represented.

use std::collections::HashSet;
use std::fs::{DirEntry, Metadata};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use scaidrive_core::model::{Error, FileName, NameKey, Node, Result, SharePath, Timestamp};
use tokio::sync::oneshot;

use super::super::skipped::Skipped;

/// A file to import.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    /// Where it is.
    pub(crate) source: PathBuf,
    /// The folder it goes into, below the import's own.
    pub(crate) folder: SharePath,
    /// Its name.
    pub(crate) name: FileName,
    /// Its size when it was looked at.
    pub(crate) size: u64,
    /// When it was changed last.
    pub(crate) modified_at: Timestamp,
}

impl Found {
    /// Returns its path as people know it.
    pub(crate) fn shown(&self) -> String {
        self.source.display().to_string()
    }

    /// Tells whether a node of the share looks like this file: same name, size and time.
    pub(crate) fn is(&self, node: &Node) -> bool {
        node.file.is_some()
            && node.name == self.name
            && node.size() == self.size
            && node.modified_at == self.modified_at
    }
}

/// A source tree.
#[derive(Debug, Default)]
pub(crate) struct Scanned {
    /// Its folders, each before what it holds.
    pub(crate) folders: Vec<SharePath>,
    /// Its files.
    pub(crate) files: Vec<Found>,
    /// What cannot be represented.
    pub(crate) skipped: Vec<Skipped>,
}

/// From so many folders on, the share is walked as a whole rather than looked into folder by folder.
const MANY_FOLDERS: usize = 64;

/// Returns what the source is, before anything is made for it.
pub(crate) fn check(source: &Path) -> Result<Metadata> {
    std::fs::metadata(source).map_err(|error| wrong(source, &error.to_string()))
}

fn wrong(source: &Path, why: &str) -> Error {
    Error::invalid("source", why, source.display().to_string())
}

/// Looks at a directory and everything below it, or at one file; `is_large` is told as soon as there are many folders.
pub(crate) fn scan(source: &Path, is_large: oneshot::Sender<()>) -> Result<Scanned> {
    let metadata = check(source)?;
    let mut is_large = Some(is_large);
    let mut scanned = Scanned::default();
    if metadata.is_dir() {
        let mut open = vec![(source.to_owned(), SharePath::default())];
        while let Some((dir, path)) = open.pop() {
            scanned.directory(&dir, &path, &mut open);
            if scanned.folders.len() > MANY_FOLDERS {
                // Nobody listens where the import has failed already.
                let _ = is_large.take().map(|is_large| is_large.send(()));
            }
        }
    } else {
        let name = source
            .file_name()
            .and_then(|name| name.to_str())
            .ok_or_else(|| wrong(source, "has no usable name"))?;
        let name = FileName::parse(name)?;
        scanned.file(source.to_owned(), SharePath::default(), name, &metadata);
    }
    Ok(scanned)
}

impl Scanned {
    fn directory(&mut self, dir: &Path, path: &SharePath, open: &mut Vec<(PathBuf, SharePath)>) {
        let mut entries: Vec<DirEntry> = match std::fs::read_dir(dir).and_then(Iterator::collect) {
            Ok(entries) => entries,
            Err(error) => return self.skip(dir, error.to_string()),
        };
        // In a fixed order, so that of two names that differ only in case it is always the same one that goes in.
        entries.sort_by_key(DirEntry::file_name);
        let mut taken = HashSet::new();
        for entry in entries {
            let source = entry.path();
            match usable(&entry, &mut taken) {
                Ok((name, metadata)) if metadata.is_dir() => {
                    let path = path.join(name);
                    self.folders.push(path.clone());
                    open.push((source, path));
                }
                Ok((name, metadata)) => self.file(source, path.clone(), name, &metadata),
                Err(reason) => self.skip(&source, reason),
            }
        }
    }

    fn file(&mut self, source: PathBuf, folder: SharePath, name: FileName, metadata: &Metadata) {
        let since_epoch = metadata.modified().ok().and_then(|at| at.duration_since(UNIX_EPOCH).ok());
        let micros = since_epoch.map_or(0, |since| i64::try_from(since.as_micros()).unwrap_or(i64::MAX));
        let modified_at = Timestamp::from_micros(micros);
        self.files.push(Found { source, folder, name, size: metadata.len(), modified_at });
    }

    fn skip(&mut self, source: &Path, reason: impl Into<String>) {
        self.skipped.push(Skipped::new(source.display().to_string(), reason));
    }
}

/// Returns an entry's name and metadata, or why it cannot be represented.
fn usable(entry: &DirEntry, taken: &mut HashSet<NameKey>) -> Result<(FileName, Metadata), String> {
    let name = entry.file_name();
    let name = name.to_str().ok_or("its name is not UTF-8")?;
    let kind = entry.file_type().map_err(|error| error.to_string())?;
    if kind.is_symlink() {
        return Err("a symbolic link".to_owned());
    }
    if !kind.is_file() && !kind.is_dir() {
        return Err("neither a file nor a directory".to_owned());
    }
    let name = FileName::parse(name).map_err(|fault| fault.message)?;
    let metadata = entry.metadata().map_err(|error| error.to_string())?;
    if taken.insert(name.key()) {
        Ok((name, metadata))
    } else {
        Err("a sibling has this name in another spelling".to_owned())
    }
}
