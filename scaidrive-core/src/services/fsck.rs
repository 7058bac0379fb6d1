//! Checks that what the rows say is so: chunks that are there and right, counters that match a recount.
//!
//! It finds and reports; it repairs nothing, and never deletes what is readable.

use std::collections::BTreeMap;

use futures_util::{StreamExt, TryStreamExt, stream};
use serde::Serialize;

use super::content;
use crate::Drive;
use crate::model::{ChunkHash, ChunkState, Error, Result, TenantId, Usage, UsageTarget};
use crate::ports::metadata::ChunkRow;
use crate::ports::{Key, Reads};

/// Rows looked at in one go.
const PAGE: u32 = 1000;

/// Objects looked at at once.
const AT_ONCE: usize = 8;

/// Faults of one kind that are named; more are only counted.
const NAMED: usize = 100;

/// What a check found.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    /// Chunks looked at.
    pub chunks: u64,
    /// Live chunks whose objects are not there.
    pub missing: Vec<String>,
    /// Objects whose size or bytes are not what their hash says.
    pub corrupt: Vec<String>,
    /// Contents, and chunks sent for contents to come, that name a chunk without a live row.
    pub dangling: Vec<String>,
    /// Objects without a row: a leak, not a loss.
    pub orphaned: u64,
    /// Counters that do not match a recount.
    pub miscounted: Vec<String>,
    /// Faults beyond those named.
    pub more: u64,
}

impl Report {
    /// Tells whether everything that is referred to is there and right, and every count is exact.
    pub fn is_clean(&self) -> bool {
        self.missing.is_empty()
            && self.corrupt.is_empty()
            && self.dangling.is_empty()
            && self.miscounted.is_empty()
    }

    fn note(&mut self, list: fn(&mut Self) -> &mut Vec<String>, fault: String) {
        if list(self).len() < NAMED {
            list(self).push(fault);
        } else {
            self.more += 1;
        }
    }
}

/// Checks a tenant: every chunk's object by existence and size, with `deep` by its hash.
pub async fn run(drive: &Drive, tenant: TenantId, deep: bool) -> Result<Report> {
    let mut report = Report::default();
    chunks(drive, tenant, deep, &mut report).await?;
    orphans(drive, tenant, &mut report).await?;
    let mut rows = drive.read().await?;
    for (content, chunk) in rows.dangling_contents(tenant, NAMED as u32).await? {
        report.note(|report| &mut report.dangling, format!("content {content}: chunk {chunk}"));
    }
    for chunk in rows.dangling_sent(tenant, NAMED as u32).await? {
        report.note(|report| &mut report.dangling, format!("sent: chunk {chunk}"));
    }
    counters(&mut *rows, tenant, &mut report).await?;
    Ok(report)
}

enum Fault {
    Missing,
    Corrupt,
}

async fn chunks(drive: &Drive, tenant: TenantId, deep: bool, report: &mut Report) -> Result<()> {
    let mut after = None;
    loop {
        let page = drive.read().await?.chunk_page(tenant, after, PAGE).await?;
        let Some(last) = page.last() else { return Ok(()) };
        after = Some(last.hash);
        report.chunks += page.len() as u64;
        let live = page.into_iter().filter(|row| row.state == ChunkState::Live);
        let mut checks =
            stream::iter(live.map(|row| check(drive, tenant, row, deep))).buffer_unordered(AT_ONCE);
        while let Some((hash, fault)) = checks.try_next().await? {
            match fault {
                Some(Fault::Missing) => report.note(|report| &mut report.missing, hash.to_string()),
                Some(Fault::Corrupt) => report.note(|report| &mut report.corrupt, hash.to_string()),
                None => {}
            }
        }
    }
}

async fn check(
    drive: &Drive,
    tenant: TenantId,
    row: ChunkRow,
    deep: bool,
) -> Result<(ChunkHash, Option<Fault>)> {
    let fault = match drive.blobs.head(&Key::chunk(tenant, row.hash)).await? {
        // Collected since its row was read.
        None if !still_live(drive, tenant, row.hash).await? => None,
        None => Some(Fault::Missing),
        Some(meta) if meta.size != u64::from(row.size) => Some(Fault::Corrupt),
        Some(_) if deep => match content::verified(drive, tenant, row.hash).await {
            Ok(_) => None,
            Err(Error::Corrupt { .. }) => Some(Fault::Corrupt),
            Err(error) => return Err(error),
        },
        Some(_) => None,
    };
    Ok((row.hash, fault))
}

async fn still_live(drive: &Drive, tenant: TenantId, hash: ChunkHash) -> Result<bool> {
    let rows = drive.read().await?.chunks(tenant, &[hash]).await?;
    Ok(rows.first().is_some_and(|row| row.state == ChunkState::Live))
}

async fn orphans(drive: &Drive, tenant: TenantId, report: &mut Report) -> Result<()> {
    let mut found = drive.blobs.list(&Key::chunks_of(tenant)).try_chunks(PAGE as usize);
    while let Some(page) = found.try_next().await.map_err(|error| error.1)? {
        let hashes: Vec<ChunkHash> = page.iter().filter_map(|meta| Some(meta.key.as_chunk()?.1)).collect();
        let known = drive.read().await?.chunks(tenant, &hashes).await?;
        report.orphaned += (page.len() - known.len()) as u64;
    }
    Ok(())
}

/// Compares the counters with a recount; run it while nobody writes, or a count in between looks wrong.
async fn counters(rows: &mut dyn Reads, tenant: TenantId, report: &mut Report) -> Result<()> {
    let mut counted: BTreeMap<String, Usage> = BTreeMap::new();
    for (share, user, usage) in rows.recount(tenant).await? {
        for target in [UsageTarget::Tenant, UsageTarget::Share(share), UsageTarget::User(user)] {
            *counted.entry(target.to_string()).or_default() += usage;
        }
    }
    for (target, kept) in rows.usages(tenant).await? {
        let recount = counted.remove(&target).unwrap_or_default();
        if kept != recount {
            let fault = format!("{target}: kept {kept:?}, counted {recount:?}");
            report.note(|report| &mut report.miscounted, fault);
        }
    }
    for (target, recount) in counted.into_iter().filter(|(_, usage)| *usage != Usage::default()) {
        report.note(|report| &mut report.miscounted, format!("{target}: no counter, counted {recount:?}"));
    }
    Ok(())
}
