//! The audit: sealed so that nobody changes it unseen, shown to administrators, verified.
//!
//! Each tenant's events form a chain in the order of their sealing: an event's MAC covers the MAC before it and all
//! that the event says, under a key that the database does not hold. Changing, removing or inserting a row breaks
//! the chain where it was done; cutting the tail is seen by the head, best by one that was kept elsewhere.

use std::fmt;

use async_trait::async_trait;
use hmac::{Hmac, KeyInit, Mac};
use serde::Serialize;
use serde_json::{Value, json};
use sha2::Sha256;

use super::transaction::{Transaction, transact};
use super::users::check_admin;
use crate::Drive;
use crate::model::{AuditEventId, Caller, Error, Result, TenantId, Timestamp, UserId};
use crate::ports::metadata::{AuditHead, AuditQuery, AuditRow, SealedRow};
use crate::ports::{Outcome, Writes};

/// Events sealed in one transaction.
const BATCH: u32 = 500;

/// Events verified or exported at once.
const PAGE: u32 = 1000;

/// Counts are exact up to here; beyond, they are a minimum.
const COUNTED: u32 = 10_000;

/// The key of the seals. It is no part of the database, so who can write there cannot seal.
#[derive(Clone)]
pub struct AuditKey([u8; 32]);

impl AuditKey {
    /// Derives the key from the installation's secret, for this use alone.
    pub fn derive(secret: &[u8]) -> Self {
        Self(mac(secret, &[b"scaidrive audit seal 1"]))
    }
}

impl fmt::Debug for AuditKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AuditKey")
    }
}

fn mac(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    // HMAC takes keys of any length.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else { return [0; 32] };
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

/// Returns all that a row says in one unambiguous text: every field with its length before it.
fn canonical(tenant: TenantId, seq: i64, row: &AuditRow) -> Vec<u8> {
    let fields = [
        Some(tenant.to_string()),
        Some(seq.to_string()),
        Some(row.id.to_string()),
        Some(row.at.as_micros().to_string()),
        Some(row.category.to_string()),
        Some(row.severity.to_string()),
        Some(row.action.clone()),
        Some(row.user.to_string()),
        row.service_account.clone(),
        row.ip.clone(),
        row.user_agent.clone(),
        Some(row.resource.to_string()),
        Some(row.resource_id.clone()),
        row.path.clone(),
        Some(row.result.clone()),
        Some(row.request_id.clone()),
        Some(row.payload.to_string()),
    ];
    let mut text = Vec::new();
    for field in fields {
        let length = field.as_ref().map_or(u64::MAX, |field| field.len() as u64);
        text.extend_from_slice(&length.to_be_bytes());
        text.extend_from_slice(field.unwrap_or_default().as_bytes());
    }
    text
}

fn link(key: &AuditKey, tenant: TenantId, before: &[u8], seq: i64, row: &AuditRow) -> [u8; 32] {
    mac(&key.0, &[before, &canonical(tenant, seq, row)])
}

/// Seals what waits for it in one tenant; returns how many events that were.
pub async fn seal(drive: &Drive, tenant: TenantId) -> Result<u64> {
    let mut sealed = 0;
    loop {
        let now = u64::from(
            transact(drive, Seal { tenant, key: drive.audit_key.clone(), at: drive.clock.now() }).await?,
        );
        sealed += now;
        if now < u64::from(BATCH) {
            return Ok(sealed);
        }
    }
}

struct Seal {
    tenant: TenantId,
    key: AuditKey,
    at: Timestamp,
}

#[async_trait]
impl Transaction for Seal {
    type Answer = u32;

    async fn run(&self, rows: &mut dyn Writes) -> Result<(Outcome, u32)> {
        if rows.unsealed(self.tenant, 1).await?.is_empty() {
            return Ok((Outcome::RollBack, 0));
        }
        let mut head = rows.lock_audit_head(self.tenant, self.at).await?;
        let waiting = rows.unsealed(self.tenant, BATCH).await?;
        for row in &waiting {
            head.seq += 1;
            head.mac = link(&self.key, self.tenant, &head.mac, head.seq, row).to_vec();
            rows.seal(self.tenant, row.id, head.seq, &head.mac).await?;
        }
        rows.set_audit_head(self.tenant, &head, self.at).await?;
        Ok((Outcome::Commit, waiting.len() as u32))
    }

    fn may_be_lost(&self) -> bool {
        // The events themselves are durable; what is not sealed is sealed again.
        true
    }
}

/// What a verification finds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Verification {
    /// The tenant.
    pub tenant_id: TenantId,
    /// Sealed events looked at.
    pub events: u64,
    /// Where the chain ends, as `NUMBER:MAC`: keep it elsewhere, and give it to the next verification.
    pub head: String,
    /// What is wrong, in the order of the numbers; nothing where the chain holds.
    pub faults: Vec<Fault>,
}

