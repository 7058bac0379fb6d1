//! Rows that sync lives on: the log as its readers page through it, snapshots, devices and how far they are.

use async_trait::async_trait;

use crate::model::{
    Cursor, Device, DeviceId, LoggedChange, Node, NodeId, NodeKind, Preferences, ResourceId, Result, ShareId,
    TenantId, Timestamp, UserId,
};

/// What of a tenant's log can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogBounds {
    /// Rows up to here may be gone; a cursor there still misses nothing.
    pub floor: i64,
    /// The position of the last change.
    pub head: i64,
}

/// A row of the log, and what is known now of what it is about.
#[derive(Clone, Debug)]
pub struct LogRow {
    /// The row.
    pub change: LoggedChange,
    /// Whether the file or folder is still in the share, in the trash or not; no for what is neither.
    pub is_in_share: bool,
}

/// Rows of the log up to the head; no row of the page can be gone without the floor telling.
#[derive(Clone, Debug)]
pub struct LogPage {
    /// The bounds.
    pub bounds: LogBounds,
    /// The rows, in order.
    pub rows: Vec<LogRow>,
}

/// One device's place in one share.
#[derive(Clone, Copy, Debug)]
pub struct Seat<'s> {
    /// The tenant.
    pub tenant: TenantId,
    /// Whose device.
    pub user: &'s UserId,
    /// Which.
    pub device: &'s DeviceId,
    /// In which share.
    pub share: ShareId,
}

/// Reads what sync lives on.
#[async_trait]
pub trait SyncReads: Send {
    /// Returns what of the log can be read.
    async fn log_bounds(&mut self, tenant: TenantId) -> Result<LogBounds>;
    /// Returns the first rows after a position, at most `limit`, of these shares, or of all where none are named.
    ///
    /// Rows of other shares cost nothing, and a page costs few statements: one that finds nothing new, two, or one a hundred
    /// shares in which there is something new.
    async fn log_page(
        &mut self,
        tenant: TenantId,
        shares: Option<&[ShareId]>,
        after: i64,
        limit: u32,
    ) -> Result<LogPage>;
    /// Counts a share's rows after a position, up to `most`, and returns when the first of them was written.
    async fn count_log(
        &mut self,
        tenant: TenantId,
        share: ShareId,
        after: i64,
        most: u32,
    ) -> Result<(u32, Option<Timestamp>)>;
    /// Returns place and time of the oldest rows that are left.
    async fn oldest_changes(&mut self, tenant: TenantId, limit: u32) -> Result<Vec<(i64, Timestamp)>>;
    /// Returns these nodes that are there and all above them, each once, in no order: one statement a thousand.
    async fn ancestry(&mut self, tenant: TenantId, ids: &[NodeId]) -> Result<Vec<Node>>;
    /// Tells whether any of these resources has entries of its own, whomever they are about.
    async fn have_entries(&mut self, tenant: TenantId, ids: &[ResourceId]) -> Result<bool>;
    /// Returns a share's files or folders that are not in the trash themselves, by id, after `after`.
    async fn living(
        &mut self,
        tenant: TenantId,
        share: ShareId,
        kind: NodeKind,
        after: Option<NodeId>,
        limit: u32,
    ) -> Result<Vec<Node>>;
    /// Returns a user's devices, oldest first.
    async fn devices(&mut self, tenant: TenantId, user: &UserId) -> Result<Vec<Device>>;
    /// Returns a device.
    async fn device(&mut self, tenant: TenantId, user: &UserId, id: &DeviceId) -> Result<Option<Device>>;
    /// Returns how far a device is.
    async fn cursor(&mut self, seat: Seat<'_>) -> Result<Option<Cursor>>;
    /// Returns what a device wants to have.
    async fn preferences(&mut self, seat: Seat<'_>) -> Result<Option<Preferences>>;
    /// Returns when each of a device's preferences was set last.
    async fn preference_times(
        &mut self,
        tenant: TenantId,
        user: &UserId,
        id: &DeviceId,
    ) -> Result<Vec<(ShareId, Timestamp)>>;
}

/// Writes what sync lives on.
#[async_trait]
pub trait SyncWrites: Send {
    /// Removes rows up to a position and raises the floor to it.
    async fn cut_log(&mut self, tenant: TenantId, through: i64) -> Result<()>;
    /// Adds to the tenant's position and raises the floor to the new head: every older cursor has expired then.
    async fn raise_log(&mut self, tenant: TenantId, by: i64) -> Result<()>;
    /// Inserts a device, or replaces what is said of it but for its id and when it was made.
    async fn put_device(&mut self, tenant: TenantId, user: &UserId, device: &Device) -> Result<()>;
    /// Notes that a device asked for something.
    async fn note_device(
        &mut self,
        tenant: TenantId,
        user: &UserId,
        id: &DeviceId,
        at: Timestamp,
    ) -> Result<()>;
    /// Removes a device with its cursors and preferences; tells whether there was one.
    async fn delete_device(&mut self, tenant: TenantId, user: &UserId, id: &DeviceId) -> Result<bool>;
    /// Makes a cursor, unless there is one.
    async fn make_cursor(&mut self, seat: Seat<'_>, position: i64) -> Result<()>;
    /// Sets a cursor.
    async fn set_cursor(&mut self, seat: Seat<'_>, cursor: Cursor) -> Result<()>;
    /// Sets what a device wants to have.
    async fn set_preferences(&mut self, seat: Seat<'_>, wanted: &Preferences, at: Timestamp) -> Result<()>;
}
