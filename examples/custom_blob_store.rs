//! A host that keeps the bytes itself: here in a map, each object scrambled before it is kept.
//!
//! `cargo run --example custom_blob_store`

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::{self, BoxStream, StreamExt};
use scaidrive_core::open;
use scaidrive_core::ports::{BlobMeta, BlobStore, Key};
use scaidrive_embed::{Config, Error, Result, ScaiDrive};

/// Objects in memory, scrambled with one byte: a real host would encrypt here, and keep them somewhere safe.
#[derive(Debug, Default)]
struct HostStore(Mutex<BTreeMap<Key, Bytes>>);

impl HostStore {
    fn with<T>(&self, act: impl FnOnce(&mut BTreeMap<Key, Bytes>) -> T) -> Result<T> {
        let mut objects = self.0.lock().map_err(|_| Error::internal("the host's store is broken"))?;
        Ok(act(&mut objects))
    }
}

fn scramble(bytes: &[u8]) -> Bytes {
    bytes.iter().map(|byte| byte ^ 0x5a).collect()
}

#[async_trait]
impl BlobStore for HostStore {
    async fn put_all(&self, objects: Vec<(Key, Bytes)>) -> Result<()> {
        self.with(|kept| kept.extend(objects.into_iter().map(|(key, bytes)| (key, scramble(&bytes)))))
    }

    async fn get(&self, key: &Key) -> Result<Option<Bytes>> {
        self.with(|kept| kept.get(key).map(|bytes| scramble(bytes)))
    }

    async fn head(&self, key: &Key) -> Result<Option<BlobMeta>> {
        self.with(|kept| kept.get(key).map(|bytes| BlobMeta { key: key.clone(), size: bytes.len() as u64 }))
    }

    async fn delete(&self, key: &Key) -> Result<()> {
        self.with(|kept| drop(kept.remove(key)))
    }

    fn list(&self, prefix: &Key) -> BoxStream<'_, Result<BlobMeta>> {
        let found = self.with(|kept| {
            let below = kept.iter().filter(|(key, _)| key.as_str().starts_with(prefix.as_str()));
            below
                .map(|(key, bytes)| BlobMeta { key: key.clone(), size: bytes.len() as u64 })
                .collect::<Vec<_>>()
        });
        match found {
            Ok(found) => stream::iter(found.into_iter().map(Ok)).boxed(),
            Err(error) => stream::iter([Err(error)]).boxed(),
        }
    }

    async fn ping(&self) -> Result<()> {
        Ok(())
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let dir = std::env::temp_dir().join(format!("scaidrive-example-{}", std::process::id()));
    let store = Arc::new(HostStore::default());
    let mut ports = open::ports(&Config::embedded(&dir)).await?;
    ports.blobs = Arc::clone(&store) as Arc<dyn BlobStore>;
    let drive = ScaiDrive::from_ports(ports).await?;
    let share = drive.create_share("Kept by the host").await?;
    share.write_bytes("a.txt", "hello, host").await?;
    println!("read back: {}", String::from_utf8_lossy(&share.read_to_vec("a.txt").await?));
    store.with(|kept| kept.iter().for_each(|(key, bytes)| println!("{}: {bytes:?}", key.as_str())))?;
    drive.close().await;
    // Whether the example's directory stays behind does not matter.
    let _ = std::fs::remove_dir_all(dir);
    Ok(())
}
