//! Bytes that need not be fetched because they are here already, in some file.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io::{self, Read};

use bytes::Bytes;

use crate::chunker::{ChunkRef, Chunking};
use crate::fs::LocalFs;
use crate::model::{Sha256Hash, TreePath};
use crate::trees::{LocalKind, LocalTree};

/// Local files by what they hold.
#[derive(Debug, Default)]
pub(super) struct Sources(BTreeMap<Sha256Hash, TreePath>);

impl Sources {
    /// Returns the files that hold these contents.
    pub(super) fn of(local: &LocalTree, wanted: &BTreeSet<Sha256Hash>) -> Self {
        let mut files = BTreeMap::new();
        for (number, node) in local.nodes().iter().enumerate() {
            let LocalKind::File { content } = &node.kind else { continue };
            if let Some(hash) = content.hash().filter(|hash| wanted.contains(hash)) {
                files.entry(hash).or_insert_with(|| local.path(number));
            }
        }
        Self(files)
    }

    /// Returns a file that held this content when it was looked at.
    pub(super) fn file(&self, content: &Sha256Hash) -> Option<&TreePath> {
        self.0.get(content)
    }
}

/// Where chunks lie in one file.
#[derive(Debug, Default)]
pub(super) struct Pieces {
    path: TreePath,
    places: HashMap<Sha256Hash, (u64, u32)>,
}

impl Pieces {
    /// Cuts a file; one that cannot be read has nothing to offer.
    pub(super) fn of(fs: &dyn LocalFs, chunking: &Chunking, path: &TreePath) -> Self {
        let mut pieces = Self { path: path.clone(), places: HashMap::new() };
        let Ok(file) = fs.open(path) else { return pieces };
        let mut offset = 0;
        for chunk in chunking.cut(file).map_while(Result::ok) {
            pieces.places.insert(chunk.hash, (offset, chunk.bytes.len() as u32));
            offset += chunk.bytes.len() as u64;
        }
        pieces
    }

    /// Tells whether the file has a chunk.
    pub(super) fn have(&self, chunk: &ChunkRef) -> bool {
        self.places.get(&chunk.sha256).is_some_and(|(_, size)| *size == chunk.size)
    }

    /// Reads chunks that the file has; nothing if the file changed since.
    pub(super) fn read(&self, fs: &dyn LocalFs, chunks: &[ChunkRef]) -> io::Result<Option<Bytes>> {
        let mut file = fs.open(&self.path)?;
        let mut bytes = Vec::new();
        for chunk in chunks {
            let Some((offset, size)) = self.places.get(&chunk.sha256) else { return Ok(None) };
            let start = bytes.len();
            bytes.resize(start + *size as usize, 0);
            file.seek(*offset)?;
            file.read_exact(&mut bytes[start..])?;
            if Sha256Hash::of(&bytes[start..]) != chunk.sha256 {
                return Ok(None);
            }
        }
        Ok(Some(bytes.into()))
    }
}
