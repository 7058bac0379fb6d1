//! Batches that lie, contradict themselves, or are no batches at all.

use reqwest::Method;
use serde_json::{Value, json};

use super::{batch_with, is_short, post_raw};
use crate::delta::framed;
use crate::server::{Reply, Server, sha256};

/// Fields of a change, with what they cannot be.
fn unfit_fields() -> Vec<(&'static str, Value)> {
    let long = "x".repeat(1 << 20);
    let chunk = |sha256: Value, size: Value| json!([{ "sha256": sha256, "size": size }]);
    let hash = json!(sha256(b"x"));
    vec![
        ("client_change_id", json!(7)),
        ("client_change_id", json!(["c1"])),
        ("client_change_id", json!(long)),
        ("resource_type", json!(long)),
        ("resource_type", Value::Null),
        ("resource_id", json!(7)),
        ("base_version_id", json!([])),
        ("new_path", json!({ "path": "/a" })),
        ("old_path", json!(0)),
        ("parent_id", json!(true)),
        ("size", json!(1.5)),
        ("size", json!("1")),
        ("size", json!(1e300)),
        ("checksum_sha256", json!("00")),
        ("checksum_sha256", json!(long)),
        ("mime_type", json!(7)),
        ("modified_at", json!(1_700_000_000)),
        ("modified_at", json!("2026-02-30T00:00:00Z")),
        ("modified_at", json!("99999-01-01T00:00:00Z")),
        ("modified_at", json!(long)),
        ("chunks", json!({})),
        ("chunks", chunk(hash.clone(), json!(-1))),
        ("chunks", chunk(hash.clone(), json!(4_294_967_296_u64))),
        ("chunks", chunk(hash.clone(), json!(1.0))),
        ("chunks", chunk(json!("z".repeat(64)), json!(1))),
        ("chunks", chunk(json!(long), json!(1))),
        ("chunks", json!([{ "sha256": hash }])),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn fields_of_the_wrong_kind_are_refused_before_anything_happens() {
    let server = Server::start();
    let share = server.share("One").await;
    for (field, value) in unfit_fields() {
        let reply = server.post("/sync/apply", &batch_with(&share, &json!({ field: value }))).await;
        is_short(&reply.refused(422, "VALIDATION_FAILED"));
    }
    let long = "x".repeat(1 << 20);
    for (field, value) in [
        ("device_id", json!(7)),
        ("device_id", json!(long)),
        ("share_id", json!("nonsense")),
        ("share_id", json!(long)),
        ("conflict_resolution", json!("keep_both")),
        ("conflict_resolution", json!(long)),
        ("atomic", json!("yes")),
        ("create_parents", json!(1)),
        ("changes", json!({ "0": {} })),
        ("changes", json!([[]])),
        ("changes", json!(long)),
        ("changes", Value::Null),
    ] {
        let mut body = batch_with(&share, &json!({}));
        body[field] = value;
        is_short(&server.post("/sync/apply", &body).await.refused(422, "VALIDATION_FAILED"));
    }
    assert!(server.names(&share, "root").await.is_empty(), "nothing was applied");
    server.stop_and_check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn text_that_is_no_text_and_json_without_a_bottom_are_refused() {
    let server = Server::start();
    let share = server.share("One").await;
    let with_path = |path: &[u8]| {
        let body = batch_with(&share, &json!({ "new_path": "PATH" })).to_string();
        let (before, after) = body.split_once("PATH").unwrap();
        [before.as_bytes(), path, after.as_bytes()].concat()
    };
    let no_text: [&[u8]; 7] =
        [b"/\xff", b"/\xc0\xaf", b"/\xed\xa0\x80", b"/\\ud800", b"/\\udc00\\ud800", b"/\n", b"/\\x41"];
    for path in no_text {
        is_short(&post_raw(&server, "/sync/apply", with_path(path)).await.refused(400, "BAD_REQUEST"));
    }
    let deep = |open: &str, depth: usize| open.repeat(depth);
    for nested in
        [deep("[", 1 << 20), deep("{\"a\":", 1 << 20), deep("[", 129), deep("{\"changes\":[", 200_000)]
    {
        for path in ["/sync/apply", "/sync/chunks/check", "/sync/fetch", "/sync/devices"] {
            let reply = post_raw(&server, path, nested.clone()).await;
            let is_refused = matches!(reply.status.as_u16(), 400 | 413 | 422);
            assert!(is_refused, "{path}: {reply:?}");
            is_short(&reply);
        }
    }
    // Below a field that nobody reads, closed again: as deep as it likes, or refused; never the end of the server.
    let body = batch_with(&share, &json!({ "unknown": "DEEP" })).to_string();
    for depth in [100, 200, 1 << 20] {
        let nested = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        let reply = post_raw(&server, "/sync/apply", body.replace("\"DEEP\"", &nested)).await;
        assert!(matches!(reply.status.as_u16(), 200 | 400), "{reply:?}");
    }
    for number in ["1e400", "-1e400", "1e-400", "00", "0x1", "NaN", "Infinity", &"9".repeat(100_000)] {
        let text = body.replace("\"unknown\":\"DEEP\"", &format!("\"size\":{number}"));
        let reply = post_raw(&server, "/sync/apply", text).await;
        assert!(matches!(reply.status.as_u16(), 400 | 422), "{number}: {reply:?}");
        is_short(&reply);
    }
    server.stop_and_check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn paths_that_lead_astray_are_refused_one_by_one() {
    let server = Server::start();
    let share = server.share("One").await;
    let (long, deep) = (format!("/{}", "x".repeat(256)), "/a".repeat(300));
    let huge = "/y".repeat(1 << 20);
    let paths = [
        "/../a",
        "/a/../../b",
        "/.",
        "/..",
        "//a",
        "/a//b",
        "/a/",
        "",
        "/",
        "/a\0",
        "/\u{1}",
        "/a\u{85}b",
        "/\u{7f}",
        long.as_str(),
        deep.as_str(),
        huge.as_str(),
    ];
    for field in ["new_path", "old_path"] {
        let changes: Vec<Value> = paths
            .iter()
            .enumerate()
            .map(|(number, path)| {
                json!({
                    "client_change_id": format!("{field} {number}"), "resource_type": "folder",
                    "change_type": if field == "new_path" { "created" } else { "deleted" }, field: path,
                })
            })
            .collect();
        let body =
            json!({ "device_id": "laptop", "share_id": share, "create_parents": true, "changes": changes });
        let reply = server.post("/sync/apply", &body).await.ok();
        let refused = reply.json["errors"].as_array().unwrap();
        assert_eq!(
            (refused.len(), reply.json["applied"].as_array().unwrap().len()),
            (paths.len(), 0),
            "{reply:?}"
        );
        for (refused, path) in refused.iter().zip(paths) {
            let code = (&refused["status"], &refused["code"]);
            assert_eq!(code, (&json!(422), &json!("VALIDATION_FAILED")), "{path:?}: {refused}");
            assert!(refused.to_string().len() < 2000, "a path of {} bytes is sent back", path.len());
        }
    }
    assert!(server.names(&share, "root").await.is_empty());
    server.stop_and_check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_that_stands_for_two_changes_in_a_batch_stands_for_the_first() {
    for server in Server::on_each() {
        let share = server.share("One").await;
        let folder = |path: &str| batch_with(&share, &json!({ "new_path": path }))["changes"][0].clone();
        let changes = json!([folder("/a"), folder("/b"), folder("/a"), folder("/a")]);
        let body = json!({ "device_id": "laptop", "share_id": share, "changes": changes });
        let told = server.post("/sync/apply", &body).await.ok().json;
        let applied = told["applied"].as_array().unwrap();
        assert!(applied.len() == 3 && applied.iter().all(|done| *done == applied[0]), "{told}");
        assert_eq!(told["errors"][0]["code"], "VALIDATION_FAILED");
        assert_eq!(server.names(&share, "root").await, ["a"]);
        let body = batch_with(&share, &json!({ "new_path": "/c" }));
        let told = server.post("/sync/apply", &body).await.ok().json;
        assert_eq!((&told["errors"][0]["status"], &told["applied"]), (&json!(422), &json!([])));
        server.stop_and_check().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn moves_that_would_make_a_loop_leave_the_tree_as_it_is() {
    for server in Server::on_each() {
        let share = server.share("One").await;
        let (a, b) = (server.folder(&share, None, "A").await, server.folder(&share, None, "B").await);
        let c = server.folder(&share, Some(&b), "C").await;
        let into = |number: usize, moved: &str, name: &str, parent: &str| {
            json!({
                "client_change_id": number.to_string(), "resource_type": "folder", "change_type": "moved",
                "resource_id": moved, "old_path": format!("/{name}"), "new_path": format!("/x/{name}"),
                "parent_id": parent,
            })
        };
        // Into itself, into what it holds, and two that are harmless each and a loop together.
        let changes = [
            into(1, &a, "A", &a),
            into(2, &b, "B", &c),
            into(3, &a, "A", &c),
            into(4, &b, "B", &a),
            into(5, &c, "C", &c),
        ];
        for strategy in ["KEEP_BOTH", "LAST_WRITER_WINS", "CLIENT_WINS", "SERVER_WINS", "MANUAL"] {
            let body = json!({
                "device_id": strategy, "share_id": share, "conflict_resolution": strategy, "changes": changes,
            });
            let told = server.post("/sync/apply", &body).await.ok().json;
            let met = told["conflicts"].as_array().unwrap();
            let cycles = met.iter().filter(|conflict| conflict["conflict_type"] == "cycle").count();
            assert_eq!(cycles, 4, "{strategy}: {told}");
        }
        assert_eq!(server.get(&format!("/folders/{a}")).await.ok().json["path"], "/B/C/A");
        server.stop_and_check().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn claims_of_sizes_and_chunks_that_cannot_be_are_refused() {
    let server = Server::start();
    let share = server.share("One").await;
    server.put_frames(&share, framed([&b"x"[..]])).await.ok();
    let file = |fields: Value| {
        let mut change = json!({
            "resource_type": "file", "size": 1, "chunks": [{ "sha256": sha256(b"x"), "size": 1 }],
            "checksum_sha256": sha256(b"x"),
        });
        change.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        batch_with(&share, &change)
    };
    let many = json!(vec![json!({ "sha256": sha256(b"x"), "size": 1 }); (1 << 17) + 1]);
    let largest = json!(vec![json!({ "sha256": sha256(b"never"), "size": 1 << 20 }); 6000]);
    for (fields, code) in [
        (json!({ "size": u64::MAX }), "VALIDATION_FAILED"),
        (json!({ "size": 0 }), "VALIDATION_FAILED"),
        (json!({ "chunks": null }), "VALIDATION_FAILED"),
        (json!({ "chunks": [{ "sha256": sha256(b"x"), "size": 0 }], "size": 0 }), "VALIDATION_FAILED"),
        (
            json!({ "chunks": [{ "sha256": sha256(b"x"), "size": u32::MAX }], "size": null }),
            "VALIDATION_FAILED",
        ),
        (json!({ "chunks": [{ "sha256": sha256(b"x"), "size": 2 }], "size": 2 }), "CHUNKS_MISSING"),
        (json!({ "chunks": many, "size": null, "checksum_sha256": null }), "VALIDATION_FAILED"),
        (json!({ "chunks": largest, "size": null, "checksum_sha256": null }), "PAYLOAD_TOO_LARGE"),
        (json!({ "checksum_sha256": sha256(b"") }), "CHECKSUM_MISMATCH"),
        (json!({ "chunks": [], "size": 0 }), "CHECKSUM_MISMATCH"),
        (json!({ "mime_type": "a\r\nX-Evil: 1/b" }), "VALIDATION_FAILED"),
    ] {
        let reply = server.post("/sync/apply", &file(fields)).await.ok();
        is_short(&reply);
        assert_eq!(reply.json["errors"][0]["code"], code, "{reply:?}");
    }
    assert!(server.names(&share, "root").await.is_empty());
    let wanted = server.post("/sync/apply", &file(json!({}))).await.ok().json;
    assert_eq!(wanted["applied"][0]["path"], "/a", "{wanted}");
    server.stop_and_check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn preferences_and_devices_have_a_size() {
    let server = Server::start();
    let share = server.share("One").await;
    server.post("/sync/devices", &json!({ "device_id": "laptop", "device_name": "L" })).await.created();
    let path = format!("/sync/preferences?share_id={share}&device_id=laptop");
    let long = "x".repeat(5000);
    for wrong in [
        json!({ "mode": "selected", "folders": vec!["/a"; 10_001] }),
        json!({ "mode": "selected", "folders": [long] }),
        json!({ "mode": "selected", "folders": [7] }),
        json!({ "mode": "selected", "folders": "/a" }),
        json!({ "mode": long }),
        json!([]),
    ] {
        let reply = Reply::of(server.request(Method::PUT, &path).json(&wrong)).await;
        is_short(&reply.refused(422, "VALIDATION_FAILED"));
    }
    for wrong in [json!("a\u{0}b"), json!(7), json!(long), Value::Null] {
        let device = json!({ "device_id": "phone", "device_name": wrong });
        is_short(&server.post("/sync/devices", &device).await.refused(422, "VALIDATION_FAILED"));
    }
    assert_eq!(server.get("/sync/devices").await.ok().json.as_array().unwrap().len(), 1);
    server.stop_and_check().await;
}
