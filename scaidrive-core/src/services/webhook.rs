//! What the identity provider tells us: each event is verified, and applied once and in order.

use std::time::Duration;

use async_trait::async_trait;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::json;
use sha2::Sha256;

use super::groups::{self, NewGroup};
use super::mutation::{self, Mutation, Tx};
use super::tenants;
use crate::Drive;
use crate::model::{
    AuditCategory, AuditEvent, Error, EventKind, GroupId, Principal, ResourceKind, Result, Sha256Hash,
    Tenant, Timestamp, User, UserId, UserStatus, WebhookEvent, WebhookOutcome,
};

/// How far a signature's time may be from ours: older ones may be replays.
const TOLERANCE: Duration = Duration::from_secs(5 * 60);

/// How long the ids of events are kept: longer than anybody sends one again.
const REMEMBERED: Duration = Duration::from_secs(30 * 24 * 3600);

/// The longest event id, in bytes.
const LONGEST_ID: usize = 255;

/// Checks `t=<unix>,v1=<hex>` over the raw body, in constant time. During a change of the secret there may be
/// several `v1`; one that fits is enough.
pub fn verify(secret: &[u8], header: &str, body: &[u8], now: Timestamp) -> Result<()> {
    const REFUSED: Error =
        Error::Unauthenticated { missing: false, reason: "The signature is not valid or too old" };
    let fields: Vec<(&str, &str)> =
        header.split(',').filter_map(|field| field.trim().split_once('=')).collect();
    let (_, stamp) = *fields.iter().find(|(name, _)| *name == "t").ok_or(REFUSED)?;
    let told: i64 = stamp.parse().map_err(|_| REFUSED)?;
    if now.as_secs().abs_diff(told) > TOLERANCE.as_secs() {
        return Err(REFUSED);
    }
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).map_err(|_| REFUSED)?;
    mac.update(stamp.as_bytes());
    mac.update(b".");
    mac.update(body);
    let given = fields.iter().filter(|(name, _)| *name == "v1").filter_map(|(_, hex)| from_hex(hex));
    let fits = given.fold(false, |fits, given| fits | mac.clone().verify_slice(&given).is_ok());
    if fits { Ok(()) } else { Err(REFUSED) }
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let is_hex = text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let pairs = (0..text.len()).step_by(2).map(|at| u8::from_str_radix(text.get(at..at + 2)?, 16).ok());
    if is_hex { pairs.collect() } else { None }
}

/// Applies an event whose signature holds, unless it came before or a newer one did.
pub async fn apply(drive: &Drive, event: WebhookEvent) -> Result<WebhookOutcome> {
    check(&event, drive.clock.now())?;
    let mut rows = drive.read().await?;
    let named = tenants::find(&mut *rows, &event.tenant_id).await?;
    let found = match named {
        Some(id) => rows.tenant(id).await?,
        None => None,
    };
    drop(rows);
    // Other installations have the same provider.
    let Some(tenant) = found else { return Ok(WebhookOutcome::Ignored) };
    let caller = tenants::system_caller(drive, tenant.id, "scaikey")?;
    mutation::run(drive, &caller, Apply(event)).await
}

/// Refuses what no provider sends: an id that is none, a resource of another kind, a time that is yet to come.
fn check(event: &WebhookEvent, now: Timestamp) -> Result<()> {
    if event.event_id.is_empty() || event.event_id.len() > LONGEST_ID {
        return Err(Error::invalid("event_id", "has 1 to 255 bytes", event.event_id.as_str()));
    }
    if event.resource.id.is_empty() || event.resource.id.len() > LONGEST_ID {
        return Err(Error::invalid("resource", "its id has 1 to 255 bytes", event.resource.id.as_str()));
    }
    let kind = event.kind.resource();
    if kind != event.resource.kind {
        return Err(Error::invalid(
            "resource",
            format!("its type is not {kind}"),
            event.resource.kind.as_str(),
        ));
    }
    // It would make everything that follows look old.
    if event.timestamp > now.plus(TOLERANCE) {
        return Err(Error::invalid("timestamp", "lies in the future", event.timestamp.to_string()));
    }
    Ok(())
}

