//! `scaidrive group`.

use scaidrive_core::model::{Caller, Error, Group as Found, GroupId};
use scaidrive_core::services::groups::{self, GroupMember, GroupPatch, NewGroup};
use serde_json::json;

use super::principals;
use crate::args::{Args, Group};
use crate::exit::{About, Code, Result};
use crate::output::{printable, table};
use crate::session::Session;

/// Groups read at once.
const PAGE: u32 = 1000;

pub(crate) async fn run(session: &Session, args: &Args, command: &Group) -> Result<Code> {
    let (drive, caller) = (&session.drive, &session.operator(args).await?);
    match command {
        Group::Create { name, id, description } => {
            let wrong =
                |id: &str| Error::invalid("id", "a group's id has 1 to 255 bytes, no control characters", id);
            let id = id.as_deref().map(|id| id.parse::<GroupId>().map_err(|_| wrong(id))).transpose()?;
            let new =
                NewGroup { id, name: name.clone(), description: description.clone(), is_mirrored: false };
            let group = groups::create(drive, caller, new).await?;
            session.out.print(&group, || group.id.to_string())?;
        }
        Group::List { search } => list(session, caller, search.as_deref().unwrap_or_default()).await?,
        Group::Show { group } => show(session, caller, group).await?,
        Group::Rename { group, name } => {
            let id = principals::group(session, caller, group).await?;
            let patch = GroupPatch { name: Some(name.clone()), ..GroupPatch::default() };
            let renamed =
                groups::patch(drive, caller, &id, patch).await.about(|| format!("group {group}"))?;
            session.out.print(&renamed, || format!("{} {}", renamed.id, printable(&renamed.name)))?;
        }
        Group::Remove { group } => {
            let id = principals::group(session, caller, group).await?;
            groups::delete(drive, caller, &id).await.about(|| format!("group {group}"))?;
            session.out.print(&json!({ "removed": id }), || format!("Removed {id}"))?;
        }
        Group::AddMember { group, member } => set_member(session, caller, group, member, true).await?,
        Group::RemoveMember { group, member } => set_member(session, caller, group, member, false).await?,
    }
    Ok(Code::Done)
}

async fn list(session: &Session, caller: &Caller, search: &str) -> Result<()> {
    let mut all: Vec<Found> = Vec::new();
    loop {
        let page = groups::list(&session.drive, caller, search, PAGE, all.len() as u32).await?.groups;
        let is_last = page.len() < PAGE as usize;
        all.extend(page);
        if is_last {
            break;
        }
    }
    let row = |group: &Found| {
        [
            group.id.to_string(),
            printable(&group.name),
            group.provisioning_source.clone(),
            printable(group.description.as_deref().unwrap_or_default()),
        ]
    };
    session.out.print(&json!({ "total": all.len(), "groups": all }), || {
        table(["ID", "NAME", "SOURCE", "DESCRIPTION"], all.iter().map(row))
    })?;
    Ok(())
}

async fn show(session: &Session, caller: &Caller, text: &str) -> Result<()> {
    let id = principals::group(session, caller, text).await?;
    let group = groups::get(&session.drive, caller, &id).await.about(|| format!("group {text}"))?;
    let members = groups::members(&session.drive, caller, &id).await?;
    let row = |member: &GroupMember| {
        [
            format!("{}:{}", member.principal_type, member.principal_id),
            printable(member.name.as_deref().unwrap_or_default()),
            member.added_at.to_string(),
        ]
    };
    session.out.print(&json!({ "group": group, "members": members }), || {
        let members = table(["MEMBER", "NAME", "ADDED"], members.iter().map(row));
        format!("{} {}\n\n{members}", group.id, printable(&group.name))
    })?;
    Ok(())
}

async fn set_member(
    session: &Session,
    caller: &Caller,
    group: &str,
    member: &str,
    is_member: bool,
) -> Result<()> {
    let id = principals::group(session, caller, group).await?;
    let who = principals::principal(session, caller, member).await?;
    groups::set_member(&session.drive, caller, &id, who.clone(), is_member)
        .await
        .about(|| format!("{member} in group {group}"))?;
    let value = json!({ "group_id": id, "principal": who.to_string(), "is_member": is_member });
    session.out.print(&value, || format!("{who} is {} {id}", if is_member { "in" } else { "not in" }))?;
    Ok(())
}
