//! Who wrote what, what the server acknowledged, and what somebody meant to be rid of. Every content is written once
//! and can be told from all others.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use scaidrive_core::model::{FileId, Node, NodeId, ParentId, Sha256Hash, ShareId};

use crate::world::World;

/// The sizes of contents: mostly the same, so that a size tells nothing; sometimes several chunks.
const SMALL: usize = 24;
const LARGE: usize = 300 << 10;

/// A content that somebody wrote.
pub(crate) type Token = u64;

/// Everything that was written, and everything that somebody saw and wrote over or removed.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    written: BTreeMap<[u8; 32], Token>,
    superseded: BTreeSet<Token>,
    /// What the server said that it has.
    acknowledged: BTreeSet<Token>,
    /// What was in the trash, or below what was deleted for good.
    purged: BTreeSet<Token>,
}

impl Ledger {
    /// Returns a content that nobody has written before.
    pub(crate) fn write(&mut self, is_large: bool) -> Bytes {
        let token = self.written.len() as Token + 1;
        let mut bytes = format!("{token:016}").into_bytes();
        if is_large {
            // Alike but for the beginning: most chunks are known.
            let mut noise = fastrand::Rng::with_seed(token % 3);
            bytes.resize_with(LARGE, || noise.u8(..));
        }
        bytes.resize(bytes.len().max(SMALL), b'.');
        self.written.insert(*scaidrive_client::model::Sha256Hash::of(&bytes).as_bytes(), token);
        bytes.into()
    }

    /// Somebody saw this content, and wrote over it or removed it.
    pub(crate) fn supersede(&mut self, bytes: &Bytes) {
        self.drop_token(token(bytes));
    }

    /// Somebody saw this content, and wrote over it or removed it.
    pub(crate) fn drop_token(&mut self, token: Token) {
        self.superseded.insert(token);
    }

    /// The server said that it has this.
    pub(crate) fn acknowledge(&mut self, token: Token) {
        self.acknowledged.insert(token);
    }

    /// The server said that it has contents of these hashes.
    pub(crate) fn acknowledge_all(&mut self, hashes: impl Iterator<Item = [u8; 32]>) {
        for hash in hashes {
            self.acknowledged.insert(self.written[&hash]);
        }
    }

    /// Somebody deleted this for good.
    pub(crate) fn purge(&mut self, tokens: Vec<Token>) {
        self.purged.extend(tokens);
    }

    /// Returns what a file on the server holds.
    pub(crate) fn content_of(&self, node: &Node) -> Option<Token> {
        node.file.as_ref().map(|facts| self.token_of(&facts.checksum))
    }

    /// Returns which content has this hash.
    pub(crate) fn token_of(&self, hash: &Sha256Hash) -> Token {
        self.written[hash.as_bytes()]
    }

    /// Returns what nobody meant to be rid of.
    pub(crate) fn alive(&self) -> impl Iterator<Item = Token> {
        self.written.values().copied().filter(|token| !self.superseded.contains(token))
    }

    /// Returns what the server must still have, in whatever version of whatever file.
    pub(crate) fn kept(&self) -> impl Iterator<Item = Token> {
        self.acknowledged.difference(&self.purged).copied()
    }
}

/// Returns which content this is.
pub(crate) fn token(bytes: &[u8]) -> Token {
    std::str::from_utf8(&bytes[..16]).unwrap().parse().unwrap()
}

impl World {
    /// Returns all that these files ever held.
    pub(crate) async fn versions_of(&self, files: impl Iterator<Item = FileId>) -> Vec<Token> {
        let mut rows = self.home.drive.read().await.unwrap();
        let mut found = Vec::new();
        for file in files {
            let versions = rows.versions(self.home.admin.tenant, file, 1000, 0).await.unwrap();
            found.extend(versions.iter().map(|version| self.ledger.token_of(&version.checksum)));
        }
        found
    }

    /// Returns the files in a share's trash, and below folders there.
    pub(crate) async fn trashed_files(&self, share: ShareId) -> Vec<FileId> {
        let (mut rows, tenant) = (self.home.drive.read().await.unwrap(), self.home.admin.tenant);
        let trash = rows.trash(tenant, share, None, 1000).await.unwrap();
        let mut found: Vec<NodeId> = trash.iter().map(|node| node.id).collect();
        for folder in trash.iter().filter_map(|node| node.id.as_folder()) {
            let below = rows.descendants(tenant, ParentId::Folder(folder), None, 1000).await.unwrap();
            found.extend(below.iter().map(|node| node.id));
        }
        found.into_iter().filter_map(NodeId::as_file).collect()
    }
}
