//! `scaidrive gc`.

use scaidrive_core::config;
use scaidrive_core::model::{Error, Result};
use scaidrive_core::services::collect::{self, Collected, Plan};
use scaidrive_core::services::tenants;
use serde_json::json;

use crate::args::{Args, Gc};
use crate::exit::Code;
use crate::output::{size, table};
use crate::session::Session;

pub(crate) async fn run(session: &Session, args: &Args, what: &Gc) -> Result<Code> {
    let mut plan = Plan { dry_run: what.dry_run, ..Plan::scheduled(&session.drive) };
    if let Some(text) = &what.grace {
        plan.grace = config::duration(text).map_err(|why| Error::invalid("grace", why, text.as_str()))?;
    }
    let chosen = match &args.tenant {
        Some(_) => vec![session.tenant(args).await?],
        None => tenants::list(&session.drive).await?,
    };
    let mut all = Vec::new();
    for tenant in chosen {
        all.push((tenant.id, collect::run(&session.drive, tenant.id, plan).await?));
    }
    let failed = all.iter().map(|(_, done)| done.failed).sum::<u64>();
    let list: Vec<_> =
        all.iter().map(|(tenant, done)| json!({ "tenant_id": tenant, "collected": done })).collect();
    session.out.print(&json!({ "dry_run": what.dry_run, "tenants": list }), || {
        let row = |(tenant, done): &(_, Collected)| {
            [
                scaidrive_core::model::TenantId::to_string(tenant),
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
