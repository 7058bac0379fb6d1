//! What storage is charged, to whom: kept in the transaction of each change, proven by a recount.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::AddAssign;

use serde::Serialize;

use super::{InvalidId, ShareId, UserId};

/// Whom bytes and counts are charged to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum UsageTarget {
    /// A share.
    Share(ShareId),
    /// The tenant; its row also carries the feed's position.
    Tenant,
    /// The owner of the files.
    User(UserId),
}

impl fmt::Display for UsageTarget {
    /// Writes the counter's key; the order of the keys is the order in which counters are locked.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Share(id) => write!(f, "share:{id}"),
            Self::Tenant => f.write_str("tenant"),
            Self::User(id) => write!(f, "user:{id}"),
        }
    }
}

impl std::str::FromStr for UsageTarget {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        match text.split_once(':') {
            None if text == "tenant" => Ok(Self::Tenant),
            Some(("share", id)) => id.parse().map(Self::Share),
            Some(("user", id)) => id.parse().map(Self::User),
            _ => Err(InvalidId),
        }
    }
}

/// What is used: logical bytes before dedup, and counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Usage {
    /// Bytes of the current versions of files outside the trash.
    pub file_bytes: i64,
    /// Bytes of old versions, wherever their files are.
    pub version_bytes: i64,
    /// Bytes of the current versions of files in the trash.
    pub trash_bytes: i64,
    /// Files outside the trash.
    pub file_count: i64,
    /// Folders outside the trash.
    pub folder_count: i64,
}

/// A change of what is used.
pub type UsageDelta = Usage;

impl Usage {
    /// Returns everything that counts against a quota.
    pub const fn total_bytes(&self) -> i64 {
        self.file_bytes + self.version_bytes + self.trash_bytes
    }

    /// Returns the delta that undoes this one.
    #[must_use]
    pub const fn negated(self) -> Self {
        Self {
            file_bytes: -self.file_bytes,
            version_bytes: -self.version_bytes,
            trash_bytes: -self.trash_bytes,
            file_count: -self.file_count,
            folder_count: -self.folder_count,
        }
    }

    /// Returns what these live files and folders cost once they are in the trash, minus what they cost now.
    #[must_use]
    pub const fn trashed(self) -> Self {
        Self {
            file_bytes: -self.file_bytes,
            version_bytes: 0,
            trash_bytes: self.file_bytes,
            file_count: -self.file_count,
            folder_count: -self.folder_count,
        }
    }
}

impl AddAssign for Usage {
    fn add_assign(&mut self, other: Self) {
        self.file_bytes += other.file_bytes;
        self.version_bytes += other.version_bytes;
        self.trash_bytes += other.trash_bytes;
        self.file_count += other.file_count;
        self.folder_count += other.folder_count;
    }
}

/// The changes of one mutation, by target in lock order.
#[derive(Clone, Debug, Default)]
pub struct UsageChanges(BTreeMap<UsageTarget, UsageDelta>);

impl UsageChanges {
    /// Charges the tenant, the share and the owner of what changed.
    pub fn charge(&mut self, share: ShareId, owner: &UserId, delta: UsageDelta) {
        for target in [UsageTarget::Tenant, UsageTarget::Share(share), UsageTarget::User(owner.clone())] {
            *self.0.entry(target).or_default() += delta;
        }
    }

    /// Adds other changes to these.
    pub fn add(&mut self, more: &Self) {
        for (target, delta) in &more.0 {
            *self.0.entry(target.clone()).or_default() += *delta;
        }
    }

    /// Returns the targets and their deltas in lock order; the tenant is always among them.
    pub fn into_sorted(mut self) -> Vec<(UsageTarget, UsageDelta)> {
        self.0.entry(UsageTarget::Tenant).or_default();
        self.0.into_iter().collect()
    }
}
