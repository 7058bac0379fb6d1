//! Any store of the `object_store` crate whose acknowledged puts are durable.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::BoxStream;
use futures_util::{StreamExt, TryStreamExt};
use object_store::client::HttpError;
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
    if causes(&error).any(|cause| {
        cause.downcast_ref::<std::io::Error>().is_some_and(|io| io.kind() == std::io::ErrorKind::StorageFull)
    }) {
        return Error::unavailable("the disk is full", Duration::from_secs(30));
    }
    if is_away(&error) {
        tracing::warn!(%error, "the object store does not answer");
        return Error::away("the object store");
    }
    Error::Storage { source: Box::new(error) }
}

/// Returns an error and everything that it comes from.
fn causes(error: &object_store::Error) -> impl Iterator<Item = &(dyn std::error::Error + 'static)> {
    let first: &(dyn std::error::Error + 'static) = error;
    std::iter::successors(Some(first), |cause| cause.source())
}

/// Tells whether a store cannot be reached, broke off, or says itself that it is out of order.
fn is_away(error: &object_store::Error) -> bool {
    // The crate keeps the type of what a server answers to itself; these are its words for it.
    let out_of_order =
        ["non-2xx status code: 5", "non-2xx status code: 429", "Server returned error response"];
    causes(error).any(<dyn std::error::Error>::is::<HttpError>)
        || (matches!(error, object_store::Error::Generic { .. })
            && causes(error).any(|cause| out_of_order.iter().any(|words| cause.to_string().contains(words))))
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

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;

    use super::super::{S3Settings, open_s3};
    use super::*;

    async fn meaning(listener: Option<TcpListener>, answer: &'static str) -> Error {
        let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let address = listener.as_ref().map_or(nobody, |listener| listener.local_addr().unwrap());
        std::thread::spawn(move || {
            for mut stream in listener.iter().flat_map(TcpListener::incoming).flatten() {
                let mut head = [0; 4096];
                // Whoever hung up hears nothing.
                let _ = stream.read(&mut head);
                let _ = stream.write_all(answer.as_bytes());
            }
        });
        let store = open_s3(&S3Settings {
            endpoint: format!("http://{address}"),
            bucket: "b".to_owned(),
            region: "r".to_owned(),
            access_key: "a".to_owned(),
            secret_key: "s".to_owned(),
        });
        store.unwrap().get(&Key::from_listing("chunks/x")).await.unwrap_err()
    }

    #[tokio::test]
    async fn a_store_that_is_away_or_out_of_order_is_no_fault_of_ours() {
        let listen = || Some(TcpListener::bind("127.0.0.1:0").unwrap());
        let out_of_order =
            "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
        let (nobody, breaks_off) = (meaning(None, ""), meaning(listen(), ""));
        let (nobody, breaks_off, told) = tokio::join!(nobody, breaks_off, meaning(listen(), out_of_order));
        for error in [nobody, breaks_off, told] {
            assert!(matches!(error, Error::Unavailable { .. }), "{error:?}");
        }
    }

    #[tokio::test]
    async fn a_store_that_refuses_us_is_a_fault_of_ours() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let refused = "HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
        assert!(meaning(Some(listener), refused).await.is_internal());
    }
}
