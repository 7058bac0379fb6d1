//! Events that the identity provider tells us (identity.md): what happened to a user, a group, a tenant.

use serde::Deserialize;
use serde_json::{Map, Value};

use super::acl::Principal;
use super::{TenantId, Timestamp, text_enum, tidy};

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

/// What an event is about.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct EventResource {
    /// `user`, `group` or `tenant`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The provider's id.
    pub id: String,
}

/// What tells whether the rest of an event can be read: other types may look otherwise.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct WebhookHead {
    /// What happened, in the provider's word.
    pub event_type: String,
}

impl WebhookHead {
    /// Returns what happened; nothing for a type that we do not know.
    pub fn kind(&self) -> Option<EventKind> {
        self.event_type.parse().ok()
    }
}

/// An event of a type that we know.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct WebhookEvent {
    /// Its id: the same event may come more than once.
    pub event_id: String,
    /// What happened.
    #[serde(rename = "event_type")]
    pub kind: EventKind,
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

impl WebhookEvent {
    /// Returns a text of its data, fit to be kept.
    pub fn text(&self, name: &str) -> Option<String> {
        tidy(self.data.get(name)?.as_str()?)
    }

    /// Returns who came into a group or left it: `data.user_id`, or `data.member` with a type and an id.
    pub fn member(&self) -> Option<Principal> {
        let id = |value: &Value| value.as_str().map(str::to_owned);
        if let Some(user) = self.data.get("user_id").and_then(id) {
            return Some(Principal::User(user.parse().ok()?));
        }
        let member: EventResource = serde_json::from_value(self.data.get("member")?.clone()).ok()?;
        match member.kind.as_str() {
            "user" => Some(Principal::User(member.id.parse().ok()?)),
            "group" => Some(Principal::Group(member.id.parse().ok()?)),
            _ => None,
        }
    }
}
