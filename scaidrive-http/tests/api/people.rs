//! What administrators make: tenants by the provider's ids, users with limits of their own.

use reqwest::Method;
use scaidrive_core::model::Scope;
use serde_json::{Value, json};

use crate::server::{Reply, Server};

async fn partner(server: &Server) -> String {
    server.get("/admin/tenant").await.ok().json["partner_id"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_is_made_with_the_providers_own_id() {
    for server in Server::on_each() {
        let path = format!("/admin/partners/{}/tenants", partner(&server).await);
        let plain = server.post(&path, &json!({ "name": "Plain" })).await.created().json;
        assert_eq!(plain["external_id"], Value::Null);
        let acme = server.post(&path, &json!({ "name": "Acme", "id": "acme|7 Ä" })).await.created().json;
        assert_eq!(acme["external_id"], "acme|7 Ä");
        assert!(acme["id"].as_str().unwrap().starts_with("tnt_"), "{acme}");
        let ours = "tnt_01ARZ3NDEKTSV4RRFFQ69G5FAV";
        let kept = server.post(&path, &json!({ "name": "Kept", "id": ours })).await.created().json;
        assert_eq!((&kept["id"], &kept["external_id"]), (&json!(ours), &Value::Null));
        for taken in ["acme|7 Ä", ours, plain["id"].as_str().unwrap()] {
            let again = server.post(&path, &json!({ "name": "Again", "id": taken })).await;
            again.refused(409, "ALREADY_EXISTS");
        }
        let long = "x".repeat(256);
        for wrong in ["", "a\u{0}b", "tnt_acme", "tnt_01arz3ndektsv4rrffq69g5fav", long.as_str()] {
            let made = server.post(&path, &json!({ "name": "Wrong", "id": wrong })).await;
            made.refused(422, "VALIDATION_FAILED");
        }
        let all = server.get(&path).await.ok().json;
        assert_eq!(all["total"], 4, "{all}");
        let found: Vec<&Value> =
            all["tenants"].as_array().unwrap().iter().map(|tenant| &tenant["external_id"]).collect();
        assert!(found.contains(&&json!("acme|7 Ä")), "{all}");
        let told = server.get("/admin/audit?action=tenant.create").await.ok().json;
        assert_eq!(told["total"], 3);
        assert_eq!(told["events"][1]["payload"]["external_id"], "acme|7 Ä", "{told}");
        let token = server.mint(ours.parse().unwrap(), "usr_a", &[Scope::FilesRead]);
        let me = server.client.get(format!("{}/api/v1/users/me", server.url)).bearer_auth(token);
        assert_eq!(Reply::of(me).await.ok().json["tenant_id"], ours);
        server.stop_and_check().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_has_one_address_or_none() {
    for server in Server::on_each() {
        let new = json!({ "id": "ada", "email": "ada@example.org" });
        assert_eq!(server.post("/admin/users", &new).await.created().json["email"], "ada@example.org");
        for wrong in ["ada", "", "a@example.org,b@example.org", "a@example.org\r\nBcc: b@example.org"] {
            let body = json!({ "email": wrong });
            server.post("/admin/users", &body).await.refused(422, "VALIDATION_FAILED");
            server.patch("/admin/users/ada", &body).await.refused(422, "VALIDATION_FAILED");
        }
        let without = server.patch("/admin/users/ada", &json!({ "email": null })).await.ok().json;
        assert_eq!(without["email"], Value::Null);
        server.stop_and_check().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_users_limit_is_set_with_the_user() {
    for server in Server::on_each() {
        let new = json!({ "id": "ada", "quota_bytes": 100 });
        assert_eq!(server.post("/admin/users", &new).await.created().json["quota_bytes"], 100);
        assert_eq!(server.get("/admin/users/ada").await.ok().json["quota_bytes"], 100);
        let quota = server.get("/quotas/users/ada").await.ok().json;
        assert_eq!((&quota["limit_bytes"], &quota["limit_type"]), (&json!(100), &json!("hard")));
        let bob = server.post("/admin/users", &json!({ "id": "bob" })).await.created().json;
        assert_eq!(bob["quota_bytes"], Value::Null);
        let put = json!({ "limit_bytes": 7, "limit_type": "soft", "warning_threshold_1": 50 });
        Reply::of(server.request(Method::PUT, "/quotas/users/bob").json(&put)).await.ok();
        let changed =
            server.patch("/admin/users/bob", &json!({ "quota_bytes": 10, "name": "Bob" })).await.ok().json;
        assert_eq!((&changed["quota_bytes"], &changed["name"]), (&json!(10), &json!("Bob")));
        let quota = server.get("/quotas/users/bob").await.ok().json;
        assert_eq!(
            (&quota["limit_bytes"], &quota["limit_type"], &quota["warning_threshold_1"]),
            (&json!(10), &json!("soft"), &json!(50)),
            "what else was set stays"
        );
        server.patch("/admin/users/bob", &json!({ "name": "Robert" })).await.ok();
        server.patch("/admin/users/bob", &json!({ "quota_bytes": 10 })).await.ok();
        assert_eq!(server.get("/admin/users/bob").await.ok().json["quota_bytes"], 10);
        for wrong in [json!(-1), json!("10"), json!(1.5), json!(9_223_372_036_854_775_808_u64)] {
            let body = json!({ "quota_bytes": wrong });
            server.patch("/admin/users/bob", &body).await.refused(422, "VALIDATION_FAILED");
            server.post("/admin/users", &body).await.refused(422, "VALIDATION_FAILED");
        }
        let gone = server.patch("/admin/users/bob", &json!({ "quota_bytes": null })).await.ok().json;
        assert_eq!(gone["quota_bytes"], Value::Null);
        server.patch("/admin/users/bob", &json!({ "quota_bytes": null })).await.ok();
        let events = server.get("/admin/audit?action=quota.set&resource_id=user:bob").await.ok().json;
        let limits: Vec<&Value> = events["events"]
            .as_array()
            .unwrap()
            .iter()
            .rev()
            .map(|event| &event["payload"]["limits"]["limit_bytes"])
            .collect();
        assert_eq!(limits, [&json!(7), &json!(10), &Value::Null], "one event for each change");
        server.patch("/admin/users/nobody", &json!({ "quota_bytes": 1 })).await.refused(404, "NOT_FOUND");
        server.stop_and_check().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_limit_of_a_user_is_kept() {
    for server in Server::on_each() {
        server.patch("/admin/users/admin", &json!({ "quota_bytes": 10 })).await.ok();
        let share = server.share("Projects").await;
        server.upload(&share, None, "a.txt", "1234567890").await.created();
        let refused = server.upload(&share, None, "b.txt", "1").await.refused(507, "QUOTA_EXCEEDED");
        assert_eq!(refused.json["error"]["details"]["level"], "user");
        server.patch("/admin/users/admin", &json!({ "quota_bytes": null })).await.ok();
        server.upload(&share, None, "b.txt", "1").await.created();
        server.stop_and_check().await;
    }
}
