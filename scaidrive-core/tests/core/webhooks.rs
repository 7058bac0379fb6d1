//! What the identity provider tells: applied once, in order, and effective on the next request.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use scaidrive_core::model::{
    Caller, Error, Result, Scope, TenantId, Timestamp, UserStatus, WebhookEvent, WebhookOutcome,
};
use scaidrive_core::ports::{Claims, Identity};
use scaidrive_core::services::identity::{RequestInfo, authenticate};
use scaidrive_core::services::{groups, members, tenants, webhook};
use serde_json::{Value, json};

use crate::backends::House;

/// Takes the text `{tenant}/{user}` for a token of that user, issued a minute ago, that claims the group `g`.
#[derive(Debug)]
struct Trusting(Timestamp);

#[async_trait]
impl Identity for Trusting {
    async fn verify(&self, token: &str) -> Result<Claims> {
        let (tenant, user) = token.split_once('/').unwrap();
        Ok(Claims {
            user: user.parse().unwrap(),
            tenant: tenant.parse().unwrap(),
            partner: None,
            email: None,
            name: None,
            groups: vec!["g".parse().unwrap()],
            scopes: vec![Scope::All],
            service_account: None,
            issued_at: self.0,
            expires_at: self.0.plus(Duration::from_secs(3600)),
        })
    }

    fn jwks(&self) -> Option<Value> {
        None
    }
}

async fn houses() -> Vec<House> {
    House::both(|ports| {
        let issued = ports.clock.now().minus(Duration::from_secs(60));
        ports.identity = Some(Arc::new(Trusting(issued)));
    })
    .await
}

impl House {
    async fn sign_in(&self, user: &str) -> Result<Caller> {
        let token = format!("{}/{user}", self.caller.tenant);
        authenticate(&self.drive, &token, RequestInfo::default()).await
    }

    /// Returns an event of so many seconds ago.
    fn event(&self, id: &str, kind: &str, thing: &str, ago: u64, data: Value) -> WebhookEvent {
        let at = self.drive.clock.now().minus(Duration::from_secs(ago));
        serde_json::from_value(json!({
            "event_id": id, "event_type": kind, "timestamp": at,
            "resource": { "type": kind.split('.').next(), "id": thing },
            "actor": { "id": "somebody" }, "tenant_id": self.caller.tenant, "data": data,
        }))
        .unwrap()
    }

    async fn hear(&self, id: &str, kind: &str, thing: &str, ago: u64, data: Value) -> WebhookOutcome {
        webhook::apply(&self.drive, self.event(id, kind, thing, ago, data)).await.unwrap()
    }

    async fn is_in(&self, user: &str, group: &str) -> bool {
        let caller = self.sign_in(user).await.unwrap();
        caller.groups.contains(&group.parse().unwrap())
    }
}

