//! Delta transfer: contents told by their chunks, so that only chunks that are new need to travel.
//!
//! Knowing a hash must never give access to its bytes, nor tell that somebody has them. So a chunk counts as present
//! for a caller only where the caller could download it anyway, or has sent it itself; everything else is missing,
//! stored or not, and looks alike.

mod assemble;
mod known;
mod manifest;
mod send;

pub use assemble::{Claim, assemble};
pub use known::{known, missing};
pub use manifest::{Cut, Manifest, manifest};
pub(crate) use send::forget;
pub use send::{Frame, Receipt, check_send, receive};

use std::time::Duration;

use crate::model::Timestamp;

/// How long a chunk counts as present for who sent it.
const REMEMBERED: Duration = Duration::from_secs(24 * 3600);

/// Returns the oldest time at which a chunk that was sent still counts.
pub(super) fn since(now: Timestamp) -> Timestamp {
    now.minus(REMEMBERED)
}
