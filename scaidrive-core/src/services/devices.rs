//! Devices that sync: which there are, how far each is, and what it wants to have.
//!
//! A device belongs to its user; its id is the client's own word, and means nothing to others.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use serde::Serialize;

use super::access::{self, Right};
use super::feed;
use super::mutation::{self, Mutation, Tx};
use super::transaction::{Transaction, transact};
use crate::Drive;
use crate::model::{
    AuditCategory, AuditEvent, Caller, Cursor, Device, DeviceId, Error, Preferences, RegistrationId,
    ResourceKind, Result, ShareId, TenantId, Timestamp, UserId, tidy,
};
use crate::ports::metadata::Seat;
use crate::ports::{Outcome, Reads, Writes};

/// The most devices of one user.
pub const MOST_DEVICES: usize = 1000;

/// The most folders that a device may choose, and the longest word for one.
pub const MOST_FOLDERS: usize = 10_000;
const LONGEST_FOLDER: usize = 4096;

/// A device that has not asked for anything for so long is not active any more.
const ACTIVE: Duration = Duration::from_secs(30 * 24 * 3600);

/// How old a noted request grows before it is noted again.
const NOTED: Duration = Duration::from_secs(60);

/// Changes that wait for a device are counted up to here.
pub const COUNTED: u32 = 10_000;

/// Rows looked at where the caller may not see all of them.
const JUDGED: u32 = 1000;

/// A device as the wire shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DeviceInfo {
    /// The device.
    #[serde(flatten)]
    pub device: Device,
    /// Whether it has asked for something in the last thirty days.
    pub is_active: bool,
}

impl DeviceInfo {
    fn of(device: Device, now: Timestamp) -> Self {
        Self { is_active: now.since(device.last_seen_at) < ACTIVE, device }
    }
}

/// What a client says of its device.
#[derive(Clone, Debug)]
pub struct NewDevice {
    /// Its id.
    pub device_id: DeviceId,
    /// What its user calls it.
    pub device_name: String,
    /// What it runs.
    pub platform: Option<String>,
    /// Which client.
    pub client_version: Option<String>,
}

/// Registers a device, or changes what is said of it; tells whether it is new.
pub async fn register(drive: &Drive, caller: &Caller, new: NewDevice) -> Result<(DeviceInfo, bool)> {
    let fits = |text: &str| tidy(text).is_some_and(|tidied| tidied == text);
    let texts = [
        ("device_name", Some(&new.device_name)),
        ("platform", new.platform.as_ref()),
        ("client_version", new.client_version.as_ref()),
    ];
    for (field, text) in texts {
        if let Some(text) = text.filter(|text| !fits(text)) {
            let message = "must have 1 to 255 bytes, no control characters, no space at either end";
            return Err(Error::invalid(field, message, text.as_str()));
        }
    }
    let (device, is_new) = mutation::run(drive, caller, Register { new }).await?;
    Ok((DeviceInfo::of(device, drive.clock.now()), is_new))
}

struct Register {
    new: NewDevice,
}

#[async_trait]
impl Mutation for Register {
    type Output = (Device, bool);

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<Self::Output> {
        let (tenant, user) = (tx.caller.tenant, &tx.caller.user);
        let known = tx.rows.device(tenant, user, &self.new.device_id).await?;
        let is_new = known.is_none();
        if is_new && tx.rows.devices(tenant, user).await?.len() >= MOST_DEVICES {
            let message = format!("a user has at most {MOST_DEVICES} devices: remove one");
            return Err(Error::invalid("device_id", message, self.new.device_id.as_str()));
        }
        let (id, created_at) = known
            .map_or_else(|| (RegistrationId::new(tx.ulid()), tx.now), |known| (known.id, known.created_at));
        let NewDevice { device_id, device_name, platform, client_version } = self.new.clone();
        let device =
            Device { id, device_id, device_name, platform, client_version, last_seen_at: tx.now, created_at };
        tx.rows.put_device(tenant, user, &device).await?;
        tx.created(&device.device_id);
        // What it has open already is told from now on, and ends with it.
        tx.wake(user);
        tx.audit(event(if is_new { "device.register" } else { "device.update" }, &device.device_id));
        // A rival may have been first: then the id is its.
        let stored = tx.rows.device(tenant, user, &device.device_id).await?;
        Ok((stored.unwrap_or(device), is_new))
    }
}

fn event(action: &'static str, id: &DeviceId) -> AuditEvent {
    AuditEvent::new(AuditCategory::Admin, action, ResourceKind::Device, id)
}

/// Returns the caller's devices, oldest first.
pub async fn list(drive: &Drive, caller: &Caller) -> Result<Vec<DeviceInfo>> {
    let devices = drive.read().await?.devices(caller.tenant, &caller.user).await?;
    let now = drive.clock.now();
    Ok(devices.into_iter().map(|device| DeviceInfo::of(device, now)).collect())
}