fn other_tenant() -> TenantId {
    "tnt_01ARZ3NDEKTSV4RRFFQ69G5FAV".parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_suspension_holds_from_the_next_request_on_and_nothing_late_undoes_it() {
    for house in houses().await {
        house.sign_in("ada").await.unwrap();
        let none = || json!({});
        assert_eq!(house.hear("1", "user.suspended", "ada", 20, none()).await, WebhookOutcome::Applied);
        assert!(matches!(house.sign_in("ada").await, Err(Error::Suspended)));
        let late = json!({ "status": "active", "name": "Ada" });
        assert_eq!(house.hear("2", "user.updated", "ada", 30, late.clone()).await, WebhookOutcome::Stale);
        assert_eq!(house.hear("2", "user.updated", "ada", 10, late).await, WebhookOutcome::Duplicate);
        assert_eq!(house.hear("3", "user.activated", "ada", 21, none()).await, WebhookOutcome::Stale);
        assert!(matches!(house.sign_in("ada").await, Err(Error::Suspended)));
        assert_eq!(house.hear("4", "user.activated", "ada", 10, none()).await, WebhookOutcome::Applied);
        house.sign_in("ada").await.unwrap();
        assert_eq!(house.hear("5", "user.deleted", "ada", 5, none()).await, WebhookOutcome::Applied);
        assert!(matches!(house.sign_in("ada").await, Err(Error::Suspended)));
        assert_eq!(house.hear("6", "user.suspended", "eve", 5, none()).await, WebhookOutcome::Applied);
        assert!(matches!(house.sign_in("eve").await, Err(Error::Suspended)), "before she ever came");
        house.check().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_profile_keeps_what_an_event_does_not_tell() {
    for house in houses().await {
        let new = json!({ "email": "ada@example.org", "name": " Ada\u{0} ", "display_name": "A." });
        house.hear("1", "user.created", "ada", 20, new).await;
        house.hear("2", "user.updated", "ada", 10, json!({ "name": "x".repeat(400), "email": 7 })).await;
        let mut rows = house.drive.read().await.unwrap();
        let user = rows.user(house.caller.tenant, &"ada".parse().unwrap()).await.unwrap().unwrap();
        assert_eq!(user.email.as_deref(), Some("ada@example.org"));
        assert_eq!(user.name.map(|name| name.len()), Some(255));
        assert_eq!((user.display_name.as_deref(), user.status), (Some("A."), UserStatus::Active));
        assert_eq!((user.provisioning_source.as_str(), user.admin_role), ("scaikey", None));
        assert!(user.scaikey_synced_at.is_some());
        drop(rows);
        house.check().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_was_taken_out_of_a_group_is_out_whatever_the_token_says() {
    for house in houses().await {
        assert!(!house.is_in("ada", "g").await, "a group that nobody knows counts for nothing");
        assert_eq!(
            house.hear("1", "group.created", "g", 50, json!({ "name": "Staff" })).await,
            WebhookOutcome::Applied
        );
        assert!(house.is_in("ada", "g").await, "the token claims it");
        let ada = || json!({ "user_id": "ada" });
        house.hear("2", "group.member_added", "g", 45, ada()).await;
        assert_eq!(house.hear("3", "group.member_removed", "g", 40, ada()).await, WebhookOutcome::Applied);
        assert!(!house.is_in("ada", "g").await, "although the token still claims it");
        assert!(house.is_in("bob", "g").await, "nobody else is out");
        assert_eq!(house.hear("4", "group.member_added", "g", 42, ada()).await, WebhookOutcome::Stale);
        assert_eq!(house.hear("2", "group.member_added", "g", 45, ada()).await, WebhookOutcome::Duplicate);
        assert!(!house.is_in("ada", "g").await, "late events change nothing back");
        let member = json!({ "member": { "type": "user", "id": "ada" } });
        assert_eq!(house.hear("5", "group.member_added", "g", 30, member).await, WebhookOutcome::Applied);
        assert!(house.is_in("ada", "g").await);
        house.hear("6", "group.updated", "g", 20, json!({ "name": "Everybody" })).await;
        let group = groups::get(&house.drive, &house.caller, &"g".parse().unwrap()).await.unwrap();
        assert_eq!((group.name.as_str(), group.provisioning_source.as_str()), ("Everybody", "scaikey"));
        assert_eq!(house.hear("7", "group.deleted", "g", 10, json!({})).await, WebhookOutcome::Applied);
        assert!(!house.is_in("ada", "g").await);
        assert_eq!(house.hear("8", "group.member_added", "g", 15, ada()).await, WebhookOutcome::Stale);
        assert_eq!(house.hear("9", "group.updated", "g", 15, json!({})).await, WebhookOutcome::Stale);
        assert!(!house.is_in("bob", "g").await, "a group that is gone does not come back by itself");
        house.check().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_that_owns_a_share_is_emptied_when_it_is_removed() {
    for house in houses().await {
        house.hear("1", "group.member_added", "owners", 50, json!({ "user_id": "ada" })).await;
        assert!(house.is_in("ada", "owners").await, "its own event may come later");
        members::transfer_share(&house.drive, &house.caller, house.share.id, "owners").await.unwrap();
        assert_eq!(house.hear("2", "group.deleted", "owners", 10, json!({})).await, WebhookOutcome::Applied);
        assert!(!house.is_in("ada", "owners").await);
        house.check().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_is_what_its_last_event_says() {
    for house in houses().await {
        let id = house.caller.tenant.to_string();
        let told = json!({ "name": "Acme", "status": "suspended" });
        assert_eq!(house.hear("1", "tenant.updated", &id, 20, told).await, WebhookOutcome::Applied);
        assert!(matches!(house.sign_in("ada").await, Err(Error::Suspended)));
        let late = json!({ "status": "active" });
        assert_eq!(house.hear("2", "tenant.updated", &id, 30, late.clone()).await, WebhookOutcome::Stale);
        assert_eq!(house.hear("3", "tenant.updated", &id, 10, late).await, WebhookOutcome::Applied);
        house.sign_in("ada").await.unwrap();
        assert_eq!(tenants::get(&house.drive, house.caller.tenant).await.unwrap().name, "Acme");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn events_that_no_provider_sends_are_refused_and_leave_nothing() {
    for house in houses().await {
        let good = house.event("1", "user.suspended", "ada", 0, json!({}));
        let other = other_tenant().to_string();
        let later = house.drive.clock.now().plus(Duration::from_secs(400));
        let bad = [
            WebhookEvent { event_id: String::new(), ..good.clone() },
            WebhookEvent { event_id: "x".repeat(256), ..good.clone() },
            WebhookEvent { timestamp: later, ..good.clone() },
            house.event("1", "user.suspended", "", 0, json!({})),
            house.event("1", "user.suspended", "a\u{0}b", 0, json!({})),
            house.event("1", "user.suspended", &"x".repeat(256), 0, json!({})),
            house.event("1", "tenant.updated", &other, 0, json!({})),
            house.event("1", "group.member_added", "g", 0, json!({})),
            house.event(
                "1",
                "group.member_removed",
                "g",
                0,
                json!({ "member": { "type": "robot", "id": "r" } }),
            ),
        ];
        for event in bad {
            let told = webhook::apply(&house.drive, event.clone()).await;
            assert!(matches!(told, Err(Error::Invalid { .. })), "{event:?} {told:?}");
        }
        let mut elsewhere = good.clone();
        elsewhere.tenant_id = other_tenant();
        assert_eq!(webhook::apply(&house.drive, elsewhere).await.unwrap(), WebhookOutcome::Ignored);
        assert_eq!(
            webhook::apply(&house.drive, good).await.unwrap(),
            WebhookOutcome::Applied,
            "its id is still free"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_rivals_one_applies_and_the_newest_stays() {
    for house in houses().await {
        house.sign_in("ada").await.unwrap();
        for round in 0..20 {
            let base = 40 - round * 2;
            let kinds = [("user.suspended", base), ("user.activated", base - 1)];
            let rivals = (0..8).map(|rival| {
                let (kind, ago) = kinds[rival % 2];
                let event = house.event(&format!("{round}-{}", rival % 2), kind, "ada", ago, json!({}));
                let drive = house.drive.clone();
                tokio::spawn(async move { webhook::apply(&drive, event).await.unwrap() })
            });
            let mut outcomes = Vec::new();
            for rival in rivals.collect::<Vec<_>>() {
                outcomes.push(rival.await.unwrap());
            }
            let applied = outcomes.iter().filter(|outcome| **outcome == WebhookOutcome::Applied).count();
            let duplicates = outcomes.iter().filter(|outcome| **outcome == WebhookOutcome::Duplicate).count();
            assert!(duplicates == 6 && (1..=2).contains(&applied), "{outcomes:?}");
            house.sign_in("ada").await.unwrap();
        }
        house.check().await;
    }
}
