//! `scaidrive share`.

use scaidrive_core::model::{Error, Share as Found};
use scaidrive_core::services::members;
use scaidrive_core::services::shares::{self, NewShare};

use super::{places, principals};
use crate::args::{Args, Share};
use crate::exit::{About, Code, Result};
use crate::output::{size, table};
use crate::session::Session;

pub(crate) async fn run(session: &Session, args: &Args, command: &Share) -> Result<Code> {
    let caller = session.caller(args).await?;
    match command {
        Share::Create { name, share_type, owner, description, quota_bytes } => {
            let wrong =
                |_| Error::invalid("type", "must be central, personal or project", share_type.as_str());
            let unknown = |text: &str| Error::invalid("owner", "not the id of a user", text);
            let owner =
                owner.as_deref().map(|owner| owner.parse().map_err(|_| unknown(owner))).transpose()?;
            let new = NewShare {
                name: name.clone(),
                share_type: share_type.parse().map_err(wrong)?,
                owner,
                description: description.clone(),
                quota_bytes: *quota_bytes,
            };
            let share = shares::create(&session.drive, &caller, new).await?;
            session.out.print(&share, || share.id.to_string())?;
        }
        Share::List => {
            let all = shares::list(&session.drive, &caller, false, false, 10_000, 0).await?;
            session.out.print(&all, || {
                table(["ID", "NAME", "TYPE", "OWNER", "USED", "QUOTA"], all.shares.iter().map(row))
            })?;
        }
        Share::Transfer { share, owner } => {
            let id = places::share(&session.drive, &caller, share).await?.id;
            let is_principal = owner.starts_with("user:") || owner.starts_with("group:");
            let owner = if is_principal {
                members::NewOwner::Principal(principals::principal(session, &caller, owner).await?)
            } else {
                members::NewOwner::Id(owner.clone())
            };
            let moved = members::transfer_share(&session.drive, &caller, id, owner).await;
            let moved = moved.about(|| format!("share {share}"))?;
            session.out.print(&moved, || format!("{} is owned by {}", moved.name, moved.owner))?;
        }
    }
    Ok(Code::Done)
}

fn row(share: &Found) -> [String; 6] {
    [
        share.id.to_string(),
        share.name.clone(),
        share.share_type.to_string(),
        share.owner.id().to_owned(),
        size(share.used_bytes),
        share.quota_bytes.map(size).unwrap_or_default(),
    ]
}