struct Apply(WebhookEvent);

#[async_trait]
impl Mutation for Apply {
    type Output = WebhookOutcome;

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<WebhookOutcome> {
        let (event, tenant) = (&self.0, tx.caller.tenant);
        tx.rows.forget_webhook_events(tenant, tx.now.minus(REMEMBERED)).await?;
        if !tx.rows.insert_webhook_event(tenant, &event.event_id, tx.now).await? {
            return Ok(WebhookOutcome::Duplicate);
        }
        match event.kind.resource() {
            "tenant" => apply_tenant(tx, event).await,
            "user" => apply_user(tx, event).await,
            _ if matches!(event.kind, EventKind::GroupMemberAdded | EventKind::GroupMemberRemoved) => {
                apply_member(tx, event).await
            }
            _ => apply_group(tx, event).await,
        }
    }
}

/// Tells whether an event is news about a thing, and remembers that it was applied.
async fn is_news(tx: &mut Tx<'_>, event: &WebhookEvent, kind: &str, id: &str) -> Result<bool> {
    if is_late(tx, event, kind, id).await? {
        return Ok(false);
    }
    tx.rows.set_webhook_resource(tx.caller.tenant, kind, id, event.timestamp).await?;
    Ok(true)
}

/// Tells whether a newer event about a thing was applied.
async fn is_late(tx: &mut Tx<'_>, event: &WebhookEvent, kind: &str, id: &str) -> Result<bool> {
    let last = tx.rows.lock_webhook_resource(tx.caller.tenant, kind, id).await?;
    Ok(event.timestamp < last)
}

fn subject<T: std::str::FromStr>(event: &WebhookEvent) -> Result<T> {
    let id = event.resource.id.as_str();
    id.parse().map_err(|_| Error::invalid("resource", "its id has control characters", id))
}

async fn apply_user(tx: &mut Tx<'_>, event: &WebhookEvent) -> Result<WebhookOutcome> {
    let id: UserId = subject(event)?;
    if !is_news(tx, event, "user", id.as_str()).await? {
        return Ok(WebhookOutcome::Stale);
    }
    let tenant = tx.caller.tenant;
    // One whom we have not seen yet is written down too: a suspension must hold at the first sign-in.
    if tx.rows.lock_user(tenant, &id).await?.is_none() {
        tx.rows.insert_user(&User::new(tenant, id.clone(), tx.now)).await?;
    }
    let user = tx.rows.lock_user(tenant, &id).await?.ok_or(Error::NotFound)?;
    if user.is_bootstrap() {
        return Ok(somebody_else(&id));
    }
    let user = updated(user, event, tx.now);
    tx.rows.update_user(&user).await?;
    let told = json!({ "event_id": event.event_id, "event_type": event.kind, "status": user.status });
    let audit = AuditEvent::new(AuditCategory::Admin, "user.sync", ResourceKind::User, &user.id);
    tx.audit(audit.with(told));
    Ok(WebhookOutcome::Applied)
}

/// Passes over an event about a user who is only called like the administrator that the installation began with.
fn somebody_else(id: &UserId) -> WebhookOutcome {
    tracing::warn!(user = %id, "the provider tells of a user who has the id of our own first administrator: ignored");
    WebhookOutcome::Ignored
}

/// Returns the user as an event leaves it; what the event does not tell stays.
fn updated(user: User, event: &WebhookEvent, now: Timestamp) -> User {
    let told = event.text("status").and_then(|status| status.parse().ok());
    User {
        email: event.text("email").or(user.email),
        name: event.text("name").or(user.name),
        display_name: event.text("display_name").or(user.display_name),
        status: match event.kind {
            EventKind::UserDeleted => UserStatus::Deleted,
            EventKind::UserSuspended => UserStatus::Suspended,
            EventKind::UserActivated => UserStatus::Active,
            _ => told.unwrap_or(user.status),
        },
        provisioning_source: "scaikey".to_owned(),
        scaikey_synced_at: Some(now),
        ..user
    }
}

