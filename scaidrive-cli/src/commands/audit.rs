//! `scaidrive audit`.

use std::io::Write;
use std::path::Path;

use scaidrive_core::model::{Caller, Error, Timestamp};
use scaidrive_core::ports::metadata::AuditQuery;
use scaidrive_core::services::audit::{self, CSV_HEADER, EventInfo};
use scaidrive_core::services::journal;
use serde_json::json;

use crate::args::{Args, Audit};
use crate::exit::{Code, Result};
use crate::output::{printable, table};
use crate::session::Session;

pub(crate) async fn run(session: &Session, args: &Args, command: &Audit) -> Result<Code> {
    match command {
        Audit::List { by, action, about, since, limit } => {
            let wrong = |text: &str| Error::invalid("since", "must read like 2026-11-24T10:00:00Z", text);
            let from = since
                .as_deref()
                .map(|text| text.parse::<Timestamp>().map_err(|_| wrong(text)))
                .transpose()?;
            let user = by.as_deref().map(|id| id.parse().map_err(|_| Error::invalid("by", "no user id", id)));
            let query = AuditQuery {
                user: user.transpose()?,
                action: action.clone(),
                resource_id: about.clone(),
                from,
                limit: *limit,
                ..AuditQuery::default()
            };
            list(session, &session.caller(args).await?, query).await
        }
        Audit::Export { format, file } => {
            export(session, &session.caller(args).await?, format, file.as_deref()).await
        }
        Audit::Head => {
            let mut heads = Vec::new();
            for tenant in session.tenants(args).await? {
                let head = audit::head(&session.drive, tenant.id).await?;
                heads.push([tenant.id.to_string(), audit::head_text(&head)]);
            }
            let json = json!({ "heads": heads.iter().map(|[id, head]| json!({ "tenant_id": id, "head": head })).collect::<Vec<_>>() });
            session.out.print(&json, || table(["TENANT", "HEAD"], heads))?;
            Ok(Code::Done)
        }
        Audit::Verify { head } => verify(session, args, head.as_deref()).await,
    }
}

async fn list(session: &Session, caller: &Caller, query: AuditQuery) -> Result<Code> {
    let found = audit::find(&session.drive, caller, query).await?;
    let row = |event: &EventInfo| {
        [
            event.timestamp.to_string(),
            event.actor.user_id.to_string(),
            event.action.clone(),
            printable(event.resource.path.as_deref().unwrap_or(&event.resource.id)),
            event.result.clone(),
        ]
    };
    session.out.print(&found, || {
        table(["TIME", "USER", "ACTION", "WHAT", "RESULT"], found.events.iter().map(row))
    })?;
    Ok(Code::Done)
}

async fn export(session: &Session, caller: &Caller, format: &str, file: Option<&Path>) -> Result<Code> {
    let is_csv = match format {
        "csv" => true,
        "ndjson" => false,
        other => return Err(Error::invalid("format", "must be csv or ndjson", other).into()),
    };
    let failed = |error: std::io::Error| Error::internal(format!("the export cannot be written: {error}"));
    let mut out: Box<dyn Write + Send> = match file {
        Some(path) => Box::new(std::fs::File::create(path).map_err(failed)?),
        None => Box::new(std::io::stdout()),
    };
    if is_csv {
        out.write_all(CSV_HEADER.as_bytes()).map_err(failed)?;
    }
    let mut after = None;
    loop {
        let page = audit::export_page(&session.drive, caller, &AuditQuery::default(), after).await?;
        let Some(last) = page.last() else { break };
        after = Some(last.event_id);
        for event in &page {
            let line = if is_csv {
                audit::csv_line(event)
            } else {
                serde_json::to_string(event).map_err(|error| Error::internal(error.to_string()))? + "\n"
            };
            out.write_all(line.as_bytes()).map_err(failed)?;
        }
    }
    out.flush().map_err(failed)?;
    Ok(Code::Done)
}

async fn verify(session: &Session, args: &Args, head: Option<&str>) -> Result<Code> {
    let kept = head.map(audit::parse_head).transpose()?;
    let tenants = session.tenants(args).await?;
    if kept.is_some() && tenants.len() != 1 {
        return Err(Error::invalid("head", "is of one tenant: name it with --tenant", head).into());
    }
    journal::flush(&session.drive).await?;
    let mut found = Vec::new();
    for tenant in tenants {
        audit::seal(&session.drive, tenant.id).await?;
        found.push(audit::verify(&session.drive, tenant.id, kept.as_ref()).await?);
    }
    let holds = found.iter().all(|verified| verified.faults.is_empty());
    session.out.print(&json!({ "holds": holds, "tenants": found }), || {
        let lines = found.iter().flat_map(|verified| {
            let state = if verified.faults.is_empty() { "holds" } else { "DOES NOT HOLD" };
            let first = format!(
                "{}: {state}; {} events, head {}",
                verified.tenant_id, verified.events, verified.head
            );
            let faults = verified.faults.iter().map(|fault| {
                let event = fault.event_id.map(|id| format!(" ({id})")).unwrap_or_default();
                format!("  {} at {}{event}: {}", fault.kind, fault.seq, fault.message)
            });
            std::iter::once(first).chain(faults).collect::<Vec<_>>()
        });
        lines.collect::<Vec<_>>().join("\n")
    })?;
    Ok(if holds { Code::Done } else { Code::Damaged })
}
