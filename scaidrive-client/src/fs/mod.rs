//! The local directory, as a client needs it: a trait, so that a simulation can bring a directory of its own.

mod real;

use std::collections::BTreeSet;
use std::fmt;
use std::io;

use crate::model::TreePath;
use crate::trees::Stamp;

pub use real::{RealFs, STATE_FOLDER};

/// What an entry of a directory is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FoundKind {
    /// A directory.
    Folder,
    /// A file.
    File,
    /// Something that is not synced, and why.
    Other(&'static str),
}

/// An entry of a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Its name; where that is no text, an approximation.
    pub name: String,
    /// What it is.
    pub kind: FoundKind,
    /// What it looks like from outside.
    pub stamp: Stamp,
}

/// A file that is being read.
pub trait OpenFile: io::Read + Send {
    /// Returns what the file looks like now.
    fn stamp(&self) -> io::Result<Stamp>;

    /// Goes on reading from here.
    fn seek(&mut self, offset: u64) -> io::Result<()>;
}

/// A file that is being written, under no name that is synced; it vanishes unless it is put at its place.
pub trait Draft: io::Write + Send {
    /// Makes what was written durable, gives it its time, and puts it at a path: in place of what looks like `over`, or
    /// of nothing. Returns the stamp, or nothing if something else is there by now, which stays.
    fn place(
        self: Box<Self>,
        path: &TreePath,
        over: Option<&Stamp>,
        modified: i64,
    ) -> io::Result<Option<Stamp>>;
}

/// A directory. All paths are below its root; nothing ever follows a symbolic link.
pub trait LocalFs: Send + Sync + fmt::Debug {
    /// Fails if the root is not there, or not the directory it was.
    fn check(&self) -> io::Result<()>;

    /// Returns what a directory holds, sorted by name.
    fn list(&self, path: &TreePath) -> io::Result<Vec<Found>>;

    /// Returns what is at a path.
    fn look(&self, path: &TreePath) -> io::Result<Option<Found>>;

    /// Opens a file to read it.
    fn open(&self, path: &TreePath) -> io::Result<Box<dyn OpenFile>>;

    /// Begins a file.
    fn draft(&self) -> io::Result<Box<dyn Draft>>;

    /// Makes a directory; fails if something is there.
    fn make_folder(&self, path: &TreePath) -> io::Result<Stamp>;

    /// Moves a file or directory; fails if something is at the new path.
    fn rename(&self, from: &TreePath, to: &TreePath) -> io::Result<()>;

    /// Removes a file, if it looks like this; tells whether it did.
    fn remove_file(&self, path: &TreePath, stamp: &Stamp) -> io::Result<bool>;

    /// Removes an empty directory.
    fn remove_folder(&self, path: &TreePath) -> io::Result<()>;

    /// Tells whether `Plan` and `plan` may lie beside each other.
    fn is_case_sensitive(&self) -> bool;

    /// Makes durable what was made, moved and removed in these directories.
    fn sync_folders(&self, folders: &BTreeSet<TreePath>) -> io::Result<()>;
}