async fn apply_tenant(tx: &mut Tx<'_>, event: &WebhookEvent) -> Result<WebhookOutcome> {
    let tenant = tx.rows.lock_tenant(tx.caller.tenant).await?.ok_or(Error::NotFound)?;
    let (id, told) = (tenant.id.to_string(), event.resource.id.as_str());
    if told != id && tenant.external_id.as_ref().is_none_or(|id| id.as_str() != told) {
        return Err(Error::invalid("resource", "is another tenant", told));
    }
    // By our id: a provider that uses both names of it tells of one thing.
    if !is_news(tx, event, "tenant", &id).await? {
        return Ok(WebhookOutcome::Stale);
    }
    let tenant = Tenant {
        name: event.text("name").unwrap_or(tenant.name),
        status: event.text("status").and_then(|status| status.parse().ok()).unwrap_or(tenant.status),
        ..tenant
    };
    tx.rows.update_tenant(&tenant).await?;
    let told = json!({ "event_id": event.event_id, "status": tenant.status, "name": tenant.name });
    let audit = AuditEvent::new(AuditCategory::Admin, "tenant.sync", ResourceKind::Tenant, tenant.id);
    tx.audit(audit.with(told));
    Ok(WebhookOutcome::Applied)
}

async fn apply_group(tx: &mut Tx<'_>, event: &WebhookEvent) -> Result<WebhookOutcome> {
    let id: GroupId = subject(event)?;
    tx.rows.lock_groups(tx.caller.tenant).await?;
    if !is_news(tx, event, "group", id.as_str()).await? {
        return Ok(WebhookOutcome::Stale);
    }
    let is_known = tx.rows.group(tx.caller.tenant, &id).await?.is_some();
    match event.kind {
        EventKind::GroupDeleted if is_known => remove_group(tx, &id).await?,
        EventKind::GroupDeleted => return Ok(WebhookOutcome::Ignored),
        _ => mirror_group(tx, event, &id).await?,
    }
    Ok(WebhookOutcome::Applied)
}

/// Writes down what an event says about a group.
async fn mirror_group(tx: &mut Tx<'_>, event: &WebhookEvent, id: &GroupId) -> Result<()> {
    let (name, description) = (event.text("name"), event.text("description"));
    let Some(mut group) = tx.rows.group(tx.caller.tenant, id).await? else {
        let name = name.unwrap_or_else(|| id.to_string());
        let new = NewGroup { id: Some(id.clone()), name, description, is_mirrored: true };
        return groups::insert(tx, &new).await.map(drop);
    };
    group.name = name.unwrap_or(group.name);
    group.description = description.or(group.description);
    group.scaikey_synced_at = Some(tx.now);
    tx.rows.update_group(&group).await?;
    let audit = AuditEvent::new(AuditCategory::Admin, "group.sync", ResourceKind::Group, id);
    tx.audit(audit.with(json!({ "event_id": event.event_id, "name": group.name })));
    Ok(())
}

/// Removes a group. One that owns a share cannot go, but nobody may keep access through it: it is emptied.
async fn remove_group(tx: &mut Tx<'_>, id: &GroupId) -> Result<()> {
    match groups::remove(tx, id).await {
        Err(Error::Invalid { .. }) => {}
        done => return done,
    }
    tracing::warn!(group = %id, "the provider removed a group that owns a share: it is empty now");
    for (member, _) in tx.rows.group_members(tx.caller.tenant, id).await? {
        groups::leave(tx, id, &member).await?;
    }
    Ok(())
}

