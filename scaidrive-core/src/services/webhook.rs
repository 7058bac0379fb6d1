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
    if drive.read().await?.tenant(event.tenant_id).await?.is_none() {
        // Other installations have the same provider.
        return Ok(WebhookOutcome::Ignored);
    }
    let caller = tenants::system_caller(drive, event.tenant_id, "scaikey")?;
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
        let event = &self.0;
        tx.rows.forget_webhook_events(event.tenant_id, tx.now.minus(REMEMBERED)).await?;
        if !tx.rows.insert_webhook_event(event.tenant_id, &event.event_id, tx.now).await? {
            return Ok(WebhookOutcome::Duplicate);
        }
        match event.kind.resource() {
            "tenant" => apply_tenant(tx, event).await,
            "user" => apply_user(tx, event).await,
            _ => apply_group(tx, event).await,
        }
    }
}

/// Tells whether an event is news about its resource, and remembers that it was applied.
async fn is_news(tx: &mut Tx<'_>, event: &WebhookEvent) -> Result<bool> {
    is_news_of(tx, event, &event.resource.kind, &event.resource.id).await
}

async fn is_news_of(tx: &mut Tx<'_>, event: &WebhookEvent, kind: &str, id: &str) -> Result<bool> {
    let last = tx.rows.lock_webhook_resource(event.tenant_id, kind, id).await?;
    if event.timestamp < last {
        return Ok(false);
    }
    tx.rows.set_webhook_resource(event.tenant_id, kind, id, event.timestamp).await?;
    Ok(true)
}

async fn apply_user(tx: &mut Tx<'_>, event: &WebhookEvent) -> Result<WebhookOutcome> {
    let id: UserId = event
        .resource
        .id
        .parse()
        .map_err(|_| Error::invalid("resource", "its id is no user id", event.resource.id.as_str()))?;
    if !is_news(tx, event).await? {
        return Ok(WebhookOutcome::Stale);
    }
    // One whom we have not seen yet is written down too: a suspension must hold at the first sign-in.
    let known = tx.rows.user(event.tenant_id, &id).await?;
    let new = User { provisioning_source: "scaikey".to_owned(), ..User::new(event.tenant_id, id, tx.now) };
    let is_new = known.is_none();
    let user = updated(known.unwrap_or(new), event);
    if !is_new || !tx.rows.insert_user(&user).await? {
        tx.rows.update_user(&user).await?;
    }
    let told = json!({ "event_id": event.event_id, "event_type": event.kind, "status": user.status });
    let audit = AuditEvent::new(AuditCategory::Admin, "user.sync", ResourceKind::User, &user.id);
    tx.audit(audit.with(told));
    Ok(WebhookOutcome::Applied)
}

/// Returns the user as an event leaves it; what the event does not tell stays.
fn updated(mut user: User, event: &WebhookEvent) -> User {
    user.email = event.text("email").or(user.email);
    user.name = event.text("name").or(user.name);
    user.display_name = event.text("display_name").or(user.display_name);
    user.avatar_url = event.text("avatar_url").or(user.avatar_url);
    user.scaikey_synced_at = Some(event.timestamp);
    let told = event.text("status").and_then(|status| status.parse().ok());
    user.status = match event.kind {
        EventKind::UserDeleted => UserStatus::Deleted,
        EventKind::UserSuspended => UserStatus::Suspended,
        EventKind::UserActivated => UserStatus::Active,
        _ => told.unwrap_or(user.status),
    };
    user
}

async fn apply_tenant(tx: &mut Tx<'_>, event: &WebhookEvent) -> Result<WebhookOutcome> {
    if event.resource.id != event.tenant_id.to_string() {
        return Err(Error::invalid("resource", "is another tenant", event.resource.id.as_str()));
    }
    if !is_news(tx, event).await? {
        return Ok(WebhookOutcome::Stale);
    }
    let tenant = tx.rows.tenant(event.tenant_id).await?.ok_or(Error::NotFound)?;
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
    let wrong = |_| Error::invalid("resource", "its id is no group id", event.resource.id.as_str());
    let id: GroupId = event.resource.id.parse().map_err(wrong)?;
    tx.rows.lock_groups(event.tenant_id).await?;
    match event.kind {
        EventKind::GroupMemberAdded | EventKind::GroupMemberRemoved => apply_membership(tx, event, id).await,
        _ if !is_news(tx, event).await? => Ok(WebhookOutcome::Stale),
        EventKind::GroupDeleted => {
            if tx.rows.group(event.tenant_id, &id).await?.is_some() {
                groups::remove(tx, &id).await?;
            }
            Ok(WebhookOutcome::Applied)
        }
        _ => mirror_group(tx, event, id).await.map(|()| WebhookOutcome::Applied),
    }
}

/// Makes the mirror of a group say what the event says.
async fn mirror_group(tx: &mut Tx<'_>, event: &WebhookEvent, id: GroupId) -> Result<()> {
    let name = event.text("name").or_else(|| event.text("group_name"));
    let Some(mut group) = tx.rows.group(event.tenant_id, &id).await? else {
        let name = name.unwrap_or_else(|| id.to_string());
        let new = NewGroup { id: Some(id), name, description: event.text("description"), is_mirrored: true };
        return groups::insert(tx, &new).await.map(drop);
    };
    group.name = name.unwrap_or(group.name);
    group.description = event.text("description").or(group.description);
    group.scaikey_synced_at = Some(event.timestamp);
    tx.rows.update_group(&group).await?;
    let told = json!({ "event_id": event.event_id, "event_type": event.kind, "name": group.name });
    let audit = AuditEvent::new(AuditCategory::Admin, "group.sync", ResourceKind::Group, &group.id);
    tx.audit(audit.with(told));
    Ok(())
}

/// Puts a user into a group or takes it out. Each membership has an order of its own: news of one user say nothing
/// of another.
async fn apply_membership(tx: &mut Tx<'_>, event: &WebhookEvent, group: GroupId) -> Result<WebhookOutcome> {
    let told = event.text("user_id").or_else(|| event.text("member_id"));
    let missing = || Error::invalid("data", "names no user_id", serde_json::Value::Null);
    let user: UserId = told.and_then(|id| id.parse().ok()).ok_or_else(missing)?;
    let pair = Sha256Hash::of(format!("{group}\0{user}").as_bytes()).to_string();
    if !is_news_of(tx, event, "membership", &pair).await? {
        return Ok(WebhookOutcome::Stale);
    }
    let is_known = tx.rows.group(event.tenant_id, &group).await?.is_some();
    let principal = Principal::User(user);
    if event.kind == EventKind::GroupMemberRemoved {
        // Also of a group unknown here: tokens that claim it are not to be believed once it is known.
        groups::leave(tx, &group, &principal).await?;
        return Ok(WebhookOutcome::Applied);
    }
    if !is_known {
        let last = tx.rows.lock_webhook_resource(event.tenant_id, "group", group.as_str()).await?;
        if event.timestamp < last {
            return Ok(WebhookOutcome::Stale);
        }
        mirror_group(tx, event, group.clone()).await?;
    }
    groups::join(tx, &group, &principal).await?;
    Ok(WebhookOutcome::Applied)
}
