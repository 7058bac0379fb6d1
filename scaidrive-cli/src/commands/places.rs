//! Places in a drive, as the command line names them.

use scaidrive_core::Drive;
use scaidrive_core::model::{Caller, Share, SharePath};
use scaidrive_core::services::access::{Place, Right};
use scaidrive_core::services::paths;

use crate::exit::{About, Result};

/// Returns a share by name or id.
pub(crate) async fn share(drive: &Drive, caller: &Caller, name: &str) -> Result<Share> {
    paths::share_named(drive, caller, name).await.about(|| format!("share {name}"))
}

/// Returns a path in a share.
pub(crate) fn path(text: &str) -> Result<SharePath> {
    Ok(SharePath::parse(text).map_err(scaidrive_core::model::Error::from)?)
}

/// Returns a folder of a share, or its root, to read from.
pub(crate) async fn folder(drive: &Drive, caller: &Caller, share: &Share, path: &SharePath) -> Result<Place> {
    let place = paths::place(drive, caller, share.id, path, Right::Read).await;
    place.about(|| format!("folder {path} of share {}", share.name))
}

/// Splits `SHARE:/PATH`; a share's name may hold colons, as long as no slash follows one.
pub(crate) fn split(place: &str) -> (&str, &str) {
    match place.split_once(":/") {
        Some((share, path)) => (share, path),
        None => (place, ""),
    }
}
