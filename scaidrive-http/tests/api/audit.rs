//! The audit through the API.

use reqwest::Method;
use scaidrive_core::model::Scope;
use scaidrive_core::services::audit;
use serde_json::{Value, json};

use crate::server::{Reply, Server};

#[tokio::test(flavor = "multi_thread")]
async fn mutations_reads_and_refusals_are_told() {
    for mut server in Server::on_each() {
        let share = server.share("Projects").await;
        let file = server.upload(&share, None, "=cmd.txt", "x").await.created().id();
        server.patch(&format!("/shares/{share}"), &json!({ "is_public": true })).await.ok();
        let token = server.mint(server.tenant(), "usr_reader", &[Scope::FilesWrite]);
        let ask = |method: Method, path: String| {
            server.client.request(method, format!("{}/api/v1{path}", server.url)).bearer_auth(&token)
        };
        Reply::of(ask(Method::GET, format!("/files/{file}/content"))).await.ok();
        Reply::of(ask(Method::DELETE, format!("/files/{file}"))).await.refused(403, "PERMISSION_DENIED");
        Reply::of(ask(Method::GET, "/admin/audit".to_owned())).await.refused(403, "SCOPE_INSUFFICIENT");
        let weak = server.mint(server.tenant(), "usr_reader", &[Scope::All]);
        let by_claim = server.client.get(format!("{}/api/v1/admin/audit", server.url)).bearer_auth(weak);
        Reply::of(by_claim).await.refused(403, "PERMISSION_DENIED");
        // A clean stop loses nothing of what was gathered.
        server.stop();
        server.restart();
        let find = async |query: &str| server.get(&format!("/admin/audit?{query}")).await.ok().json;
        let read = find("action=file.read").await;
        assert_eq!(read["total"], 1);
        let event = &read["events"][0];
        assert_eq!(
            (&event["category"], &event["actor"]["user_id"]),
            (&json!("FILE_ACCESS"), &json!("usr_reader"))
        );
        assert_eq!(
            (&event["resource"]["id"], &event["resource"]["path"]),
            (&json!(file), &json!("/=cmd.txt"))
        );
        let refused = find("category=AUTHORIZATION&user_id=usr_reader&severity=warning").await;
        let results: Vec<&Value> =
            refused["events"].as_array().unwrap().iter().map(|event| &event["result"]).collect();
        assert_eq!(results, ["PERMISSION_DENIED", "SCOPE_INSUFFICIENT", "PERMISSION_DENIED"]);
        assert_eq!(refused["events"][2]["resource"]["id"], json!(file));
        assert_eq!(find(&format!("resource_id={file}&action=file.create")).await["total"], 1);
        assert_eq!(find("from=2020-01-01T00:00:00Z&to=2020-01-02T00:00:00Z").await["total"], 0);
        for wrong in ["category=x", "from=yesterday", "limit=0", "after=x"] {
            server.get(&format!("/admin/audit?{wrong}")).await.refused(422, "VALIDATION_FAILED");
        }
        server.stop_and_check().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_and_exports_hold_every_event_once() {
    for server in Server::on_each() {
        let share = server.share("Projects").await;
        for number in 0..30 {
            let body = json!({ "share_id": share, "name": format!("=1+{number}") });
            server.post("/folders", &body).await.created();
        }
        let drive = server.drive().await;
        audit::seal(&drive, server.tenant()).await.unwrap();
        let (mut seen, mut next) = (Vec::new(), String::new());
        loop {
            let page = server.get(&format!("/admin/audit?limit=7{next}")).await.ok().json;
            assert_eq!(page.get("total").is_some(), next.is_empty());
            seen.extend(page["events"].as_array().unwrap().iter().map(|event| event["event_id"].clone()));
            match page["next"].as_str() {
                Some(after) => next = format!("&after={after}"),
                None => break,
            }
        }
        let lines = server.get("/admin/audit/export?format=ndjson").await.ok().bytes;
        let exported: Vec<Value> = std::str::from_utf8(&lines)
            .unwrap()
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        let mut ids: Vec<Value> = exported.iter().map(|event| event["event_id"].clone()).collect();
        ids.reverse();
        assert_eq!(ids, seen);
        assert!(exported.iter().all(|event| event["seal"].as_str().is_some_and(|mac| mac.len() == 64)));
        let csv = server.get("/admin/audit/export?format=csv&action=folder.create").await.ok();
        let text = String::from_utf8(csv.bytes.to_vec()).unwrap();
        assert_eq!(text.lines().count(), 31);
        assert!(
            text.starts_with("event_id,timestamp,") && text.contains("/=1+7"),
            "paths begin with a slash"
        );
        server.get("/admin/audit/export?format=xml").await.refused(422, "VALIDATION_FAILED");
        let verified = audit::verify(&drive, server.tenant(), None).await.unwrap();
        assert_eq!(verified.faults, []);
        drop(drive);
        server.stop_and_check().await;
    }
}
