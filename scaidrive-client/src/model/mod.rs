//! Values of the contract as a client needs them: ids, names, paths, hashes, times. No I/O, no clock.
//!
//! They are this crate's own: a client knows what the contract says, and nothing of how a server is made.

mod hash;
mod id;
mod name;
mod path;
mod time;

pub use hash::Sha256Hash;
pub use id::{DeviceId, ItemId, Kind, ShareId, VersionId};
pub use name::{fault, fold, nfc, with_marker};
pub use path::TreePath;
pub use time::Timestamp;
