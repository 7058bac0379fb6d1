//! The same file in parts, in the orders that clients send them, through a real server and in little memory.

use futures_util::{StreamExt, stream};
use reqwest::Method;
use serde_json::json;

use crate::server::{Reply, Server, noise, sha256};
use crate::transfers::peak_mib;

const SIZE: usize = 64 << 20;
const PART: usize = 4 << 20;
const PARTS: usize = SIZE / PART;

/// Memory that the server may have had resident, in MiB; `benches/upload_orders` asks the same of 5 GiB.
const MOST_MEMORY: u64 = 200;

/// Uploads a file, a few parts at once; returns its id.
async fn upload(server: &Server, share: &str, name: &str, bytes: &[u8], order: &[usize]) -> String {
    let body = json!({
        "share_id": share, "file_name": name, "file_size": bytes.len(), "chunk_size": PART,
        "checksum_sha256": sha256(bytes),
    });
    let created = server.post("/uploads", &body).await.created().json;
    let session = created["session_id"].as_str().unwrap();
    let send = |index: usize| async move {
        let part = bytes[index * PART..(index + 1) * PART].to_vec();
        let put = server.request(Method::PUT, &format!("/uploads/{session}/chunks/{index}"));
        Reply::of(put.body(part)).await.ok();
    };
    stream::iter(order.iter().copied().map(send)).buffer_unordered(4).collect::<Vec<()>>().await;
    loop {
        let reply = server.post(&format!("/uploads/{session}/complete"), &json!({})).await;
        if reply.status != 503 {
            return reply.ok().json["file_id"].as_str().unwrap().to_owned();
        }
        assert!(reply.json["error"]["retry_after"].is_u64(), "{reply:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn parts_in_order_shuffled_and_last_to_first_make_the_same_file_in_little_memory() {
    let server = Server::start();
    server.lift_limits().await;
    let share = server.share("Projects").await;
    let in_order: Vec<usize> = (0..PARTS).collect();
    let mut shuffled = in_order.clone();
    shuffled.sort_by_key(|index| sha256(&index.to_le_bytes()));
    let last_to_first: Vec<usize> = in_order.iter().rev().copied().collect();
    for (seed, (name, order)) in
        [("in order", in_order), ("shuffled", shuffled), ("last to first", last_to_first)]
            .into_iter()
            .enumerate()
    {
        // Bytes of its own for each: nothing is known from before.
        let bytes = noise(seed as u64 + 1, SIZE);
        let id = upload(&server, &share, name, &bytes, &order).await;
        let content = server.content(&id).await.ok();
        assert!(content.bytes == bytes, "{name}");
    }
    let peak = peak_mib(server.pid());
    eprintln!("peak memory of the server: {peak} MiB for three times {} MiB", SIZE >> 20);
    assert!(peak < MOST_MEMORY, "the server took {peak} MiB");
    server.stop_and_check().await;
}
