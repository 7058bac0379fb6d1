//! After the database came back from a backup, or from a failover that lost the last commits.

use async_trait::async_trait;
use serde::Serialize;

use super::transaction::{Transaction, transact};
use super::{retention, tenants};
use crate::Drive;
use crate::model::{ChunkHash, Result, TenantId};
use crate::ports::{Outcome, Writes};

/// Chunks touched in one transaction.
const PAGE: u32 = 1000;

/// What was done for a tenant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Recovered {
    /// The tenant.
    pub tenant_id: TenantId,
    /// Chunks that no collection takes for another grace.
    pub chunks: u64,
    /// The feed's head: every cursor from before has expired.
    pub position: i64,
}

/// Makes a restored database fit to be used, once for every tenant: its chunks count as needed just now, since writers
/// of before the restore may know them, and its feed goes on where no reader has been, since the log may lack what
/// readers have seen. Doing it twice does no harm but to make clients look at everything once more.
pub async fn finish(drive: &Drive) -> Result<Vec<Recovered>> {
    let mut all = Vec::new();
    for tenant in tenants::list(drive).await? {
        let chunks = touch_all(drive, tenant.id).await?;
        let position = retention::raise(drive, tenant.id).await?;
        all.push(Recovered { tenant_id: tenant.id, chunks, position });
    }
    Ok(all)
}

async fn touch_all(drive: &Drive, tenant: TenantId) -> Result<u64> {
    let (mut touched, mut after) = (0, None);
    loop {
        let page = drive.read().await?.chunk_page(tenant, after, PAGE).await?;
        let Some(last) = page.last() else { return Ok(touched) };
        after = Some(last.hash);
        touched += page.len() as u64;
        transact(drive, Touch { tenant, hashes: page.iter().map(|row| row.hash).collect() }).await?;
    }
}

struct Touch {
    tenant: TenantId,
    hashes: Vec<ChunkHash>,
}

#[async_trait]
impl Transaction for Touch {
    type Answer = ();

    async fn run(&self, rows: &mut dyn Writes) -> Result<(Outcome, ())> {
        let now = rows.now().await?;
        rows.touch_chunks(self.tenant, &self.hashes, now).await?;
        Ok((Outcome::Commit, ()))
    }
}
