//! Tells the server what changed here: contents first, by chunks that it does not have, then the changes.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;

use futures_util::{StreamExt, TryStreamExt, stream};
use sha2::{Digest, Sha256};
use tokio::sync::mpsc;

use super::{Engine, Event, Moved, Round, blocking};
use crate::chunker::{Chunk, ChunkRef, Chunking};
use crate::error::{Error, Result};
use crate::fs::LocalFs;
use crate::model::{ItemId, Kind, Sha256Hash, ShareId, Timestamp, TreePath};
use crate::plan::{ParentRef, RemoteStep, Source, Target};
use crate::remote::{Batch, ChangeType, IncomingChange, Remote};
use crate::state::Record;

/// The most changes in one call.
const MOST_CHANGES: usize = 1000;

/// Bytes of files in one call, so that much work is never at stake at once; a file that is larger goes alone. The server
/// takes a little more.
const BATCH_BYTES: u64 = 256 << 20;

/// Bytes and chunks in memory at once, for each transfer under way.
const WINDOW_BYTES: usize = 8 << 20;
const WINDOW_CHUNKS: usize = 2000;

/// What became of reading a file.
type Read = Result<Vec<ChunkRef>, io::Error>;

/// Folders of this round by the paths that the plan gave them.
pub(super) type Created = BTreeMap<TreePath, ItemId>;

impl Engine {
    /// Sends steps in order, in calls that are not too large.
    pub(super) async fn send(&mut self, steps: Vec<RemoteStep>, round: &mut Round) -> Result<()> {
        let mut created = Created::new();
        let mut left = steps.into_iter().peekable();
        while left.peek().is_some() {
            self.control.check().await?;
            let (mut slice, mut bytes) = (Vec::new(), 0);
            let size = |step: &RemoteStep| step.source().map_or(0, |source| source.stamp.size);
            let fits = |step: &RemoteStep, count: usize, bytes: u64| {
                count == 0 || (count < MOST_CHANGES && bytes.saturating_add(size(step)) <= BATCH_BYTES)
            };
            while let Some(step) = left.next_if(|step| fits(step, slice.len(), bytes)) {
                bytes += size(&step);
                slice.push(step);
            }
            self.send_slice(slice, &mut created, round).await?;
        }
        Ok(())
    }

    async fn send_slice(
        &mut self,
        steps: Vec<RemoteStep>,
        created: &mut Created,
        round: &mut Round,
    ) -> Result<()> {
        let sources: Vec<Source> = steps.iter().filter_map(|step| step.source().cloned()).collect();
        let mut contents = match self.send_contents(sources).await {
            Err(Error::NotFound(_)) => return Err(Error::ShareLost),
            // Who may write nowhere, or has no room left, may still delete and rename.
            Err(error @ (Error::Denied(_) | Error::Full(_))) => {
                return self.send_rest(steps, &error, created, round).await;
            }
            contents => contents?.into_iter(),
        };
        let mut changes = Vec::with_capacity(steps.len());
        for mut step in steps {
            step.resolve(created);
            let chunks = match step.source().and_then(|_| contents.next()) {
                None => None,
                Some(Ok(chunks)) => Some(chunks),
                Some(Err(error)) => {
                    round.failed += 1;
                    self.failed(step.signature(), step.path(), &format!("cannot be read: {error}"), false);
                    continue;
                }
            };
            changes.push((self.change(&step, chunks), step));
        }
        if changes.is_empty() {
            return Ok(());
        }
        let (device, share) = (self.device.clone(), self.share.clone());
        let (strategy, cursor) = (self.options.strategy, self.state().cursor);
        let batch = Batch { device, share, strategy, cursor, changes };
        self.commit(vec![Record::Sent(Box::new(batch.clone()))])?;
        self.apply(batch, created, round).await
    }

    /// Sends those of these steps that bring no content, for a reason that concerns all others.
    async fn send_rest(
        &mut self,
        steps: Vec<RemoteStep>,
        reason: &Error,
        created: &mut Created,
        round: &mut Round,
    ) -> Result<()> {
        let (with, without): (Vec<RemoteStep>, Vec<RemoteStep>) =
            steps.into_iter().partition(|step| step.source().is_some());
        for step in with {
            round.failed += 1;
            let records = self.refused(&step, reason, created).await;
            self.commit(records)?;
        }
        Box::pin(self.send_slice(without, created, round)).await
    }

    /// Sends again what was sent in another life and not answered, or not heard.
    pub(super) async fn settle_sent(&mut self, round: &mut Round) -> Result<()> {
        let Some(batch) = self.state().sent.clone() else { return Ok(()) };
        self.apply(*batch, &mut Created::new(), round).await
    }

