//! Who comes in, on both databases: sign-ins once each, refusals noted, tenants by either name, and whom nobody becomes.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use scaidrive_core::config::Config;
use scaidrive_core::model::{Caller, Error, Result, Scope, Severity, TenantId, Timestamp, UserStatus};
use scaidrive_core::ports::metadata::AuditRow;
use scaidrive_core::ports::{Claims, Grant, Identity, SignIn};
use scaidrive_core::services::identity::{RequestInfo, authenticate};
use scaidrive_core::services::tenants::{self, NewTenant};
use scaidrive_core::services::{journal, sign_in, users, webhook};
use serde_json::{Value, json};
use sqlx::{MySqlPool, SqlitePool};

use crate::backends::{self, House};

/// Takes the text `{tenant}/{user}/{seconds of issue}` for a token, and gives such a text for every code that is one.
#[derive(Debug)]
struct Provider;

#[async_trait]
impl Identity for Provider {
    async fn verify(&self, token: &str) -> Result<Claims> {
        const REFUSED: Error = Error::Unauthenticated { missing: false, reason: "no token" };
        let [tenant, user, issued] = *token.split('/').collect::<Vec<_>>() else { return Err(REFUSED) };
        let issued_at = Timestamp::from_micros(issued.parse::<i64>().unwrap() * 1_000_000);
        Ok(Claims {
            user: user.parse().unwrap(),
            tenant: tenant.parse().map_err(|_| REFUSED)?,
            partner: None,
            email: None,
            name: None,
            groups: Vec::new(),
            scopes: vec![Scope::All],
            service_account: Some("robot".to_owned()),
            issued_at,
            expires_at: Timestamp::from_micros(9_000_000_000_000_000)
                .plus(Duration::from_secs(user.len() as u64)),
        })
    }

    fn jwks(&self) -> Option<Value> {
        None
    }

    fn provider(&self) -> Option<&dyn SignIn> {
        Some(self)
    }
}

#[async_trait]
impl SignIn for Provider {
    fn client_id(&self) -> Option<&str> {
        Some("drive")
    }

    async fn authorize_url(&self) -> Result<String> {
        Ok("https://key.example/auth".to_owned())
    }

    async fn exchange(&self, grant: &Grant) -> Result<Value> {
        let (Grant::Code { code: token, .. } | Grant::Refresh(token)) = grant;
        if token == "no" {
            return Err(Error::GrantRefused {
                unauthorized: false,
                error: "invalid_grant".to_owned(),
                description: None,
            });
        }
        Ok(json!({ "access_token": token, "refresh_token": "hush" }))
    }

    async fn is_ready(&self) -> bool {
        true
    }
}

async fn houses() -> Vec<House> {
    House::both(|ports| ports.identity = Some(Arc::new(Provider))).await
}

fn request() -> RequestInfo {
    RequestInfo {
        request_id: "r1".to_owned(),
        ip: Some("192.0.2.7".to_owned()),
        user_agent: Some("a test".to_owned()),
        tried: "GET /things".to_owned(),
    }
}

impl House {
    async fn come(&self, token: &str) -> Result<Caller> {
        authenticate(&self.drive, token, request()).await
    }

    /// Returns what was noted, oldest first.
    async fn noted(&self, tenant: TenantId, action: &str) -> Vec<AuditRow> {
        journal::flush(&self.drive).await.unwrap();
        let all = self.drive.read().await.unwrap().audit_events(tenant, 1000).await.unwrap();
        all.into_iter().rev().filter(|event| event.action == action).collect()
    }

