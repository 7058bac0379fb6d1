//! Delta transfer on both databases: what is present for whom, what becomes of claims, what senders have pending.

mod assemble;
mod known;
mod property;
mod send;

use std::collections::{BTreeSet, HashSet};
use std::io::Cursor;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use scaidrive_core::adapters::sql::statements;
use scaidrive_core::model::{
    Caller, Chunk, ChunkHash, FileId, FileInfo, FolderId, Principal, Result, Sha256Hash, ShareId, ShareRole,
    Timestamp, UserId,
};
use scaidrive_core::ports::{Outcome, WriteUnit, Writes};
use scaidrive_core::services::delta::{self, Claim, Frame};
use scaidrive_core::services::files::{self, NewFile};
use scaidrive_core::services::ingest::StoredContent;
use scaidrive_core::services::members::{self, NewMember};
use scaidrive_core::services::tenants::{self, NewUser};
use scaidrive_core::services::{collect, content};

use crate::backends::{House, name};
use crate::noise::noise;

fn chunk(bytes: impl Into<Bytes>) -> Chunk {
    let bytes = bytes.into();
    Chunk { hash: Sha256Hash::of(&bytes), bytes }
}

fn claim(chunks: &[Chunk]) -> Claim {
    let chunks = chunks.iter().map(|chunk| (chunk.hash, chunk.bytes.len() as u32)).collect();
    Claim { chunks, ..Claim::default() }
}

async fn user(house: &House, id: &str, role: Option<ShareRole>) -> Caller {
    let id: UserId = id.parse().unwrap();
    let new = NewUser { id: Some(id.clone()), ..NewUser::default() };
    tenants::create_user(&house.drive, &house.caller, new).await.unwrap();
    if let Some(role) = role {
        let member = NewMember { principal: Principal::User(id.clone()), role, expires_at: None };
        members::add(&house.drive, &house.caller, house.share.id, member).await.unwrap();
    }
    tenants::caller_for(&house.drive, house.caller.tenant, &id).await.unwrap()
}

/// A new file in the house's share.
fn new_file(house: &House, folder: Option<FolderId>, text: &str) -> NewFile {
    NewFile { share: house.share.id, folder, name: name(text), mime_type: None, modified_at: None }
}

async fn put(house: &House, by: &Caller, folder: Option<FolderId>, text: &str, bytes: &[u8]) -> FileInfo {
    let bytes = Cursor::new(bytes.to_vec());
    files::create(&house.drive, by, new_file(house, folder, text), bytes).await.unwrap()
}

async fn read(house: &House, caller: &Caller, file: FileId) -> Vec<u8> {
    let readable = content::open(&house.drive, caller, file, None).await.unwrap();
    content::read(&house.drive, &readable, None).await.unwrap()
}

/// Sends chunks that are what they say; returns those that the caller had not sent before.
async fn send(house: &House, caller: &Caller, chunks: &[Chunk]) -> Result<HashSet<ChunkHash>> {
    let frame = |chunk: &Chunk| Ok(Frame { hash: chunk.hash, bytes: Some(chunk.bytes.clone()) });
    let frames: Vec<Result<Frame>> = chunks.iter().map(frame).collect();
    let receipts = delta::receive(&house.drive, caller, stream::iter(frames)).await?;
    assert_eq!(receipts.len(), chunks.len());
    Ok(receipts.into_iter().filter_map(|(hash, new)| new.unwrap().then_some(hash)).collect())
}

/// Returns which of these hashes are present for a caller in the house's share.
async fn present(house: &House, caller: &Caller, hashes: &[ChunkHash]) -> BTreeSet<ChunkHash> {
    present_in(house, caller, house.share.id, hashes).await.unwrap()
}

async fn present_in(
    house: &House,
    caller: &Caller,
    share: ShareId,
    hashes: &[ChunkHash],
) -> Result<BTreeSet<ChunkHash>> {
    Ok(delta::known(&house.drive, caller, share, hashes).await?.into_keys().collect())
}

async fn assemble(house: &House, caller: &Caller, claim: Claim) -> Result<StoredContent> {
    let all = delta::assemble(&house.drive, caller, house.share.id, vec![claim]).await.unwrap();
    all.into_iter().next().unwrap()
}

/// Makes it so that a user sent chunks at another time.
async fn sent_at(house: &House, user: &Caller, hashes: &[ChunkHash], at: Timestamp) {
    struct Renew(Caller, Vec<ChunkHash>, Timestamp);

    #[async_trait::async_trait]
    impl WriteUnit for Renew {
        async fn run(&self, rows: &mut dyn Writes) -> Result<Outcome> {
            rows.renew_sent(self.0.tenant, &self.0.user, &self.1, self.2).await?;
            Ok(Outcome::Commit)
        }
    }
    let unit = Renew(user.clone(), hashes.to_vec(), at);
    house.drive.meta.write(std::sync::Arc::new(unit)).await.unwrap();
}

async fn hours_ago(house: &House, hours: u64) -> Timestamp {
    house.drive.meta.now().await.unwrap().minus(Duration::from_secs(hours * 3600))
}

async fn collect_all(house: &House) -> collect::Collected {
    let plan = collect::Plan { grace: Duration::ZERO, dry_run: false, quarantine: Duration::ZERO };
    // What one run removes is another's to free, and what it touches was not older than its cutoff.
    let mut done = collect::Collected::default();
    for _ in 0..3 {
        tokio::time::sleep(Duration::from_millis(5)).await;
        let more = collect::run(&house.drive, house.caller.tenant, plan).await.unwrap();
        (done.chunks, done.contents) = (done.chunks + more.chunks, done.contents + more.contents);
    }
    done
}

/// Returns the statements that some work runs.
async fn cost<T>(work: impl Future<Output = T>) -> (u64, T) {
    let before = statements();
    let done = work.await;
    (statements() - before, done)
}
