//! How the identity provider names a tenant: by our id, or by one of its own.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer};

use super::{ExternalTenantId, InvalidId, TenantId};

/// A tenant as a token or an event names it.
///
/// What has the form of our ids is one of ours and nothing else: so no tenant can take another one's name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum TenantRef {
    /// By our id; a provider may choose it when the tenant is made.
    Own(TenantId),
    /// By the provider's own id.
    External(ExternalTenantId),
}

impl TenantRef {
    /// Returns the provider's own id, unless it is ours.
    pub const fn external(&self) -> Option<&ExternalTenantId> {
        match self {
            Self::Own(_) => None,
            Self::External(id) => Some(id),
        }
    }
}

impl From<TenantId> for TenantRef {
    fn from(id: TenantId) -> Self {
        Self::Own(id)
    }
}

impl fmt::Display for TenantRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Own(id) => id.fmt(f),
            Self::External(id) => id.fmt(f),
        }
    }
}

impl FromStr for TenantRef {
    type Err = InvalidId;

    /// Accepts our ids, and whatever cannot be mistaken for one.
    fn from_str(text: &str) -> Result<Self, InvalidId> {
        if let Ok(id) = text.parse() {
            return Ok(Self::Own(id));
        }
        let is_like_ours = text.strip_prefix(TenantId::PREFIX).is_some_and(|rest| rest.starts_with('_'));
        if is_like_ours { Err(InvalidId) } else { text.parse().map(Self::External) }
    }
}

impl<'de> Deserialize<'de> for TenantRef {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_ours_or_the_providers_and_never_both() {
        let ours = "tnt_01ARZ3NDEKTSV4RRFFQ69G5FAV";
        assert_eq!(ours.parse(), Ok(TenantRef::Own(ours.parse().unwrap())));
        for theirs in ["acme", "7", "tnt", "TNT_1", " a b ", "01ARZ3NDEKTSV4RRFFQ69G5FAV"] {
            let found: TenantRef = theirs.parse().unwrap();
            assert_eq!(found.external().map(ExternalTenantId::as_str), Some(theirs));
            assert_eq!(found.to_string(), theirs);
        }
        let lower = ours.replace("ARZ", "arz");
        for wrong in ["", "tnt_", "tnt_acme", &lower, "a\nb", &"x".repeat(256)] {
            assert_eq!(wrong.parse::<TenantRef>(), Err(InvalidId), "{wrong}");
        }
    }
}