    /// Sends what was written down, and remembers what becomes of it.
    async fn apply(&mut self, batch: Batch, created: &mut Created, round: &mut Round) -> Result<()> {
        let mut answer = match self.ports.remote.apply(&batch).await {
            Ok(answer) => answer,
            // None of it was done.
            Err(error @ (Error::NotFound(_) | Error::Denied(_))) => {
                self.commit(vec![Record::Answered])?;
                return Err(if matches!(error, Error::NotFound(_)) { Error::ShareLost } else { error });
            }
            // Nor was any of this: it told how far we had read a log that is another one by now. The next round looks at
            // what is there, and plans anew.
            Err(Error::CursorExpired) => {
                round.failed += 1;
                return self.commit(vec![Record::Answered]);
            }
            Err(error @ Error::Refused { .. }) => {
                return self.apply_less(batch, &error, created, round).await;
            }
            // Its state is not known: it is sent again.
            Err(error) => return Err(error),
        };
        let mut records = Vec::new();
        for (change, step) in &batch.changes {
            let outcome = answer.take(&change.client_change_id);
            records.extend(self.learn(step, outcome, created, round).await);
        }
        records.push(Record::Answered);
        self.commit(records)
    }

    /// Sends the halves of what was refused as a whole: whichever change it is cannot be sent, nor will it ever be.
    async fn apply_less(
        &mut self,
        mut batch: Batch,
        error: &Error,
        created: &mut Created,
        round: &mut Round,
    ) -> Result<()> {
        self.commit(vec![Record::Answered])?;
        if let [(_, step)] = batch.changes.as_slice() {
            round.failed += 1;
            self.failed(step.signature(), step.path(), &error.to_string(), true);
            return Ok(());
        }
        let rest = batch.changes.split_off(batch.changes.len() / 2);
        let rest = Batch { changes: rest, ..batch.clone() };
        for half in [batch, rest] {
            self.commit(vec![Record::Sent(Box::new(half.clone()))])?;
            Box::pin(self.apply(half, created, round)).await?;
        }
        Ok(())
    }

    /// Returns the change that a step is.
    fn change(&mut self, step: &RemoteStep, chunks: Option<Vec<ChunkRef>>) -> IncomingChange {
        self.changes += 1;
        let mut change = IncomingChange {
            client_change_id: format!("{:016x}-{}", self.run, self.changes),
            resource_type: Kind::File,
            resource_id: None,
            change_type: ChangeType::Created,
            base_version_id: None,
            old_path: None,
            new_path: None,
            parent_id: None,
            size: None,
            checksum_sha256: None,
            modified_at: Some(Timestamp::from_micros(self.ports.system.now() / 1000)),
            chunks,
        };
        if let Some(source) = step.source() {
            change.size = Some(source.stamp.size);
            change.checksum_sha256 = Some(source.hash);
            change.modified_at = Some(Timestamp::from_micros(source.stamp.modified / 1000));
        }
        step.fill(&mut change);
        change
    }

    /// Makes sure that the server has the contents of these files; returns the chunks of each that could be read.
    async fn send_contents(&mut self, sources: Vec<Source>) -> Result<Vec<Read>> {
        let Some(chunking) = self.chunking.clone().filter(|_| !sources.is_empty()) else {
            return Ok(Vec::new());
        };
        let (sender, windows) = mpsc::channel(1);
        let fs = Arc::clone(&self.ports.fs);
        let reader = blocking(move || read_all(&*fs, &chunking, &sources, &sender));
        let windows =
            stream::unfold(windows, |mut windows| async move { Some((windows.recv().await?, windows)) });
        let ports = &self.ports;
        let share = &self.share;
        let sent = windows
            .map(|window: Vec<Chunk>| async move {
                let bytes = size(&window);
                let travelled = send_window(&*ports.remote, share, window).await?;
                ports.observer.event(&Event::Sent(Moved { bytes, travelled }));
                Ok::<_, Error>(())
            })
            .buffer_unordered(self.options.transfers.max(1))
            .try_collect::<()>();
        let (read, sent) = tokio::join!(reader, sent);
        sent.map(|()| read)
    }
}

impl RemoteStep {
    /// Names the folder that it goes into by its id, if an earlier call created it.
    fn resolve(&mut self, created: &Created) {
        let (Self::CreateFolder { to, .. } | Self::CreateFile { to, .. } | Self::Move { to, .. }) = self
        else {
            return;
        };
        if let ParentRef::Created(path) = &to.parent
            && let Some(id) = created.get(path)
        {
            to.parent = ParentRef::Id(id.clone());
        }
    }

