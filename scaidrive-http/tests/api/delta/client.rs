//! A client that cuts as the server publishes, and sends what the server lacks.

use bytes::Bytes;
use scaidrive_core::chunking;
use scaidrive_core::model::{Chunk, ChunkingParams};
use scaidrive_core::services::delta::{self, Claim};
use scaidrive_core::services::files::{self, IfMatch};
use scaidrive_core::services::tenants;
use serde_json::json;

use super::framed;
use crate::server::{Server, noise};

/// A client that knows nothing but what the server publishes.
struct DeltaClient<'s> {
    server: &'s Server,
    share: String,
    params: ChunkingParams,
}

impl<'s> DeltaClient<'s> {
    async fn new(server: &'s Server, share: &str) -> Self {
        let told = server.get("/config").await.ok().json["chunking"].clone();
        let number = |name: &str| u32::try_from(told[name].as_u64().unwrap()).unwrap();
        assert_eq!(told["algorithm"], "fastcdc-v2020");
        let params = ChunkingParams {
            algorithm: "fastcdc-v2020",
            min: number("min"),
            avg: number("avg"),
            max: number("max"),
            normalization: number("normalization") as u8,
        };
        Self { server, share: share.to_owned(), params }
    }

    /// Sends what the server lacks of a new version, and makes it; returns how many bytes went over the wire.
    async fn save(&self, id: &str, bytes: &[u8]) -> usize {
        let (chunks, digest) = chunking::cut_bytes(Bytes::copy_from_slice(bytes), &self.params);
        let manifest = self.server.get(&format!("/sync/manifest/{id}")).await.ok().json;
        let has = |chunk: &&Chunk| {
            let hash = json!(chunk.hash);
            !manifest["chunks"].as_array().unwrap().iter().any(|cut| cut["sha256"] == hash)
        };
        let unknown: Vec<&Chunk> = chunks.iter().filter(has).collect();
        let hashes: Vec<String> = unknown.iter().map(|chunk| chunk.hash.to_string()).collect();
        let missing = self.server.missing(&self.share, &hashes).await;
        let send = unknown.iter().filter(|chunk| missing.contains(&chunk.hash.to_string()));
        let body = framed(send.map(|chunk| chunk.bytes.as_ref()));
        let sent = body.len();
        self.server.put_frames(&self.share, body).await.ok();
        let drive = self.server.drive().await;
        let caller =
            tenants::caller_for(&drive, self.server.tenant(), &"admin".parse().unwrap()).await.unwrap();
        let claim = Claim {
            chunks: chunks.iter().map(|chunk| (chunk.hash, chunk.bytes.len() as u32)).collect(),
            size: Some(digest.size),
            checksum: Some(digest.checksum),
        };
        let share = self.share.parse().unwrap();
        let stored = delta::assemble(&drive, &caller, share, vec![claim]).await.unwrap().remove(0).unwrap();
        let id = id.parse().unwrap();
        files::write_from(&drive, &caller, id, IfMatch::default(), None, stored).await.unwrap();
        drive.meta.close().await;
        sent
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_small_edit_of_a_large_file_sends_little() {
    let server = Server::start();
    let share = server.share("Projects").await;
    let mut bytes = noise(7, 20 << 20);
    let id = server.upload(&share, None, "a", bytes.clone()).await.created().id();
    let client = DeltaClient::new(&server, &share).await;
    bytes.insert(0, 1);
    let sent = client.save(&id, &bytes).await;
    assert!(sent < 1 << 20, "{sent} bytes for one in front");
    assert!(server.content(&id).await.ok().bytes == bytes);
    bytes[9 << 20..11 << 20].copy_from_slice(&noise(8, 2 << 20));
    let sent = client.save(&id, &bytes).await;
    assert!(sent < 3_000_000, "{sent} bytes for 2 MiB in the middle");
    assert!(server.content(&id).await.ok().bytes == bytes);
    assert_eq!(client.save(&id, &bytes).await, 0);
    server.stop_and_check().await;
}
