//! The core as a client meets it, without a socket in between.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{TryStreamExt, stream};
use scaidrive_client::chunker::{Chunk, Chunking};
use scaidrive_client::model as client;
use scaidrive_client::remote::{
    Answer, Batch, Changes, Device, Manifest, Remote, Row, Share as ShareNotice, Snapshot, SnapshotLine,
};
use scaidrive_client::{Error, Result};
use scaidrive_core::Drive;
use scaidrive_core::model::{self as core, Caller, TenantId, UserId};
use scaidrive_core::services::{apply, content, delta, devices, feed, snapshot, tenants};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::house::Home;

/// Hashes of contents that the server said it has.
pub(crate) type Acknowledged = Arc<Mutex<Vec<[u8; 32]>>>;

impl Home {
    /// Returns the server as a user meets it.
    pub(crate) fn server_for(&self, user: &UserId) -> Arc<dyn Remote> {
        let (drive, acknowledged) = (self.drive.clone(), Arc::clone(&self.acknowledged));
        Arc::new(InProcess { drive, tenant: self.admin.tenant, user: user.clone(), acknowledged })
    }
}

/// Everything passes through the JSON of the contract.
#[derive(Debug)]
struct InProcess {
    drive: Drive,
    tenant: TenantId,
    user: UserId,
    acknowledged: Acknowledged,
}

/// Returns what an error of the core is to a client.
fn of_core(error: core::Error) -> Error {
    let code = error.code();
    Error::of_code(status(code), code, &error.to_string())
}

fn status(code: &str) -> u16 {
    match code {
        "PERMISSION_DENIED" | "OWNER_ONLY" | "AUTHZ_USER_SUSPENDED" | "SCOPE_INSUFFICIENT" => 403,
        "NOT_FOUND" => 404,
        "NAME_CONFLICT" | "ALREADY_EXISTS" | "CYCLE" | "CHUNKS_MISSING" | "VERSION_CONFLICT" => 409,
        "GONE" | "SESSION_EXPIRED" | "CURSOR_EXPIRED" => 410,
        "PAYLOAD_TOO_LARGE" => 413,
        "VALIDATION_FAILED" | "CHECKSUM_MISMATCH" => 422,
        "UNAVAILABLE" => 503,
        "QUOTA_EXCEEDED" => 507,
        other => panic!("the core failed with {other}"),
    }
}

fn wire<T: DeserializeOwned>(value: impl serde::Serialize) -> T {
    let value = serde_json::to_value(value).unwrap();
    serde_json::from_value(value.clone()).unwrap_or_else(|error| panic!("{error}: {value}"))
}

fn id<T: std::str::FromStr>(text: &str) -> Result<T> {
    text.parse().map_err(|_| Error::NotFound(text.to_owned()))
}

fn core_hash(hash: &client::Sha256Hash) -> core::Sha256Hash {
    core::Sha256Hash::from_bytes(*hash.as_bytes())
}

impl InProcess {
    /// Notes the contents that the server says it has from now on.
    fn note(&self, batch: &Batch, outcome: &apply::Outcome) {
        let sent: BTreeMap<&str, [u8; 32]> = batch
            .changes
            .iter()
            .filter_map(|(change, _)| Some((&*change.client_change_id, *change.checksum_sha256?.as_bytes())))
            .collect();
        let applied = outcome.applied.iter().filter_map(|applied| sent.get(&*applied.client_change_id));
        self.acknowledged.lock().unwrap().extend(applied);
    }

    async fn caller(&self) -> Result<Caller> {
        tenants::caller_for(&self.drive, self.tenant, &self.user).await.map_err(of_core)
    }
}

#[async_trait]
impl Remote for InProcess {
    async fn chunking(&self) -> Result<Chunking> {
        Ok(wire(self.drive.chunking))
    }

    async fn shares(&self) -> Result<Vec<ShareNotice>> {
        Ok(Vec::new())
    }

    async fn register(&self, device: &Device) -> Result<()> {
        let new = devices::NewDevice {
            device_id: id(device.device_id.as_str())?,
            device_name: device.device_name.clone(),
            platform: Some(device.platform.clone()),
            client_version: Some(device.client_version.clone()),
        };
        devices::register(&self.drive, &self.caller().await?, new).await.map(drop).map_err(of_core)
    }

    async fn snapshot(&self, share: &client::ShareId) -> Result<Snapshot> {
        let caller = self.caller().await?;
        let found = snapshot::open(&self.drive, &caller, id(share.as_str())?).await.map_err(of_core)?;
        let pages: Vec<Vec<snapshot::SnapshotItem>> = found.pages.try_collect().await.map_err(of_core)?;
        let item = |item: snapshot::SnapshotItem| wire::<SnapshotLine>(item).item().expect("lines are whole");
        Ok(Snapshot { cursor: found.cursor, items: pages.into_iter().flatten().map(item).collect() })
    }

