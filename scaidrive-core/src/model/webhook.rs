//! Events that the identity provider tells us (identity.md): what happened to a user, a group, a tenant.

use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use super::{TenantId, Timestamp, text_enum};

text_enum! {
    /// What happened.
    pub enum EventKind {
        /// A user appeared.
        UserCreated = "user.created",
        /// A user's profile changed.
        UserUpdated = "user.updated",
        /// A user was removed.
        UserDeleted = "user.deleted",
        /// A user was locked out.
        UserSuspended = "user.suspended",
        /// A user may act again.
        UserActivated = "user.activated",
        /// A group appeared.
        GroupCreated = "group.created",
        /// A group's name changed.
        GroupUpdated = "group.updated",
        /// A group was removed.
        GroupDeleted = "group.deleted",
        /// Somebody came into a group.
        GroupMemberAdded = "group.member_added",
        /// Somebody left a group.
        GroupMemberRemoved = "group.member_removed",
        /// A tenant changed.
        TenantUpdated = "tenant.updated",
    }
}

impl EventKind {
    /// Returns the kind of thing it is about: `user`, `group` or `tenant`.
    pub fn resource(self) -> &'static str {
        self.as_str().split('.').next().unwrap_or_default()
    }
}

text_enum! {
    /// What became of an event.
    pub enum WebhookOutcome {
        /// It was applied.
        Applied = "applied",
        /// It came before, and changed nothing now.
        Duplicate = "duplicate",
        /// A newer one of the same thing was applied already.
        Stale = "stale",
        /// It is about nothing that we know.
        Ignored = "ignored",
    }
}

/// The longest text that is taken over, in characters.
const LONGEST_TEXT: usize = 255;

/// What an event is about.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct EventResource {
    /// `user`, `group` or `tenant`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The provider's id.
    pub id: String,
}

/// An event, as it comes.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct WebhookEvent {
    /// Its id: the same event may come more than once.
    pub event_id: String,
    /// What happened; nothing for a type that we do not know.
    #[serde(rename = "event_type", deserialize_with = "known")]
    pub kind: Option<EventKind>,
    /// When it happened.
    pub timestamp: Timestamp,
    /// The thing it is about.
    pub resource: EventResource,
    /// The tenant it happened in.
    pub tenant_id: TenantId,
    /// What is new about the thing.
    #[serde(default)]
    pub data: Map<String, Value>,
}

fn known<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<EventKind>, D::Error> {
    Ok(String::deserialize(deserializer)?.parse().ok())
}

impl WebhookEvent {
    /// Returns a text of its data, if it is there and not blank, cut to 255 characters.
    pub fn text(&self, name: &str) -> Option<String> {
        let text: String = self.data.get(name)?.as_str()?.trim().chars().take(LONGEST_TEXT).collect();
        Some(text).filter(|text| !text.is_empty())
    }
}
