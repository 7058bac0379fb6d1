//! How much of the log is kept, and what cursors are still good for.
//!
//! The floor is written in the transaction that removes rows, and readers see rows and floor as of one instant: a
//! cursor that has missed something is told so, and never skips it in silence.

use std::time::Duration;

use async_trait::async_trait;

use super::transaction::{Transaction, transact};
use crate::Drive;
use crate::model::{Result, TenantId, Timestamp, UsageDelta, UsageTarget};
use crate::ports::{Nudge, Outcome, Writes};

/// So far positions rise after a restore: no position that somebody may have seen is given out again.
pub const RAISE: i64 = 1_000_000_000;

/// What must stay in the log, and how much is removed at once.
#[derive(Clone, Copy, Debug)]
pub struct Retention {
    /// Rows younger than this stay.
    pub age: Duration,
    /// The last so many rows stay, whatever their age.
    pub rows: u32,
    /// Rows removed in one transaction: others wait for no longer than that.
    pub batch: u32,
}

impl Default for Retention {
    fn default() -> Self {
        Self { age: Duration::from_secs(30 * 24 * 3600), rows: 500_000, batch: 1000 }
    }
}

/// Removes what need not stay of a tenant's log; returns how many rows that were.
pub async fn compact(drive: &Drive, tenant: TenantId, keep: Retention) -> Result<u64> {
    let mut removed = 0;
    loop {
        let cut = Cut { tenant, keep, cutoff: drive.clock.now().minus(keep.age) };
        let rows = transact(drive, cut).await?;
        removed += u64::from(rows);
        if rows < keep.batch {
            return Ok(removed);
        }
    }
}

struct Cut {
    tenant: TenantId,
    keep: Retention,
    cutoff: Timestamp,
}

#[async_trait]
impl Transaction for Cut {
    type Answer = u32;

    async fn run(&self, rows: &mut dyn Writes) -> Result<(Outcome, u32)> {
        let bounds = rows.log_bounds(self.tenant).await?;
        let oldest = rows.oldest_changes(self.tenant, self.keep.batch).await?;
        let last = bounds.head - i64::from(self.keep.rows);
        // Below the floor nobody reads any more.
        let goes = |(position, at): &&(i64, Timestamp)| {
            *position <= bounds.floor || (*position <= last && *at < self.cutoff)
        };
        let going = oldest.iter().take_while(goes);
        let count = going.clone().count() as u32;
        if let Some((through, _)) = going.last() {
            rows.cut_log(self.tenant, *through).await?;
        }
        Ok((Outcome::Commit, count))
    }
}

/// Makes every cursor there is expire: after a restore the log may lack what some reader has seen, and goes on where
/// no reader has been.
pub async fn raise(drive: &Drive, tenant: TenantId) -> Result<i64> {
    let head = transact(drive, Raise { tenant }).await?;
    drive.pubsub.publish(Nudge { tenant, share: None, user: None, position: head }).await?;
    Ok(head)
}

struct Raise {
    tenant: TenantId,
}

#[async_trait]
impl Transaction for Raise {
    type Answer = i64;

    async fn run(&self, rows: &mut dyn Writes) -> Result<(Outcome, i64)> {
        // A tenant in which nothing has happened yet has no counter.
        rows.advance(self.tenant, &[(UsageTarget::Tenant, UsageDelta::default())], 0).await?;
        rows.raise_log(self.tenant, RAISE).await?;
        Ok((Outcome::Commit, rows.head(self.tenant).await?))
    }
}
