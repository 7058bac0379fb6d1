//! Tenants and users as a real provider names them, and sign-ins through us.

use scaidrive_core::services::tenants::NewTenant;
use scaidrive_core::services::{tenants, users};
use serde_json::{Value, json};

use crate::oidc::{Provider, as_bearer, ask_for_tokens, first_tenant, resource, sign_in, start};
use crate::server::Server;

async fn events(server: &Server, tenant: &str, action: &str) -> Vec<(String, Value)> {
    let drive = server.drive().await;
    let all = drive.read().await.unwrap().audit_events(tenant.parse().unwrap(), 1000).await.unwrap();
    let wanted = all.into_iter().filter(|event| event.action == action);
    wanted.map(|event| (event.user.to_string(), event.payload)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_is_known_by_the_id_that_the_provider_has_for_it() {
    let Some(provider) = Provider::open().await else { return };
    let server = start(&provider);
    let drive = server.drive().await;
    let acme = NewTenant { id: Some("acme".to_owned()), ..NewTenant::named("Acme") };
    let acme = tenants::create_as(&drive, acme).await.unwrap();
    drop(drive);
    let token = provider.robot("acme", "RS256").await;
    let me = as_bearer(&server, &token, "/users/me").await.ok().json;
    assert_eq!((&me["id"], &me["tenant_id"]), (&json!("robot"), &json!(acme.id)));
    let by_ours = provider.robot(&acme.id.to_string(), "RS256").await;
    let same = as_bearer(&server, &by_ours, "/users/me").await.ok().json;
    assert_eq!(same["tenant_id"], json!(acme.id), "our own id of it is as good");
    for unknown in ["acm", "acme2", "ACME"] {
        let token = provider.robot(unknown, "RS256").await;
        as_bearer(&server, &token, "/users/me").await.refused(401, "AUTH_TOKEN_INVALID");
    }
    server.stop_and_check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sign_in_through_us_is_noted_once_and_without_its_secrets() {
    let Some(provider) = Provider::open().await else { return };
    let server = start(&provider);
    let tenant = first_tenant(&server).await;
    let tokens = sign_in(&server, &provider, "ada", &resource(&tenant, "ES256")).await;
    let noted = events(&server, &tenant, "user.sign_in").await;
    assert_eq!(noted.len(), 1, "{noted:?}");
    assert_eq!((noted[0].0.as_str(), &noted[0].1["by"]), ("ada", &json!("authorization_code")));
    let access = tokens["access_token"].as_str().unwrap();
    as_bearer(&server, access, "/users/me").await.ok();
    as_bearer(&server, access, "/users/me").await.ok();
    assert_eq!(events(&server, &tenant, "user.sign_in").await.len(), 1, "its use is no other sign-in");
    let refresh = tokens["refresh_token"].as_str().unwrap();
    let told = format!("{noted:?}");
    assert!(!told.contains(access) && !told.contains(refresh));
    ask_for_tokens(&server, &[("grant_type", "refresh_token"), ("refresh_token", "no")])
        .await
        .refused(400, "BAD_REQUEST");
    let log = std::fs::read_to_string(server.dir.path().join("server.log")).unwrap();
    assert!(log.contains("the identity provider refused a grant"), "{log}");
    assert!(!log.contains(access) && !log.contains(refresh));
    server.stop_and_check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_at_the_provider_becomes_the_administrator_that_the_installation_began_with() {
    let Some(provider) = Provider::open().await else { return };
    let server = start(&provider);
    let drive = server.drive().await;
    let (tenant, admin, is_new) = tenants::bootstrap(&drive).await.unwrap();
    assert!(is_new);
    let id = tenant.id.to_string();
    let tokens = sign_in(&server, &provider, "admin", &resource(&id, "ES256")).await;
    let access = tokens["access_token"].as_str().unwrap();
    as_bearer(&server, access, "/users/me").await.refused(401, "AUTH_TOKEN_INVALID");
    as_bearer(&server, access, "/admin/tenant").await.refused(401, "AUTH_TOKEN_INVALID");
    let caller = tenants::caller_for(&drive, tenant.id, &admin.id).await.unwrap();
    let still = users::get(&drive, &caller, &admin.id).await.unwrap();
    assert!(still.is_active && still.is_admin && still.user.last_login_at.is_none(), "{still:?}");
    assert_eq!(events(&server, &id, "user.sign_in").await, []);
    drop(drive);
    server.stop_and_check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_whom_the_provider_calls_admin_is_anybody_where_there_is_no_such_administrator() {
    let Some(provider) = Provider::open().await else { return };
    let server = start(&provider);
    let tenant = first_tenant(&server).await;
    let tokens = sign_in(&server, &provider, "admin", &resource(&tenant, "ES256")).await;
    let access = tokens["access_token"].as_str().unwrap();
    let me = as_bearer(&server, access, "/users/me").await.ok().json;
    assert_eq!((&me["id"], &me["is_admin"]), (&json!("admin"), &json!(false)));
    let shares = as_bearer(&server, access, "/users/me/shares").await.ok().json;
    assert_eq!(shares["shares"][0]["type"], "personal", "{shares}");
    let (_, user, is_new) = tenants::bootstrap(&server.drive().await).await.unwrap();
    assert!(!is_new && user.admin_role.is_none(), "a later start gives it nothing");
    server.stop_and_check().await;
}
