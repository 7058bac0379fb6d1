//! Events that the identity provider tells us (identity.md): what happened to a user, a group, a tenant.

use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use super::acl::Principal;
use super::{Error, Result, TenantRef, Timestamp, text_enum, tidy};

/// Where an event says who came into a group or left it.
const MEMBER: &str = "says who in user_id, user{id}, member{type,id}, or member_id and member_type";

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
    /// The tenant it happened in, as the provider names it.
    pub tenant_id: TenantRef,
    /// What is new about the thing.
    #[serde(default, deserialize_with = "or_nothing")]
    pub data: Map<String, Value>,
}

impl WebhookEvent {
    /// Returns a text of its data, fit to be kept.
    pub fn text(&self, name: &str) -> Option<String> {
        tidy(self.data.get(name)?.as_str()?)
    }

    /// Returns who came into a group or left it. Providers say that in one of several places; what is said in more
    /// than one must be the same, and who is of no said type is a user.
    pub fn member(&self) -> Result<Principal> {
        let mut found: Option<Principal> = None;
        for field in ["user_id", "user", "member", "member_id"] {
            let Some(value) = self.data.get(field).filter(|value| !value.is_null()) else { continue };
            let named = self.principal(field, value)?;
            if found.as_ref().is_some_and(|before| *before != named) {
                let message = format!("{MEMBER}, and the same everywhere");
                return Err(Error::invalid(format!("data.{field}"), message, named.to_string()));
            }
            found = Some(named);
        }
        found.ok_or_else(|| Error::invalid("data", MEMBER, Value::Null))
    }

    /// Reads who is named by a text, or by an object with an id.
    fn principal(&self, field: &str, value: &Value) -> Result<Principal> {
        let wrong = || Error::invalid(format!("data.{field}"), MEMBER, value.clone());
        let (id, kind) = match value {
            Value::Object(fields) => (fields.get("id").or_else(|| fields.get("user_id")), fields.get("type")),
            text => (Some(text), None),
        };
        let id = id.and_then(Value::as_str).ok_or_else(wrong)?;
        let kind = kind.or_else(|| self.data.get("member_type")).filter(|kind| !kind.is_null());
        let kind = kind.filter(|_| field.starts_with("member")).map(|kind| kind.as_str().unwrap_or_default());
        match kind.unwrap_or("user").to_ascii_lowercase().as_str() {
            "user" => id.parse().map(Principal::User).map_err(|_| wrong()),
            "group" => id.parse().map(Principal::Group).map_err(|_| wrong()),
            _ => Err(wrong()),
        }
    }
}

/// Reads null as an object without fields.
fn or_nothing<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Map<String, Value>, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn member(data: Value) -> Result<Principal> {
        let event: WebhookEvent = serde_json::from_value(json!({
            "event_id": "1", "event_type": "group.member_added", "timestamp": "2026-01-01T00:00:00Z",
            "resource": { "type": "group", "id": "g" }, "tenant_id": "acme", "data": data,
        }))
        .unwrap();
        event.member()
    }

    #[test]
    fn a_member_is_found_wherever_the_provider_names_it() {
        for data in [
            json!({ "user_id": "ada" }),
            json!({ "user": { "id": "ada", "email": "ada@example.org" } }),
            json!({ "user": "ada", "member": null }),
            json!({ "member": { "type": "user", "id": "ada" } }),
            json!({ "member": { "type": "User", "user_id": "ada" } }),
            json!({ "member": { "id": "ada" } }),
            json!({ "member": "ada" }),
            json!({ "member_id": "ada" }),
            json!({ "member_id": "ada", "member_type": "user", "group_id": "g" }),
            json!({ "user_id": "ada", "user": { "id": "ada" }, "member": { "type": "user", "id": "ada" } }),
        ] {
            assert_eq!(member(data.clone()).unwrap().to_string(), "user:ada", "{data}");
        }
        for data in [
            json!({ "member": { "type": "group", "id": "inner" } }),
            json!({ "member": { "id": "inner" }, "member_type": "GROUP" }),
            json!({ "member_id": "inner", "member_type": "group" }),
        ] {
            assert_eq!(member(data.clone()).unwrap().to_string(), "group:inner", "{data}");
        }
    }

    #[test]
    fn who_is_not_named_clearly_is_refused_and_said_where() {
        for (data, field) in [
            (Value::Null, "data"),
            (json!({}), "data"),
            (json!({ "user_id": null, "users": ["ada"] }), "data"),
            (json!({ "user_id": 7 }), "data.user_id"),
            (json!({ "user_id": "" }), "data.user_id"),
            (json!({ "user_id": "a\u{0}b" }), "data.user_id"),
            (json!({ "user": {} }), "data.user"),
            (json!({ "member": ["ada"] }), "data.member"),
            (json!({ "member": { "type": "robot", "id": "r" } }), "data.member"),
            (json!({ "member": { "type": 7, "id": "r" } }), "data.member"),
            (json!({ "member_id": "r", "member_type": "robot" }), "data.member_id"),
            (json!({ "user_id": "ada", "member_id": "bob" }), "data.member_id"),
            (json!({ "user_id": "ada", "member": { "type": "group", "id": "ada" } }), "data.member"),
        ] {
            match member(data.clone()) {
                Err(Error::Invalid { fields }) => assert_eq!(fields[0].field, field, "{data}"),
                told => panic!("{data}: {told:?}"),
            }
        }
    }
}
