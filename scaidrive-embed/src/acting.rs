//! Whom a handle acts as: looked up again for each operation, because what was true when the handle was made may not
//! be true any more.

use std::sync::Arc;

use scaidrive_core::Drive;
use scaidrive_core::model::{Caller, Result};
use scaidrive_core::services::identity;

use crate::drive::Background;

/// A drive and a user of it; what every handle is made of.
#[derive(Clone, Debug)]
pub(crate) struct Acting {
    pub(crate) drive: Drive,
    /// As of when the handle was made.
    known: Caller,
    /// Kept running for as long as there is a handle on anything of the drive.
    pub(crate) background: Arc<Background>,
}

impl Acting {
    pub(crate) fn new(drive: Drive, known: Caller, background: Arc<Background>) -> Self {
        Self { drive, known, background }
    }

    /// Returns the same drive as another user sees it.
    pub(crate) fn by(&self, other: Caller) -> Self {
        Self { known: other, ..self.clone() }
    }

    /// Returns the caller as of when the handle was made; its tenant and its id never change.
    pub(crate) const fn known(&self) -> &Caller {
        &self.known
    }

    /// Returns the caller with the role and the groups that it has now; `Suspended` if it may not act any more.
    pub(crate) async fn caller(&self) -> Result<Caller> {
        let mut rows = self.drive.read().await?;
        identity::refreshed(&mut *rows, &self.known).await
    }
}