/// A place where the chain does not hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// The number.
    pub seq: i64,
    /// The event there, if there is one.
    pub event_id: Option<AuditEventId>,
    /// `changed`, `missing`, `inserted` or `cut`.
    pub kind: &'static str,
    /// In words.
    pub message: String,
}

/// The most faults told: one is enough to know.
const MOST_FAULTS: usize = 100;

/// Writes a head as people keep it.
pub fn head_text(head: &AuditHead) -> String {
    format!("{}:{}", head.seq, hex(&head.mac))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Reads a head that somebody kept.
pub fn parse_head(text: &str) -> Result<AuditHead> {
    let wrong = || Error::invalid("head", "must read NUMBER:MAC, the MAC in 64 hex digits", text);
    let (seq, digits) = text.split_once(':').ok_or_else(wrong)?;
    let seq = seq.parse().ok().filter(|seq| *seq >= 0).ok_or_else(wrong)?;
    let is_hex = digits.is_ascii() && matches!(digits.len(), 0 | 64);
    let pairs = (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(digits.get(at..at + 2)?, 16).ok());
    let mac = if is_hex { pairs.collect::<Option<Vec<u8>>>() } else { None };
    Ok(AuditHead { seq, mac: mac.ok_or_else(wrong)? })
}

/// Walks a tenant's chain and finds where it was tampered with; `kept` is a head that was kept elsewhere.
pub async fn verify(drive: &Drive, tenant: TenantId, kept: Option<&AuditHead>) -> Result<Verification> {
    let mut rows = drive.read().await?;
    let head = rows.audit_head(tenant).await?;
    let mut walk = Walk {
        drive,
        tenant,
        kept,
        last: AuditHead { seq: 0, mac: Vec::new() },
        events: 0,
        faults: Vec::new(),
    };
    loop {
        let page = rows.sealed_after(tenant, walk.last.seq, PAGE).await?;
        let Some(end) = page.last().and_then(|row| row.seq) else { break };
        for row in &page {
            walk.step(row);
        }
        if end > head.seq {
            // Sealed since the head was read.
            break;
        }
    }
    walk.end(&head);
    Ok(Verification { tenant_id: tenant, events: walk.events, head: head_text(&head), faults: walk.faults })
}

struct Walk<'w> {
    drive: &'w Drive,
    tenant: TenantId,
    kept: Option<&'w AuditHead>,
    last: AuditHead,
    events: u64,
    faults: Vec<Fault>,
}

