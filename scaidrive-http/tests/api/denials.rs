//! What callers were refused, as the administrator's log tells it and as nobody else learns it.

use std::collections::BTreeSet;

use reqwest::{Method, RequestBuilder};
use scaidrive_core::model::Scope;
use scaidrive_core::services::tenants;
use serde_json::{Value, json};

use crate::server::{Reply, Server};

const NEVER: &str = "01ARZ3NDEKTSV4RRFFQ69G5FAV";

struct Secret {
    share: String,
    folder: String,
    file: String,
}

impl Secret {
    async fn of(server: &Server) -> Self {
        let share = server.share("Board").await;
        let folder = server.folder(&share, None, "Plans").await;
        let file = server.upload(&share, Some(&folder), "merger.odt", "secret").await.created().id();
        Self { share, folder, file }
    }

    fn never() -> Self {
        let id = |kind: &str| format!("{kind}_{NEVER}");
        Self { share: id("shr"), folder: id("fld"), file: id("fil") }
    }

    /// Returns requests about these things, each with the kind and the id of what it is about.
    fn requests(&self) -> Vec<(Method, String, Value, &'static str, &str)> {
        let Self { share, folder, file } = self;
        let entry = json!({ "principal_type": "everyone", "ace_type": "allow", "permissions": ["READ"] });
        let member = json!({ "principal_type": "user", "principal_id": "usr_eve", "role": "reader" });
        vec![
            (Method::GET, format!("/files/{file}"), Value::Null, "file", file),
            (Method::GET, format!("/files/{file}/content"), Value::Null, "file", file),
            (Method::PATCH, format!("/files/{file}"), json!({ "name": "x" }), "file", file),
            (Method::DELETE, format!("/files/{file}?permanent=true"), Value::Null, "file", file),
            (
                Method::POST,
                format!("/files/{file}/copy"),
                json!({ "target_share_id": share }),
                "share",
                share,
            ),
            (
                Method::GET,
                format!("/folders/{folder}/children?share_id={share}"),
                Value::Null,
                "folder",
                folder,
            ),
            (Method::POST, "/folders".to_owned(), json!({ "share_id": share, "name": "x" }), "share", share),
            (
                Method::POST,
                "/folders".to_owned(),
                json!({ "share_id": share, "parent_id": folder, "name": "x" }),
                "folder",
                folder,
            ),
            (Method::GET, format!("/shares/{share}"), Value::Null, "share", share),
            (Method::DELETE, format!("/shares/{share}"), Value::Null, "share", share),
            (Method::POST, format!("/shares/{share}/members"), member, "share", share),
            (Method::POST, format!("/permissions/acl/file/{file}"), entry, "file", file),
            (
                Method::GET,
                format!("/permissions/effective?resource_type=file&resource_id={file}"),
                Value::Null,
                "file",
                file,
            ),
        ]
    }
}

fn as_user(server: &Server, token: &str) -> impl Fn(Method, &str, &Value) -> RequestBuilder + use<> {
    let (client, url, token) = (server.client.clone(), server.url.clone(), token.to_owned());
    move |method, path, body| {
        let request = client.request(method, format!("{url}/api/v1{path}")).bearer_auth(&token);
        if body.is_null() { request } else { request.json(body) }
    }
}

/// Returns all that an answer tells, but for its own id and how often the caller may ask again.
fn told(reply: &Reply) -> (u16, Vec<(String, String)>, Value) {
    let varies = ["x-request-id", "date", "x-ratelimit-remaining", "x-ratelimit-reset"];
    let headers = reply.headers.iter().filter(|(name, _)| !varies.contains(&name.as_str()));
    let mut headers: Vec<_> =
        headers.map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned())).collect();
    headers.sort();
    let mut body = reply.json.clone();
    body["meta"] = Value::Null;
    (reply.status.as_u16(), headers, body)
}

