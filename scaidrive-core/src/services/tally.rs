//! Counts for metrics of what only the core sees.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::model::TenantId;

/// A count by tenant.
#[derive(Debug, Default)]
pub struct Tally(Mutex<HashMap<TenantId, u64>>);

impl Tally {
    pub(super) fn add(&self, tenant: TenantId, number: usize) {
        if number > 0 {
            *self.counts().entry(tenant).or_default() += number as u64;
        }
    }

    /// Returns what was counted since it was asked for last.
    pub fn take(&self) -> HashMap<TenantId, u64> {
        std::mem::take(&mut *self.counts())
    }

    fn counts(&self) -> MutexGuard<'_, HashMap<TenantId, u64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