impl Walk<'_> {
    fn fault(
        &mut self,
        seq: i64,
        event_id: Option<AuditEventId>,
        kind: &'static str,
        message: impl Into<String>,
    ) {
        if self.faults.len() < MOST_FAULTS {
            self.faults.push(Fault { seq, event_id, kind, message: message.into() });
        }
    }

    fn step(&mut self, found: &SealedRow) {
        let (seq, mac) = (found.seq.unwrap_or(0), found.mac.clone().unwrap_or_default());
        self.events += 1;
        if seq <= self.last.seq {
            self.fault(seq, Some(found.row.id), "inserted", "two events have this number");
            return;
        }
        if seq > self.last.seq + 1 {
            let message = format!("events {} to {} are not there", self.last.seq + 1, seq - 1);
            self.fault(self.last.seq + 1, None, "missing", message);
        } else if link(&self.drive.audit_key, self.tenant, &self.last.mac, seq, &found.row).as_slice() != mac
        {
            self.fault(seq, Some(found.row.id), "changed", "the event does not say what was sealed");
        }
        // What follows is judged by what is written here: so one changed row is one fault.
        self.last = AuditHead { seq, mac };
        if self.kept.is_some_and(|kept| kept.seq == seq && kept.mac != self.last.mac) {
            self.fault(
                seq,
                Some(found.row.id),
                "changed",
                "the chain up to here is not the one whose head was kept",
            );
        }
    }

    fn end(&mut self, head: &AuditHead) {
        if self.last.seq < head.seq || (self.last.seq == head.seq && self.last.mac != head.mac) {
            let message = format!("the chain should end with {}", head_text(head));
            self.fault(self.last.seq, None, "cut", message);
        }
        if let Some(kept) = self.kept.filter(|kept| kept.seq > self.last.seq) {
            self.fault(self.last.seq, None, "cut", format!("the chain reached {} once", head_text(kept)));
        }
    }
}

/// Returns where a tenant's chain ends.
pub async fn head(drive: &Drive, tenant: TenantId) -> Result<AuditHead> {
    drive.read().await?.audit_head(tenant).await
}

/// Who acted.
#[derive(Clone, Debug, Serialize)]
pub struct Actor {
    /// The user.
    pub user_id: UserId,
    /// For whom a delegated token acted.
    pub service_account: Option<String>,
    /// From which address.
    pub ip: Option<String>,
    /// With which program.
    pub user_agent: Option<String>,
}

/// What an event is about.
#[derive(Clone, Debug, Serialize)]
pub struct Resource {
    /// What kind of thing.
    #[serde(rename = "type")]
    pub kind: crate::model::ResourceKind,
    /// Which.
    pub id: String,
    /// Where it was.
    pub path: Option<String>,
}

/// An event as the wire shows it.
#[derive(Clone, Debug, Serialize)]
pub struct EventInfo {
    /// Its id.
    pub event_id: AuditEventId,
    /// When.
    pub timestamp: Timestamp,
    /// The tenant.
    pub tenant_id: TenantId,
    /// The shelf.
    pub category: crate::model::AuditCategory,
    /// How much it matters.
    pub severity: crate::model::Severity,
    /// The verb.
    pub action: String,
    /// Who acted.
    pub actor: Actor,
    /// What it is about.
    pub resource: Resource,
    /// `success`, or the code of an error.
    pub result: String,
    /// The request behind it.
    pub request_id: String,
    /// What else belongs to it.
    pub payload: Value,
    /// Its number in the chain, once it is sealed.
    pub seal_seq: Option<i64>,
    /// Its MAC, in hex.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seal: Option<String>,
}

impl EventInfo {
    fn of(tenant: TenantId, found: SealedRow, with_seal: bool) -> Self {
        let SealedRow { row, seq, mac } = found;
        Self {
            event_id: row.id,
            timestamp: row.at,
            tenant_id: tenant,
            category: row.category,
            severity: row.severity,
            action: row.action,
            actor: Actor {
                user_id: row.user,
                service_account: row.service_account,
                ip: row.ip,
                user_agent: row.user_agent,
            },
            resource: Resource { kind: row.resource, id: row.resource_id, path: row.path },
            result: row.result,
            request_id: row.request_id,
            payload: if row.payload.is_null() { json!({}) } else { row.payload },
            seal_seq: seq,
            seal: mac.filter(|_| with_seal).map(|mac| hex(&mac)),
        }
    }
}

/// A page of events.
#[derive(Clone, Debug, Serialize)]
pub struct Events {
    /// The events.
    pub events: Vec<EventInfo>,
    /// How many there are in all; left out on later pages.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total: Option<u64>,
    /// Whether there are more than `total` says.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub total_is_minimum: bool,
    /// Where the next page starts; nothing at the end.
    pub next: Option<AuditEventId>,
}

