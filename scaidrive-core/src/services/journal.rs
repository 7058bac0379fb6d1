//! Audit events that no mutation carries: what was read, and what was refused. They are gathered and written
//! together, within a second; a crash may lose that second, and a flood is counted rather than waited for.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use serde_json::json;

use super::mutation::audit_row;
use super::transaction::{Transaction, transact};
use crate::Drive;
use crate::model::{
    AuditCategory, AuditEvent, AuditEventId, Caller, Error, ResourceKind, Result, Severity, TenantId,
};
use crate::ports::metadata::AuditRow;
use crate::ports::{Outcome, Writes};

/// How often what was gathered is written.
const EVERY: Duration = Duration::from_millis(500);

/// The most events that wait: more come in than the database takes.
const MOST: usize = 50_000;

/// Events written in one transaction.
const BATCH: usize = 500;

/// Events on their way to the database.
#[derive(Debug, Default)]
pub struct Journal {
    waiting: Mutex<Vec<(TenantId, AuditRow)>>,
    dropped: AtomicU64,
}

impl Journal {
    fn push(&self, tenant: TenantId, row: AuditRow) {
        let mut waiting = self.waiting.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if waiting.len() < MOST {
            waiting.push((tenant, row));
        } else {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn take(&self) -> Vec<(TenantId, AuditRow)> {
        std::mem::take(&mut *self.waiting.lock().unwrap_or_else(std::sync::PoisonError::into_inner))
    }

    fn give_back(&self, mut rows: Vec<(TenantId, AuditRow)>) {
        let mut waiting = self.waiting.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        rows.append(&mut waiting);
        *waiting = rows;
    }
}

/// Notes an event of a caller.
pub fn note(drive: &Drive, caller: &Caller, event: AuditEvent) {
    note_result(drive, caller, event, "success");
}

fn note_result(drive: &Drive, caller: &Caller, event: AuditEvent, result: &str) {
    let id = AuditEventId::new(drive.ids.ulid());
    let row = AuditRow { result: result.to_owned(), ..audit_row(event, id, caller, drive.clock.now()) };
    drive.journal.push(caller.tenant, row);
}

/// Notes that a caller was refused, if that is what the error says; `tried` is what it asked for.
///
/// What is there but not for the caller to know was answered like what is not there: that is a refusal too, and only
/// here are the two told apart. Whoever asks for what never was is not refused anything.
pub fn note_refusal(drive: &Drive, caller: &Caller, tried: &str, error: &Error) {
    let mut payload = json!({ "tried": tried, "error": error.to_string() });
    let mut category = AuditCategory::Authorization;
    let resource = match error {
        Error::PermissionDenied { resource, .. } => resource.clone(),
        Error::OwnerOnly { .. } | Error::Suspended | Error::ScopeInsufficient { .. } => String::new(),
        Error::Unauthenticated { .. } => {
            category = AuditCategory::Authentication;
            String::new()
        }
        Error::NotFound => {
            let Some((right, resource)) = caller.hidden.take() else { return };
            payload["right"] = json!(right.as_str());
            format!("{}/{resource}", resource.kind())
        }
        _ => return,
    };
    let (kind, id) = resource_of(caller, &resource);
    let event = AuditEvent::new(category, "refused", kind, id);
    let event = AuditEvent { severity: Severity::Warning, ..event }.with(payload);
    note_result(drive, caller, event, error.code());
}

/// Reads `kind/id`, or `what kind/id holds`; what is about no single thing is about the tenant.
fn resource_of(caller: &Caller, text: &str) -> (ResourceKind, String) {
    let thing = text.strip_prefix("what ").and_then(|rest| rest.strip_suffix(" holds")).unwrap_or(text);
    let (kind, id) = thing.split_once('/').unwrap_or_default();
    match kind.parse() {
        Ok(kind) => (kind, id.to_owned()),
        Err(_) => (ResourceKind::Tenant, caller.tenant.to_string()),
    }
}

/// Writes what was gathered, every now and then, for ever.
pub async fn run(drive: &Drive) {
    loop {
        tokio::time::sleep(EVERY).await;
        if let Err(error) = flush(drive).await {
            tracing::warn!(%error, "audit events of reads cannot be written; trying again");
        }
        let dropped = drive.journal.dropped.swap(0, Ordering::Relaxed);
        if dropped > 0 {
            tracing::error!(dropped, "more audit events of reads came than could be written");
        }
    }
}

/// Writes what was gathered.
pub async fn flush(drive: &Drive) -> Result<()> {
    let mut rows = drive.journal.take();
    while !rows.is_empty() {
        let rest = rows.split_off(rows.len().min(BATCH));
        if let Err(error) = transact(drive, Append(rows.clone())).await {
            rows.extend(rest);
            drive.journal.give_back(rows);
            return Err(error);
        }
        rows = rest;
    }
    Ok(())
}

struct Append(Vec<(TenantId, AuditRow)>);

#[async_trait]
impl Transaction for Append {
    type Answer = ();

    async fn run(&self, rows: &mut dyn Writes) -> Result<(Outcome, ())> {
        let mut tenants: Vec<TenantId> = self.0.iter().map(|(tenant, _)| *tenant).collect();
        tenants.sort_unstable();
        tenants.dedup();
        for tenant in tenants {
            let own = self.0.iter().filter(|(of, _)| *of == tenant).map(|(_, row)| row.clone());
            let mut own: Vec<AuditRow> = own.collect();
            // A commit whose outcome was unknown may have gone through after all.
            if let Some(first) = own.first()
                && rows.audit_event(tenant, first.id).await?.is_some()
            {
                own.clear();
            }
            rows.append_audit(tenant, &own).await?;
        }
        Ok((Outcome::Commit, ()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_about_the_thing_that_the_error_names_or_the_tenant() {
        let tenant: TenantId = "tnt_01ARZ3NDEKTSV4RRFFQ69G5FAV".parse().unwrap();
        let caller = Caller::local(tenant, "ada".parse().unwrap(), String::new());
        for (text, kind, id) in [
            ("file/fil_1", ResourceKind::File, "fil_1"),
            ("user/a/b", ResourceKind::User, "a/b"),
            ("what folder/fld_1 holds", ResourceKind::Folder, "fld_1"),
            ("partner", ResourceKind::Tenant, "tnt_01ARZ3NDEKTSV4RRFFQ69G5FAV"),
            ("", ResourceKind::Tenant, "tnt_01ARZ3NDEKTSV4RRFFQ69G5FAV"),
        ] {
            assert_eq!(resource_of(&caller, text), (kind, id.to_owned()), "{text}");
        }
    }
}
