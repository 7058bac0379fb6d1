//! Where the cluster is, what it is made of, and tenants of one's own in it. Also for tests elsewhere that know a cluster.

#[path = "parts.rs"]
mod parts;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::Value;

pub(crate) use self::parts::{Part, await_that, await_that_or_tell};

/// Reads what `tests/run` tells.
pub(crate) fn variable(name: &str) -> Option<String> {
    #[expect(clippy::disallowed_methods, reason = "tests learn from it where the cluster is")]
    std::env::var(name).ok()
}

/// All parts, in the order in which they start.
const PARTS: [&str; 11] = [
    "mariadb", "replica", "redis", "oidc", "garage", "api-1", "api-2", "api-3", "worker-1", "worker-2",
    "nginx",
];

/// The cluster that `tests/services/cluster` started.
pub(crate) struct Cluster {
    dir: PathBuf,
    /// nginx, in front of all api.
    pub(crate) url: String,
    /// Each api by itself.
    pub(crate) apis: Vec<String>,
    probes: Vec<String>,
}

/// A tenant that nobody else uses, and its administrator's token.
pub(crate) struct Tenant {
    pub(crate) id: String,
    pub(crate) token: String,
}

impl Cluster {
    /// Returns the cluster, with all parts running and ready; nothing, said aloud, where there is none.
    pub(crate) fn open() -> Option<Self> {
        let Some(dir) = variable("SCAIDRIVE_CLUSTER") else {
            eprintln!("SKIPPED: SCAIDRIVE_CLUSTER is not set; `tests/run --cluster` starts a cluster");
            return None;
        };
        let words = |name: &str| variable(name).unwrap().split_whitespace().map(str::to_owned).collect();
        let cluster = Self {
            dir: dir.into(),
            url: variable("SCAIDRIVE_CLUSTER_URL").unwrap(),
            apis: words("SCAIDRIVE_CLUSTER_APIS"),
            probes: words("SCAIDRIVE_CLUSTER_PROBES"),
        };
        // A test before may have failed while something was down.
        for name in PARTS {
            cluster.part(name).start();
        }
        cluster.await_ready();
        Some(cluster)
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    pub(crate) fn part(&self, name: &str) -> Part {
        Part::of(&self.dir, name)
    }

    /// Waits until every api and worker says that nothing is missing.
    pub(crate) fn await_ready(&self) {
        for probe in &self.probes {
            await_that(&format!("{probe} to be ready"), || says(probe) == "ready");
        }
    }

    /// Returns a command with the settings of the cluster: `scaidrive` or `scaidrive-server`.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.dir.join("with-settings"));
        command.arg(program);
        command
    }

    /// Runs the command line to its end; returns what it said.
    pub(crate) fn cli(&self, args: &[&str]) -> String {
        ran(self.command("scaidrive").args(args))
    }

    /// Makes a tenant that nobody else uses, without limits that matter.
    pub(crate) fn tenant(&self) -> Tenant {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let id = format!("tests-{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        self.cli(&["tenant", "create", &id, "--id", &id]);
        self.cli(&["--tenant", &id, "user", "create", "--id", "boss", "--admin"]);
        let limits = ["token", "user", "tenant"].map(|name| format!("rate_limit_{name}=10000000"));
        self.cli(&["--tenant", &id, "tenant", "set", &limits[0], &limits[1], &limits[2]]);
        let token = token(&id, "boss", "*");
        Tenant { id, token }
    }

    /// Returns the variables that its programs are given.
    pub(crate) fn settings(&self) -> Vec<(String, String)> {
        let told = ran(&mut self.command("env"));
        let pairs = told.lines().filter_map(|line| line.split_once('='));
        let own = pairs.filter(|(name, _)| name.starts_with("SCAIDRIVE_"));
        own.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    }

    /// Demands that nothing is missing, damaged, dangling or miscounted, of anybody, and that no job has died.
    pub(crate) fn check(&self) {
        self.cli(&["fsck", "--deep"]);
        let dead: Value = serde_json::from_str(&self.cli(&["jobs", "list", "--dead", "--json"])).unwrap();
        assert_eq!(dead["jobs"], serde_json::json!([]), "{dead}");
    }

    /// Runs a statement on a database; returns the rows, fields apart by tabs.
    pub(crate) fn sql(&self, database: &str, statement: &str) -> String {
        let socket = self.dir.join(format!("{database}.sock"));
        let mut client = Command::new("mariadb");
        client.args(["--no-defaults", "-uroot", "-N", "-e", statement]).arg("--socket").arg(socket);
        ran(&mut client)
    }

    /// Demands that the replica comes to hold what the first database holds.
    pub(crate) fn check_replica(&self) {
        let tables = self.sql(
            "mariadb",
            "SELECT table_name FROM information_schema.tables WHERE table_schema = 'scaidrive'",
        );
        let tables = tables.lines().map(|table| format!("scaidrive.{table}")).collect::<Vec<_>>().join(", ");
        // Workers look after the clock: only what stands still can be compared.
        let of = |database: &str| -> BTreeMap<String, String> {
            let told = self.sql(database, &format!("CHECKSUM TABLE {tables}"));
            told.lines()
                .filter_map(|line| line.split_once('\t'))
                .map(|(table, sum)| (table.to_owned(), sum.to_owned()))
                .collect()
        };
        await_that("the replica to hold what the first database holds", || of("mariadb") == of("replica"));
    }
}

/// Returns what a process says of itself; nothing where it does not answer.
fn says(probe: &str) -> String {
    let told = Command::new("curl").args(["-s", &format!("{probe}/api/v1/ready")]).output().unwrap();
    let body: Value = serde_json::from_slice(&told.stdout).unwrap_or_default();
    body["status"].as_str().unwrap_or_default().to_owned()
}

/// Returns a token of the identity provider's.
pub(crate) fn token(tenant: &str, user: &str, scope: &str) -> String {
    let claims = serde_json::json!({ "sub": user, "tenant_id": tenant, "scope": scope }).to_string();
    let [control, standing] =
        ["URL", "STANDING"].map(|name| variable(&format!("SCAIDRIVE_TEST_OIDC_{name}")).unwrap());
    let told =
        ran(Command::new("curl").args(["-sf", "-d", &claims, &format!("{control}/mint?url={standing}")]));
    let told: Value = serde_json::from_str(&told).unwrap();
    told["token"].as_str().unwrap().to_owned()
}

/// Runs a command to its end; returns what it said.
pub(crate) fn ran(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let (said, complained) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?}: {}: {said}{complained}", output.status);
    said.into_owned()
}
