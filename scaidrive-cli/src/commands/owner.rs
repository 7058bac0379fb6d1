//! `scaidrive owner`.

use scaidrive_core::model::Error;
use scaidrive_core::services::members;
use serde_json::json;

use super::{places, principals};
use crate::args::{Args, Owner};
use crate::exit::{About, Code, Result};
use crate::output::printable;
use crate::session::Session;

pub(crate) async fn run(session: &Session, args: &Args, what: &Owner) -> Result<Code> {
    let (drive, caller) = (&session.drive, &session.caller(args).await?);
    let Owner { place, new_owner } = what;
    let node = places::resource(drive, caller, place).await?.node();
    let message = "must name a folder or file; a share is handed over with `share transfer`";
    let id = node.ok_or_else(|| Error::invalid("place", message, place.as_str()))?;
    let user = principals::user(session, caller, new_owner).await?;
    let found = members::transfer_node(drive, caller, id, user).await.about(|| place.clone())?;
    let (owner, path) = (&found.node().owner, found.shown_path());
    let value = json!({ "resource_id": id, "path": path, "owner_id": owner });
    session.out.print(&value, || format!("{owner} is charged for {}", printable(&path)))?;
    Ok(Code::Done)
}
