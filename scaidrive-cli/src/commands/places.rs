//! Places in a drive, as the command line names them.

use scaidrive_core::Drive;
use scaidrive_core::model::{Caller, Result, Share, SharePath};
use scaidrive_core::services::paths;

/// Returns a share by name or id.
pub(crate) async fn share(drive: &Drive, caller: &Caller, name: &str) -> Result<Share> {
    paths::share_named(drive, caller, name).await
}

/// Returns a path in a share.
pub(crate) fn path(text: &str) -> Result<SharePath> {
    Ok(SharePath::parse(text)?)
}

/// Splits `SHARE:/PATH`; a share's name may hold colons, as long as no slash follows one.
pub(crate) fn split(place: &str) -> (&str, &str) {
    match place.split_once(":/") {
        Some((share, path)) => (share, path),
        None => (place, ""),
    }
}
