//! Ids of the server: opaque texts, kept apart by type.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Makes an id type: a text that the server (or the client, for devices) chose.
macro_rules! id_type {
    ($(#[$docs:meta])* $name:ident) => {
        $(#[$docs])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// Returns the id with this text.
            pub fn new(text: impl Into<String>) -> Self {
                Self(text.into())
            }

            /// Returns the text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

id_type! {
    /// The id of a file or folder.
    ItemId
}
id_type! {
    /// The id of a version of a file.
    VersionId
}
id_type! {
    /// The id of a share.
    ShareId
}
id_type! {
    /// The id of a device, which the client chooses.
    DeviceId
}

/// The two kinds of item.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Holds items.
    Folder,
    /// Holds content.
    File,
}
