//! Rate limits and `Idempotency-Key`.

use reqwest::{Method, StatusCode};
use scaidrive_core::model::Scope;
use serde_json::{Value, json};

use crate::server::{Reply, Server};

async fn set_limits(server: &Server, limits: Value) {
    server.patch("/admin/tenant", &json!({ "settings": limits })).await.ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn exactly_the_limit_is_granted_and_told() {
    for server in Server::on_each() {
        set_limits(&server, json!({ "rate_limit_token": 20 })).await;
        let token = server.mint(server.tenant(), "usr_a", &[Scope::FilesRead]);
        let ask = || server.client.get(format!("{}/api/v1/users/me", server.url)).bearer_auth(&token).send();
        let answers = futures_util::future::join_all((0..32).map(|_| ask())).await;
        let answers: Vec<_> = answers.into_iter().map(Result::unwrap).collect();
        let granted = answers.iter().filter(|answer| answer.status() == StatusCode::OK).count();
        assert_eq!(granted, 20);
        for answer in &answers {
            assert_eq!(answer.headers()["x-ratelimit-limit"], "20");
            let reset: i64 = answer.headers()["x-ratelimit-reset"].to_str().unwrap().parse().unwrap();
            assert!(reset > 1_700_000_000);
        }
        let mut left: Vec<u32> = answers
            .iter()
            .filter(|answer| answer.status() == StatusCode::OK)
            .map(|answer| answer.headers()["x-ratelimit-remaining"].to_str().unwrap().parse().unwrap())
            .collect();
        left.sort_unstable();
        assert_eq!(left, (0..20).collect::<Vec<_>>());
        let refused = server.client.get(format!("{}/api/v1/users/me", server.url)).bearer_auth(&token);
        let refused = Reply::of(refused).await.refused(429, "RATE_LIMITED");
        let wait = refused.json["error"]["retry_after"].as_u64().unwrap();
        assert!((1..=60).contains(&wait) && refused.header("retry-after") == wait.to_string());
        assert_eq!(
            refused.json["error"]["details"],
            json!({ "dimension": "token", "limit": 20, "window_seconds": 60 })
        );
        let other = server.mint(server.tenant(), "usr_a", &[Scope::FilesWrite]);
        let other = server.client.get(format!("{}/api/v1/users/me", server.url)).bearer_auth(other);
        Reply::of(other).await.ok();
        let metrics = server
            .client
            .get(format!("{}/metrics", server.operators))
            .send()
            .await
            .unwrap()
            .text()
            .await
            .unwrap();
        assert!(
            metrics.contains("scaidrive_rate_limit_rejections_total{dimension=\"token\"} 13"),
            "{metrics}"
        );
        server.stop_and_check().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn users_and_tenants_have_limits_of_their_own_and_health_has_none() {
    for server in Server::on_each() {
        set_limits(&server, json!({ "rate_limit_user": 15 })).await;
        let ask = async |token: &str| {
            let request = server.client.get(format!("{}/api/v1/users/me", server.url)).bearer_auth(token);
            Reply::of(request).await
        };
        let tokens: Vec<String> = (0..2)
            .map(|hour| server.mint(server.tenant(), "usr_a", &[[Scope::FilesRead, Scope::FilesWrite][hour]]))
            .collect();
        for number in 0..15 {
            ask(&tokens[number % 2]).await.ok();
        }
        let refused = ask(&tokens[0]).await.refused(429, "RATE_LIMITED");
        assert_eq!(refused.json["error"]["details"]["dimension"], "user");
        for path in ["health", "ready", "config"] {
            let answer = server.client.get(format!("{}/api/v1/{path}", server.url)).send().await.unwrap();
            assert!(answer.status().is_success() && !answer.headers().contains_key("x-ratelimit-limit"));
        }
        for wrong in [json!({ "rate_limit_token": -1 }), json!({ "rate_limit_token": "x" })] {
            server
                .patch("/admin/tenant", &json!({ "settings": wrong }))
                .await
                .refused(422, "VALIDATION_FAILED");
        }
        server.stop_and_check().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_sends_bad_tokens_is_slowed_down() {
    for server in Server::on_each_with(&[("SCAIDRIVE_TRUSTED_PROXIES", "127.0.0.0/8")]) {
        let ask = async |from: &str, token: &str| {
            let request = server.client.get(format!("{}/api/v1/users/me", server.url)).bearer_auth(token);
            Reply::of(request.header("x-forwarded-for", from)).await
        };
        for _ in 0..600 {
            ask("198.51.100.7", "bad").await.refused(401, "AUTH_TOKEN_INVALID");
        }
        let refused = ask("198.51.100.7", "bad").await.refused(429, "RATE_LIMITED");
        assert_eq!(refused.json["error"]["details"]["dimension"], "address");
        ask("198.51.100.8", "bad").await.refused(401, "AUTH_TOKEN_INVALID");
        ask("198.51.100.8", &server.token).await.ok();
        server.stop_and_check().await;
    }
}

fn keyed(server: &Server, path: &str, key: &str, body: &Value) -> reqwest::RequestBuilder {
    server.request(Method::POST, path).header("idempotency-key", key).json(body)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_request_has_one_effect_and_the_same_answer() {
    for mut server in Server::on_each() {
        let share = server.share("Projects").await;
        let body = json!({ "share_id": share, "name": "plans" });
        let first = Reply::of(keyed(&server, "/folders", "k1", &body)).await.created();
        let again = Reply::of(keyed(&server, "/folders", "k1", &body)).await.created();
        assert_eq!(again.json, first.json);
        let other = json!({ "share_id": share, "name": "other" });
        let refused =
            Reply::of(keyed(&server, "/folders", "k1", &other)).await.refused(422, "VALIDATION_FAILED");
        assert!(refused.json["detail"][0]["msg"].as_str().unwrap().contains("something else"));
        Reply::of(keyed(&server, "/folders", "k2", &other)).await.created();
        Reply::of(keyed(&server, "/shares", "k1", &json!({ "name": "T", "share_type": "project" })))
            .await
            .created();
        // Another user's key is another key.
        let token = server.mint(server.tenant(), "usr_b", &[Scope::FilesWrite]);
        let own = json!({ "name": "Own", "share_type": "project" });
        let theirs = server.client.post(format!("{}/api/v1/shares", server.url)).bearer_auth(token);
        Reply::of(theirs.header("idempotency-key", "k1").json(&own)).await.created();
        for wrong in ["", "with space", &"x".repeat(129)] {
            Reply::of(keyed(&server, "/folders", wrong, &body)).await.refused(400, "BAD_REQUEST");
        }
        // A request that failed had no effect, and may be made right under the same key.
        let taken = json!({ "share_id": share, "name": "Plans" });
        Reply::of(keyed(&server, "/folders", "k3", &taken)).await.refused(409, "NAME_CONFLICT");
        let free = json!({ "share_id": share, "name": "free" });
        Reply::of(keyed(&server, "/folders", "k3", &free)).await.created();
        server.kill_and_restart();
        let again = Reply::of(keyed(&server, "/folders", "k1", &body)).await.created();
        assert_eq!(again.json, first.json, "remembered by the database");
        let id = first.id();
        server.delete(&format!("/folders/{id}?permanent=true")).await.gone_well();
        Reply::of(keyed(&server, "/folders", "k1", &body)).await.refused(404, "NOT_FOUND");
        server.stop_and_check().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_racing_duplicates_one_has_an_effect() {
    for server in Server::on_each() {
        let share = server.share("Projects").await;
        for round in 0..10 {
            let body = json!({ "share_id": share, "name": format!("folder {round}") });
            let key = format!("race-{round}");
            let racing = (0..16).map(|_| keyed(&server, "/folders", &key, &body).send());
            let mut ids = std::collections::BTreeSet::new();
            for answer in futures_util::future::join_all(racing).await {
                let answer = answer.unwrap();
                let status = answer.status().as_u16();
                let json: Value = answer.json().await.unwrap();
                match status {
                    201 => drop(ids.insert(json["id"].to_string())),
                    409 => assert_eq!(
                        (&json["error"]["code"], &json["error"]["retry_after"]),
                        (&json!("ALREADY_EXISTS"), &json!(1))
                    ),
                    other => panic!("{other}: {json}"),
                }
            }
            assert_eq!(ids.len(), 1);
        }
        let listed = server.get(&format!("/folders/root/children?share_id={share}")).await.ok().json;
        assert_eq!(listed["total"], 10);
        server.stop_and_check().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_is_repeated_under_another_boundary() {
    for server in Server::on_each() {
        let share = server.share("Projects").await;
        let send = async |name: &str, content: &'static str| {
            let part = reqwest::multipart::Part::text(content).file_name("x");
            let form = reqwest::multipart::Form::new()
                .text("share_id", share.clone())
                .text("name", name.to_owned())
                .part("file", part);
            let request = server.request(Method::POST, "/files").header("idempotency-key", "up");
            Reply::of(request.multipart(form)).await
        };
        let first = send("a.txt", "bytes").await.created();
        assert_eq!(send("a.txt", "bytes").await.created().json, first.json);
        send("a.txt", "other").await.refused(422, "VALIDATION_FAILED");
        send("b.txt", "bytes").await.refused(422, "VALIDATION_FAILED");
        let listed = server.get(&format!("/folders/root/children?share_id={share}")).await.ok().json;
        assert_eq!(listed["total"], 1);
        server.stop_and_check().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_route_that_creates_honours_the_key() {
    for server in Server::on_each() {
        let share = server.share("Projects").await;
        let file = server.upload(&share, None, "a.txt", "x").await.created().id();
        let folder = server.post("/folders", &json!({ "share_id": share, "name": "f" })).await.created().id();
        server.post("/admin/users", &json!({ "id": "usr_m" })).await.created();
        let copy = json!({ "target_folder_id": folder });
        for (path, body) in [
            ("/shares".to_owned(), json!({ "name": "X", "share_type": "project" })),
            ("/users/me/favorites".to_owned(), json!({ "resource_id": file })),
            (format!("/files/{file}/copy"), copy.clone()),
            (format!("/folders/{folder}/copy"), json!({ "target_share_id": share, "name": "g" })),
            (
                format!("/shares/{share}/members"),
                json!({ "principal_type": "user", "principal_id": "usr_m", "role": "reader" }),
            ),
            (format!("/shares/{share}/invitations"), json!({ "email": "a@b.c", "role": "reader" })),
            ("/admin/users".to_owned(), json!({ "id": "usr_n" })),
            ("/admin/groups".to_owned(), json!({ "name": "G" })),
            (
                format!("/permissions/acl/file/{file}"),
                json!({ "principal_type": "everyone", "ace_type": "deny", "permissions": ["WRITE"] }),
            ),
        ] {
            let first = Reply::of(keyed(&server, &path, "k", &body)).await.created();
            let again = Reply::of(keyed(&server, &path, "k", &body)).await.created();
            assert_eq!(again.json, first.json, "{path}");
        }
        server.stop_and_check().await;
    }
}
