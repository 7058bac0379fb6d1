//! The handlers, one file per area: parse, one call of a service, reply.

pub(crate) mod admin;
pub(crate) mod apply;
pub(crate) mod audit;
pub(crate) mod auth;
pub(crate) mod delta;
pub(crate) mod files;
pub(crate) mod folders;
pub(crate) mod groups;
pub(crate) mod invitations;
pub(crate) mod me;
pub(crate) mod members;
pub(crate) mod permissions;
pub(crate) mod quotas;
pub(crate) mod shares;
pub(crate) mod sync;
pub(crate) mod system;
pub(crate) mod transfers;
pub(crate) mod trash;
pub(crate) mod uploads;
pub(crate) mod versions;
pub(crate) mod webhooks;

use scaidrive_core::model::{FileName, FolderId, ShareId};
use scaidrive_core::services::moves::{self, Target};
use serde::{Deserialize, Deserializer};

use crate::errors::Failure;

/// Where a copy or move goes.
#[derive(Debug, Deserialize)]
struct TargetBody {
    target_folder_id: Option<FolderId>,
    target_share_id: Option<ShareId>,
    name: Option<String>,
}

impl TargetBody {
    fn target(self) -> Result<Target, Failure> {
        let parent = moves::target_parent(self.target_folder_id, self.target_share_id)?;
        Ok(Target { parent, name: file_name(self.name)? })
    }
}

/// Tells a field that is null, which removes its value, from one that is not there.
fn present<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

/// Reads a name that may be left out.
fn file_name(name: Option<String>) -> Result<Option<FileName>, Failure> {
    Ok(name.as_deref().map(FileName::parse).transpose()?)
}

/// Refuses `is_deleted: true`: a DELETE does that. Returns whether a restore is asked for.
fn wants_restore(is_deleted: Option<bool>) -> Result<bool, Failure> {
    match is_deleted {
        None => Ok(false),
        Some(false) => Ok(true),
        Some(true) => Err(scaidrive_core::model::Error::invalid(
            "is_deleted",
            "can only be set to false: use DELETE",
            true,
        )
        .into()),
    }
}
