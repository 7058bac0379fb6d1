//! Refusals that look like absence: the caller learns nothing, the audit does.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use super::{ResourceId, Right};

/// What a caller was told is not there although it is.
///
/// This goes beside the error, not in it: [`Error::NotFound`](super::Error::NotFound) is one and the same whatever the
/// reason, so that no code that handles it, now or later, can tell the caller the difference. All clones share the
/// note, because a mutation works with a copy of its caller; the last one counts, because a mutation may run again.
#[derive(Clone, Default)]
pub struct Hidden(Arc<Mutex<Option<(Right, ResourceId)>>>);

impl Hidden {
    /// Notes what was tried on something that must not be known.
    pub fn note(&self, right: Right, resource: ResourceId) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((right, resource));
    }

    /// Returns what was noted last, once.
    pub fn take(&self) -> Option<(Right, ResourceId)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl fmt::Debug for Hidden {
    /// Shows nothing: a host program may print whom it acts for.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hidden")
    }
}
