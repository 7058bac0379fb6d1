//! Devices that sync: what they are called, and what they want to have.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize};

use super::{InvalidId, RegistrationId, Timestamp, text_enum};

/// The longest device id, in characters.
pub const MAX_DEVICE_ID: usize = 128;

/// Names a device in its client's own words; two users may use the same, and mean two devices.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct DeviceId(String);

impl DeviceId {
    /// Returns the text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for DeviceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for DeviceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for DeviceId {
    type Err = InvalidId;

    /// Accepts 1 to 128 printable characters.
    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let fits = (1..=MAX_DEVICE_ID).contains(&text.chars().count()) && !text.chars().any(char::is_control);
        if fits { Ok(Self(text.to_owned())) } else { Err(InvalidId) }
    }
}

impl<'de> Deserialize<'de> for DeviceId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(|_| serde::de::Error::custom("must have 1 to 128 printable characters"))
    }
}

/// A device of a user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Device {
    /// Its id of our making.
    pub id: RegistrationId,
    /// Its id of its client's making.
    pub device_id: DeviceId,
    /// What its user calls it.
    pub device_name: String,
    /// What it runs.
    pub platform: Option<String>,
    /// Which client.
    pub client_version: Option<String>,
    /// When it last asked for something, to the minute.
    pub last_seen_at: Timestamp,
    /// When it was registered first.
    pub created_at: Timestamp,
}

/// How far a device is in a share.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Cursor {
    /// The position up to which it has everything.
    #[serde(rename = "cursor_position")]
    pub position: i64,
    /// When it said so; nothing where it has not yet.
    #[serde(rename = "last_sync_at")]
    pub synced_at: Option<Timestamp>,
}

text_enum! {
    /// How much of a share a device wants to have.
    pub enum SyncMode {
        /// Everything.
        All = "all",
        /// What lies in certain folders.
        Selected = "selected",
    }
}

/// What a device wants to have of a share: kept for the client, which acts on it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Preferences {
    /// How much.
    pub mode: SyncMode,
    /// The folders, in the client's own words: ids or paths.
    pub folders: Vec<String>,
}

impl Default for Preferences {
    fn default() -> Self {
        Self { mode: SyncMode::All, folders: Vec::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_id_is_short_and_printable() {
        for right in ["a", "DESKTOP 7/ä", &"é".repeat(128)] {
            assert_eq!(right.parse::<DeviceId>().unwrap().as_str(), right);
        }
        for wrong in ["", "a\nb", "a\u{7f}", &"x".repeat(129)] {
            assert!(wrong.parse::<DeviceId>().is_err(), "{wrong:?}");
        }
    }
}
