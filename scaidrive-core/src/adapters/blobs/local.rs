//! Files below a directory, durable when a put returns.
//!
//! A few objects are synced one by one, file and directory (`with_fsync`). Many are written first and then
//! share one `syncfs`: thousands of small chunks would wait for thousands of syncs otherwise.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::BoxStream;
use object_store::ObjectStore;
use object_store::local::LocalFileSystem;

use super::object::{ObjectBlobs, put_all, storage};
use crate::model::{Error, Result};
use crate::ports::{BlobMeta, BlobStore, Key};

/// From so many objects on, one sync of the file system costs less than two syncs an object.
const SYNC_TOGETHER_FROM: usize = 8;

#[derive(Debug)]
pub(super) struct LocalBlobs {
    /// Syncs every put by itself; serves everything that is no large batch.
    synced: ObjectBlobs,
    /// Leaves syncing to us.
    unsynced: LocalFileSystem,
    path: PathBuf,
    root: Arc<File>,
}

impl LocalBlobs {
    pub(super) fn open(root: &Path) -> Result<Self> {
        let failed = |error: std::io::Error| Error::Storage { source: Box::new(error) };
        std::fs::create_dir_all(root).map_err(failed)?;
        let unsynced = LocalFileSystem::new_with_prefix(root).map_err(storage)?;
        let synced: Arc<dyn ObjectStore> = Arc::new(unsynced.clone().with_fsync(true));
        Ok(Self {
            synced: ObjectBlobs::new(Arc::clone(&synced), synced),
            unsynced,
            path: root.to_owned(),
            root: Arc::new(File::open(root).map_err(failed)?),
        })
    }

    /// Makes everything written so far durable, contents and names alike; a write-back that failed is told
    /// here (Linux 5.8 and later report it to `syncfs`).
    async fn sync(&self) -> Result<()> {
        let root = Arc::clone(&self.root);
        let synced = tokio::task::spawn_blocking(move || nix::unistd::syncfs(root.as_ref())).await;
        match synced {
            Ok(Ok(())) => Ok(()),
            Ok(Err(nix::errno::Errno::ENOSPC)) => {
                Err(Error::unavailable("the disk is full", Duration::from_secs(30)))
            }
            Ok(Err(error)) => Err(Error::Storage { source: Box::new(std::io::Error::from(error)) }),
            Err(error) => Err(Error::internal(format!("a sync broke off: {error}"))),
        }
    }
}

#[async_trait]
impl BlobStore for LocalBlobs {
    async fn put_all(&self, objects: Vec<(Key, Bytes)>) -> Result<()> {
        if objects.len() < SYNC_TOGETHER_FROM {
            return self.synced.put_all(objects).await;
        }
        put_all(&self.unsynced, objects).await?;
        self.sync().await
    }

    async fn get(&self, key: &Key) -> Result<Option<Bytes>> {
        self.synced.get(key).await
    }

    async fn head(&self, key: &Key) -> Result<Option<BlobMeta>> {
        self.synced.head(key).await
    }

    async fn delete(&self, key: &Key) -> Result<()> {
        self.synced.delete(key).await
    }

    fn list(&self, prefix: &Key) -> BoxStream<'_, Result<BlobMeta>> {
        self.synced.list(prefix)
    }

    /// Fails if the directory is not the one that was opened: moved away, or its disk unmounted.
    async fn ping(&self) -> Result<()> {
        use std::os::unix::fs::MetadataExt;

        let failed = |error: std::io::Error| Error::Storage { source: Box::new(error) };
        let identity = |found: std::fs::Metadata| (found.dev(), found.ino());
        let (opened, named) = (self.root.metadata(), std::fs::metadata(&self.path));
        if identity(opened.map_err(failed)?) == identity(named.map_err(failed)?) {
            Ok(())
        } else {
            Err(failed(std::io::Error::other("the objects' directory was replaced by another one")))
        }
    }
}
