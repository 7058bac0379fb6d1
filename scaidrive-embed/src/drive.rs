//! A drive: open, shares, users, close.

use std::path::Path;
use std::sync::Arc;

use scaidrive_core::config::Config;
use scaidrive_core::jobs::{Worker, seal};
use scaidrive_core::model::{Caller, Result, Share as Facts, ShareType, UserId};
use scaidrive_core::services::shares::{self, NewShare};
use scaidrive_core::services::tenants;
use scaidrive_core::services::{foreign, journal, paths};
use scaidrive_core::{Drive, Ports, open};
use tokio::task::AbortHandle;
use tokio_util::sync::CancellationToken;

use crate::acting::Acting;
use crate::share::Share;

/// Shares read at once.
const SHARES: u32 = 1000;

/// Jobs that run at once beside the host program.
const JOBS_AT_ONCE: usize = 2;

/// A drive of the host program, acting as one of its users; cheap to clone.
///
/// What the user may do is looked up anew for each operation, so a handle never outlives a right: of a user that was
/// suspended every operation fails with [`Error::Suspended`](crate::Error::Suspended).
///
/// While there is a handle on it or on one of its shares, its jobs run in the background on the runtime that opened it.
#[derive(Clone, Debug)]
pub struct ScaiDrive {
    pub(crate) acting: Acting,
}

/// The background tasks; they end with the last handle.
#[derive(Debug)]
pub(crate) struct Background(Vec<AbortHandle>);

impl Drop for Background {
    fn drop(&mut self) {
        self.0.iter().for_each(AbortHandle::abort);
    }
}

impl ScaiDrive {
    /// Opens the drive in a directory, made now if there is none, acting as its administrator.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) where the directory cannot be made or used.
    pub async fn open_dir(dir: impl AsRef<Path>) -> Result<Self> {
        Self::open(&Config::embedded(dir.as_ref())).await
    }

    /// Opens a drive as configured, its schema brought up to date, acting as its administrator.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) where the configuration cannot be used;
    /// [`Error::Database`](crate::Error::Database) where the database does not answer within a minute.
    pub async fn open(config: &Config) -> Result<Self> {
        Self::from_ports(open::ports(config).await?).await
    }

    /// Opens a drive on parts that the host brings, acting as its administrator.
    ///
    /// # Errors
    /// What the parts fail with.
    pub async fn from_ports(ports: Ports) -> Result<Self> {
        let drive = Drive::new(ports);
        open::migrate(&drive).await?;
        let (tenant, admin, _) = tenants::bootstrap(&drive).await?;
        let caller = tenants::caller_for(&drive, tenant.id, &admin.id).await?;
        let worker = Worker::new(drive.clone());
        let jobs = tokio::spawn(async move { worker.run(JOBS_AT_ONCE, &CancellationToken::new()).await });
        let watched = drive.clone();
        let foreign = tokio::spawn(async move { foreign::watch(&watched).await });
        let sealed = drive.clone();
        let seals = tokio::spawn(async move { seal::run(&sealed).await });
        let noted = drive.clone();
        let notes = tokio::spawn(async move { journal::run(&noted).await });
        let tasks = [jobs, foreign, seals, notes];
        let background =
            Arc::new(Background(tasks.iter().map(tokio::task::JoinHandle::abort_handle).collect()));
        Ok(Self { acting: Acting::new(drive, caller, background) })
    }

    /// Returns the core that this drive is a handle on: for what this crate has no word for.
    pub fn core(&self) -> &Drive {
        &self.acting.drive
    }

    /// Returns whom this handle acts as, with the role and groups of when it was made: for services of the core that
    /// change something, which look them up again, and to be refreshed before it is judged for a read.
    pub fn caller(&self) -> &Caller {
        self.acting.known()
    }

    /// Returns whom this handle acts as, with the role and groups of now.
    pub(crate) async fn now(&self) -> Result<Caller> {
        self.acting.caller().await
    }

    /// Returns a handle that acts as another user of the same tenant.
    ///
    /// # Errors
    /// [`Error::NotFound`](crate::Error::NotFound) if there is no such user,
    /// [`Error::Suspended`](crate::Error::Suspended) if it may not act.
    pub async fn as_user(&self, user: &UserId) -> Result<Self> {
        let acting = &self.acting;
        let caller = tenants::caller_for(&acting.drive, acting.known().tenant, user).await?;
        Ok(Self { acting: acting.by(caller) })
    }

    fn handle(&self, facts: Facts) -> Share {
        Share::new(self.acting.clone(), facts)
    }

    /// Creates a share that the acting user owns. Names need not be unique, but only unique ones can be looked up.
    ///
    /// # Errors
    /// [`Error::Invalid`](crate::Error::Invalid) for a name that is empty or longer than 255 bytes,
    /// [`Error::PermissionDenied`](crate::Error::PermissionDenied) where the tenant lets only administrators make shares.
    pub async fn create_share(&self, name: &str) -> Result<Share> {
        let new = NewShare {
            name: name.to_owned(),
            share_type: ShareType::Project,
            owner: None,
            description: None,
            quota_bytes: None,
        };
        let share = shares::create(&self.acting.drive, &self.now().await?, new).await?;
        Ok(self.handle(share))
    }

    /// Returns a share by its name or id.
    ///
    /// # Errors
    /// [`Error::NotFound`](crate::Error::NotFound) if the acting user sees none of that name,
    /// [`Error::Invalid`](crate::Error::Invalid) if it sees several.
    pub async fn share(&self, name: &str) -> Result<Share> {
        let share = paths::share_named(&self.acting.drive, &self.now().await?, name).await?;
        Ok(self.handle(share))
    }

    /// Returns the shares that the acting user sees.
    ///
    /// # Errors
    /// What the database fails with.
    pub async fn shares(&self) -> Result<Vec<Share>> {
        let (drive, caller) = (&self.acting.drive, self.now().await?);
        let mut all: Vec<Share> = Vec::new();
        loop {
            let offset = all.len() as u32;
            let page = shares::list(drive, &caller, false, false, SHARES, offset).await?.shares;
            let is_last = page.len() < SHARES as usize;
            all.extend(page.into_iter().map(|facts| self.handle(facts)));
            if is_last {
                return Ok(all);
            }
        }
    }

    /// Finishes what is under way and closes the database; other handles on the drive fail from then on.
    pub async fn close(self) {
        self.acting.background.0.iter().for_each(AbortHandle::abort);
        if let Err(error) = journal::flush(&self.acting.drive).await {
            tracing::warn!(%error, "audit events of reads were not written");
        }
        self.acting.drive.meta.close().await;
    }
}
