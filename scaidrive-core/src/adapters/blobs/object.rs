//! Any store of the `object_store` crate whose acknowledged puts are durable.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::BoxStream;
use futures_util::{StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};

use super::DELETE_DEADLINE;
use crate::model::{Error, Result};
use crate::ports::{BlobMeta, BlobStore, Key};

/// Puts and deletes that run at once for one call: enough to hide a round trip, few enough to leave memory alone.
const AT_ONCE: usize = 16;

/// A blob store over an `object_store` one.
#[derive(Debug)]
pub struct ObjectBlobs {
    store: Arc<dyn ObjectStore>,
    /// The same store without client retries.
    deletes: Arc<dyn ObjectStore>,
}

impl ObjectBlobs {
    /// Wraps a store whose acknowledged puts are durable; `deletes` is the same store without retries.
    pub fn new(store: Arc<dyn ObjectStore>, deletes: Arc<dyn ObjectStore>) -> Self {
        Self { store, deletes }
    }
}

/// Returns the path of a key, which needs no escaping: keys hold letters, digits, `_` and `/`.
pub(super) fn path(key: &Key) -> Path {
    Path::from(key.as_str())
}

/// Gives a store's error our meaning.
pub(super) fn storage(error: object_store::Error) -> Error {
    let mut cause: Option<&dyn std::error::Error> = Some(&error);
    while let Some(now) = cause {
        if now.downcast_ref::<std::io::Error>().is_some_and(|io| io.kind() == std::io::ErrorKind::StorageFull)
        {
            return Error::unavailable("the disk is full", std::time::Duration::from_secs(30));
        }
        cause = now.source();
    }
    Error::Storage { source: Box::new(error) }
}

/// Puts many objects, some at once; the first failure ends it.
pub(super) async fn put_all(store: &dyn ObjectStore, objects: Vec<(Key, Bytes)>) -> Result<()> {
    futures_util::stream::iter(objects.into_iter().map(|(key, bytes)| {
        let path = path(&key);
        async move { store.put(&path, bytes.into()).await.map(drop).map_err(storage) }
    }))
    .buffer_unordered(AT_ONCE)
    .try_collect::<()>()
    .await
}

#[async_trait]
impl BlobStore for ObjectBlobs {
    async fn put_all(&self, objects: Vec<(Key, Bytes)>) -> Result<()> {
        put_all(self.store.as_ref(), objects).await
    }

    async fn get(&self, key: &Key) -> Result<Option<Bytes>> {
        match self.store.get(&path(key)).await {
            Ok(found) => found.bytes().await.map(Some).map_err(storage),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(storage(error)),
        }
    }

    async fn head(&self, key: &Key) -> Result<Option<BlobMeta>> {
        match self.store.head(&path(key)).await {
            Ok(meta) => Ok(Some(BlobMeta { key: key.clone(), size: meta.size })),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(storage(error)),
        }
    }

    async fn delete(&self, key: &Key) -> Result<()> {
        let path = path(key);
        match tokio::time::timeout(DELETE_DEADLINE, self.deletes.delete(&path)).await {
            Ok(Ok(()) | Err(object_store::Error::NotFound { .. })) => Ok(()),
            Ok(Err(error)) => Err(storage(error)),
            Err(_) => Err(Error::unavailable("the object store", DELETE_DEADLINE)),
        }
    }

    fn list(&self, prefix: &Key) -> BoxStream<'_, Result<BlobMeta>> {
        let found = self.store.list(Some(&path(prefix)));
        let meta = |meta: object_store::ObjectMeta| BlobMeta {
            key: Key::from_listing(meta.location.as_ref()),
            size: meta.size,
        };
        found.map_ok(meta).map_err(storage).boxed()
    }

    async fn ping(&self) -> Result<()> {
        self.head(&Key::from_listing("chunks/ping")).await.map(drop)
    }
}
