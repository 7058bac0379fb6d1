//! Who wrote what, and what somebody meant to be rid of. Every content is written once and can be told from all others.

use std::collections::BTreeSet;

use bytes::Bytes;

/// The sizes of contents: mostly the same, so that a size tells nothing; sometimes several chunks.
const SMALL: usize = 24;
const LARGE: usize = 300 << 10;

/// A content that somebody wrote.
pub(crate) type Token = u64;

/// Everything that was written, and everything that somebody saw and wrote over or removed.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    written: Token,
    superseded: BTreeSet<Token>,
}

impl Ledger {
    /// Returns a content that nobody has written before.
    pub(crate) fn write(&mut self, is_large: bool) -> Bytes {
        self.written += 1;
        let mut bytes = format!("{:016}", self.written).into_bytes();
        if is_large {
            // Alike but for the beginning, and another part in the middle: most chunks are known.
            let mut noise = fastrand::Rng::with_seed(self.written % 3);
            bytes.resize_with(LARGE, || noise.u8(..));
        }
        bytes.resize(bytes.len().max(SMALL), b'.');
        bytes.into()
    }

    /// Somebody saw this content, and wrote over it or removed it.
    pub(crate) fn supersede(&mut self, bytes: &Bytes) {
        self.superseded.insert(token(bytes));
    }

    /// Returns what nobody meant to be rid of.
    pub(crate) fn alive(&self) -> impl Iterator<Item = Token> {
        (1..=self.written).filter(|token| !self.superseded.contains(token))
    }
}

/// Returns which content this is.
pub(crate) fn token(bytes: &[u8]) -> Token {
    std::str::from_utf8(&bytes[..16]).unwrap().parse().unwrap()
}
