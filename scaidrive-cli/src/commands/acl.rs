//! `scaidrive acl`.

use std::collections::BTreeMap;

use scaidrive_core::model::acl::AceType;
use scaidrive_core::model::{Caller, Error, Principal, ResourceId, Right, Rights, ShareRole};
use scaidrive_core::services::acl::{self, AclInfo, EntryInfo, NewEntry, Which};
use scaidrive_core::services::permissions::{self, DecidingEntry, Effective, Explanation};
use serde_json::{Value, json};

use super::{places, principals};
use crate::args::{Acl, Args, Entry};
use crate::exit::{About, Code, Result};
use crate::output::{printable, table};
use crate::session::Session;

/// What resources are called, as far as the caller may know.
type Names = BTreeMap<ResourceId, String>;

pub(crate) async fn run(session: &Session, args: &Args, command: &Acl) -> Result<Code> {
    let (drive, caller) = (&session.drive, &session.caller(args).await?);
    match command {
        Acl::Show { place } => {
            let resource = places::resource(drive, caller, place).await?;
            let list = acl::get(drive, caller, resource).await.about(|| place.clone())?;
            let text = shown(session, caller, &list).await?;
            session.out.print(&list, || text)?;
        }
        Acl::Grant(entry) => write(session, caller, AceType::Allow, entry).await?,
        Acl::Deny(entry) => write(session, caller, AceType::Deny, entry).await?,
        Acl::Remove { place, principal, kind } => {
            remove(session, caller, place, principal, kind.as_deref()).await?;
        }
        Acl::Inherit { place, state, copy } => inherit(session, caller, place, state == "on", *copy).await?,
        Acl::Explain { place, other } => explain(session, caller, place, other.as_deref()).await?,
    }
    Ok(Code::Done)
}

async fn write(session: &Session, caller: &Caller, kind: AceType, entry: &Entry) -> Result<()> {
    let Entry { place, principal, rights, this_only } = entry;
    let new = NewEntry {
        trustee: principals::trustee(session, caller, principal).await?,
        kind,
        rights: rights_of(rights)?,
        inherits: !this_only,
    };
    let resource = places::resource(&session.drive, caller, place).await?;
    let added = acl::add(&session.drive, caller, resource, new).await.about(|| place.clone())?;
    session.out.print(&added, || rows([(&added, String::new())]))?;
    Ok(())
}

/// Reads a role's rights by a word, or rights by their names.
fn rights_of(text: &str) -> Result<Rights> {
    match text {
        "read-only" => return Ok(ShareRole::Reader.rights()),
        "contribute" => return Ok(ShareRole::Contributor.rights()),
        "full" => return Ok(Rights::ALL),
        _ => {}
    }
    let names = || Right::ALL.iter().map(|right| right.as_str()).collect::<Vec<_>>().join(",");
    let message = || format!("must be read-only, contribute, full, or some of {}", names());
    let one = |word: &str| {
        word.trim().to_uppercase().parse::<Right>().map_err(|_| Error::invalid("rights", message(), text))
    };
    Ok(text.split(',').map(one).collect::<Result<Rights, Error>>()?)
}

async fn remove(
    session: &Session,
    caller: &Caller,
    place: &str,
    principal: &str,
    kind: Option<&str>,
) -> Result<()> {
    let trustee = principals::trustee(session, caller, principal).await?;
    let resource = places::resource(&session.drive, caller, place).await?;
    let list = acl::get(&session.drive, caller, resource).await.about(|| place.to_owned())?;
    let is_meant = |entry: &&EntryInfo| {
        entry.inherited_from.is_none()
            && entry.principal_type == trustee.kind()
            && entry.principal_id.as_deref() == trustee.principal().map(Principal::id)
            && kind.is_none_or(|kind| entry.ace_type.as_str() == kind)
    };
    let mut meant = list.entries.iter().filter(is_meant);
    let entry = match (meant.next(), meant.next()) {
        (Some(only), None) => Ok(only),
        (Some(_), Some(_)) => {
            Err(Error::invalid("type", "allows something and denies something: say which with --type", kind))
        }
        (None, _) => Err(Error::NotFound),
    };
    let entry = entry.about(|| format!("entry for {principal} at {place}"))?;
    acl::remove(&session.drive, caller, resource, Which::Id(entry.id)).await.about(|| place.to_owned())?;
    let what = format!("{} for {trustee}", entry.ace_type);
    session.out.print(&json!({ "removed": entry }), || format!("Removed the {what}"))?;
    Ok(())
}

async fn inherit(session: &Session, caller: &Caller, place: &str, inherits: bool, copy: bool) -> Result<()> {
    let resource = places::resource(&session.drive, caller, place).await?;
    let changed = acl::set_inheritance(&session.drive, caller, resource, inherits, copy).await;
    let changed = changed.about(|| place.to_owned())?;
    let mut text = shown(session, caller, &changed.acl).await?;
    for lost in &changed.narrowed {
        let who = who(lost.principal_type, lost.principal_id.as_deref());
        text += &format!("\nNarrowed: {who} may not {} any more", words(lost.permissions));
    }
    session.out.print(&changed, || text)?;
    Ok(())
}

