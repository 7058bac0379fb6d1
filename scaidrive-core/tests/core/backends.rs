//! Drives on every pair of parts that this machine has.

use std::process::Command;
use std::sync::Arc;

use scaidrive_core::config::{Config, ObjectsConfig, S3Config};
use scaidrive_core::model::{Caller, FileName, Share, ShareType};
use scaidrive_core::ports::metadata::LogBounds;
use scaidrive_core::services::{fsck, shares, tenants};
use scaidrive_core::{Drive, Ports, open};

/// Reads what `tests/run` tells of its services.
pub(crate) fn var(name: &str) -> Option<String> {
    #[expect(clippy::disallowed_methods, reason = "tests learn from it where their services are")]
    std::env::var(format!("SCAIDRIVE_TEST_{name}")).ok()
}

/// Returns how often a race is run; `SCAIDRIVE_TEST_ROUNDS` sets it.
pub(crate) fn rounds(default: u32) -> u32 {
    var("ROUNDS").map_or(default, |text| text.parse().unwrap())
}

/// Returns what makes a project share of this name, and nothing else.
pub(crate) fn share_named(text: &str) -> shares::NewShare {
    shares::NewShare {
        name: text.to_owned(),
        share_type: ShareType::Project,
        owner: None,
        description: None,
        quota_bytes: None,
    }
}

/// Makes an empty database on the MariaDB of the tests and returns its URL; nothing without one.
pub(crate) fn mariadb() -> Option<String> {
    let (Some(url), Some(socket)) = (var("MYSQL_URL"), var("MYSQL_SOCKET")) else {
        eprintln!("SKIPPED: SCAIDRIVE_TEST_MYSQL_URL is not set");
        return None;
    };
    // Not by the process's id: what tests that were killed left behind may have it.
    #[expect(clippy::disallowed_methods, reason = "names must differ between runs of the tests")]
    let name = format!("core_{}", ulid::Ulid::generate());
    // In a foreign character set on purpose: the schema must not lean on the database's own.
    ask_mariadb(&socket, &format!("CREATE DATABASE {name} CHARACTER SET latin1"));
    Some(url + &name)
}

/// Asks a MariaDB of the tests as its administrator.
pub(crate) fn ask_mariadb(socket: &str, statements: &str) {
    let asked = Command::new("mariadb")
        .args(["--no-defaults", "-uroot", "--socket", socket, "-e", statements])
        .status();
    assert!(asked.unwrap().success());
}

/// Returns the Redis of the tests; nothing without one.
pub(crate) fn redis() -> Option<String> {
    let url = var("REDIS_URL");
    if url.is_none() {
        eprintln!("SKIPPED: SCAIDRIVE_TEST_REDIS_URL is not set");
    }
    url
}

/// Returns the S3 store of the tests; nothing without one.
pub(crate) fn s3() -> Option<S3Config> {
    let Some(endpoint) = var("S3_ENDPOINT") else {
        eprintln!("SKIPPED: SCAIDRIVE_TEST_S3_ENDPOINT is not set");
        return None;
    };
    Some(S3Config {
        endpoint,
        bucket: var("S3_BUCKET").unwrap(),
        region: var("S3_REGION").unwrap(),
        access_key: var("S3_ACCESS_KEY").unwrap(),
        secret_key: var("S3_SECRET_KEY").unwrap(),
    })
}

/// A drive with an administrator and a share.
#[derive(Clone)]
pub(crate) struct House {
    pub(crate) drive: Drive,
    pub(crate) caller: Caller,
    pub(crate) share: Share,
    /// Kept for its files.
    pub(crate) dir: Arc<tempfile::TempDir>,
}

impl House {
    /// Returns a drive on SQLite and local files.
    pub(crate) async fn embedded() -> Self {
        Self::build(|_| {}, |_| {}).await
    }

    /// Returns one drive on SQLite, and one on MariaDB where there is one, with objects in memory; and one on a Galera
    /// cluster, where the tests were given one.
    pub(crate) async fn both(adjust: impl Fn(&mut Ports) + Copy) -> Vec<Self> {
        let mut all = vec![Self::build(|config| config.objects = ObjectsConfig::Memory, adjust).await];
        if let Some(url) = mariadb() {
            let on_mariadb = |config: &mut Config| {
                config.database_url = Some(url.clone());
                config.objects = ObjectsConfig::Memory;
            };
            all.push(Self::build(on_mariadb, adjust).await);
        }
        all.extend(Self::on_galera(adjust).await);
        all
    }

    pub(crate) async fn build(configure: impl Fn(&mut Config), adjust: impl Fn(&mut Ports)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut config = Config::embedded(dir.path());
        configure(&mut config);
        let mut ports = open::ports(&config).await.unwrap();
        adjust(&mut ports);
        let drive = Drive::new(ports);
        open::migrate(&drive).await.unwrap();
        let (tenant, admin, _) = tenants::bootstrap(&drive).await.unwrap();
        let caller = tenants::caller_for(&drive, tenant.id, &admin.id).await.unwrap();
        let share = shares::create(&drive, &caller, share_named("S")).await.unwrap();
        Self { drive, caller, share, dir: Arc::new(dir) }
    }

    /// Checks what must hold after every test: chunks there and right, counts exact, no hole in the feed.
    pub(crate) async fn check(&self) {
        let report = fsck::run(&self.drive, self.caller.tenant, true).await.unwrap();
        assert!(report.is_clean(), "{report:?}");
        let mut rows = self.drive.read().await.unwrap();
        // What lies up to the floor need not be there any more.
        let LogBounds { floor: mut after, head } = rows.log_bounds(self.caller.tenant).await.unwrap();
        while after < head {
            for change in rows.changes(self.caller.tenant, after, 5000).await.unwrap() {
                assert_eq!(change.position, after + 1, "the feed has a hole");
                after = change.position;
            }
        }
    }
}

pub(crate) fn name(text: &str) -> FileName {
    FileName::parse(text).unwrap()
}
