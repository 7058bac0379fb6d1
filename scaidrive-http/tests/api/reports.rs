//! Reports where the replica of the database is away: nothing fails, and operators are told. What a replica does that is
//! there is in the core's tests, where it can be stopped.

use serde_json::json;

use crate::databases::MariaDb;
use crate::server::Server;

#[tokio::test(flavor = "multi_thread")]
async fn without_its_replica_a_server_reports_and_says_so() {
    let Some(database) = MariaDb::create() else { return };
    // Nobody listens there.
    let away = "mysql://somebody:secret@127.0.0.1:1/nowhere";
    let server = Server::start_on(Some(database), &[("SCAIDRIVE_DATABASE_REPLICA_URL", away)]);
    server.share("Projects").await;
    for path in ["/admin/audit", "/admin/users", "/quotas/usage/users", "/shares/search/principals?q=adm"] {
        server.get(path).await.ok();
    }
    let ready = server.get("/ready").await.ok().json;
    assert_eq!((&ready["status"], &ready["checks"]["replica"]), (&json!("degraded"), &json!(false)));
    assert_eq!(server.metric_line("scaidrive_database_replica_up{} ").await.as_deref(), Some("0"));
    let count = async |target| {
        let line = format!("scaidrive_database_reports_total{{target=\"{target}\"}} ");
        server.metric_line(&line).await.unwrap().parse::<u64>().unwrap()
    };
    assert_eq!(count("replica").await, 0);
    assert!(count("primary").await >= 4);
    let log = std::fs::read_to_string(server.dir.path().join("server.log")).unwrap();
    assert_eq!(log.matches("replica is of no use").count(), 1, "told once");
    assert!(!log.contains("secret"), "{log}");
    server.stop_and_check().await;
}
