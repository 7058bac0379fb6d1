//! `scaidrive quota`.

use scaidrive_core::model::{Caller, Error, LimitType, Limits, QuotaTarget};
use scaidrive_core::services::paths;
use scaidrive_core::services::quotas::{self, QuotaInfo, UsageInfo};
use serde_json::json;

use crate::args::{Args, Quota};
use crate::exit::{About, Code, Result};
use crate::output::{signed_size, size, table};
use crate::session::Session;

pub(crate) async fn run(session: &Session, args: &Args, command: &Quota) -> Result<Code> {
    let (drive, caller) = (&session.drive, &session.caller(args).await?);
    match command {
        Quota::Show { target } => {
            let target = find(session, caller, target).await?;
            print(session, &quotas::get(drive, caller, &target).await?)?;
        }
        Quota::Set { target, limit, soft } => {
            let target = find(session, caller, target).await?;
            let limit_type = if *soft { LimitType::Soft } else { LimitType::Hard };
            let limits = Limits { limit_bytes: bytes(limit)?, limit_type, ..Limits::default() };
            print(session, &quotas::set(drive, caller, target, limits).await?)?;
        }
        Quota::Remove { target } => {
            let target = find(session, caller, target).await?;
            quotas::remove(drive, caller, target).await.about(|| "a quota of its own".to_owned())?;
        }
        Quota::Exempt { target, reason, off } => {
            let target = find(session, caller, target).await?;
            print(session, &quotas::set_exempt(drive, caller, target, !off, reason.clone()).await?)?;
        }
        Quota::Usage { recalculate } => return usage(session, caller, *recalculate).await,
    }
    Ok(Code::Done)
}

async fn find(session: &Session, caller: &Caller, text: &str) -> Result<QuotaTarget> {
    if let Some(share) = text.strip_prefix("share:") {
        let found =
            paths::share_named(&session.drive, caller, share).await.about(|| format!("share {share}"))?;
        return Ok(QuotaTarget::Share(found.id));
    }
    let message = "must read tenant, share:NAME, user:ID or group:ID";
    Ok(text.parse().map_err(|_| Error::invalid("target", message, text))?)
}

/// Reads `10G`, `512M`, `none` or plain bytes.
fn bytes(text: &str) -> Result<Option<u64>> {
    if text == "none" {
        return Ok(None);
    }
    let wrong = || Error::invalid("limit", "must read like 10G, 512M, 1000000 or none", text);
    let (digits, shift) = match text.as_bytes().last().map(u8::to_ascii_uppercase) {
        Some(b'K') => (&text[..text.len() - 1], 10),
        Some(b'M') => (&text[..text.len() - 1], 20),
        Some(b'G') => (&text[..text.len() - 1], 30),
        Some(b'T') => (&text[..text.len() - 1], 40),
        _ => (text, 0),
    };
    let number: u64 = digits.parse().map_err(|_| wrong())?;
    Ok(Some(number.checked_mul(1 << shift).ok_or_else(wrong)?))
}

fn print(session: &Session, quota: &QuotaInfo) -> Result<()> {
    session.out.print(quota, || {
        let limit = quota.limits.limit_bytes.map_or_else(|| "none".to_owned(), size);
        let state = if quota.exempt { "not applied" } else { quota.limits.limit_type.as_str() };
        table(
            ["TARGET", "ID", "LIMIT", "TYPE"],
            [[quota.target_type.to_owned(), quota.target_id.clone(), limit, state.to_owned()]],
        )
    })?;
    Ok(())
}

async fn usage(session: &Session, caller: &Caller, recalculate: bool) -> Result<Code> {
    let tenant = quotas::tenant_usage(&session.drive, caller, recalculate).await?;
    let users = quotas::user_usages(&session.drive, caller, 10_000, 0).await?;
    let row = |usage: &UsageInfo| {
        [
            usage.target_type.to_owned(),
            usage.target_id.clone(),
            signed_size(usage.used_bytes),
            usage.file_count.to_string(),
            signed_size(usage.version_bytes),
            signed_size(usage.trash_bytes),
        ]
    };
    session.out.print(&json!({ "tenant": tenant, "users": users.usage }), || {
        let rows = std::iter::once(&tenant).chain(&users.usage).map(row);
        let drift =
            tenant.drift_bytes.map(|off| format!("\nThe books were off by {off} bytes.")).unwrap_or_default();
        table(["TARGET", "ID", "USED", "FILES", "VERSIONS", "TRASH"], rows) + &drift
    })?;
    Ok(if tenant.drift_bytes.is_some_and(|off| off != 0) { Code::Damaged } else { Code::Done })
}
