//! `scaidrive member`.

use scaidrive_core::config;
use scaidrive_core::model::{Caller, Error, Principal, Share, ShareRole, Timestamp};
use scaidrive_core::services::members::{self, MemberInfo, MemberPatch, NewMember};
use serde_json::json;

use super::{places, principals};
use crate::args::{Args, Member};
use crate::exit::{About, Code, Result};
use crate::output::{printable, table};
use crate::session::Session;

/// Members read at once.
const PAGE: u32 = 1000;

pub(crate) async fn run(session: &Session, args: &Args, command: &Member) -> Result<Code> {
    let (drive, caller) = (&session.drive, &session.caller(args).await?);
    match command {
        Member::List { share } => {
            let share = places::share(drive, caller, share).await?;
            let all = all(session, caller, &share).await?;
            print(session, &json!({ "total": all.len(), "members": all }), &all)?;
        }
        Member::Add { share, principal, role, expires } => {
            let share = places::share(drive, caller, share).await?;
            let expires_at = expires.as_deref().map(|text| moment(session, text)).transpose()?;
            let who = principals::principal(session, caller, principal).await?;
            let new = NewMember { principal: who, role: role_of(role)?, expires_at };
            let added = members::add(drive, caller, share.id, new).await;
            let added = added.about(|| format!("{principal} in share {}", share.name))?;
            print(session, &added, std::slice::from_ref(&added))?;
        }
        Member::Set { share, principal, role, expires } => {
            let share = places::share(drive, caller, share).await?;
            let expires_at = expires.as_deref().map(|text| end(session, text)).transpose()?;
            let patch = MemberPatch { role: role.as_deref().map(role_of).transpose()?, expires_at };
            let found = find(session, caller, &share, principal).await?;
            let changed = members::patch(drive, caller, share.id, found.id, patch).await;
            let changed = changed.about(|| format!("{principal} in share {}", share.name))?;
            print(session, &changed, std::slice::from_ref(&changed))?;
        }
        Member::Remove { share, principal } => {
            let share = places::share(drive, caller, share).await?;
            let found = find(session, caller, &share, principal).await?;
            let removed = members::remove(drive, caller, share.id, found.id).await;
            removed.about(|| format!("{principal} in share {}", share.name))?;
            session.out.print(&json!({ "removed": found.id }), || format!("Removed {principal}"))?;
        }
    }
    Ok(Code::Done)
}

async fn all(session: &Session, caller: &Caller, share: &Share) -> Result<Vec<MemberInfo>> {
    let mut all: Vec<MemberInfo> = Vec::new();
    loop {
        let page = members::list(&session.drive, caller, share.id, PAGE, all.len() as u32).await?.members;
        let is_last = page.len() < PAGE as usize;
        all.extend(page);
        if is_last {
            return Ok(all);
        }
    }
}

async fn find(session: &Session, caller: &Caller, share: &Share, text: &str) -> Result<MemberInfo> {
    let who: Principal = principals::principal(session, caller, text).await?;
    let is_meant =
        |member: &MemberInfo| member.principal_type == who.kind() && member.principal_id == who.id();
    let found = all(session, caller, share).await?.into_iter().find(is_meant);
    found.ok_or(Error::NotFound).about(|| format!("member {text} of share {}", share.name))
}

fn role_of(text: &str) -> Result<ShareRole> {
    let message = "must be reader, contributor or admin";
    Ok(text.parse().map_err(|_| Error::invalid("role", message, text))?)
}

/// Reads an end: `never`, or what [`moment`] reads.
fn end(session: &Session, text: &str) -> Result<Option<Timestamp>> {
    if text == "never" { Ok(None) } else { moment(session, text).map(Some) }
}

/// Reads a time, or a duration from now on.
fn moment(session: &Session, text: &str) -> Result<Timestamp> {
    if let Ok(at) = text.parse() {
        return Ok(at);
    }
    let wrong = |_| Error::invalid("expires", "must read like 30d, 12h or 2027-01-31T18:00:00Z", text);
    Ok(session.drive.clock.now().plus(config::duration(text).map_err(wrong)?))
}

fn print(session: &Session, value: &impl serde::Serialize, members: &[MemberInfo]) -> Result<()> {
    let now = session.drive.clock.now();
    let row = |member: &MemberInfo| {
        let over = |end: &Timestamp| if *end <= now { " (over)" } else { "" };
        [
            format!("{}:{}", member.principal_type, member.principal_id),
            printable(member.principal_name.as_deref().unwrap_or_default()),
            member.role.to_string(),
            member.expires_at.map(|end| format!("{end}{}", over(&end))).unwrap_or_default(),
        ]
    };
    session.out.print(value, || table(["MEMBER", "NAME", "ROLE", "EXPIRES"], members.iter().map(row)))?;
    Ok(())
}