    /// Says in a change what is to be done to which item.
    fn fill(&self, change: &mut IncomingChange) {
        match self {
            Self::CreateFolder { to, .. } => {
                change.resource_type = Kind::Folder;
                to.fill(change);
            }
            Self::CreateFile { to, .. } => to.fill(change),
            Self::Edit { id, base, path, .. } => {
                change.change_type = ChangeType::Updated;
                change.resource_id = Some(id.clone());
                change.base_version_id = Some(base.clone());
                change.new_path = Some(path.absolute());
            }
            Self::Move { id, kind, from, to } => {
                let is_renamed = from.parent() == to.path.parent();
                change.change_type = if is_renamed { ChangeType::Renamed } else { ChangeType::Moved };
                (change.resource_type, change.resource_id) = (*kind, Some(id.clone()));
                change.old_path = Some(from.absolute());
                to.fill(change);
            }
            Self::Delete { id, kind, base, path, .. } => {
                change.change_type = ChangeType::Deleted;
                (change.resource_type, change.resource_id) = (*kind, Some(id.clone()));
                change.base_version_id.clone_from(base);
                change.old_path = Some(path.absolute());
            }
        }
    }
}

impl Target {
    fn fill(&self, change: &mut IncomingChange) {
        change.new_path = Some(self.path.absolute());
        change.parent_id = match &self.parent {
            ParentRef::Id(id) => Some(id.clone()),
            // The path says it: a share is no folder, and what is not created yet has no id.
            ParentRef::Root | ParentRef::Created(_) => None,
        };
    }
}

fn size(chunks: &[Chunk]) -> u64 {
    chunks.iter().map(|chunk| chunk.bytes.len() as u64).sum()
}

/// Sends those chunks that the server does not have; returns how many bytes those were.
async fn send_window(remote: &dyn Remote, share: &ShareId, window: Vec<Chunk>) -> Result<u64> {
    let hashes: BTreeSet<Sha256Hash> = window.iter().map(|chunk| chunk.hash).collect();
    let hashes: Vec<Sha256Hash> = hashes.into_iter().collect();
    let mut missing: BTreeSet<Sha256Hash> = remote.missing(share, &hashes).await?.into_iter().collect();
    let window: Vec<Chunk> = window.into_iter().filter(|chunk| missing.remove(&chunk.hash)).collect();
    if !window.is_empty() {
        remote.put_chunks(share, &window).await?;
    }
    Ok(size(&window))
}

/// Reads files one after the other, and hands out their chunks; ends early where nobody takes them.
fn read_all(
    fs: &dyn LocalFs,
    chunking: &Chunking,
    sources: &[Source],
    sender: &mpsc::Sender<Vec<Chunk>>,
) -> Vec<Read> {
    let mut window = Window { chunks: Vec::new(), bytes: 0, sender };
    let read = sources.iter().map(|source| read(fs, chunking, source, &mut window)).collect();
    // If nobody takes it, the reason is told there.
    let _ = window.flush();
    read
}

/// Reads a file, which must be what it was when it was planned to send it.
fn read(fs: &dyn LocalFs, chunking: &Chunking, source: &Source, window: &mut Window<'_>) -> Read {
    let changed = || io::Error::other("it changes all the time");
    let file = fs.open(&source.path)?;
    if file.stamp()? != source.stamp {
        return Err(changed());
    }
    let (mut chunks, mut whole) = (Vec::new(), Sha256::new());
    for chunk in chunking.cut(file) {
        let chunk = chunk?;
        whole.update(&chunk.bytes);
        chunks.push(chunk.to_ref());
        window.push(chunk)?;
    }
    if Sha256Hash::from_bytes(whole.finalize().into()) == source.hash { Ok(chunks) } else { Err(changed()) }
}

/// Chunks on their way out.
struct Window<'s> {
    chunks: Vec<Chunk>,
    bytes: usize,
    sender: &'s mpsc::Sender<Vec<Chunk>>,
}

impl Window<'_> {
    fn push(&mut self, chunk: Chunk) -> io::Result<()> {
        self.bytes += chunk.bytes.len();
        self.chunks.push(chunk);
        if self.bytes >= WINDOW_BYTES || self.chunks.len() >= WINDOW_CHUNKS { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.bytes = 0;
        let chunks = std::mem::take(&mut self.chunks);
        if chunks.is_empty() {
            return Ok(());
        }
        self.sender.blocking_send(chunks).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}
