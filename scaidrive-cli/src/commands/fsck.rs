//! `scaidrive fsck`.

use scaidrive_core::model::TenantId;
use scaidrive_core::services::fsck::{self, Report};
use serde_json::json;

use crate::args::{Args, Fsck};
use crate::exit::{Code, Result};
use crate::session::Session;

pub(crate) async fn run(session: &Session, args: &Args, what: &Fsck) -> Result<Code> {
    let mut reports: Vec<(TenantId, Report)> = Vec::new();
    for tenant in session.tenants(args).await? {
        reports.push((tenant.id, fsck::run(&session.drive, tenant.id, what.deep).await?));
    }
    let list: Vec<_> =
        reports.iter().map(|(tenant, report)| json!({ "tenant_id": tenant, "report": report })).collect();
    let is_clean = reports.iter().all(|(_, report)| report.is_clean());
    session.out.print(&json!({ "clean": is_clean, "tenants": list }), || {
        reports.iter().map(|(tenant, report)| text(*tenant, report)).collect::<Vec<_>>().join("\n")
    })?;
    Ok(if is_clean { Code::Done } else { Code::Damaged })
}

fn text(tenant: TenantId, report: &Report) -> String {
    let state = if report.is_clean() { "clean" } else { "DAMAGED" };
    let mut lines = vec![format!(
        "{tenant}: {state}; {} chunks looked at, {} orphaned objects",
        report.chunks, report.orphaned
    )];
    for (what, faults) in [
        ("missing", &report.missing),
        ("corrupt", &report.corrupt),
        ("dangling", &report.dangling),
        ("miscounted", &report.miscounted),
    ] {
        lines.extend(faults.iter().map(|fault| format!("  {what}: {fault}")));
    }
    if report.more > 0 {
        lines.push(format!("  and {} more", report.more));
    }
    lines.join("\n")
}
