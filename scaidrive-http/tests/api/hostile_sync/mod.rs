//! What no decent device sends over HTTP: the right refusal, in few words and little memory, and nothing changed.

mod attacks;
mod batches;
mod streams;

use reqwest::Method;
use serde_json::{Value, json};

use crate::server::{Reply, Server};

/// The longest refusal there is: whatever was sent, it is not sent back.
const LONGEST_REFUSAL: usize = 8 << 10;

/// Posts a body as it stands.
async fn post_raw(server: &Server, path: &str, body: impl Into<reqwest::Body>) -> Reply {
    let request = server.request(Method::POST, path).header("content-type", "application/json");
    Reply::of(request.body(body)).await
}

/// Returns a batch of one change, with these fields for others.
fn batch_with(share: &str, fields: &Value) -> Value {
    let mut change = json!({
        "client_change_id": "c1", "resource_type": "folder", "change_type": "created", "new_path": "/a",
    });
    change.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    json!({ "device_id": "laptop", "share_id": share, "changes": [change] })
}

/// Demands that a refusal says little, whatever it refuses.
fn is_short(reply: &Reply) {
    let size = reply.bytes.len();
    assert!(size <= LONGEST_REFUSAL, "{size} bytes: {:?}", String::from_utf8_lossy(&reply.bytes[..400]));
}

#[tokio::test(flavor = "multi_thread")]
async fn positions_that_cannot_be_are_refused_wherever_they_are_told() {
    let server = Server::start();
    let share = server.share("One").await;
    server.post("/sync/devices", &json!({ "device_id": "laptop", "device_name": "L" })).await.created();
    let huge = "9".repeat(4000);
    let wrong = [
        "-1",
        "-9223372036854775809",
        "1.0",
        "1e3",
        "+1",
        "%2B1",
        "0x1",
        "%00",
        "%D9%A1",
        "1%20",
        "1_0",
        &huge,
    ];
    for position in wrong {
        let reply = server.get(&format!("/sync/changes?cursor={position}")).await;
        is_short(&reply.refused(422, "VALIDATION_FAILED"));
        let path = format!("/sync/cursor?share_id={share}&device_id=laptop&position={position}");
        is_short(&server.post(&path, &json!({})).await.refused(422, "VALIDATION_FAILED"));
    }
    for beyond in ["9223372036854775807", "9223372036854775808", "18446744073709551616"] {
        server.get(&format!("/sync/changes?cursor={beyond}")).await.refused(410, "CURSOR_EXPIRED");
        let path = format!("/sync/cursor?share_id={share}&device_id=laptop&position={beyond}");
        server.post(&path, &json!({})).await.refused(422, "VALIDATION_FAILED");
    }
    for wrong in [json!("1"), json!(1.5), json!([1]), json!(true), json!(1e300)] {
        let mut body = batch_with(&share, &json!({}));
        body["cursor"] = wrong;
        server.post("/sync/apply", &body).await.refused(422, "VALIDATION_FAILED");
    }
    assert!(server.names(&share, "root").await.is_empty());
    // A batch that tells a position that never was deletes nothing that it cannot have seen.
    let folder = server.folder(&share, None, "F").await;
    server.upload(&share, Some(&folder), "a", "x").await.created();
    for (never, status, code) in [
        (-1, 422, "VALIDATION_FAILED"),
        (i64::MIN, 422, "VALIDATION_FAILED"),
        (i64::MAX, 410, "CURSOR_EXPIRED"),
    ] {
        let change = json!({
            "client_change_id": never.to_string(), "change_type": "deleted", "resource_id": folder, "new_path": null,
        });
        let mut body = batch_with(&share, &change);
        body["cursor"] = json!(never);
        server.post("/sync/apply", &body).await.refused(status, code);
    }
    server.stop_and_check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_position_of_another_tenant_shows_nothing_of_it() {
    for mut server in Server::on_each() {
        let share = server.share("Secret").await;
        for number in 0..20 {
            server.folder(&share, None, &format!("secret {number}")).await;
        }
        server
            .post("/sync/devices", &json!({ "device_id": "laptop", "device_name": "Secret" }))
            .await
            .created();
        let query = format!("share_id={share}&device_id=laptop");
        server.get(&format!("/sync/status?{query}")).await.ok();
        let theirs = server.get("/sync/changes").await.ok().json["cursor"].as_i64().unwrap();
        let other = crate::walls::other_tenant(&server).await;
        server.token = server.mint(other, "usr_foreigner", &[scaidrive_core::model::Scope::All]);
        let own = server.share("Own").await;
        let head = server.get("/sync/changes").await.ok().json["cursor"].as_i64().unwrap();
        assert!(head < theirs, "each tenant counts for itself");
        for cursor in 0..=theirs {
            let reply = server.get(&format!("/sync/changes?cursor={cursor}")).await;
            if cursor > head {
                reply.refused(410, "CURSOR_EXPIRED");
                continue;
            }
            let told = reply.ok().json;
            let mut tenants = told["changes"].as_array().unwrap().iter().map(|row| &row["tenant_id"]);
            assert!(tenants.all(|id| *id == json!(other)) && told["cursor"] == head, "{told}");
        }
        server.get(&format!("/sync/changes?share_id={share}&cursor=0")).await.refused(404, "NOT_FOUND");
        // The same name of a device is another device here, and says nothing of theirs.
        server.get(&format!("/sync/status?share_id={own}&device_id=laptop")).await.refused(404, "NOT_FOUND");
        assert_eq!(server.get("/sync/devices").await.ok().json, json!([]));
        server.delete("/sync/devices/laptop").await.refused(404, "NOT_FOUND");
        server.post(&format!("/sync/cursor?{query}&position=0"), &json!({})).await.refused(404, "NOT_FOUND");
        server.stop_and_check().await;
    }
}