    async fn changes(&self, share: &client::ShareId, cursor: i64, _wait: Duration) -> Result<Changes> {
        let caller = self.caller().await?;
        let share: core::ShareId = id(share.as_str())?;
        let page = feed::changes(&self.drive, &caller, share, cursor, 1000).await.map_err(of_core)?;
        let changes = page.changes.into_iter().filter_map(|row| wire::<Row>(row).change()).collect();
        Ok(Changes { changes, cursor: page.cursor, has_more: page.has_more })
    }

    async fn acknowledge(
        &self,
        _share: &client::ShareId,
        _device: &client::DeviceId,
        _cursor: i64,
    ) -> Result<()> {
        Ok(())
    }

    async fn missing(
        &self,
        share: &client::ShareId,
        hashes: &[client::Sha256Hash],
    ) -> Result<Vec<client::Sha256Hash>> {
        let caller = self.caller().await?;
        let hashes = hashes.iter().map(core_hash).collect();
        let missing =
            delta::missing(&self.drive, &caller, id(share.as_str())?, hashes).await.map_err(of_core)?;
        Ok(missing.iter().map(|hash| client::Sha256Hash::from_bytes(*hash.as_bytes())).collect())
    }

    async fn put_chunks(&self, share: &client::ShareId, chunks: &[Chunk]) -> Result<()> {
        let caller = self.caller().await?;
        delta::check_send(&self.drive, &caller, id(share.as_str())?).await.map_err(of_core)?;
        let frame =
            |chunk: &Chunk| delta::Frame { hash: core_hash(&chunk.hash), bytes: Some(chunk.bytes.clone()) };
        let frames: Vec<core::Result<delta::Frame>> = chunks.iter().map(|chunk| Ok(frame(chunk))).collect();
        let receipts = delta::receive(&self.drive, &caller, stream::iter(frames)).await.map_err(of_core)?;
        receipts.into_iter().try_for_each(|(_, receipt)| receipt.map(drop).map_err(of_core))
    }

    async fn manifest(&self, file: &client::ItemId) -> Result<Manifest> {
        let caller = self.caller().await?;
        let found = delta::manifest(&self.drive, &caller, id(file.as_str())?, None).await;
        found.map(wire).map_err(of_core)
    }

    async fn read(&self, file: &client::ItemId, version: u64, offset: u64, length: u64) -> Result<Bytes> {
        let (caller, version) = (self.caller().await?, u32::try_from(version).ok());
        let readable =
            content::open(&self.drive, &caller, id(file.as_str())?, version).await.map_err(of_core)?;
        let range = core::ByteRange { start: offset, end: offset + length };
        content::read(&self.drive, &readable, Some(range)).await.map(Bytes::from).map_err(of_core)
    }

    async fn fetch(&self, files: &[client::ItemId]) -> Result<Vec<Chunk>> {
        let caller = self.caller().await?;
        let files: Vec<core::FileId> = files.iter().map(|file| id(file.as_str())).collect::<Result<_>>()?;
        let mut contents = Vec::new();
        for readable in
            content::open_all(&self.drive, &caller, &files).await.map_err(of_core)?.into_iter().flatten()
        {
            let bytes = content::read(&self.drive, &readable, None).await.map_err(of_core)?;
            contents.push(Chunk::of(bytes.into()));
        }
        Ok(contents)
    }

    async fn apply(&self, batch: &Batch) -> Result<Answer> {
        let caller = self.caller().await?;
        let body = batch.body();
        let incoming = apply::Batch {
            device: id(batch.device.as_str())?,
            share: id(batch.share.as_str())?,
            strategy: wire(&body["conflict_resolution"]),
            seen: wire(&body["cursor"]),
            is_atomic: false,
            creates_parents: false,
            changes: wire(&body["changes"]),
        };
        let outcome = apply::apply(&self.drive, &caller, incoming).await.map_err(of_core)?;
        self.note(batch, &outcome);
        Answer::read(batch, &serde_json::to_vec(&answer(outcome)).unwrap())
    }
}

/// Returns the body of the answer as the contract has it.
fn answer(outcome: apply::Outcome) -> Value {
    let refusal = |refused: apply::Refused| {
        let code = refused.error.code();
        json!({
            "client_change_id": refused.client_change_id, "status": status(code), "code": code,
            "detail": refused.error.to_string(),
        })
    };
    let errors: Vec<Value> = outcome.errors.into_iter().map(refusal).collect();
    json!({
        "applied": outcome.applied, "conflicts": outcome.conflicts, "errors": errors, "cursor": outcome.cursor,
    })
}
