//! What the identity provider tells: applied once, in order, and effective on the next request.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use scaidrive_core::model::{
    Caller, Error, Result, Scope, TenantId, Timestamp, UserStatus, WebhookEvent, WebhookOutcome,
};
use scaidrive_core::ports::{Claims, Identity};
use scaidrive_core::services::identity::{RequestInfo, authenticate};
use scaidrive_core::services::tenants::NewTenant;
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
async fn a_membership_of_whom_nobody_knows_yet_counts_from_when_they_appear() {
    for house in houses().await {
        let added = async |id: &str, group: &str, ago: u64, data: Value| {
            house.hear(id, "group.member_added", group, ago, data).await
        };
        let inner = json!({ "member": { "type": "group", "id": "inner" } });
        assert_eq!(added("1", "outer", 60, inner.clone()).await, WebhookOutcome::Applied);
        assert_eq!(
            added("2", "inner", 55, json!({ "user": { "id": "ada" } })).await,
            WebhookOutcome::Applied
        );
        house.hear("3", "group.created", "outer", 58, json!({ "name": "Outer" })).await;
        let told = house.hear("4", "group.member_removed", "later", 50, json!({ "member_id": "ada" })).await;
        assert_eq!(told, WebhookOutcome::Applied);
        assert!(
            house.is_in("ada", "inner").await && house.is_in("ada", "outer").await,
            "at her first request"
        );
        let group = groups::get(&house.drive, &house.caller, &"outer".parse().unwrap()).await.unwrap();
        assert_eq!(group.name, "Outer");
        let group = groups::get(&house.drive, &house.caller, &"inner".parse().unwrap()).await.unwrap();
        assert_eq!((group.name.as_str(), group.provisioning_source.as_str()), ("inner", "scaikey"));
        assert_eq!(house.hear("5", "group.deleted", "inner", 40, json!({})).await, WebhookOutcome::Applied);
        assert_eq!(added("6", "outer", 45, inner).await, WebhookOutcome::Stale, "gone since");
        assert!(!house.is_in("ada", "outer").await);
        house.check().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removal_from_a_group_that_is_still_to_come_holds_against_an_older_token() {
    for house in houses().await {
        house.hear("1", "group.member_removed", "g", 10, json!({ "user_id": "ada" })).await;
        house.hear("2", "group.created", "g", 20, json!({ "name": "Staff" })).await;
        assert!(!house.is_in("ada", "g").await, "her token claims it");
        assert!(house.is_in("bob", "g").await);
        house.check().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn events_name_a_tenant_as_the_provider_does() {
    for house in houses().await {
        let new = NewTenant { id: Some("acme".to_owned()), ..NewTenant::named("Acme") };
        let acme = tenants::create_as(&house.drive, new).await.unwrap();
        let tell = async |id: &str, kind: &str, thing: &str, ago: u64, data: Value| {
            let mut event = house.event(id, kind, thing, ago, data);
            event.tenant_id = "acme".parse().unwrap();
            webhook::apply(&house.drive, event).await
        };
        assert_eq!(tell("1", "user.created", "ada", 30, json!({})).await.unwrap(), WebhookOutcome::Applied);
        let mut rows = house.drive.read().await.unwrap();
        assert!(rows.user(acme.id, &"ada".parse().unwrap()).await.unwrap().is_some());
        assert!(rows.user(house.caller.tenant, &"ada".parse().unwrap()).await.unwrap().is_none());
        drop(rows);
        let (ours, name) = (acme.id.to_string(), json!({ "name": "Acme Ltd" }));
        let told = tell("2", "tenant.updated", "acme", 20, name).await.unwrap();
        assert_eq!(told, WebhookOutcome::Applied);
        let late = tell("3", "tenant.updated", &ours, 25, json!({ "name": "Acme" })).await.unwrap();
        assert_eq!(late, WebhookOutcome::Stale, "it is the same tenant by either name");
        assert_eq!(tenants::get(&house.drive, acme.id).await.unwrap().name, "Acme Ltd");
        let wrong = tell("4", "tenant.updated", &house.caller.tenant.to_string(), 0, json!({})).await;
        assert!(matches!(wrong, Err(Error::Invalid { .. })), "{wrong:?}");
        let mut unknown = house.event("5", "user.created", "ada", 0, json!({}));
        unknown.tenant_id = "acme2".parse().unwrap();
        assert_eq!(webhook::apply(&house.drive, unknown).await.unwrap(), WebhookOutcome::Ignored);
        house.check().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn events_about_a_user_of_the_same_name_leave_the_first_administrator_alone() {
    for house in houses().await {
        let data = || json!({ "name": "Mallory", "email": "m@example.org", "status": "suspended" });
        for (id, kind) in [("1", "user.updated"), ("2", "user.suspended"), ("3", "user.deleted")] {
            assert_eq!(house.hear(id, kind, "admin", 10, data()).await, WebhookOutcome::Ignored);
        }
        let joined = house.hear("4", "group.member_added", "g", 10, json!({ "user_id": "admin" })).await;
        assert_eq!(joined, WebhookOutcome::Ignored);
        let (tenant, id) = (house.caller.tenant, house.caller.user.clone());
        let admin = tenants::caller_for(&house.drive, tenant, &id).await.unwrap();
        assert!(admin.is_admin() && admin.groups.is_empty());
        let user = house.drive.read().await.unwrap().user(tenant, &id).await.unwrap().unwrap();
        assert_eq!((user.name.as_deref(), user.email), (Some("Administrator"), None));
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
        elsewhere.tenant_id = other_tenant().into();
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
