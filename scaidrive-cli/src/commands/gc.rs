//! `scaidrive gc`.

use scaidrive_core::config;
use scaidrive_core::model::{Error, TenantId};
use scaidrive_core::services::collect::{self, Collected, Plan};
use serde_json::json;

use crate::args::{Args, Gc};
use crate::exit::{Code, Result};
use crate::output::{size, table};
use crate::session::Session;

pub(crate) async fn run(session: &Session, args: &Args, what: &Gc) -> Result<Code> {
    let plan = plan(session, what)?;
    let mut all = Vec::new();
    for tenant in session.tenants(args).await? {
        all.push((tenant.id, collect::run(&session.drive, tenant.id, plan).await?));
    }
    let failed = all.iter().map(|(_, done)| done.failed).sum::<u64>();
    let list: Vec<_> =
        all.iter().map(|(tenant, done)| json!({ "tenant_id": tenant, "collected": done })).collect();
    session.out.print(&json!({ "dry_run": what.dry_run, "tenants": list }), || {
        let row = |(tenant, done): &(_, Collected)| {
            [
                TenantId::to_string(tenant),
                done.contents.to_string(),
                done.chunks.to_string(),
                size(done.bytes),
                done.freed_rows.to_string(),
                done.failed.to_string(),
            ]
        };
        let header = if what.dry_run { "WOULD REMOVE FROM" } else { "REMOVED FROM" };
        table([header, "CONTENTS", "CHUNKS", "BYTES", "FREED ROWS", "FAILED"], all.iter().map(row))
    })?;
    Ok(if failed == 0 { Code::Done } else { Code::Failed })
}

/// Returns the plan asked for. A writer relies on the configured grace between its touch and its reference: a
/// shorter one takes chunks away from under it, so it needs `--force`.
fn plan(session: &Session, what: &Gc) -> Result<Plan, Error> {
    let scheduled = Plan::scheduled(&session.drive);
    let Some(text) = &what.grace else { return Ok(Plan { dry_run: what.dry_run, ..scheduled }) };
    let wrong = |why: &str| Error::invalid("grace", why, text.as_str());
    let grace = config::duration(text).map_err(|why| wrong(&why))?;
    if grace < scheduled.grace && !what.dry_run && !what.force {
        return Err(wrong("shorter than SCAIDRIVE_GC_GRACE; stop all writers, then add --force"));
    }
    Ok(Plan { grace, dry_run: what.dry_run, ..scheduled })
}
