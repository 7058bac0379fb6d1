//! The schema, brought up to date by many at once, and waited for.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::cluster::{Cluster, await_that, ran, variable};

/// An empty database on the cluster's MariaDB, dropped with this.
struct Empty<'c> {
    cluster: &'c Cluster,
    name: String,
}

impl<'c> Empty<'c> {
    fn make(cluster: &'c Cluster, name: &str) -> Self {
        let name = format!("{name}_{}", std::process::id());
        cluster.sql("mariadb", &format!("CREATE DATABASE {name}"));
        Self { cluster, name }
    }

    /// Returns a command of the server, with this database and ports of its own.
    fn server(&self, role: &str) -> Command {
        let url = variable("SCAIDRIVE_TEST_MYSQL_URL").unwrap() + &self.name;
        let mut command = self.cluster.command("env");
        command.arg(format!("SCAIDRIVE_DATABASE_URL={url}"));
        command.args([
            "scaidrive-server",
            role,
            "--listen",
            "127.0.0.1:0",
            "--metrics-listen",
            "127.0.0.1:0",
        ]);
        command
    }

    /// Returns the columns of every table, as the database tells them.
    fn schema(&self, name: &str) -> String {
        let columns = "SELECT table_name, column_name, column_type, is_nullable, column_key FROM information_schema.columns \
             WHERE table_schema = '{}' ORDER BY table_name, column_name";
        self.cluster.sql("mariadb", &columns.replace("{}", name))
    }
}

impl Drop for Empty<'_> {
    fn drop(&mut self) {
        self.cluster.sql("mariadb", &format!("DROP DATABASE {}", self.name));
    }
}

#[test]
fn five_that_migrate_at_once_migrate_once() {
    let Some(cluster) = Cluster::open() else { return };
    let empty = Empty::make(&cluster, "five");
    let running: Vec<Child> = (0..5).map(|_| empty.server("migrate").spawn().unwrap()).collect();
    for mut process in running {
        assert!(process.wait().unwrap().success());
    }
    let applied =
        "SELECT COUNT(*), COUNT(DISTINCT version), CAST(SUM(success) AS SIGNED) FROM {}._sqlx_migrations";
    let of = |name: &str| cluster.sql("mariadb", &applied.replace("{}", name));
    assert_eq!(of(&empty.name), of("scaidrive"), "all of them, each once");
    assert_eq!(empty.schema(&empty.name), empty.schema("scaidrive"));
    assert!(empty.schema("scaidrive").lines().count() > 100);
}

/// An api that ends with the test.
struct Api(Child, String);

impl Drop for Api {
    fn drop(&mut self) {
        // It has been asked all there was to ask.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Api {
    /// Returns the status of `/ready`, and what it says.
    fn ready(&self) -> (String, Value) {
        let args = ["-s", "-w", "\n%{http_code}", &format!("{}/api/v1/ready", self.1)];
        let told = ran(Command::new("curl").args(args));
        let (body, status) = told.rsplit_once('\n').unwrap();
        (status.to_owned(), serde_json::from_str(body).unwrap())
    }
}

#[test]
fn an_api_is_not_ready_until_the_schema_is() {
    let Some(cluster) = Cluster::open() else { return };
    let empty = Empty::make(&cluster, "pending");
    let mut process = empty.server("api").stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let first = BufReader::new(process.stdout.take().unwrap()).lines().next().unwrap().unwrap();
    let api = Api(process, first.strip_prefix("ScaiDrive listens on ").unwrap().to_owned());
    let (status, body) = api.ready();
    assert_eq!((status.as_str(), &body["status"]), ("503", &"not_ready".into()), "{body}");
    assert_eq!(
        (&body["checks"]["database"], &body["checks"]["storage"]),
        (&false.into(), &true.into()),
        "{body}"
    );
    assert!(empty.server("migrate").status().unwrap().success());
    await_that("the api to see the schema", || api.ready().0 == "200");
}
