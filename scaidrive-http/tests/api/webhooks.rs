//! Events of the identity provider, as they come in over HTTP.

use std::time::{SystemTime, UNIX_EPOCH};

use reqwest::Method;
use scaidrive_core::model::{Scope, Timestamp};
use serde_json::{Value, json};

use crate::server::{Reply, Server};

const SECRET: &str = "a secret between the two of us";

fn now() -> i64 {
    #[expect(clippy::disallowed_methods, reason = "the provider has a clock of its own")]
    let now = SystemTime::now();
    now.duration_since(UNIX_EPOCH).unwrap().as_secs() as i64
}

fn signature(secret: &str, stamp: i64, body: &str) -> String {
    let key = hmac_sha256(secret.as_bytes(), format!("{stamp}.{body}").as_bytes());
    format!("t={stamp},v1={}", key.iter().map(|byte| format!("{byte:02x}")).collect::<String>())
}

/// RFC 2104, written out: the server's own code must not judge itself.
fn hmac_sha256(key: &[u8], text: &[u8]) -> Vec<u8> {
    use sha2::{Digest, Sha256};
    let pad = |with: u8| {
        let mut block = [with; 64];
        block.iter_mut().zip(key).for_each(|(byte, key)| *byte ^= key);
        block
    };
    let inner = Sha256::new().chain_update(pad(0x36)).chain_update(text).finalize();
    Sha256::new().chain_update(pad(0x5c)).chain_update(inner).finalize().to_vec()
}

async fn send(server: &Server, signature: Option<&str>, body: &str) -> Reply {
    let url = format!("{}/api/v1/webhooks/scaikey", server.url);
    let request = server.client.request(Method::POST, url).body(body.to_owned());
    Reply::of(match signature {
        Some(signature) => request.header("X-ScaiKey-Signature", signature),
        None => request,
    })
    .await
}

async fn tell(server: &Server, event: &Value) -> Reply {
    let body = event.to_string();
    send(server, Some(&signature(SECRET, now(), &body)), &body).await
}

fn event(server: &Server, id: &str, kind: &str, user: &str) -> Value {
    json!({
        "event_id": id, "event_type": kind, "timestamp": Timestamp::from_micros(now() * 1_000_000),
        "resource": { "type": "user", "id": user }, "actor": { "id": "root" }, "data": {},
        "tenant_id": server.tenant(),
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_counts_from_the_next_request_on() {
    for server in Server::on_each_with(&[("SCAIDRIVE_SCAIKEY_WEBHOOK_SECRET", SECRET)]) {
        let token = server.mint(server.tenant(), "ada", &[Scope::FilesWrite]);
        let url = format!("{}/api/v1/users/me", server.url);
        let ask = || Reply::of(server.client.get(&url).bearer_auth(&token));
        ask().await.ok();
        let suspended = event(&server, "e1", "user.suspended", "ada");
        assert_eq!(tell(&server, &suspended).await.ok().json, json!({ "status": "applied" }));
        ask().await.refused(403, "AUTHZ_USER_SUSPENDED");
        assert_eq!(tell(&server, &suspended).await.ok().json["status"], "duplicate");
        let mut late = event(&server, "e2", "user.activated", "ada");
        late["timestamp"] = json!("2020-01-01T00:00:00Z");
        assert_eq!(tell(&server, &late).await.ok().json["status"], "stale");
        ask().await.refused(403, "AUTHZ_USER_SUSPENDED");
        assert_eq!(
            tell(&server, &event(&server, "e3", "user.activated", "ada")).await.ok().json["status"],
            "applied"
        );
        ask().await.ok();
        for unknown in [json!({ "event_type": "user.danced" }), json!({ "event_type": "", "resource": null })]
        {
            assert_eq!(tell(&server, &unknown).await.ok().json["status"], "ignored");
        }
        server.stop_and_check().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_cannot_sign_changes_nothing() {
    for server in Server::on_each_with(&[("SCAIDRIVE_SCAIKEY_WEBHOOK_SECRET", SECRET)]) {
        let body = event(&server, "e1", "user.suspended", "admin").to_string();
        send(&server, None, &body).await.refused(401, "AUTH_TOKEN_MISSING");
        let bad = [
            signature("another secret", now(), &body),
            signature(SECRET, now() - 301, &body),
            signature(SECRET, now() + 310, &body),
            signature(SECRET, now(), "{}"),
            "t=1".to_owned(),
            "junk".to_owned(),
        ];
        for signature in bad {
            send(&server, Some(&signature), &body).await.refused(401, "AUTH_TOKEN_INVALID");
        }
        server.get("/users/me").await.ok();
        for (body, status, code) in [
            ("{", 400, "BAD_REQUEST"),
            ("[]", 422, "VALIDATION_FAILED"),
            ("{}", 422, "VALIDATION_FAILED"),
            (r#"{"event_type":"user.created","event_id":"x"}"#, 422, "VALIDATION_FAILED"),
        ] {
            send(&server, Some(&signature(SECRET, now(), body)), body).await.refused(status, code);
        }
        let huge = "x".repeat((1 << 20) + 1);
        send(&server, Some(&signature(SECRET, now(), &huge)), &huge).await.refused(413, "PAYLOAD_TOO_LARGE");
        server.stop_and_check().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_secret_nothing_is_taken() {
    for server in Server::on_each() {
        let body = event(&server, "e1", "user.suspended", "admin").to_string();
        send(&server, Some(&signature("", now(), &body)), &body).await.refused(503, "UNAVAILABLE");
        server.get("/users/me").await.ok();
        server.stop_and_check().await;
    }
}