/// Returns a list as people read it.
async fn shown(session: &Session, caller: &Caller, list: &AclInfo) -> Result<String> {
    let from = list.entries.iter().filter_map(|entry| entry.inherited_from.map(|from| from.resource_id));
    let names = names(session, caller, from).await?;
    let source = |entry: &EntryInfo| match entry.inherited_from {
        None => String::new(),
        Some(from) => called(&names, from.resource_id),
    };
    let state = match (list.resource_id, list.inherit_from_parent) {
        (ResourceId::Share(_), _) => "The share's own entries; roles count where none decides",
        (_, true) => "Inherits from above",
        (_, false) => "Does not inherit from above",
    };
    let entries = list.entries.iter().map(|entry| (entry, source(entry)));
    Ok(format!("{state}\n\n{}", rows(entries)))
}

fn rows<'e>(entries: impl IntoIterator<Item = (&'e EntryInfo, String)>) -> String {
    let row = |(entry, from): (&EntryInfo, String)| {
        [
            entry.ace_type.to_string(),
            who(entry.principal_type, entry.principal_id.as_deref()),
            printable(entry.principal_name.as_deref().unwrap_or_default()),
            words(entry.permissions),
            if entry.inherit_to_children { "yes" } else { "no" }.to_owned(),
            from,
        ]
    };
    table(["TYPE", "WHOM", "NAME", "RIGHTS", "BELOW", "INHERITED FROM"], entries.into_iter().map(row))
}

fn words(rights: Rights) -> String {
    rights.iter().map(Right::as_str).collect::<Vec<_>>().join(",")
}

fn who(kind: &str, id: Option<&str>) -> String {
    id.map_or_else(|| kind.to_owned(), |id| format!("{kind}:{id}"))
}

async fn names(
    session: &Session,
    caller: &Caller,
    resources: impl Iterator<Item = ResourceId>,
) -> Result<Names> {
    let mut names = Names::new();
    for resource in resources {
        if names.contains_key(&resource) {
            continue;
        }
        if let Some(name) = places::name(&session.drive, caller, resource).await? {
            names.insert(resource, name);
        }
    }
    Ok(names)
}

fn called(names: &Names, resource: ResourceId) -> String {
    names.get(&resource).map_or_else(|| resource.to_string(), |name| printable(name))
}

async fn explain(session: &Session, caller: &Caller, place: &str, other: Option<&str>) -> Result<()> {
    let resource = places::resource(&session.drive, caller, place).await?;
    let other = match other {
        Some(other) => Some(principals::user(session, caller, other).await?),
        None => None,
    };
    let told = permissions::effective(&session.drive, caller, resource, other.as_ref(), true).await;
    let told = told.about(|| place.to_owned())?;
    let explanations = told.explanation.as_deref().unwrap_or_default();
    let deciding = explanations.iter().filter_map(|told| told.entry.as_ref()?.resource_id);
    let names = names(session, caller, deciding).await?;
    let reason = |told: &Explanation| match &told.entry {
        Some(entry) => deciding_entry(&names, entry),
        None => told.reason.clone(),
    };
    let row = |right: &Right| {
        let why = explanations.iter().find(|told| told.right == *right).map(reason);
        let allowed = if allowed(&told, *right) { "yes" } else { "no" };
        [right.to_string(), allowed.to_owned(), why.unwrap_or_else(|| "may not act at all".to_owned())]
    };
    session.out.print(&with_paths(&told, &names)?, || {
        table(["RIGHT", "ALLOWED", "WHY"], Right::ALL.iter().map(row))
    })?;
    Ok(())
}

fn allowed(told: &Effective, right: Right) -> bool {
    Rights::from_bits(told.permissions).is_some_and(|rights| rights.has(right))
}

fn deciding_entry(names: &Names, entry: &DecidingEntry) -> String {
    let place = entry.resource_id.map_or_else(|| "a folder above".to_owned(), |id| called(names, id));
    let whom = who(entry.principal_type, entry.principal_id.as_deref());
    let inherited = if entry.inherited { ", inherited" } else { "" };
    format!("{} for {whom} on {place}{inherited}", entry.ace_type)
}

/// Adds to each deciding entry the path of what carries it.
fn with_paths(told: &Effective, names: &Names) -> Result<Value> {
    let mut value = serde_json::to_value(told).map_err(|error| Error::internal(error.to_string()))?;
    let entries = value["explanation"].as_array_mut().into_iter().flatten();
    for (shown, told) in entries.zip(told.explanation.iter().flatten()) {
        let resource = told.entry.as_ref().and_then(|entry| entry.resource_id);
        if let Some(name) = resource.and_then(|resource| names.get(&resource)) {
            shown["entry"]["resource_path"] = name.as_str().into();
        }
    }
    Ok(value)
}