async fn refusals(server: &Server, user: &str) -> Vec<Value> {
    let query = format!("/admin/audit?category=AUTHORIZATION&limit=100&user_id={user}");
    server.get(&query).await.ok().json["events"].as_array().unwrap().clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_hidden_is_refused_as_if_it_were_not_there_and_the_audit_alone_knows() {
    for mut server in Server::on_each() {
        let (secret, never) = (Secret::of(&server).await, Secret::never());
        let token = server.mint(server.tenant(), "usr_eve", &[Scope::FilesWrite]);
        let ask = as_user(&server, &token);
        let (hidden, absent) = (secret.requests(), never.requests());
        for ((method, path, body, ..), (_, never, no_body, ..)) in hidden.iter().zip(&absent) {
            let theirs = Reply::of(ask(method.clone(), path, body)).await.refused(404, "NOT_FOUND");
            let nobodys = Reply::of(ask(method.clone(), never, no_body)).await.refused(404, "NOT_FOUND");
            assert_eq!(told(&theirs), told(&nobodys), "{method} {path}");
        }
        let check =
            format!("/permissions/check?resource_type=file&resource_id={}&permission=READ", secret.file);
        let answer = Reply::of(ask(Method::GET, &check, &Value::Null)).await.ok().json;
        assert_eq!(answer["allowed"], false, "a question is no attempt");
        server.stop();
        server.restart();
        let events = refusals(&server, "usr_eve").await;
        let facts = |event: &Value| {
            let text = |value: &Value| value.as_str().unwrap().to_owned();
            (
                text(&event["payload"]["tried"]),
                text(&event["resource"]["type"]),
                text(&event["resource"]["id"]),
            )
        };
        let noted: BTreeSet<_> = events.iter().map(facts).collect();
        let wanted: BTreeSet<_> = hidden
            .iter()
            .map(|(method, path, _, kind, id)| {
                let (route, _) = path.split_once('?').unwrap_or((path, ""));
                let mut route = format!("{method} /api/v1{route}");
                for id in [&secret.file, &secret.folder, &secret.share] {
                    route = route.replace(id.as_str(), "{id}");
                }
                (route.replace("/acl/file/", "/acl/{type}/"), (*kind).to_owned(), (*id).to_owned())
            })
            .collect();
        assert_eq!(noted, wanted);
        assert_eq!(events.len(), hidden.len(), "each once, and nothing of what never was");
        for event in &events {
            assert_eq!(
                (&event["action"], &event["severity"], &event["result"]),
                (&json!("refused"), &json!("warning"), &json!("NOT_FOUND"))
            );
            assert!(event["payload"]["right"].is_string() && event["actor"]["ip"].is_string(), "{event}");
        }
        server.stop_and_check().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ids_of_another_tenant_are_no_denial_in_any_log() {
    for mut server in Server::on_each() {
        let secret = Secret::of(&server).await;
        let drive = server.drive().await;
        let other = tenants::create(&drive, "Other").await.unwrap().id;
        drop(drive);
        let token = server.mint(other, "usr_eve", &[Scope::FilesWrite]);
        let ask = as_user(&server, &token);
        for (method, path, body, ..) in secret.requests() {
            Reply::of(ask(method, &path, &body)).await.refused(404, "NOT_FOUND");
        }
        server.stop();
        server.restart();
        assert_eq!(refusals(&server, "usr_eve").await, Vec::<Value>::new());
        let drive = server.drive().await;
        let events = drive.read().await.unwrap().audit_events(other, 1000).await.unwrap();
        assert!(!events.is_empty() && events.iter().all(|event| event.action != "refused"), "{events:?}");
        drop(drive);
        server.stop_and_check().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_not_act_any_more_is_noted_with_what_was_tried() {
    for mut server in Server::on_each() {
        let token = server.mint(server.tenant(), "usr_eve", &[Scope::FilesWrite]);
        let ask = as_user(&server, &token);
        Reply::of(ask(Method::GET, "/shares", &Value::Null)).await.ok();
        server.post("/admin/users/usr_eve/suspend", &json!({})).await.ok();
        Reply::of(ask(Method::GET, "/shares", &Value::Null)).await.refused(403, "AUTHZ_USER_SUSPENDED");
        server.stop();
        server.restart();
        let events = refusals(&server, "usr_eve").await;
        assert_eq!(events.len(), 1, "{events:?}");
        assert_eq!(
            (&events[0]["result"], &events[0]["payload"]["tried"]),
            (&json!("AUTHZ_USER_SUSPENDED"), &json!("GET /api/v1/shares"))
        );
        server.stop_and_check().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_is_refused_is_logged_and_counted_and_never_shown() {
    for server in Server::on_each() {
        let good = server.mint(server.tenant(), "usr_eve", &[Scope::FilesRead]);
        let bad = format!("{}x", &good[..good.len() - 1]);
        let elsewhere = server.mint(format!("tnt_{NEVER}").parse().unwrap(), "usr_eve", &[Scope::FilesRead]);
        for token in [&bad, &elsewhere] {
            let ask = as_user(&server, token);
            Reply::of(ask(Method::GET, "/shares", &Value::Null)).await.refused(401, "AUTH_TOKEN_INVALID");
        }
        let metrics = server.client.get(format!("{}/metrics", server.operators)).send().await.unwrap();
        let metrics = metrics.text().await.unwrap();
        let line = "scaidrive_requests_total{method=\"GET\",path=\"/api/v1/shares\",status=\"401\"} 2";
        assert!(metrics.contains(line), "{metrics}");
        let log = std::fs::read_to_string(server.dir.path().join("server.log")).unwrap();
        let lines: Vec<&str> = log.lines().filter(|line| line.contains("a token was refused")).collect();
        assert_eq!(lines.len(), 2, "{log}");
        assert!(lines.iter().all(|line| line.contains("127.0.0.1")), "{lines:?}");
        assert!(lines[1].contains("tenant is not known"), "{lines:?}");
        for token in [bad, elsewhere] {
            assert!(!log.contains(token.rsplit('.').next().unwrap()), "no token in the log");
        }
        server.stop_and_check().await;
    }
}
