//! The metadata store: rows, read outside or inside a transaction, written only inside one.
//!
//! The traits are split by area, reads from writes; [`Reads`] and [`Writes`] bundle them.

mod access;
mod audit;
mod conflicts;
mod content;
mod delta;
mod ledger;
mod once;
mod quotas;
mod sync;
mod tenancy;
mod tree;
mod uploads;
mod webhooks;

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;

pub use access::{
    AccessReads, AccessWrites, Account, Page, SeenChain, SeenEntry, SeenMember, SeenShare, UserSearch,
};
pub use audit::{AuditHead, AuditQuery, AuditReads, AuditWrites, SealedRow};
pub use conflicts::{ClientChange, ConflictQuery, ConflictReads, ConflictRow, ConflictWrites};
pub use content::{
    ChunkReads, ChunkRow, ChunkStats, ChunkWrites, ContentReads, ContentRow, ContentWrites, ManifestEntry,
};
pub use delta::{ChunkUse, ContentUse, DeltaReads, DeltaWrites, SentChunk};
pub use ledger::{AuditRow, JobReads, JobRow, JobWrites, LedgerReads, LedgerWrites, StoredJob};
pub use once::{DoneOnce, OnceReads, OnceWrites};
pub use quotas::{QuotaReads, QuotaState, QuotaWrites};
pub use sync::{LogBounds, LogPage, LogRow, Seat, SyncReads, SyncWrites};
pub use tenancy::{TenancyReads, TenancyWrites};
pub use tree::{ChildQuery, ChildSort, SortKey, TreeReads, TreeWrites};
pub use uploads::{MadeFile, PartRow, UploadChunk, UploadReads, UploadRow, UploadWrites};
pub use webhooks::WebhookWrites;

use crate::model::{Error, Result, Timestamp};

/// Everything that can be read.
pub trait Reads:
    TenancyReads
    + AccessReads
    + QuotaReads
    + AuditReads
    + OnceReads
    + ConflictReads
    + TreeReads
    + ContentReads
    + ChunkReads
    + UploadReads
    + DeltaReads
    + LedgerReads
    + JobReads
    + SyncReads
    + Send
{
}

impl<
    T: TenancyReads
        + AccessReads
        + QuotaReads
        + AuditReads
        + OnceReads
        + ConflictReads
        + TreeReads
        + ContentReads
        + ChunkReads
        + UploadReads
        + DeltaReads
        + LedgerReads
        + JobReads
        + SyncReads
        + Send,
> Reads for T
{
}

/// Everything that can be read and written inside a transaction.
pub trait Writes:
    Reads
    + TenancyWrites
    + AccessWrites
    + QuotaWrites
    + AuditWrites
    + OnceWrites
    + ConflictWrites
    + TreeWrites
    + ContentWrites
    + ChunkWrites
    + UploadWrites
    + DeltaWrites
    + LedgerWrites
    + JobWrites
    + SyncWrites
    + WebhookWrites
{
}

impl<
    T: Reads
        + TenancyWrites
        + AccessWrites
        + QuotaWrites
        + AuditWrites
        + OnceWrites
        + ConflictWrites
        + TreeWrites
        + ContentWrites
        + ChunkWrites
        + UploadWrites
        + DeltaWrites
        + LedgerWrites
        + JobWrites
        + SyncWrites
        + WebhookWrites,
> Writes for T
{
}

/// How a transaction that met no error ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// What was written stays.
    Commit,
    /// What was written goes, as if nothing had been tried.
    RollBack,
}

/// What runs inside one transaction; it may run several times, so it holds its input and changes nothing else.
#[async_trait]
pub trait WriteUnit: Send + Sync {
    /// Does the work; an error rolls all of it back.
    async fn run(&self, rows: &mut dyn Writes) -> Result<Outcome>;

    /// Tells whether the commit may be lost in a power cut without harm, as a chunk's touch may.
    ///
    /// Such a unit is still atomic and in order: whatever commits durably after it makes it durable too.
    fn may_be_lost(&self) -> bool {
        false
    }
}

/// Where reports were read, where there is a copy of the database.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReportsRead {
    /// From the copy.
    pub from_replica: u64,
    /// From the database after all.
    pub from_primary: u64,
}

/// The database.
///
/// Contract (`testing::metadata` holds every adapter to it): `write` runs the unit in one transaction that
/// decides on current rows, repeats it after a deadlock, a lock time-out or a busy database, and answers only
/// after the commit is durable. It runs to its end even if the caller goes away. [`Error::CommitUnknown`] means
/// that the connection was lost while committing.
///
/// [`Error::CommitUnknown`]: crate::model::Error::CommitUnknown
#[async_trait]
pub trait MetadataStore: Send + Sync + fmt::Debug {
    /// Returns rows to read from, outside any transaction: each query sees what is committed when it starts.
    async fn read(&self) -> Result<Box<dyn Reads>>;

    /// Returns rows of a copy that has all that is committed by now, to spare the database reports; nothing where there
    /// is no copy, or it is behind or away.
    async fn replica(&self) -> Option<Box<dyn Reads>> {
        None
    }

    /// Says that what was read from the copy broke off.
    fn replica_failed(&self, _error: &Error) {}

    /// Looks whether the copy answers and has all that is committed; nothing where there is none.
    async fn is_replica_there(&self) -> Option<bool> {
        None
    }

    /// Returns where reports were read since this was asked last.
    fn take_reports(&self) -> ReportsRead {
        ReportsRead::default()
    }

    /// Returns rows to read from that are all of one instant, however much is read and whatever is committed meanwhile.
    async fn snapshot(&self) -> Result<Box<dyn Reads>>;

    /// Runs the unit in a transaction and commits it.
    async fn write(&self, unit: Arc<dyn WriteUnit>) -> Result<()>;

    /// Returns the database's own time, which orders touches and collections.
    async fn now(&self) -> Result<Timestamp>;

    /// Applies what is missing of the schema; safe to run twice and by several at once.
    async fn migrate(&self) -> Result<()>;

    /// Returns the names of migrations not applied yet.
    async fn pending_migrations(&self) -> Result<Vec<String>>;

    /// Fails unless the database answers.
    async fn ping(&self) -> Result<()>;

    /// Waits until a commit of another process may have become visible since the last call; never returns where that
    /// cannot be told. The first call only takes its bearings: what it missed, nobody else tells of.
    async fn foreign_commit(&self);

    /// Finishes what is under way and closes the connections.
    async fn close(&self);
}
