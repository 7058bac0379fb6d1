//! Requests that must have one effect however often they are sent (`Idempotency-Key`).
//!
//! What a request made is noted in the transaction that makes it, under a unique key: of duplicates that race, on
//! however many servers, one commits and the others come to nothing.

use std::time::Duration;

use async_trait::async_trait;

use super::apply;
use super::transaction::{Transaction, transact};
use crate::Drive;
use crate::model::{Caller, Error, Once, Result, Sha256Hash, TenantId, Timestamp};
use crate::ports::metadata::DoneOnce;
use crate::ports::{Outcome, Writes};

/// How long a request is remembered.
const REMEMBERED: Duration = Duration::from_secs(24 * 3600);

/// Returns the oldest time that is remembered.
pub(super) fn since(now: Timestamp) -> Timestamp {
    now.minus(REMEMBERED)
}

/// Returns what the caller's request came to, if it was made before.
pub async fn find(drive: &Drive, caller: &Caller, once: &Once) -> Result<Option<DoneOnce>> {
    drive.read().await?.done_once(caller, once, since(drive.clock.now())).await
}

/// Fails unless a repeated request asks for what the first did.
pub fn check_same(done: &DoneOnce, digest: Sha256Hash, key: &str) -> Result<()> {
    if done.digest == digest {
        return Ok(());
    }
    Err(Error::invalid("Idempotency-Key", "was used for a request that asked for something else", key))
}

/// Forgets requests, and what devices sent, that need not be remembered any more.
pub async fn forget(drive: &Drive, tenant: TenantId) -> Result<()> {
    transact(drive, Forget { tenant, now: drive.clock.now() }).await
}

struct Forget {
    tenant: TenantId,
    now: Timestamp,
}

#[async_trait]
impl Transaction for Forget {
    type Answer = ();

    async fn run(&self, rows: &mut dyn Writes) -> Result<(Outcome, ())> {
        rows.forget_once(self.tenant, since(self.now)).await?;
        rows.forget_client_changes(self.tenant, apply::since(self.now)).await?;
        Ok((Outcome::Commit, ()))
    }
}
