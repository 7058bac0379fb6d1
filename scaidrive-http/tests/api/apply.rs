//! Batches of devices over HTTP: what is answered, counted, listed and settled.

use reqwest::Method;
use serde_json::{Value, json};

use crate::server::{Reply, Server, sha256};

/// Returns a change of a new file whose bytes are in the share already.
fn file(id: &str, path: &str, bytes: &[u8]) -> Value {
    json!({
        "client_change_id": id, "resource_type": "file", "resource_id": null, "change_type": "created",
        "base_version_id": null, "old_path": null, "new_path": path, "size": bytes.len(),
        "checksum_sha256": sha256(bytes), "mime_type": "text/plain", "modified_at": "2026-11-23T10:00:00Z",
        "chunks": [{ "sha256": sha256(bytes), "size": bytes.len() }],
    })
}

fn batch(share: &str, changes: &[Value]) -> Value {
    json!({ "device_id": "laptop", "share_id": share, "changes": changes })
}

fn fields(value: &Value) -> Vec<&str> {
    let mut names: Vec<&str> = value.as_object().unwrap().keys().map(String::as_str).collect();
    names.sort_unstable();
    names
}

/// Returns a batch of a file, one that is there already, one whose bytes are missing, a bad path, and a taken name.
fn mixed(share: &str) -> Value {
    let folder = |id: &str, path: &str| json!({ "client_change_id": id, "resource_type": "folder", "change_type": "created", "new_path": path });
    let changes = [
        file("c1", "/plan.txt", b"bytes"),
        file("c2", "/seed", b"bytes"),
        file("c3", "/lost", b"never sent"),
        folder("c4", "/../x"),
        folder("c5", "/SEED"),
    ];
    batch(share, &changes)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_is_answered_change_by_change() {
    for server in Server::on_each() {
        let share = server.share("Projects").await;
        server.upload(&share, None, "seed", "bytes").await.created();
        let told = server.post("/sync/apply", &mixed(&share)).await.ok().json;
        assert_eq!(fields(&told), ["applied", "conflicts", "cursor", "errors"]);
        let applied = told["applied"].as_array().unwrap();
        assert_eq!(applied.len(), 3, "{told}");
        let shape = ["change_id", "client_change_id", "path", "resource_id", "version_id"];
        assert_eq!(fields(&applied[0]), shape);
        assert_eq!(
            (&applied[0]["client_change_id"], &applied[0]["path"]),
            (&json!("c1"), &json!("/plan.txt"))
        );
        assert_eq!(applied[1]["change_id"], Value::Null, "it is there already");
        let met = &told["conflicts"][0];
        assert_eq!(
            fields(met).join(" "),
            "base_version_id client_change_id client_version_id conflict_type created_at device_id id resolution \
             resolved_at resolved_by resource_id resource_type server_version_id share_id status"
        );
        assert_eq!((&met["conflict_type"], &met["resolution"]), (&json!("name_taken"), &json!("KEEP_BOTH")));
        let refused = told["errors"].as_array().unwrap();
        assert_eq!(fields(&refused[0]), ["client_change_id", "code", "detail", "details", "status"]);
        assert_eq!((&refused[0]["status"], &refused[0]["code"]), (&json!(409), &json!("CHUNKS_MISSING")));
        assert_eq!(refused[0]["details"]["missing"], json!([sha256(b"never sent")]));
        assert_eq!((&refused[1]["status"], &refused[1]["code"]), (&json!(422), &json!("VALIDATION_FAILED")));
        server.stop_and_check().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_sent_again_is_answered_alike_and_counted_once() {
    for server in Server::on_each() {
        let share = server.share("Projects").await;
        server.upload(&share, None, "seed", "bytes").await.created();
        let first = server.post("/sync/apply", &mixed(&share)).await.ok().json;
        let again = server.post("/sync/apply", &mixed(&share)).await.ok().json;
        assert_eq!(again, first);
        assert_eq!(server.names(&share, "root").await.len(), 3);
        let metrics =
            reqwest::get(format!("{}/metrics", server.operators)).await.unwrap().text().await.unwrap();
        let counted = "scaidrive_sync_conflicts_total{type=\"name_taken\"} 1";
        assert!(metrics.lines().any(|line| line == counted), "{metrics}");
        server.stop_and_check().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn conflicts_are_listed_and_settled() {
    for server in Server::on_each() {
        let share = server.share("Projects").await;
        let first = server.upload(&share, None, "plan.txt", "one").await.created().json;
        let id = first["id"].as_str().unwrap();
        server.put(id, "two").await.ok();
        server.upload(&share, None, "seed", "three").await.created();
        let edit = json!({
            "client_change_id": "c1", "resource_type": "file", "resource_id": id, "change_type": "updated",
            "base_version_id": first["version_id"], "new_path": "/plan.txt", "size": 5,
            "chunks": [{ "sha256": sha256(b"three"), "size": 5 }],
        });
        let mut body = batch(&share, &[edit]);
        body["conflict_resolution"] = json!("MANUAL");
        let told = server.post("/sync/apply", &body).await.ok().json;
        assert_eq!(told["applied"], json!([]));
        let met = told["conflicts"][0].clone();
        assert_eq!((&met["status"], &met["resource_id"]), (&json!("open"), &json!(id)));
        let list = async |query: &str| server.get(&format!("/sync/conflicts{query}")).await.ok().json;
        assert_eq!(list("").await, json!([met]));
        assert_eq!(list(&format!("?device_id=laptop&share_id={share}")).await, json!([met]));
        assert_eq!(list("?device_id=phone").await, json!([]));
        for absent in ["shr_01ARZ3NDEKTSV4RRFFQ69G5FAV", "x"] {
            let path = format!("/sync/conflicts?share_id={absent}");
            server.get(&path).await.refused(404, "NOT_FOUND");
        }
        let resolve = async |query: &str| {
            let path = format!("/sync/conflicts/{}/resolve{query}", met["id"].as_str().unwrap());
            Reply::of(server.request(Method::POST, &path)).await
        };
        for wrong in ["", "?resolution=", "?resolution=MANUAL", "?resolution=keep_both"] {
            resolve(wrong).await.refused(422, "VALIDATION_FAILED");
        }
        let settled = resolve("?resolution=CLIENT_WINS").await.ok().json;
        assert_eq!((&settled["status"], &settled["resolution"]), (&json!("resolved"), &json!("CLIENT_WINS")));
        assert_eq!(server.content(id).await.ok().bytes, "three");
        assert_eq!(resolve("?resolution=CLIENT_WINS").await.ok().json, settled);
        resolve("?resolution=SERVER_WINS").await.refused(409, "ALREADY_EXISTS");
        assert_eq!(list("").await, json!([]));
        assert_eq!(list("?include_resolved=true").await, json!([settled]));
        for absent in ["cfl_01ARZ3NDEKTSV4RRFFQ69G5FAV", "cfl_x"] {
            let path = format!("/sync/conflicts/{absent}/resolve?resolution=KEEP_BOTH");
            Reply::of(server.request(Method::POST, &path)).await.refused(404, "NOT_FOUND");
        }
        server.stop_and_check().await;
    }
}

fn folder(number: usize) -> Value {
    json!({
        "client_change_id": number.to_string(), "resource_type": "folder", "change_type": "created",
        "new_path": format!("/{number}"),
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn batches_that_cannot_be_read_change_nothing() {
    let server = Server::start();
    let share = server.share("Projects").await;
    let unfit = async |body: Value| server.post("/sync/apply", &body).await.refused(422, "VALIDATION_FAILED");
    for (field, value) in [
        ("change_type", json!("exploded")),
        ("resource_type", json!("share")),
        ("client_change_id", Value::Null),
        ("client_change_id", json!("")),
        ("modified_at", json!("yesterday")),
        ("chunks", json!([{ "sha256": "xyz", "size": 1 }])),
        ("size", json!(-1)),
    ] {
        let mut change = folder(1);
        change[field] = value;
        unfit(batch(&share, &[folder(0), change])).await;
    }
    unfit(batch(&share, &[])).await;
    unfit(json!({ "share_id": share, "changes": [folder(0)] })).await;
    for device in ["", "a\nb", &"x".repeat(129)] {
        unfit(json!({ "device_id": device, "share_id": share, "changes": [folder(0)] })).await;
    }
    let post = |body: &str| {
        let request = server.request(Method::POST, "/sync/apply").header("content-type", "application/json");
        Reply::of(request.body(body.to_owned()))
    };
    for torn in ["", "{", "[", "{\"share_id\":", "nonsense"] {
        post(torn).await.refused(400, "BAD_REQUEST");
    }
    assert!(server.names(&share, "root").await.is_empty(), "nothing was applied");
    server.stop_and_check().await;
}

/// Returns changes that cannot be read: where that is told of which input, and how the message begins.
fn unreadable() -> Vec<(Value, Vec<&'static str>, Value, &'static str)> {
    let change = |field: &str, value: Value| with_field(folder(1), field, value);
    vec![
        (change("size", json!(-1)), vec!["changes", "1", "size"], json!(-1), "changes.1.size: invalid value"),
        (
            change("new_path", json!(7)),
            vec!["changes", "1", "new_path"],
            json!(7),
            "changes.1.new_path: invalid type: integer `7`, expected a string",
        ),
        (
            change("change_type", json!("exploded")),
            vec!["changes", "1", "change_type"],
            json!("exploded"),
            "changes.1.change_type: ",
        ),
        (
            change("resource_type", Value::Null),
            vec!["changes", "1", "resource_type"],
            Value::Null,
            "changes.1.resource_type: ",
        ),
        (
            change("chunks", json!([{ "sha256": "xyz", "size": 1 }])),
            vec!["changes", "1", "chunks", "0", "sha256"],
            json!("xyz"),
            "changes.1.chunks.0.sha256: ",
        ),
        (
            json!({ "client_change_id": "c" }),
            vec!["changes", "1", "resource_type"],
            Value::Null,
            "changes.1.resource_type: missing field",
        ),
    ]
}

fn with_field(mut change: Value, field: &str, value: Value) -> Value {
    change[field] = value;
    change
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_a_batch_is_said_of_the_field() {
    let server = Server::start();
    let share = server.share("Projects").await;
    for (change, way, input, message) in unreadable() {
        let body = batch(&share, &[folder(0), change]);
        let told = server.post("/sync/apply", &body).await.refused(422, "VALIDATION_FAILED").json;
        let fault = &told["detail"][0];
        assert_eq!(fault["loc"], json!([&["body"][..], &way].concat()), "{told}");
        assert_eq!(fault["input"], input, "{told}");
        let said = told["error"]["message"].as_str().unwrap();
        assert!(said.starts_with(message) && !told.to_string().contains(" column "), "{told}");
    }
    // A path begins at the share's root, as everywhere.
    for field in ["new_path", "old_path"] {
        let change = with_field(folder(1), field, json!("a/b"));
        let told = server.post("/sync/apply", &batch(&share, &[change])).await.ok().json;
        assert_eq!(told["errors"][0]["status"], 422, "{told}");
        assert_eq!(told["errors"][0]["detail"].as_str().unwrap().split(": ").next(), Some(field), "{told}");
    }
    server.stop_and_check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_atomic_batch_over_quota_and_one_with_too_much_content_are_told_why() {
    for server in Server::on_each() {
        let share = server.share("Projects").await;
        server.upload(&share, None, "seed", "bytes").await.created();
        let limit = json!({ "limit_bytes": 12 });
        let path = format!("/quotas/shares/{share}");
        Reply::of(server.request(Method::PUT, &path).json(&limit)).await.ok();
        let mut body =
            batch(&share, &[folder(0), file("c1", "/one", b"bytes"), file("c2", "/two", b"bytes")]);
        body["atomic"] = json!(true);
        let told = server.post("/sync/apply", &body).await.ok().json;
        assert_eq!((&told["applied"], &told["conflicts"]), (&json!([]), &json!([])), "{told}");
        let refused = told["errors"].as_array().unwrap();
        assert_eq!(refused.len(), 1, "{told}");
        let shown = (&refused[0]["client_change_id"], &refused[0]["status"], &refused[0]["code"]);
        assert_eq!(shown, (&json!("c2"), &json!(507), &json!("QUOTA_EXCEEDED")));
        assert_eq!(server.names(&share, "root").await, ["seed"]);
        let large = |id: &str| {
            let chunk = json!({ "sha256": sha256(b"never sent"), "size": 1 << 20 });
            json!({
                "client_change_id": id, "resource_type": "file", "change_type": "created",
                "new_path": format!("/{id}"), "chunks": vec![chunk; 1500],
            })
        };
        let one = server.post("/sync/apply", &batch(&share, &[large("a"), folder(1)])).await.ok().json;
        assert_eq!(one["errors"][0]["code"], "CHUNKS_MISSING", "one content alone may be larger: {one}");
        let two = server.post("/sync/apply", &batch(&share, &[large("b"), large("c")])).await;
        let told = two.refused(422, "VALIDATION_FAILED").json;
        assert_eq!(told["detail"][0]["loc"], json!(["body", "changes"]));
        assert!(told["detail"][0]["msg"].as_str().unwrap().contains("1073741824 bytes"), "{told}");
        server.stop_and_check().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_may_be_large_and_no_larger() {
    let server = Server::start();
    let share = server.share("Projects").await;
    let many: Vec<Value> = (0..1001).map(folder).collect();
    let refused = server.post("/sync/apply", &batch(&share, &many)).await.refused(422, "VALIDATION_FAILED");
    assert_eq!(refused.json["detail"][0]["loc"], json!(["body", "changes"]));
    let spaces = server.request(Method::POST, "/sync/apply").body(vec![b' '; (16 << 20) + 1]);
    Reply::of(spaces).await.refused(413, "PAYLOAD_TOO_LARGE");
    assert!(server.names(&share, "root").await.is_empty(), "nothing was applied");
    // Far more than other bodies may have, and nothing wrong with it.
    let mut large = folder(0);
    large["unknown"] = json!("x".repeat(4 << 20));
    let told = server.post("/sync/apply", &batch(&share, &[large])).await.ok().json;
    assert_eq!(told["applied"].as_array().unwrap().len(), 1);
    let mut all = batch(&share, &many[..1000]);
    all["device_id"] = json!("phone");
    all["atomic"] = json!(true);
    let told = server.post("/sync/apply", &all).await.ok().json;
    assert_eq!(told["applied"].as_array().unwrap().len(), 1000);
    server.stop_and_check().await;
}
