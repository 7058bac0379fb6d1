//! Files below a directory, durable when a put returns.
//!
//! A few objects are synced one by one, file and directory (`with_fsync`). Many are written first and then
//! share one `syncfs`: thousands of small chunks would wait for thousands of syncs otherwise.

use std::fs::File;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::BoxStream;
use object_store::ObjectStore;
use object_store::local::LocalFileSystem;

use super::object::{ObjectBlobs, storage};
use crate::model::{Error, Result};
use crate::ports::{BlobMeta, BlobStore, Key};

/// From so many objects on, one sync of the file system costs less than two syncs an object.
const SYNC_TOGETHER_FROM: usize = 8;

#[derive(Debug)]
pub(super) struct LocalBlobs {
    /// Syncs every put by itself; serves everything that is no large batch.
    synced: ObjectBlobs,
    path: PathBuf,
    root: Arc<File>,
}

impl LocalBlobs {
    pub(super) fn open(root: &Path) -> Result<Self> {
        std::fs::create_dir_all(root).map_err(failed)?;
        let files = LocalFileSystem::new_with_prefix(root).map_err(storage)?;
        let synced: Arc<dyn ObjectStore> = Arc::new(files.with_fsync(true));
        Ok(Self {
            synced: ObjectBlobs::new(Arc::clone(&synced), synced),
            path: root.to_owned(),
            root: Arc::new(File::open(root).map_err(failed)?),
        })
    }

    /// Writes many objects without syncing them, on two threads: a hop to another thread for each would cost more
    /// than a small object does.
    async fn write(&self, mut objects: Vec<(Key, Bytes)>) -> Result<()> {
        // By key, so that what lies in one directory is written together.
        objects.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        let rest = objects.split_off(objects.len() / 2);
        let halves = [objects, rest].map(|half| {
            let root = self.path.clone();
            tokio::task::spawn_blocking(move || {
                half.iter().try_for_each(|(key, bytes)| write_one(&root.join(key.as_str()), bytes))
            })
        });
        for half in halves {
            match half.await {
                Ok(written) => written.map_err(failed)?,
                Err(error) => return Err(Error::internal(format!("a put broke off: {error}"))),
            }
        }
        Ok(())
    }

    /// Removes the two directories of an upload's parts once nothing is in them: every upload has its own, and they
    /// would stay for ever.
    async fn remove_empty_above(&self, key: &Key) {
        let path = self.path.join(key.as_str());
        // Fails while there is something in them: a draft of a part, for one, which keeps its writer safe.
        let removing = tokio::task::spawn_blocking(move || {
            path.ancestors().skip(1).take(2).try_for_each(std::fs::remove_dir)
        });
        drop(removing.await);
    }

    /// Makes everything written so far durable, contents and names alike; a write-back that failed is told
    /// here (Linux 5.8 and later report it to `syncfs`).
    async fn sync(&self) -> Result<()> {
        let root = Arc::clone(&self.root);
        let synced = tokio::task::spawn_blocking(move || nix::unistd::syncfs(root.as_ref())).await;
        match synced {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(failed(error.into())),
            Err(error) => Err(Error::internal(format!("a sync broke off: {error}"))),
        }
    }
}

/// Says what an error of the file system means.
fn failed(error: std::io::Error) -> Error {
    match error.kind() {
        ErrorKind::StorageFull => Error::unavailable("the disk is full", Duration::from_secs(30)),
        _ => Error::Storage { source: Box::new(error) },
    }
}

/// Writes one object beside its place and renames it: nobody ever reads half an object.
fn write_one(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let (draft, mut file) = draft(path)?;
    file.write_all(bytes)
        .and_then(|()| std::fs::rename(&draft, path))
        .inspect_err(|_| drop(std::fs::remove_file(&draft)))
}

/// Numbers drafts, so that two writers of one object do not share one.
static DRAFTS: AtomicU64 = AtomicU64::new(0);

/// Makes a file beside an object's place, named `{object}#{number}`: `object_store` leaves such out of its listings.
fn draft(path: &Path) -> std::io::Result<(PathBuf, File)> {
    loop {
        let mut name = path.as_os_str().to_owned();
        name.push(format!("#{}", DRAFTS.fetch_add(1, Ordering::Relaxed)));
        match File::create_new(&name) {
            Ok(file) => return Ok((name.into(), file)),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                std::fs::create_dir_all(path.parent().unwrap_or(path))?;
            }
            // Left behind by a process that was killed, or somebody else's.
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
}

#[async_trait]
impl BlobStore for LocalBlobs {
    async fn put_all(&self, objects: Vec<(Key, Bytes)>) -> Result<()> {
        if objects.len() < SYNC_TOGETHER_FROM {
            return self.synced.put_all(objects).await;
        }
        self.write(objects).await?;
        self.sync().await
    }

    async fn get(&self, key: &Key) -> Result<Option<Bytes>> {
        self.synced.get(key).await
    }

    async fn head(&self, key: &Key) -> Result<Option<BlobMeta>> {
        self.synced.head(key).await
    }

    async fn delete(&self, key: &Key) -> Result<()> {
        self.synced.delete(key).await?;
        if key.as_part().is_some() {
            self.remove_empty_above(key).await;
        }
        Ok(())
    }

    fn list(&self, prefix: &Key) -> BoxStream<'_, Result<BlobMeta>> {
        self.synced.list(prefix)
    }

    /// Fails if the directory is not the one that was opened: moved away, or its disk unmounted.
    async fn ping(&self) -> Result<()> {
        use std::os::unix::fs::MetadataExt;

        let identity = |found: std::fs::Metadata| (found.dev(), found.ino());
        let (opened, named) = (self.root.metadata(), std::fs::metadata(&self.path));
        if identity(opened.map_err(failed)?) == identity(named.map_err(failed)?) {
            Ok(())
        } else {
            Err(failed(std::io::Error::other("the objects' directory was replaced by another one")))
        }
    }
}
