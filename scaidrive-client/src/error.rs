//! What can go wrong, by meaning.

use std::io::ErrorKind;
use std::time::Duration;

use thiserror::Error as ThisError;

use crate::model::TreePath;

/// What a call ends with.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong. Messages name the thing and never carry a token.
#[derive(Debug, ThisError)]
pub enum Error {
    /// The server cannot be reached, or the connection broke.
    #[error("the server cannot be reached: {0}")]
    Offline(String),
    /// The server is busy, draining, or limits what may be asked in a minute.
    #[error("the server asks to wait: {reason}")]
    Busy {
        /// What it said.
        reason: String,
        /// How long to wait, if it said.
        retry_after: Option<Duration>,
    },
    /// The token is missing, wrong or expired.
    #[error("the server does not accept the token: {0}")]
    Unauthenticated(String),
    /// The caller may not do this.
    #[error("not allowed: {0}")]
    Denied(String),
    /// What was named is not there, or not for the caller to see.
    #[error("not found: {0}")]
    NotFound(String),
    /// The log that the server keeps does not reach back to where this client was.
    #[error("the server's log does not reach back to where this device was")]
    CursorExpired,
    /// The server does not have chunks that it was thought to have.
    #[error("the server misses chunks: {0}")]
    ChunksMissing(String),
    /// There is no room left on the server.
    #[error("no room left on the server: {0}")]
    Full(String),
    /// The server refuses this, and would again.
    #[error("the server refused: {detail}")]
    Refused {
        /// The status.
        status: u16,
        /// The code for programs.
        code: String,
        /// The text for people.
        detail: String,
    },
    /// The server's answer is not what the contract says.
    #[error("the server's answer cannot be understood: {0}")]
    Garbled(String),
    /// Bytes are not what their hash says.
    #[error("{0} came with wrong bytes")]
    Damaged(String),
    /// The share is gone, or nothing in it is for the caller any more. Local files stay as they are.
    #[error("the share is not there any more, or not for you to see; local files stay as they are")]
    ShareLost,
    /// The directory cannot be read or written.
    #[error("{path}: {source}")]
    Local {
        /// The path below the root.
        path: TreePath,
        /// Why.
        source: std::io::Error,
    },
    /// The directory is not there any more, or not the one it was: a volume may have been unmounted.
    #[error("the directory is not there any more, or is another one: is its volume mounted?")]
    RootMissing,
    /// Another process syncs this directory.
    #[error("another process syncs this directory")]
    Locked,
    /// The directory belongs to another share.
    #[error("the directory belongs to another share ({0}); use another directory")]
    OtherShare(String),
    /// So many files vanished that somebody should look first.
    #[error(
        "{files} of {all} files are gone from the directory; if that is meant, confirm that they may be deleted"
    )]
    TooManyDeletions {
        /// Files that would be deleted on the server.
        files: usize,
        /// Files that were in step.
        all: usize,
    },
    /// What was remembered of the directory cannot be read.
    #[error("what was remembered of this directory is damaged: {0}")]
    State(String),
    /// Something changes faster than it can be synced.
    #[error("files change faster than they can be synced")]
    Restless,
    /// Somebody asked to stop.
    #[error("stopped")]
    Stopped,
}

impl Error {
    /// Tells whether the same may well succeed later, with nobody's help.
    pub fn is_passing(&self) -> bool {
        match self {
            // Something between here and the server may answer in its place: a portal, a proxy.
            Self::Offline(_)
            | Self::Busy { .. }
            | Self::Garbled(_)
            | Self::Damaged(_)
            | Self::ChunksMissing(_)
            | Self::Restless => true,
            Self::Local { source, .. } => {
                matches!(source.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded)
            }
            _ => false,
        }
    }

    /// Returns an error of the local file system.
    pub fn local(path: &TreePath, source: std::io::Error) -> Self {
        Self::Local { path: path.clone(), source }
    }
}

impl Error {
    /// Returns the meaning of a status and code of the contract (conventions.md).
    pub fn of_code(status: u16, code: &str, detail: &str) -> Self {
        let detail = detail.to_owned();
        match (status, code) {
            (_, "CURSOR_EXPIRED") => Self::CursorExpired,
            (_, "CHUNKS_MISSING") => Self::ChunksMissing(detail),
            (401, _) => Self::Unauthenticated(detail),
            (403, _) => Self::Denied(detail),
            (404 | 410, _) => Self::NotFound(detail),
            (429 | 500..=504, _) => Self::Busy { reason: detail, retry_after: None },
            (507, _) => Self::Full(detail),
            _ => Self::Refused { status, code: code.to_owned(), detail },
        }
    }
}
