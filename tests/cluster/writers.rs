//! Clients that write: each asks again until it is told that it is done, and notes what it was told.

use reqwest::Method;
use reqwest::multipart::{Form, Part};
use serde_json::{Value, json};

use crate::ledger::Written;
use crate::load::Work;
use crate::{noise, sha256};

/// Files in a batch.
const BATCH: u64 = 4;

/// The smallest part of an upload there may be.
const PART: usize = 64 << 10;

/// Writes small files, a batch at a time, as a device does: chunks first, then what they make.
pub(crate) async fn batches(work: Work) {
    let mut batch = 0;
    while work.goes_on() {
        let mut changes = Vec::new();
        for number in 0..BATCH {
            let seed = 1 + number + BATCH * batch + (work.number << 40);
            let bytes = noise(seed, 500 + (seed % 3000) as usize);
            let path = format!("/sync/chunks/{}?share_id={}", sha256(&bytes), work.share);
            work.caller.insist(|| work.caller.request(Method::PUT, &path).body(bytes.clone())).await;
            changes.push(created(&format!("{}-{batch}-{number}", work.number), &work, batch, &bytes));
        }
        let device = format!("writer-{}", work.number);
        let body = json!({ "device_id": device, "share_id": &*work.share, "create_parents": true, "changes": changes });
        note_batch(&work, &changes, &apply(&work, &body).await);
        work.done();
        batch += 1;
    }
}

fn created(id: &str, work: &Work, batch: u64, bytes: &[u8]) -> Value {
    json!({
        "client_change_id": id, "resource_type": "file", "change_type": "created", "size": bytes.len(),
        "new_path": format!("/batches-{}/{}/{id}.txt", work.number, batch / 100), "checksum_sha256": sha256(bytes),
        "modified_at": "2026-11-23T10:00:00Z", "chunks": [{ "sha256": sha256(bytes), "size": bytes.len() }],
        "create_parents": true,
    })
}

/// Sends a batch until none of it has to be sent again.
async fn apply(work: &Work, body: &Value) -> Value {
    loop {
        let told = work.caller.post("/sync/apply", body).await;
        let later = |error: &Value| error["status"].as_u64().is_some_and(|status| status >= 502);
        if !told["errors"].as_array().unwrap().iter().any(later) {
            return told;
        }
    }
}

fn note_batch(work: &Work, changes: &[Value], told: &Value) {
    let applied = told["applied"].as_array().unwrap();
    if applied.len() != changes.len() || told["conflicts"] != json!([]) || told["errors"] != json!([]) {
        work.caller.tally.fault(format!("a batch of new files is answered {told}"));
        return;
    }
    for (change, applied) in changes.iter().zip(applied) {
        if change["new_path"] != applied["path"] {
            work.caller.tally.fault(format!("{change} becomes {applied}"));
        }
        // Nothing where the row is of the first time that it was sent.
        if let Some(id) = applied["change_id"].as_str() {
            work.ledger.changed(id);
        }
        work.ledger.wrote(Written {
            id: text(&applied["resource_id"]),
            path: text(&applied["path"]),
            checksum: text(&change["checksum_sha256"]),
        });
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text")).to_owned()
}

/// Uploads larger files in parts.
pub(crate) async fn parts(work: Work) {
    let mut upload = 0;
    while work.goes_on() {
        let name = format!("upload {} {upload}.bin", work.number);
        let bytes = noise(7 + upload + (work.number << 41), 2 * PART + 1000 + (upload % 50) as usize);
        let body = json!({
            "share_id": &*work.share, "file_name": name, "file_size": bytes.len(), "chunk_size": PART,
            "checksum_sha256": sha256(&bytes),
        });
        let begun = || {
            let request = work.caller.request(Method::POST, "/uploads").json(&body);
            request.header("Idempotency-Key", format!("upload-{}-{upload}", work.number))
        };
        let session = text(&work.caller.insist_on(begun).await["session_id"]);
        for (index, part) in bytes.chunks(PART).enumerate() {
            let path = format!("/uploads/{session}/chunks/{index}");
            work.caller.insist(|| work.caller.request(Method::PUT, &path).body(part.to_vec())).await;
        }
        let made = work.caller.post(&format!("/uploads/{session}/complete"), &json!({})).await;
        if made["version"] != 1 {
            work.caller.tally.fault(format!("a new file is {made}"));
        }
        let id = text(&made["file_id"]);
        work.ledger.wrote(Written { id, path: format!("/{name}"), checksum: sha256(&bytes) });
        work.done();
        upload += 1;
    }
}

/// Uploads small files, each in one request, and renames them.
pub(crate) async fn renames(work: Work) {
    let mut file = 0;
    while work.goes_on() {
        let bytes = noise(11 + file + (work.number << 42), 300);
        let (name, last) =
            (format!("draft {} {file}", work.number), format!("renamed {} {file}", work.number));
        let upload = || {
            let form = Form::new().text("share_id", work.share.to_string()).text("name", name.clone());
            let form = form.part("file", Part::bytes(bytes.clone()).file_name(name.clone()));
            let request = work.caller.request(Method::POST, "/files").multipart(form);
            request.header("Idempotency-Key", format!("file-{}-{file}", work.number))
        };
        let id = text(&work.caller.insist_on(upload).await["id"]);
        let path = format!("/files/{id}");
        let rename = || work.caller.request(Method::PATCH, &path).json(&json!({ "name": last }));
        let renamed = work.caller.insist_on(rename).await;
        if renamed["path"] != format!("/{last}") {
            work.caller.tally.fault(format!("a renamed file is {renamed}"));
        }
        work.ledger.wrote(Written { id, path: format!("/{last}"), checksum: sha256(&bytes) });
        work.done();
        file += 1;
    }
}
