//! One schema, twice: what both databases have after the migrations is the same.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use scaidrive_core::adapters::local::SystemClock;
use scaidrive_core::adapters::sql::SqlStore;
use scaidrive_core::model::Error;
use scaidrive_core::ports::MetadataStore;
use sqlx::{MySqlPool, Row, SqlitePool};

use crate::backends;

/// Table to columns, each with whether it may be empty; and the column lists of all keys and indexes.
type Schema = BTreeMap<String, (BTreeMap<String, bool>, BTreeSet<Vec<String>>)>;

async fn migrate(url: &str) {
    let store = SqlStore::open(url, Arc::new(SystemClock)).await.unwrap();
    store.migrate().await.unwrap();
    store.close().await;
}

async fn sqlite(path: &str) -> Schema {
    let pool = SqlitePool::connect(path).await.unwrap();
    let tables = sqlx::query(
        "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE '\\_sqlx%' ESCAPE '\\'",
    );
    let mut schema = Schema::new();
    for table in tables.fetch_all(&pool).await.unwrap() {
        let table: String = table.get(0);
        let mut columns = BTreeMap::new();
        let info = format!("SELECT name, \"notnull\" FROM pragma_table_info('{table}')");
        for column in sqlx::query(sqlx::AssertSqlSafe(info)).fetch_all(&pool).await.unwrap() {
            columns.insert(column.get(0), column.get::<i64, _>(1) == 0);
        }
        let mut indexes = BTreeSet::new();
        let list = format!("SELECT name FROM pragma_index_list('{table}')");
        for index in sqlx::query(sqlx::AssertSqlSafe(list)).fetch_all(&pool).await.unwrap() {
            let index: String = index.get(0);
            let info = format!("SELECT name FROM pragma_index_info('{index}') ORDER BY seqno");
            let rows = sqlx::query(sqlx::AssertSqlSafe(info)).fetch_all(&pool).await.unwrap();
            indexes.insert(rows.iter().map(|row| row.get(0)).collect());
        }
        schema.insert(table, (columns, indexes));
    }
    pool.close().await;
    schema
}

async fn mariadb(url: &str) -> Schema {
    let pool = MySqlPool::connect(url).await.unwrap();
    let mut schema = Schema::new();
    let columns = sqlx::query(
        "SELECT CAST(table_name AS CHAR), CAST(column_name AS CHAR), is_nullable = 'YES' \
         FROM information_schema.columns WHERE table_schema = DATABASE() AND table_name NOT LIKE '\\_sqlx%'",
    );
    for row in columns.fetch_all(&pool).await.unwrap() {
        schema.entry(row.get(0)).or_default().0.insert(row.get(1), row.get::<i64, _>(2) == 1);
    }
    let indexes = sqlx::query(
        "SELECT CAST(table_name AS CHAR), CAST(index_name AS CHAR), CAST(column_name AS CHAR) \
         FROM information_schema.statistics WHERE table_schema = DATABASE() AND table_name NOT LIKE '\\_sqlx%' \
         ORDER BY table_name, index_name, seq_in_index",
    );
    let mut lists: BTreeMap<(String, String), Vec<String>> = BTreeMap::new();
    for row in indexes.fetch_all(&pool).await.unwrap() {
        lists.entry((row.get(0), row.get(1))).or_default().push(row.get(2));
    }
    for ((table, _), columns) in lists {
        schema.entry(table).or_default().1.insert(columns);
    }
    pool.close().await;
    schema
}

#[tokio::test(flavor = "multi_thread")]
async fn both_databases_have_the_same_schema() {
    let Some(url) = backends::mariadb() else { return };
    let dir = tempfile::tempdir().unwrap();
    let path = format!("sqlite://{}/schema.db", dir.path().display());
    migrate(&path).await;
    migrate(&url).await;
    let (one, other) = (sqlite(&path).await, mariadb(&url).await);
    assert_eq!(one.keys().collect::<Vec<_>>(), other.keys().collect::<Vec<_>>());
    for (table, (columns, indexes)) in &one {
        assert_eq!(columns, &other[table].0, "columns of {table}");
        assert_eq!(indexes, &other[table].1, "indexes of {table}");
    }
}

/// A migration of a version to come, as the migrator notes it.
const LATER: &str = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
    VALUES (9999, 'later', 1, '', 0)";

async fn too_old_a_program_says_so(url: &str) {
    let store = SqlStore::open(url, Arc::new(SystemClock)).await.unwrap();
    for outcome in [store.migrate().await, store.pending_migrations().await.map(drop)] {
        assert!(
            matches!(&outcome, Err(Error::Config { faults }) if faults[0].contains("9999")),
            "{outcome:?}"
        );
    }
    store.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_older_than_the_schema_says_so_and_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let path = format!("sqlite://{}/schema.db", dir.path().display());
    migrate(&path).await;
    let pool = SqlitePool::connect(&path).await.unwrap();
    sqlx::query(LATER).execute(&pool).await.unwrap();
    pool.close().await;
    too_old_a_program_says_so(&path).await;
    let Some(url) = backends::mariadb() else { return };
    migrate(&url).await;
    let pool = MySqlPool::connect(&url).await.unwrap();
    sqlx::query(LATER).execute(&pool).await.unwrap();
    pool.close().await;
    too_old_a_program_says_so(&url).await;
}
