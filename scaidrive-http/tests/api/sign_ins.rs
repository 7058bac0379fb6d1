//! Sign-ins, as the administrator's log tells them.

use std::sync::Arc;
use std::time::Duration;

use reqwest::Method;
use scaidrive_core::adapters::issuer::EmbeddedIssuer;
use scaidrive_core::adapters::local::SystemClock;
use scaidrive_core::model::{Scope, Timestamp};
use scaidrive_core::ports::Clock;
use serde_json::{Value, json};

use crate::server::{Reply, Server};

/// A clock that stands still.
#[derive(Debug)]
struct At(Timestamp);

impl Clock for At {
    fn now(&self) -> Timestamp {
        self.0
    }
}

/// Returns a token that was issued so many seconds ago.
fn issued(server: &Server, user: &str, seconds_ago: u64) -> String {
    let clock = At(SystemClock.now().minus(Duration::from_secs(seconds_ago)));
    let issuer = EmbeddedIssuer::open(server.dir.path(), Arc::new(clock)).unwrap();
    let lifetime = Duration::from_secs(3600);
    issuer.mint(server.tenant(), &user.parse().unwrap(), &[Scope::FilesRead], lifetime).unwrap()
}

async fn look(server: &Server, token: &str) {
    let me = server.client.request(Method::GET, format!("{}/api/v1/users/me", server.url));
    Reply::of(me.bearer_auth(token).header("user-agent", "a test")).await.ok();
}

async fn sign_ins(server: &Server, user: &str) -> Vec<Value> {
    let found = server.get(&format!("/admin/audit?action=user.sign_in&user_id={user}&limit=100")).await;
    found.ok().json["events"].as_array().unwrap().clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_new_token_is_a_sign_in_once() {
    for server in Server::on_each() {
        let (first, second) = (issued(&server, "ada", 100), issued(&server, "ada", 50));
        for token in [&first, &first, &second, &first, &second, &second] {
            look(&server, token).await;
        }
        let third = issued(&server, "ada", 10);
        let rivals: Vec<_> = (0..8)
            .map(|_| {
                let (client, url, token) = (server.client.clone(), server.url.clone(), third.clone());
                tokio::spawn(async move {
                    Reply::of(client.get(format!("{url}/api/v1/users/me")).bearer_auth(token)).await.ok();
                })
            })
            .collect();
        for rival in rivals {
            rival.await.unwrap();
        }
        look(&server, &issued(&server, "bob", 10)).await;
        let events = sign_ins(&server, "ada").await;
        assert_eq!(events.len(), 3, "{events:?}");
        for event in &events {
            assert_eq!(
                (&event["category"], &event["severity"], &event["result"]),
                (&json!("AUTHENTICATION"), &json!("info"), &json!("success"))
            );
            assert_eq!(
                (&event["resource"]["type"], &event["resource"]["id"]),
                (&json!("user"), &json!("ada"))
            );
            assert_eq!(event["actor"]["ip"], "127.0.0.1");
        }
        assert_eq!(events[2]["actor"]["user_agent"], "a test");
        assert_eq!(sign_ins(&server, "bob").await.len(), 1);
        server.stop_and_check().await;
    }
}