/// Returns one of the caller's devices.
pub async fn get(drive: &Drive, caller: &Caller, id: &DeviceId) -> Result<DeviceInfo> {
    let device = known(&mut *drive.read().await?, caller, id).await?;
    Ok(DeviceInfo::of(device, drive.clock.now()))
}

async fn known(rows: &mut dyn Reads, caller: &Caller, id: &DeviceId) -> Result<Device> {
    rows.device(caller.tenant, &caller.user, id).await?.ok_or(Error::NotFound)
}

/// Removes a device: its cursors and preferences go, and what it has open ends.
pub async fn remove(drive: &Drive, caller: &Caller, id: &DeviceId) -> Result<()> {
    mutation::run(drive, caller, Remove { id: id.clone() }).await
}

struct Remove {
    id: DeviceId,
}

#[async_trait]
impl Mutation for Remove {
    type Output = ();

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<()> {
        if !tx.rows.delete_device(tx.caller.tenant, &tx.caller.user, &self.id).await? {
            return Err(Error::NotFound);
        }
        tx.wake(&tx.caller.user);
        tx.audit(event("device.remove", &self.id));
        Ok(())
    }
}

/// How a device stands in a share.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct SyncStatus {
    /// How far it is.
    #[serde(flatten)]
    pub cursor: Cursor,
    /// Changes that wait for it, counted up to [`COUNTED`], or up to a thousand rows of the log where the caller may not
    /// see all of them.
    pub pending_changes: u32,
    /// Whether a conflict waits for somebody to resolve it.
    pub has_conflicts: bool,
    /// For how long the first of the changes has waited.
    #[serde(skip)]
    pub lag: Duration,
}

/// Returns how a device stands in a share; a device that was never there stands at the head.
pub async fn status(drive: &Drive, caller: &Caller, share: ShareId, id: &DeviceId) -> Result<SyncStatus> {
    let mut rows = drive.read().await?;
    let (found, _) = access::seen_share(&mut *rows, caller, share, Right::Read).await?;
    let device = known(&mut *rows, caller, id).await?;
    let seat = Seat { tenant: caller.tenant, user: &caller.user, device: id, share };
    let cursor = rows.cursor(seat).await?;
    let has_conflicts = rows.has_open_conflicts(seat.tenant, share, seat.user, id).await?;
    drop(rows);
    note_seen(drive, caller, &device).await?;
    let cursor = match cursor {
        Some(cursor) => cursor,
        None => transact(drive, MakeCursor(OwnSeat::of(seat))).await?,
    };
    let (pending_changes, lag) = pending(drive, caller, &found, cursor.position).await?;
    Ok(SyncStatus { cursor, pending_changes, has_conflicts, lag })
}

/// Counts what the feed would show after a position.
async fn pending(
    drive: &Drive,
    caller: &Caller,
    share: &crate::model::Share,
    after: i64,
) -> Result<(u32, Duration)> {
    let (count, first) = drive.read().await?.count_log(caller.tenant, share.id, after, COUNTED).await?;
    let lag = first.map_or(Duration::ZERO, |first| drive.clock.now().since(first));
    if count == 0 || !share.has_acl || caller.is_admin() {
        return Ok((count, lag));
    }
    // How much happens out of sight is not for everybody to know.
    match feed::changes(drive, caller, share.id, after, JUDGED).await {
        Ok(page) => Ok((page.changes.len() as u32, lag)),
        Err(Error::CursorExpired) => Ok((0, lag)),
        Err(error) => Err(error),
    }
}

/// A device's place in a share, to be taken along.
struct OwnSeat {
    tenant: TenantId,
    user: UserId,
    device: DeviceId,
    share: ShareId,
}

impl OwnSeat {
    fn of(seat: Seat<'_>) -> Self {
        Self { tenant: seat.tenant, user: seat.user.clone(), device: seat.device.clone(), share: seat.share }
    }

    const fn seat(&self) -> Seat<'_> {
        Seat { tenant: self.tenant, user: &self.user, device: &self.device, share: self.share }
    }
}

/// Makes a cursor at the head; a rival's stays.
struct MakeCursor(OwnSeat);

#[async_trait]
impl Transaction for MakeCursor {
    type Answer = Cursor;

    async fn run(&self, rows: &mut dyn Writes) -> Result<(Outcome, Cursor)> {
        let seat = self.0.seat();
        // Removed meanwhile: its cursors went with it.
        rows.device(seat.tenant, seat.user, seat.device).await?.ok_or(Error::NotFound)?;
        let head = rows.head(seat.tenant).await?;
        rows.make_cursor(seat, head).await?;
        let cursor = rows.cursor(seat).await?;
        Ok((Outcome::Commit, cursor.unwrap_or(Cursor { position: head, synced_at: None })))
    }
}

