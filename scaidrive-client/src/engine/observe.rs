//! Who watches a client work.

use std::fmt;

use crate::model::TreePath;

/// Bytes of files that are where they shall be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Moved {
    /// All of them.
    pub bytes: u64,
    /// Those that had to travel: the rest was there already.
    pub travelled: u64,
}

/// Something that a client does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// It knows what is to be done: so many files and bytes to send and to fetch.
    Planned {
        /// Files to send.
        uploads: usize,
        /// Their bytes.
        upload_bytes: u64,
        /// Files to fetch.
        downloads: usize,
        /// Their bytes.
        download_bytes: u64,
    },
    /// Files were sent, or need not be.
    Sent(Moved),
    /// Files were fetched, or need not be.
    Received(Moved),
    /// Something changed here.
    Here(&'static str, &'a TreePath),
    /// Something changed on the server.
    There(&'static str, &'a TreePath),
    /// The server was restored from a backup: nothing that is here is taken for deleted.
    ServerWentBack,
}

/// Watches a client work.
pub trait Observer: Send + Sync + fmt::Debug {
    /// Is told of everything as it happens.
    fn event(&self, event: &Event<'_>);
}

/// Watches nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Observer for Silent {
    fn event(&self, _event: &Event<'_>) {}
}
