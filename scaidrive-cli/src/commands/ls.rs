//! `scaidrive ls`.

use scaidrive_core::model::{Caller, Share, SharePath};
use scaidrive_core::services::folders::{self, Child, Listing};
use serde::Serialize;
use serde_json::json;

use super::places;
use crate::args::{Args, Ls};
use crate::exit::{Code, Result};
use crate::output::{size, table};
use crate::session::Session;

/// A line of the list.
#[derive(Serialize)]
struct Entry {
    path: String,
    #[serde(rename = "type")]
    kind: String,
    size: u64,
    modified_at: String,
    id: String,
    is_deleted: bool,
}

pub(crate) async fn run(session: &Session, args: &Args, what: &Ls) -> Result<Code> {
    let caller = session.caller(args).await?;
    let (share, path) = places::split(&what.place);
    let share = places::share(&session.drive, &caller, share).await?;
    let path = places::path(path)?;
    let entries = if what.recursive {
        below(session, &caller, &share, &path).await?
    } else {
        children(session, &caller, &share, &path, what.deleted).await?
    };
    session.out.print(&json!({ "total": entries.len(), "items": entries }), || {
        let row = |entry: &Entry| {
            let size = if entry.kind == "file" { size(entry.size) } else { String::new() };
            let mark = if entry.is_deleted { " (in the trash)" } else { "" };
            [entry.kind.clone(), size, entry.modified_at.clone(), format!("{}{mark}", entry.path)]
        };
        table(["TYPE", "SIZE", "MODIFIED", "PATH"], entries.iter().map(row))
    })?;
    Ok(Code::Done)
}

async fn below(session: &Session, caller: &Caller, share: &Share, path: &SharePath) -> Result<Vec<Entry>> {
    let place = places::folder(&session.drive, caller, share, path).await?;
    let walked = folders::walk(&session.drive, caller, share.id, place.id().folder()).await?;
    let mut entries: Vec<Entry> = walked
        .into_iter()
        .map(|found| Entry {
            path: found.path.to_string(),
            kind: found.node.kind().to_string(),
            size: found.node.size(),
            modified_at: found.node.modified_at.to_string(),
            id: found.node.id.to_string(),
            is_deleted: false,
        })
        .collect();
    entries.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(entries)
}

async fn children(
    session: &Session,
    caller: &Caller,
    share: &Share,
    path: &SharePath,
    deleted: bool,
) -> Result<Vec<Entry>> {
    let place = places::folder(&session.drive, caller, share, path).await?;
    let mut listing = Listing { include_trashed: deleted, ..Listing::default() };
    let mut entries = Vec::new();
    loop {
        let page = folders::children(&session.drive, caller, share.id, place.id().folder(), &listing).await?;
        entries.extend(page.items.into_iter().map(entry));
        listing.after = page.next;
        if listing.after.is_none() {
            return Ok(entries);
        }
    }
}

fn entry(child: Child) -> Entry {
    Entry {
        path: child.name.to_string(),
        kind: child.kind.to_string(),
        size: child.size.unwrap_or(0),
        modified_at: child.modified_at.to_string(),
        id: child.id.to_string(),
        is_deleted: child.is_deleted.unwrap_or(false),
    }
}
