//! The core of ScaiDrive: chunking, dedup storage, versions, permissions and the change feed, without a socket
//! or a terminal.
//!
//! Folders are layers, and imports run one way: [`model`] ← [`ports`] ← [`chunking`] ← [`services`] ← [`jobs`];
//! [`adapters`] implement the ports, and `open` puts them together to a [`Drive`].

pub mod adapters;
pub mod chunking;
pub mod config;
mod drive;
pub mod jobs;
pub mod model;
#[cfg(all(feature = "sql", feature = "blobs"))]
pub mod open;
pub mod ports;
pub mod services;
#[cfg(feature = "testing")]
pub mod testing;

pub use drive::{Drive, Ports};
