//! A real core in this process: one drive for all runs, a tenant of its own for each.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use scaidrive_core::adapters::sql::SqlStore;
use scaidrive_core::config::Config;
use scaidrive_core::jobs::Worker;
use scaidrive_core::model::{AdminRole, Caller, GroupId, ShareId, ShareType, Timestamp};
use scaidrive_core::ports::Ids;
use scaidrive_core::services::{groups, shares, tenants};
use scaidrive_core::{Drive, Ports, open};
use ulid::Ulid;

use crate::chance::Clock;
use crate::server::Acknowledged;

/// Ids that follow from the seed. Only their order matters to anybody; which run it is makes them differ from those of
/// other runs on the same drive.
#[derive(Debug, Default)]
struct SeededIds(Mutex<(u64, u128)>);

impl SeededIds {
    fn begin(&self, run: u64) {
        *self.0.lock().unwrap() = (run, 0);
    }
}

impl Ids for SeededIds {
    fn ulid(&self) -> Ulid {
        let mut state = self.0.lock().unwrap();
        state.1 += 1;
        Ulid::from_parts(state.0, state.1)
    }
}

/// The drive of all runs.
pub(crate) struct House {
    pub(crate) drive: Drive,
    pub(crate) clock: Clock,
    ids: Arc<SeededIds>,
    runs: AtomicU64,
    /// Kept for its files.
    _dir: tempfile::TempDir,
}

/// One run's part of the house.
#[derive(Clone, Debug)]
pub(crate) struct Home {
    pub(crate) drive: Drive,
    pub(crate) admin: Caller,
    /// The share that devices sync.
    pub(crate) share: ShareId,
    /// A share that none does.
    pub(crate) attic: ShareId,
    pub(crate) group: GroupId,
    pub(crate) acknowledged: Acknowledged,
    /// What all ids of this run have in common.
    pub(crate) run: String,
}

impl House {
    /// Builds a drive on SQLite, in memory where the system has a place for files there, with objects in memory.
    pub(crate) async fn build() -> Self {
        let memory = Path::new("/dev/shm");
        let dir = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.unwrap();
        let mut config = Config::embedded(dir.path());
        config.objects = scaidrive_core::config::ObjectsConfig::Memory;
        let (clock, ids) = (Clock::new(), Arc::new(SeededIds::default()));
        let meta = SqlStore::open(&config.database_url(), Arc::new(clock.clone())).await.unwrap();
        let ports = Ports {
            meta: Arc::new(meta),
            clock: Arc::new(clock.clone()),
            ids: Arc::clone(&ids) as Arc<dyn Ids>,
            ..open::ports(&config).await.unwrap()
        };
        let drive = Drive::new(ports);
        open::migrate(&drive).await.unwrap();
        Self { drive, clock, ids, runs: AtomicU64::new(1), _dir: dir }
    }

    /// Begins a run: a tenant with a share that nobody has used.
    pub(crate) async fn home(&self) -> Home {
        let run = self.runs.fetch_add(1, Ordering::SeqCst);
        self.clock.reset();
        self.ids.begin(run);
        let tenant = tenants::create(&self.drive, &format!("run {run}")).await.unwrap();
        let system = tenants::system_caller(&self.drive, tenant.id, "simulation").unwrap();
        let new = tenants::NewUser {
            id: Some("admin".parse().unwrap()),
            admin_role: Some(AdminRole::TenantAdmin),
            ..tenants::NewUser::default()
        };
        let user = tenants::create_user(&self.drive, &system, new).await.unwrap();
        let admin = tenants::caller_for(&self.drive, tenant.id, &user.id).await.unwrap();
        let name = "G".to_owned();
        let group = groups::NewGroup { name, ..groups::NewGroup::default() };
        Home {
            drive: self.drive.clone(),
            share: share(&self.drive, &admin, "S").await,
            attic: share(&self.drive, &admin, "Attic").await,
            group: groups::create(&self.drive, &admin, group).await.unwrap().id,
            admin,
            acknowledged: Acknowledged::default(),
            run: Ulid::from_parts(run, 0).to_string()[..10].to_owned(),
        }
    }
}

async fn share(drive: &Drive, admin: &Caller, name: &str) -> ShareId {
    let new = shares::NewShare {
        name: name.to_owned(),
        share_type: ShareType::Project,
        owner: None,
        description: None,
        quota_bytes: None,
    };
    shares::create(drive, admin, new).await.unwrap().id
}

impl Home {
    /// Returns the server's time.
    pub(crate) fn now(&self) -> Timestamp {
        self.drive.clock.now()
    }

    /// Does on the server what is due: memberships end.
    pub(crate) async fn work(&self) {
        let worker = Worker::new(self.drive.clone());
        while worker.run_due().await.unwrap() > 0 {}
    }
}
