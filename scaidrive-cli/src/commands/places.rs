//! Places in a drive, as the command line names them.

use scaidrive_core::Drive;
use scaidrive_core::model::{Caller, Error, ResourceId, Share, SharePath};
use scaidrive_core::services::access::{self, Place, Right};
use scaidrive_core::services::paths;

use crate::exit::{About, Result};

/// Returns a share by name or id.
pub(crate) async fn share(drive: &Drive, caller: &Caller, name: &str) -> Result<Share> {
    paths::share_named(drive, caller, name).await.about(|| format!("share {name}"))
}

/// Returns a path in a share.
pub(crate) fn path(text: &str) -> Result<SharePath> {
    Ok(SharePath::parse(text).map_err(Error::from)?)
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

/// Returns the share, folder or file at a place, or of an id: whoever may change permissions without reading has no
/// other way to name it. Nothing says yet that the caller may know of it.
pub(crate) async fn resource(drive: &Drive, caller: &Caller, place: &str) -> Result<ResourceId> {
    if let Ok(id) = place.parse() {
        return Ok(id);
    }
    let (name, text) = split(place);
    let (share, path) = (share(drive, caller, name).await?, path(text)?);
    let mut rows = drive.read().await?;
    let found = paths::resolve(&mut *rows, caller, share.id, &path).await.about(|| place.to_owned())?;
    Ok(found.map_or(ResourceId::Share(share.id), ResourceId::Node))
}

/// Returns what a share, folder or file is called, as `SHARE:/PATH`; nothing where the caller may not know.
pub(crate) async fn name(drive: &Drive, caller: &Caller, resource: ResourceId) -> Result<Option<String>> {
    let mut rows = drive.read().await?;
    let found = match resource {
        ResourceId::Share(id) => {
            access::any_share(&mut *rows, caller, id, Right::Read).await.map(|share| share.name)
        }
        ResourceId::Node(id) => {
            let found = access::any_node(&mut *rows, caller, id, Right::Read).await;
            found.map(|found| format!("{}:{}", found.share.name, found.shown_path()))
        }
    };
    match found {
        Ok(name) => Ok(Some(name)),
        Err(Error::NotFound) => Ok(None),
        Err(error) => Err(error.into()),
    }
}
