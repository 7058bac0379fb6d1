//! Reports on a read replica: never older than what was committed before, and never in need of it.

use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use scaidrive_core::config::{Config, ObjectsConfig};
use scaidrive_core::model::{Error, ShareRole};
use scaidrive_core::ports::metadata::{AuditQuery, ReportsRead, UserSearch};
use scaidrive_core::services::tenants::{self, NewUser};
use scaidrive_core::services::{audit, members, quotas, shares, users};

use crate::backends::{House, ask_mariadb, var};

/// A house whose reports are read from a replica, which the test may stop, kill and start.
struct Mirrored {
    house: House,
    socket: String,
}

impl Mirrored {
    /// Returns a house that nothing has been read of; nothing where the tests have no replica.
    async fn new() -> Option<Self> {
        let (Some(primary), Some(replica)) = (var("MYSQL_URL"), var("MYSQL_REPLICA_URL")) else {
            eprintln!("SKIPPED: SCAIDRIVE_TEST_MYSQL_REPLICA_URL is not set");
            return None;
        };
        // Databases of this name alone are copied.
        #[expect(clippy::disallowed_methods, reason = "names must differ between runs of the tests")]
        let name = format!("replica_{}", ulid::Ulid::generate());
        ask_mariadb(&var("MYSQL_SOCKET").unwrap(), &format!("CREATE DATABASE {name}"));
        let configure = |config: &mut Config| {
            config.database_url = Some(format!("{primary}{name}"));
            config.database_replica_url = Some(format!("{replica}{name}"));
            config.objects = ObjectsConfig::Memory;
        };
        let socket = var("MYSQL_REPLICA_SOCKET").unwrap();
        let mirrored = Self { house: House::build(configure, |_| {}).await, socket };
        mirrored.until_there(true).await;
        mirrored.house.drive.meta.take_reports();
        Some(mirrored)
    }

    fn ask(&self, statements: &str) {
        ask_mariadb(&self.socket, statements);
    }

    /// Kills the replica without a warning, or starts it again.
    fn process(&self, act: &str) {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/services/replica");
        let dir = Path::new(&self.socket).parent().unwrap();
        assert!(Command::new(script).arg(act).arg(dir).status().unwrap().success());
    }

    /// Returns once the replica is found fit, or unfit.
    async fn until_there(&self, wanted: bool) {
        while self.house.drive.meta.is_replica_there().await != Some(wanted) {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Makes a user and demands to find it at once, in every report that should tell of it; returns where that was read.
    async fn make_and_find(&self, id: &str) -> ReportsRead {
        let (drive, caller) = (&self.house.drive, &self.house.caller);
        drive.meta.take_reports();
        let new = NewUser { id: Some(id.parse().unwrap()), ..NewUser::default() };
        tenants::create_user(drive, caller, new).await.unwrap();
        let search = UserSearch { search: Some(id.to_owned()), limit: 10, ..UserSearch::default() };
        let found = users::list(drive, caller, &search).await.unwrap();
        assert_eq!((found.total, found.users[0].user.id.as_str()), (1, id), "who made it finds it");
        let newest = AuditQuery { limit: 1, ..AuditQuery::default() };
        let told = audit::find(drive, caller, newest).await.unwrap();
        assert_eq!(told.events[0].resource.id, id, "and it is what happened last");
        drive.meta.take_reports()
    }

    /// Takes somebody's membership away, and demands that it count for nothing at once.
    async fn revoke(&self, id: &str) {
        let (drive, caller, share) = (&self.house.drive, &self.house.caller, self.house.share.id);
        let guest = self.house.person(id, Some(ShareRole::Reader)).await;
        shares::get(drive, &guest, share).await.unwrap();
        let all = members::list(drive, caller, share, 100, 0).await.unwrap().members;
        let member = all.iter().find(|member| member.principal_id == id).unwrap().id;
        members::remove(drive, caller, share, member).await.unwrap();
        let after = shares::get(drive, &guest, share).await;
        assert!(matches!(after, Err(Error::NotFound)), "{after:?}");
    }

    /// Returns once a report was read from the replica, that is there again.
    async fn until_read_from(&self) {
        self.until_there(true).await;
        self.house.drive.meta.take_reports();
        while self.house.drive.meta.take_reports().from_replica == 0 {
            quotas::user_usages(&self.house.drive, &self.house.caller, 100, 0).await.unwrap();
        }
    }

    /// Kills the replica while a report is read from it, and demands the report.
    async fn kill_under_a_report(&self) {
        let (drive, tenant) = (&self.house.drive, self.house.caller.tenant);
        let times = AtomicU32::new(0);
        let read = drive.report(|mut rows| {
            let is_first = times.fetch_add(1, Ordering::Relaxed) == 0;
            async move {
                if is_first {
                    self.process("kill");
                }
                rows.tenant(tenant).await
            }
        });
        assert_eq!(read.await.unwrap().unwrap().id, tenant);
        assert_eq!(times.into_inner(), 2, "the first time was on the replica, which was dead then");
    }
}

const BOTH_FROM_PRIMARY: ReportsRead = ReportsRead { from_replica: 0, from_primary: 2 };

/// One test, because there is one replica.
#[tokio::test(flavor = "multi_thread")]
async fn reports_are_never_old_whether_the_replica_keeps_up_is_behind_or_dead() {
    let Some(mirrored) = Mirrored::new().await else { return };
    let mut from_replica = 0;
    for round in 0..50 {
        from_replica += mirrored.make_and_find(&format!("usr_quick_{round}")).await.from_replica;
    }
    eprintln!("{from_replica} of 100 reports right after a write were read from the replica");
    assert!(from_replica > 0, "it keeps up");
    mirrored.revoke("usr_first").await;

    mirrored.ask("STOP SLAVE SQL_THREAD");
    // The first waits a while for it; then it is known to be behind, and nobody waits.
    assert_eq!(mirrored.make_and_find("usr_behind").await, BOTH_FROM_PRIMARY);
    assert_eq!(mirrored.make_and_find("usr_behind_too").await, BOTH_FROM_PRIMARY);
    mirrored.revoke("usr_second").await;
    mirrored.ask("START SLAVE SQL_THREAD");
    mirrored.until_read_from().await;

    mirrored.kill_under_a_report().await;
    assert_eq!(mirrored.make_and_find("usr_dead").await, BOTH_FROM_PRIMARY);
    mirrored.revoke("usr_third").await;
    mirrored.until_there(false).await;
    mirrored.process("start");
    mirrored.until_read_from().await;
    mirrored.house.check().await;
}