/// Returns events of the caller's tenant, to its administrators; newest first unless asked otherwise.
pub async fn find(drive: &Drive, caller: &Caller, query: AuditQuery) -> Result<Events> {
    check_admin(caller)?;
    let limit = query.limit as usize;
    let one_more = &AuditQuery { limit: query.limit + 1, ..query.clone() };
    let (mut found, counted) = drive
        .report(|mut rows| async move {
            let found = rows.find_audit(caller.tenant, one_more).await?;
            let counted = match one_more.after {
                None => Some(rows.count_audit(caller.tenant, one_more, COUNTED + 1).await?),
                Some(_) => None,
            };
            Ok((found, counted))
        })
        .await?;
    let more = found.len() > limit;
    found.truncate(limit);
    let events: Vec<EventInfo> =
        found.into_iter().map(|row| EventInfo::of(caller.tenant, row, false)).collect();
    Ok(Events {
        next: events.last().filter(|_| more).map(|last| last.event_id),
        events,
        total: counted.map(|count| count.min(COUNTED.into())),
        total_is_minimum: counted.is_some_and(|count| count > COUNTED.into()),
    })
}

/// Returns the next events of an export, oldest first, with their seals; the caller goes on after the last of them
/// until there are none.
pub async fn export_page(
    drive: &Drive,
    caller: &Caller,
    query: &AuditQuery,
    after: Option<AuditEventId>,
) -> Result<Vec<EventInfo>> {
    check_admin(caller)?;
    let query = &AuditQuery { after, ascending: true, limit: PAGE, ..query.clone() };
    let found = drive.report(|mut rows| async move { rows.find_audit(caller.tenant, query).await }).await?;
    Ok(found.into_iter().map(|row| EventInfo::of(caller.tenant, row, true)).collect())
}

/// The first line of an export as CSV.
pub const CSV_HEADER: &str = "event_id,timestamp,tenant_id,category,severity,action,user_id,service_account,ip,\
     user_agent,resource_type,resource_id,path,result,request_id,payload,seal_seq,seal\r\n";

/// Returns an event as a line of CSV (RFC 4180). Cells that a spreadsheet would take for a formula are made text.
pub fn csv_line(event: &EventInfo) -> String {
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    let cells = [
        event.event_id.to_string(),
        event.timestamp.to_string(),
        event.tenant_id.to_string(),
        event.category.to_string(),
        event.severity.to_string(),
        event.action.clone(),
        event.actor.user_id.to_string(),
        text(&event.actor.service_account),
        text(&event.actor.ip),
        text(&event.actor.user_agent),
        event.resource.kind.to_string(),
        event.resource.id.clone(),
        text(&event.resource.path),
        event.result.clone(),
        event.request_id.clone(),
        event.payload.to_string(),
        event.seal_seq.map(|seq| seq.to_string()).unwrap_or_default(),
        text(&event.seal),
    ];
    let line: Vec<String> = cells.iter().map(|cell| csv_cell(cell)).collect();
    line.join(",") + "\r\n"
}

fn csv_cell(text: &str) -> String {
    let is_formula = text.trim_start().starts_with(['=', '+', '-', '@']) || text.starts_with(['\t', '\r']);
    let safe = if is_formula { format!("'{text}") } else { text.to_owned() };
    if safe.contains(['"', ',', '\n', '\r']) { format!("\"{}\"", safe.replace('"', "\"\"")) } else { safe }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spreadsheets_get_no_formulas() {
        for (text, cell) in [
            ("=1+1", "'=1+1"),
            ("@SUM(A1)", "'@SUM(A1)"),
            (" -1", "' -1"),
            ("\tx", "'\tx"),
            ("a,b", "\"a,b\""),
            ("=\"x\"", "\"'=\"\"x\"\"\""),
            ("plain", "plain"),
        ] {
            assert_eq!(csv_cell(text), cell);
        }
    }

    #[test]
    fn heads_read_back_what_they_write() {
        let head = AuditHead { seq: 7, mac: vec![0xAB; 32] };
        assert_eq!(parse_head(&head_text(&head)).unwrap(), head);
        for wrong in ["", "7", "7:zz", "-1:", "7:é", &format!("7:{}", "a".repeat(63))] {
            assert!(parse_head(wrong).is_err(), "{wrong}");
        }
    }
}