    async fn sign_ins(&self, user: &str) -> Vec<AuditRow> {
        let all = self.noted(self.caller.tenant, "user.sign_in").await;
        all.into_iter().filter(|event| event.user.as_str() == user).collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_token_that_is_newer_is_one_sign_in_whoever_sees_it_first() {
    for house in houses().await {
        let house = Arc::new(house);
        let token = |user: &str, issued: u32| format!("{}/{user}/{issued}", house.caller.tenant);
        for issued in [100, 100, 101, 100, 101, 99] {
            house.come(&token("ada", issued)).await.unwrap();
        }
        assert_eq!(house.sign_ins("ada").await.len(), 2);
        let rivals: Vec<_> = (0..16)
            .map(|rival| {
                let (house, token) = (Arc::clone(&house), token("ada", 200 + rival / 8));
                tokio::spawn(async move { house.come(&token).await.unwrap() })
            })
            .collect();
        for rival in rivals {
            rival.await.unwrap();
        }
        let all = house.sign_ins("ada").await;
        assert!(
            (3..=4).contains(&all.len()),
            "the newer of two tokens, and the older one if it came first: {all:?}"
        );
        let first = &all[0];
        assert_eq!(
            (first.service_account.as_deref(), first.ip.as_deref()),
            (Some("robot"), Some("192.0.2.7"))
        );
        assert_eq!(first.payload, json!({ "by": "token", "issued_at": "1970-01-01T00:01:40.000Z" }));
        for _ in 0..2 {
            house.come(&token("bob", 0)).await.unwrap();
        }
        assert_eq!(house.sign_ins("bob").await.len(), 1, "a token that does not say when it was issued");
        house.check().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sign_in_through_us_counts_when_its_tokens_are_given() {
    for house in houses().await {
        let token = |issued: u32| format!("{}/ada/{issued}", house.caller.tenant);
        let code =
            |code: String| Grant::Code { code, redirect_uri: String::new(), verifier: "hush".to_owned() };
        let exchange = async |grant| sign_in::exchange(&house.drive, &grant, request()).await;
        exchange(code(token(10))).await.unwrap();
        house.come(&token(10)).await.unwrap();
        exchange(Grant::Refresh(token(20))).await.unwrap();
        house.come(&token(20)).await.unwrap();
        let all = house.sign_ins("ada").await;
        let by: Vec<&Value> = all.iter().map(|event| &event.payload["by"]).collect();
        assert_eq!(by, ["authorization_code", "refresh_token"]);
        assert!(!format!("{all:?}").contains("hush"));
        assert!(matches!(exchange(code("no".to_owned())).await, Err(Error::GrantRefused { .. })));
        for useless in ["opaque", "acme/ada/30"] {
            let given = exchange(code(useless.to_owned())).await.unwrap();
            assert_eq!(given["access_token"], useless, "what the provider gave is passed on");
        }
        assert_eq!(house.sign_ins("ada").await.len(), 2);
        house.check().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_known_and_may_not_come_in_is_noted() {
    for house in houses().await {
        let (tenant, token) = (house.caller.tenant, format!("{}/ada/10", house.caller.tenant));
        house.come(&token).await.unwrap();
        users::set_status(&house.drive, &house.caller, &"ada".parse().unwrap(), UserStatus::Suspended)
            .await
            .unwrap();
        assert!(matches!(house.come(&token).await, Err(Error::Suspended)));
        let suspended = serde_json::from_value(json!({
            "event_id": "1", "event_type": "tenant.updated", "timestamp": house.drive.clock.now(),
            "resource": { "type": "tenant", "id": tenant }, "tenant_id": tenant, "data": { "status": "suspended" },
        }));
        webhook::apply(&house.drive, suspended.unwrap()).await.unwrap();
        assert!(matches!(house.come(&format!("{tenant}/bob/10")).await, Err(Error::Suspended)));
        house.come("acme/eve/10").await.unwrap_err();
        house.come("tnt_01ARZ3NDEKTSV4RRFFQ69G5FAV/eve/10").await.unwrap_err();
        house.come("junk").await.unwrap_err();
        let refused = house.noted(tenant, "refused").await;
        let told: Vec<_> = refused.iter().map(|event| (event.user.as_str(), event.result.as_str())).collect();
        assert_eq!(told, [("ada", "AUTHZ_USER_SUSPENDED"), ("bob", "AUTHZ_USER_SUSPENDED")]);
        assert!(
            refused
                .iter()
                .all(|event| event.severity == Severity::Warning && event.payload["tried"] == "GET /things")
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_comes_in_as_the_first_administrator_but_by_our_own_tokens() {
    for house in houses().await {
        let tenant = house.caller.tenant;
        let token = format!("{tenant}/admin/10");
        assert!(matches!(house.come(&token).await, Err(Error::Unauthenticated { missing: false, .. })));
        sign_in::exchange(&house.drive, &Grant::Refresh(token), request()).await.unwrap();
        let refused = house.noted(tenant, "refused").await;
        assert_eq!(refused.len(), 2);
        assert!(refused.iter().all(|event| event.category.as_str() == "AUTHENTICATION"), "{refused:?}");
        let admin =
            house.drive.read().await.unwrap().user(tenant, &house.caller.user).await.unwrap().unwrap();
        assert!(admin.is_bootstrap() && admin.last_login_at.is_none());
        assert_eq!(house.sign_ins("admin").await.len(), 0);
        let other = tenants::create(&house.drive, "Other").await.unwrap();
        let found = house.come(&format!("{}/admin/10", other.id)).await.unwrap();
        assert!(!found.is_admin(), "in another tenant it is a name like any other");
        house.check().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_is_found_by_the_providers_name_of_it_to_the_letter() {
    for house in houses().await {
        let new = |id: &str| NewTenant { id: Some(id.to_owned()), ..NewTenant::named("T") };
        let make = async |id: &str| tenants::create_as(&house.drive, new(id)).await;
        let acme = make("acme").await.unwrap();
        let others = [make("ACME").await.unwrap(), make("acme ").await.unwrap(), make("ácme").await.unwrap()];
        for (name, tenant) in
            ["acme", "ACME", "acme ", "ácme"].iter().zip(std::iter::once(&acme).chain(&others))
        {
            assert_eq!(house.come(&format!("{name}/ada/10")).await.unwrap().tenant, tenant.id, "{name:?}");
            assert_eq!(tenants::get(&house.drive, tenant.id).await.unwrap(), *tenant);
        }
        assert_eq!(house.come(&format!("{}/ada/10", acme.id)).await.unwrap().tenant, acme.id);
        for unknown in ["acm", "acme2", "Acme"] {
            let told = house.come(&format!("{unknown}/ada/10")).await;
            assert!(matches!(told, Err(Error::Unauthenticated { missing: false, .. })), "{unknown}");
        }
        let ours = "tnt_01ARZ3NDEKTSV4RRFFQ69G5FAV";
        assert_eq!(make(ours).await.unwrap().id.to_string(), ours);
        for taken in ["acme", ours, &acme.id.to_string()] {
            assert!(matches!(make(taken).await, Err(Error::AlreadyExists { .. })), "{taken}");
        }
        let rivals: Vec<_> = (0..8)
            .map(|_| {
                let (drive, new) = (house.drive.clone(), new("rival"));
                tokio::spawn(async move { tenants::create_as(&drive, new).await })
            })
            .collect();
        let mut made = 0;
        for rival in rivals {
            match rival.await.unwrap() {
                Ok(_) => made += 1,
                Err(error) => assert!(matches!(error, Error::AlreadyExists { .. }), "{error:?}"),
            }
        }
        assert_eq!(made, 1);
        house.check().await;
    }
}

async fn execute(url: &str, text: &'static str) {
    if url.starts_with("sqlite:") {
        let pool = SqlitePool::connect(url).await.unwrap();
        sqlx::query(text).execute(&pool).await.unwrap();
        pool.close().await;
    } else {
        let pool = MySqlPool::connect(url).await.unwrap();
        sqlx::query(text).execute(&pool).await.unwrap();
        pool.close().await;
    }
}

/// Returns the statement of a migration that recognises the first administrator.
fn update(migration: &'static str) -> &'static str {
    migration[migration.find("UPDATE users").unwrap()..].split(';').next().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_administrator_of_before_is_recognised() {
    let dir = tempfile::tempdir().unwrap();
    let sqlite = format!("sqlite://{}/old.db", dir.path().display());
    let mut all = vec![(sqlite, update(include_str!("../../../migrations/sqlite/0007_access_gaps.sql")))];
    let mysql = update(include_str!("../../../migrations/mysql/0007_access_gaps.sql"));
    all.extend(backends::mariadb().map(|url| (url, mysql)));
    for (url, recognise) in all {
        let configure = |config: &mut Config| config.database_url = Some(url.clone());
        let house = House::build(configure, |ports| ports.identity = Some(Arc::new(Provider))).await;
        let (tenant, other) = (house.caller.tenant, tenants::create(&house.drive, "Other").await.unwrap().id);
        for token in [format!("{tenant}/boss/1"), format!("{other}/admin/1")] {
            house.come(&token).await.unwrap();
        }
        for text in ["UPDATE users SET provisioning_source = 'jit'", recognise] {
            execute(&url, text).await;
        }
        let mut rows = house.drive.read().await.unwrap();
        for (tenant, id, is_first) in
            [(tenant, "admin", true), (tenant, "boss", false), (other, "admin", false)]
        {
            let user = rows.user(tenant, &id.parse().unwrap()).await.unwrap().unwrap();
            assert_eq!(user.is_bootstrap(), is_first, "{tenant} {id}");
        }
        drop(rows);
        house.come(&format!("{tenant}/admin/1")).await.unwrap_err();
        house.come(&format!("{other}/admin/2")).await.unwrap();
    }
}
