//! What the scanner sees: every entry of the directory, also what cannot be synced, because it is in the way.

use serde::{Deserialize, Serialize};

use crate::model::{Sha256Hash, TreePath, nfc};

/// What tells a file or directory from all others of its file system, whatever its path.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct FileKey {
    /// The number the file system gave it; numbers of removed files are given again.
    pub number: u64,
    /// When it came to be, in nanoseconds, where the file system knows: tells apart who had a number.
    pub born: Option<i64>,
}

/// What a file or directory looks like from outside: if all of it is as before, so is the content.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Stamp {
    /// Which it is.
    pub key: FileKey,
    /// Its size in bytes; 0 for a directory.
    pub size: u64,
    /// When its content was changed last, in nanoseconds; anybody can set this.
    pub modified: i64,
    /// When anything about it was changed last, in nanoseconds, where the file system knows.
    pub changed: i64,
}

/// What is known of a file's content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// Its SHA-256.
    Known {
        /// The hash.
        hash: Sha256Hash,
        /// Whether the stamp could be believed when it was read.
        is_settled: bool,
    },
    /// It could not be read, or changed while it was.
    Unknown,
}

impl Content {
    /// Returns the hash, if it is known.
    pub fn hash(&self) -> Option<Sha256Hash> {
        match self {
            Self::Known { hash, .. } => Some(*hash),
            Self::Unknown => None,
        }
    }
}

/// What an entry of a directory is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LocalKind {
    /// A directory.
    Folder {
        /// Whether everything in it was seen: if not, what is missing may well be there.
        is_complete: bool,
    },
    /// A file.
    File {
        /// What it holds.
        content: Content,
    },
    /// Something that is not synced: a symbolic link, a device, an ignored file. It is in the way, and it stays.
    Other {
        /// Whether it may vanish with its directory: `.DS_Store` and the like.
        is_junk: bool,
    },
}

/// An entry of a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalNode {
    /// The directory that holds it; the root holds itself.
    pub parent: usize,
    /// Its name as the file system has it.
    pub name: String,
    /// What it is.
    pub kind: LocalKind,
    /// What it looks like from outside.
    pub stamp: Stamp,
    /// What it holds, sorted by name.
    pub children: Vec<usize>,
}

impl LocalNode {
    /// Returns the name as the server would have it.
    pub fn agreed_name(&self) -> String {
        nfc(&self.name)
    }
}

/// What the scanner saw: entries, each after the directory that holds it; the first is the root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalTree {
    nodes: Vec<LocalNode>,
}

impl LocalTree {
    /// Returns a tree that holds nothing.
    pub fn empty(is_complete: bool) -> Self {
        let root = LocalNode {
            parent: 0,
            name: String::new(),
            kind: LocalKind::Folder { is_complete },
            stamp: Stamp::default(),
            children: Vec::new(),
        };
        Self { nodes: vec![root] }
    }

    /// Returns the entries; the first is the root.
    pub fn nodes(&self) -> &[LocalNode] {
        &self.nodes
    }

    /// Adds an entry to a directory; returns its number. Entries of one directory come in the order of their names.
    pub fn add(&mut self, parent: usize, name: &str, kind: LocalKind, stamp: Stamp) -> usize {
        let number = self.nodes.len();
        self.nodes.push(LocalNode { parent, name: name.to_owned(), kind, stamp, children: Vec::new() });
        self.nodes[parent].children.push(number);
        number
    }

    /// Says that not everything in a directory was seen.
    pub fn mark_incomplete(&mut self, number: usize) {
        self.nodes[number].kind = LocalKind::Folder { is_complete: false };
    }

    /// Returns an entry's path, with the names as the file system has them.
    pub fn path(&self, mut number: usize) -> TreePath {
        let mut names = Vec::new();
        while number != 0 {
            names.push(self.nodes[number].name.clone());
            number = self.nodes[number].parent;
        }
        names.reverse();
        TreePath::new(names)
    }
}