/// Says how far a device is; it may go back as far as the log reaches.
pub async fn set_cursor(
    drive: &Drive,
    caller: &Caller,
    share: ShareId,
    id: &DeviceId,
    position: i64,
) -> Result<Cursor> {
    let mut rows = drive.read().await?;
    access::seen_share(&mut *rows, caller, share, Right::Read).await?;
    let device = known(&mut *rows, caller, id).await?;
    drop(rows);
    let seat = Seat { tenant: caller.tenant, user: &caller.user, device: id, share };
    let cursor = Cursor { position, synced_at: Some(drive.clock.now()) };
    transact(drive, SetCursor { seat: OwnSeat::of(seat), cursor }).await?;
    note_seen(drive, caller, &device).await?;
    Ok(cursor)
}

struct SetCursor {
    seat: OwnSeat,
    cursor: Cursor,
}

#[async_trait]
impl Transaction for SetCursor {
    type Answer = ();

    async fn run(&self, rows: &mut dyn Writes) -> Result<(Outcome, ())> {
        let (seat, position) = (self.seat.seat(), self.cursor.position);
        rows.device(seat.tenant, seat.user, seat.device).await?.ok_or(Error::NotFound)?;
        let bounds = rows.log_bounds(seat.tenant).await?;
        if position > bounds.head {
            return Err(Error::invalid("position", "lies beyond the last change", position));
        }
        if position < bounds.floor {
            return Err(Error::CursorExpired);
        }
        rows.set_cursor(seat, self.cursor).await?;
        Ok((Outcome::Commit, ()))
    }
}

/// Returns what a device wants to have of a share: everything, unless it said otherwise.
pub async fn preferences(
    drive: &Drive,
    caller: &Caller,
    share: ShareId,
    id: &DeviceId,
) -> Result<Preferences> {
    let mut rows = drive.read().await?;
    access::seen_share(&mut *rows, caller, share, Right::Read).await?;
    known(&mut *rows, caller, id).await?;
    let seat = Seat { tenant: caller.tenant, user: &caller.user, device: id, share };
    Ok(rows.preferences(seat).await?.unwrap_or_default())
}

/// Returns when each preference of a device was set last, if it is registered; then it counts as seen.
pub async fn preference_times(
    drive: &Drive,
    caller: &Caller,
    id: &DeviceId,
) -> Result<Option<BTreeMap<ShareId, Timestamp>>> {
    let mut rows = drive.read().await?;
    let Some(device) = rows.device(caller.tenant, &caller.user, id).await? else { return Ok(None) };
    let times = rows.preference_times(caller.tenant, &caller.user, id).await?;
    drop(rows);
    note_seen(drive, caller, &device).await?;
    Ok(Some(times.into_iter().collect()))
}

/// Says what a device wants to have of a share.
pub async fn set_preferences(
    drive: &Drive,
    caller: &Caller,
    share: ShareId,
    id: &DeviceId,
    wanted: Preferences,
) -> Result<Preferences> {
    if wanted.folders.len() > MOST_FOLDERS {
        return Err(Error::invalid("folders", format!("at most {MOST_FOLDERS}"), wanted.folders.len()));
    }
    let fits =
        |word: &&String| (1..=LONGEST_FOLDER).contains(&word.len()) && !word.chars().any(char::is_control);
    if let Some(word) = wanted.folders.iter().find(|word| !fits(word)) {
        let message = "a folder has 1 to 4096 bytes, no control characters";
        return Err(Error::invalid("folders", message, word.as_str()));
    }
    mutation::run(drive, caller, SetPreferences { share, id: id.clone(), wanted }).await
}

struct SetPreferences {
    share: ShareId,
    id: DeviceId,
    wanted: Preferences,
}

#[async_trait]
impl Mutation for SetPreferences {
    type Output = Preferences;

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<Preferences> {
        access::seen_share(tx.rows, tx.caller, self.share, Right::Read).await?;
        known(tx.rows, tx.caller, &self.id).await?;
        let seat =
            Seat { tenant: tx.caller.tenant, user: &tx.caller.user, device: &self.id, share: self.share };
        tx.rows.set_preferences(seat, &self.wanted, tx.now).await?;
        tx.wake(&tx.caller.user);
        let payload = serde_json::json!({ "share_id": self.share, "mode": self.wanted.mode });
        tx.audit(event("device.preferences", &self.id).with(payload));
        Ok(self.wanted.clone())
    }
}

/// Notes that a device asks for something, unless that was noted lately.
async fn note_seen(drive: &Drive, caller: &Caller, device: &Device) -> Result<()> {
    let now = drive.clock.now();
    if now.since(device.last_seen_at) < NOTED {
        return Ok(());
    }
    let note =
        NoteSeen { tenant: caller.tenant, user: caller.user.clone(), id: device.device_id.clone(), at: now };
    transact(drive, note).await
}

/// Losing one in a power cut harms nobody.
struct NoteSeen {
    tenant: TenantId,
    user: UserId,
    id: DeviceId,
    at: Timestamp,
}

#[async_trait]
impl Transaction for NoteSeen {
    type Answer = ();

    async fn run(&self, rows: &mut dyn Writes) -> Result<(Outcome, ())> {
        rows.note_device(self.tenant, &self.user, &self.id, self.at).await?;
        Ok((Outcome::Commit, ()))
    }

    fn may_be_lost(&self) -> bool {
        true
    }
}