/// Notes who came into a group or left it. Neither need be known yet: a membership counts from when its user appears,
/// and a group that is named before its own event comes is there from then on, under its id.
async fn apply_member(tx: &mut Tx<'_>, event: &WebhookEvent) -> Result<WebhookOutcome> {
    let (id, member): (GroupId, Principal) = (subject(event)?, event.member()?);
    tx.rows.lock_groups(tx.caller.tenant).await?;
    if !is_news(tx, event, "member", &membership(&id, &member)).await? {
        return Ok(WebhookOutcome::Stale);
    }
    if let Principal::User(user) = &member
        && tx.rows.user(tx.caller.tenant, user).await?.is_some_and(|user| user.is_bootstrap())
    {
        return Ok(somebody_else(user));
    }
    if event.kind == EventKind::GroupMemberRemoved {
        groups::leave(tx, &id, &member).await?;
        return Ok(WebhookOutcome::Applied);
    }
    let inner = if let Principal::Group(inner) = &member { Some(inner) } else { None };
    for group in std::iter::once(&id).chain(inner) {
        if !is_there(tx, event, group).await? {
            return Ok(WebhookOutcome::Stale);
        }
    }
    groups::join(tx, &id, &member).await?;
    Ok(WebhookOutcome::Applied)
}

/// Makes sure that a group is there; it is not if a newer event removed it.
async fn is_there(tx: &mut Tx<'_>, event: &WebhookEvent, id: &GroupId) -> Result<bool> {
    if tx.rows.group(tx.caller.tenant, id).await?.is_some() {
        return Ok(true);
    }
    // Unknown because its own event is still to come, or because it is gone since.
    if is_late(tx, event, "group", id.as_str()).await? {
        return Ok(false);
    }
    let new = NewGroup { id: Some(id.clone()), name: id.to_string(), description: None, is_mirrored: true };
    groups::insert(tx, &new).await?;
    Ok(true)
}

/// Returns a key of a membership that fits in a column, however long the two ids are.
fn membership(group: &GroupId, member: &Principal) -> String {
    Sha256Hash::of(format!("{group}\0{member}").as_bytes()).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_800_000_000;

    fn sign(secret: &[u8], stamp: &str, body: &[u8]) -> String {
        let mut mac = Hmac::<Sha256>::new_from_slice(secret).unwrap();
        mac.update(format!("{stamp}.").as_bytes());
        mac.update(body);
        mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn verdict(header: &str, body: &[u8]) -> bool {
        verify(b"secret", header, body, Timestamp::from_micros(NOW * 1_000_000)).is_ok()
    }

    /// Computed by another program: `printf '1800000000.{}' | openssl dgst -sha256 -hmac secret`.
    #[test]
    fn a_known_signature_holds() {
        assert!(verdict(
            "t=1800000000,v1=bb7079132825ac793cea8c013c1dd24d926b9b02132245b10588d9e5c0df70d7",
            b"{}"
        ));
    }

    #[test]
    fn a_signature_holds_for_its_body_and_time_alone() {
        let header = |stamp: i64| format!("t={stamp},v1={}", sign(b"secret", &stamp.to_string(), b"{}"));
        let good = header(NOW);
        assert!(verdict(&good, b"{}"));
        assert!(verdict(&good.replace(",v1", ", v0=x, v1"), b"{}"), "other schemes are passed over");
        assert!(
            verdict(&good.replace(",v1", &format!(",v1={},v1", "0".repeat(64))), b"{}"),
            "one that fits is enough"
        );
        assert!(verdict(&header(NOW - 300), b"{}") && verdict(&header(NOW + 300), b"{}"));
        let hex = sign(b"secret", &NOW.to_string(), b"{}");
        let bad = [
            header(NOW - 301),
            header(NOW + 301),
            header(NOW).replace(&NOW.to_string(), &(NOW + 1).to_string()),
            format!("t={NOW},v1={}", sign(b"other", &NOW.to_string(), b"{}")),
            format!("t={NOW},v1={}", &hex[..62]),
            format!("t={NOW},v1={hex}00"),
            format!("t={NOW},v1="),
            format!("t={NOW}"),
            format!("v1={hex}"),
            format!("t=,v1={hex}"),
            format!("t=-9223372036854775808,v1={hex}"),
            format!("t={NOW},v1=é{}", &hex[2..]),
            String::new(),
        ];
        for header in bad {
            assert!(!verdict(&header, b"{}"), "{header}");
        }
        assert!(!verdict(&good, b"{} "));
    }
}
