//! Two attacks by name: asking for hashes to learn what others have, and claiming a checksum to change what others get.

use reqwest::Method;
use scaidrive_core::model::Scope;
use serde_json::{Value, json};

use super::batch_with;
use crate::delta::framed;
use crate::server::{Reply, Server, noise, sha256};

impl Server {
    /// Makes a user who may write in a share; returns its token.
    async fn contributor(&self, share: &str, id: &str) -> String {
        self.post("/admin/users", &json!({ "id": id })).await.created();
        let member = json!({ "principal_type": "user", "principal_id": id, "role": "contributor" });
        self.post(&format!("/shares/{share}/members"), &member).await.created();
        self.mint(self.tenant(), id, &[Scope::All])
    }

    /// Denies somebody a thing.
    async fn hide(&self, resource: &str, from: &str) {
        let entry = json!({
            "principal_type": "user", "principal_id": from, "ace_type": "deny",
            "permissions": ["READ", "MANAGE_PERMISSIONS"],
        });
        let kind = if resource.starts_with("fil_") { "file" } else { "folder" };
        self.post(&format!("/permissions/acl/{kind}/{resource}"), &entry).await.created();
    }

    /// Asks for a file of one chunk or more that is made of these hashes.
    async fn claim(&self, share: &str, id: &str, chunks: &[(&str, usize)], checksum: Option<&str>) -> Value {
        let chunks: Vec<Value> =
            chunks.iter().map(|(sha256, size)| json!({ "sha256": sha256, "size": size })).collect();
        let file = json!({
            "client_change_id": id, "resource_type": "file", "new_path": format!("/{id}"), "chunks": chunks,
            "checksum_sha256": checksum,
        });
        self.post("/sync/apply", &batch_with(share, &file)).await.ok().json
    }
}

/// What an attacker hears about a hash, with the hash itself taken out.
async fn heard(server: &Server, share: &str, id: &str, hash: &str, size: usize) -> [String; 2] {
    let asked = json!({ "share_id": share, "hashes": [hash] });
    let checked = server.post("/sync/chunks/check", &asked).await;
    let mut claimed = server.claim(share, id, &[(hash, size)], None).await;
    claimed["cursor"] = Value::Null;
    [format!("{} {}", checked.status, checked.json), claimed.to_string()]
        .map(|told| told.replace(hash, "HASH").replace(id, "ID"))
}

#[tokio::test(flavor = "multi_thread")]
async fn who_knows_a_hash_learns_nothing_and_gets_nothing() {
    for mut server in Server::on_each() {
        server.lift_limits().await;
        let (share, other) = (server.share("One").await, server.share("Other").await);
        let mallory = server.contributor(&share, "usr_mallory").await;
        let (open, denied, elsewhere) = (noise(1, 5000), noise(2, 5000), noise(3, 5000));
        server.upload(&share, None, "open", open.clone()).await.created();
        let file = server.upload(&share, None, "denied", denied.clone()).await.created().id();
        server.hide(&file, "usr_mallory").await;
        server.upload(&other, None, "elsewhere", elsewhere.clone()).await.created();
        let sent = noise(4, 5000);
        server.put_frames(&share, framed([&sent[..]])).await.ok();
        server.token = mallory;
        let never = heard(&server, &share, "never", &sha256(b"never"), 5000).await;
        for (id, secret) in [("denied", &denied), ("elsewhere", &elsewhere), ("sent", &sent)] {
            assert_eq!(heard(&server, &share, id, &sha256(secret), 5000).await, never, "{id}");
        }
        // What it may read it may use, and the question is not deaf.
        assert_ne!(heard(&server, &share, "open", &sha256(&open), 5000).await, never);
        // Nor does half of a file that it may read lend the other half.
        let mixed = [(sha256(&open), 5000), (sha256(&denied), 5000)];
        let mixed = [(mixed[0].0.as_str(), 5000), (mixed[1].0.as_str(), 5000)];
        let told = server.claim(&share, "mixed", &mixed, None).await;
        assert_eq!(told["errors"][0]["details"]["missing"], json!([sha256(&denied)]), "{told}");
        let names = server.names(&share, "root").await;
        assert_eq!(names, ["open"], "the one it made is hidden behind its own name: {names:?}");
        // Sending the bytes is what makes them its own: the answer is that of bytes nobody had.
        let reply = server.put_frames(&share, framed([&denied[..], b"new"])).await.ok();
        let told: Vec<&Value> =
            reply.json["results"].as_array().unwrap().iter().map(|result| &result["status"]).collect();
        assert_eq!(told, ["created", "created"]);
        server.stop_and_check().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_claims_anothers_checksum_is_refused_and_changes_nothing_for_the_other() {
    for mut server in Server::on_each() {
        server.lift_limits().await;
        let share = server.share("One").await;
        let (mallory, ada) =
            (server.contributor(&share, "usr_mallory").await, server.contributor(&share, "usr_ada").await);
        let (hers, his) = (noise(5, 1_500_000), noise(6, 1_500_000));
        let cut: Vec<&[u8]> = his.chunks(500_000).collect();
        let hashes: Vec<String> = cut.iter().map(|chunk| sha256(chunk)).collect();
        let chunks: Vec<(&str, usize)> = hashes.iter().map(|hash| (hash.as_str(), 500_000)).collect();
        let hash_of_hers = sha256(&hers);
        server.token = mallory;
        server.put_frames(&share, framed(cut.clone())).await.ok();
        let refused = |told: &Value| {
            assert_eq!(told["applied"], json!([]), "{told}");
            assert_eq!(told["errors"][0]["code"], "CHECKSUM_MISMATCH", "{told}");
        };
        // Before she uploads, and of a content that is stored under its own name by then.
        refused(&server.claim(&share, "first", &chunks, Some(&hash_of_hers)).await);
        let own = server.claim(&share, "his", &chunks, Some(&sha256(&his))).await;
        assert_eq!(own["applied"][0]["path"], "/his", "{own}");
        refused(&server.claim(&share, "second", &chunks, Some(&hash_of_hers)).await);
        // Of one chunk, whose hash is the checksum, and under the hash of her bytes.
        refused(&server.claim(&share, "third", &chunks[..1], Some(&hash_of_hers)).await);
        let path = format!("/sync/chunks/{hash_of_hers}?share_id={share}");
        let put = server.request(Method::PUT, &path).body(his[..1 << 20].to_vec());
        Reply::of(put).await.refused(422, "CHECKSUM_MISMATCH");
        server.token = ada;
        let file = server.upload(&share, None, "hers", hers.clone()).await.created();
        assert_eq!(file.json["checksum_sha256"], hash_of_hers);
        assert!(server.content(&file.id()).await.ok().bytes == hers);
        // And once it is there.
        let mallory = server.mint(server.tenant(), "usr_mallory", &[Scope::All]);
        server.token = mallory;
        refused(&server.claim(&share, "fourth", &chunks, Some(&hash_of_hers)).await);
        assert!(server.content(&file.id()).await.ok().bytes == hers);
        assert_eq!(server.names(&share, "root").await, ["hers", "his"]);
        server.stop_and_check().await;
    }
}
