//! What the same machine does without the product: durable files, and rows of the log.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use serde::Serialize;
use serde_json::Value;
use sqlx::Row;
use sqlx::sqlite::{SqliteConnectOptions, SqlitePool, SqliteRow};

/// Makes files durable under their names, one after the other; returns how long that took.
pub(crate) fn durable_files<'a>(beside: &Path, contents: impl Iterator<Item = &'a [u8]>) -> Duration {
    let dir = tempfile::tempdir_in(beside).expect("a directory");
    let folder = File::open(dir.path()).expect("the directory");
    let draft = dir.path().join("draft");
    let began = Instant::now();
    for (number, bytes) in contents.enumerate() {
        let mut file = File::create(&draft).expect("a file");
        file.write_all(bytes).expect("a write");
        file.sync_all().expect("a sync");
        std::fs::rename(&draft, dir.path().join(number.to_string())).expect("a rename");
        folder.sync_all().expect("a sync");
    }
    began.elapsed()
}

/// The log's rows, read by nobody's rules.
pub(crate) struct Rows(SqlitePool);

/// A row as it lies there.
#[derive(Serialize)]
struct LogRow {
    id: String,
    position: i64,
    tenant_id: String,
    share_id: String,
    resource_type: String,
    resource_id: String,
    change_type: String,
    changed_by: String,
    changed_at: i64,
    old_path: Option<String>,
    new_path: Option<String>,
    version_id: Option<String>,
    metadata: Value,
}

impl LogRow {
    fn read(row: &SqliteRow) -> Self {
        let metadata: &str = row.get(12);
        Self {
            id: row.get(0),
            position: row.get(1),
            tenant_id: row.get(2),
            share_id: row.get(3),
            resource_type: row.get(4),
            resource_id: row.get(5),
            change_type: row.get(6),
            changed_by: row.get(7),
            changed_at: row.get(8),
            old_path: row.get(9),
            new_path: row.get(10),
            version_id: row.get(11),
            metadata: serde_json::from_str(metadata).expect("JSON"),
        }
    }
}

const PAGE: &str =
    "SELECT id, position, tenant_id, share_id, resource_type, CAST(resource_id AS TEXT) AS resource_id,
    change_type, CAST(changed_by AS TEXT) AS changed_by, changed_at, old_path, new_path, version_id, metadata
    FROM change_log WHERE tenant_id = (SELECT tenant_id FROM change_log LIMIT 1) AND position > ?
    ORDER BY position LIMIT 1000";

impl Rows {
    pub(crate) async fn open(dir: &Path) -> Self {
        let options = SqliteConnectOptions::new().filename(dir.join("scaidrive.db")).read_only(true);
        Self(SqlitePool::connect_with(options).await.expect("the database"))
    }

    pub(crate) async fn page_as_json(&self, after: i64) -> Vec<u8> {
        let rows = sqlx::query(PAGE).bind(after).fetch_all(&self.0).await.expect("rows");
        let rows: Vec<LogRow> = rows.iter().map(LogRow::read).collect();
        serde_json::to_vec(&rows).expect("JSON")
    }
}
