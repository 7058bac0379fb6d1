//! Private databases of servers under test.

use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

/// A database on the MariaDB of the tests, dropped with this.
pub(crate) struct MariaDb {
    name: String,
    socket: String,
    pub(crate) url: String,
}

impl MariaDb {
    /// Makes an empty database; nothing, said aloud, where the tests have no MariaDB.
    pub(crate) fn create() -> Option<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let (Some(url), Some(socket)) = (var("MYSQL_URL"), var("MYSQL_SOCKET")) else {
            eprintln!("SKIPPED: SCAIDRIVE_TEST_MYSQL_URL is not set");
            return None;
        };
        let name = format!("api_{}_{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let database = Self { url: url + &name, name, socket };
        // In a foreign character set on purpose: the schema must not lean on the database's own.
        assert!(database.ask("CREATE DATABASE", " CHARACTER SET latin1"));
        Some(database)
    }

    fn ask(&self, verb: &str, rest: &str) -> bool {
        let statement = format!("{verb} {}{rest}", self.name);
        let mut client = Command::new("mariadb");
        client.args(["--no-defaults", "-uroot", "--socket", &self.socket, "-e", &statement]);
        client.status().unwrap().success()
    }
}

impl Drop for MariaDb {
    fn drop(&mut self) {
        // A failed test has said already what is wrong.
        if !self.ask("DROP DATABASE", "") {
            eprintln!("the database {} was left behind", self.name);
        }
    }
}

/// Reads what `tests/run` tells of its services.
pub(crate) fn var(name: &str) -> Option<String> {
    crate::cluster::variable(&format!("SCAIDRIVE_TEST_{name}"))
}
