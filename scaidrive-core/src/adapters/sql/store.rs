//! The metadata store itself: opens a database by its URL and hands out rows.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use sqlx::mysql::MySqlPool;
use sqlx::sqlite::SqlitePool;

use super::errors::{database, with_meaning};
use super::replica::Replica;
use super::sqlite::Writer;
use super::statement::{Conn, sql};
use super::{SqlRows, migrations, mysql, sqlite};
use crate::model::{Error, Result, Timestamp};
use crate::ports::metadata::{LedgerReads, ReportsRead};
use crate::ports::{Clock, MetadataStore, Reads, WriteUnit};

/// How often a SQLite file is looked at for commits of other processes.
const FOREIGN_COMMIT_POLL: Duration = Duration::from_millis(100);

/// A metadata store on SQLite or MariaDB/MySQL.
#[derive(Debug)]
pub struct SqlStore {
    database: Database,
    clock: Arc<dyn Clock>,
    seen_data_version: tokio::sync::Mutex<Option<i64>>,
    replica: Option<Replica>,
}

#[derive(Debug)]
enum Database {
    Sqlite { readers: SqlitePool, writer: Writer },
    MySql(mysql::Server),
}

impl SqlStore {
    /// Opens the database behind `url`: `sqlite://`, `mysql://`, `mariadb://` or `mysql+asyncmy://`.
    ///
    /// A SQLite file is made if it is missing; its clock is `clock`, because it has none of its own.
    pub async fn open(url: &str, clock: Arc<dyn Clock>) -> Result<Self> {
        let (scheme, rest) = parts(url)?;
        let database = match scheme {
            "sqlite" => {
                let (readers, writer) = sqlite::open(rest, &clock).await?;
                Database::Sqlite { readers, writer }
            }
            "mysql" | "mariadb" | "mysql+asyncmy" => {
                Database::MySql(mysql::Server::open(&format!("mysql://{rest}")).await?)
            }
            _ => return Err(unusable("the scheme must be sqlite, mysql, mariadb or mysql+asyncmy")),
        };
        Ok(Self { database, clock, seen_data_version: tokio::sync::Mutex::new(None), replica: None })
    }

    /// Reads reports from a server that copies what this one, a MariaDB, commits.
    pub fn with_replica(self, url: &str) -> Result<Self> {
        let (_, rest) = parts(url)?;
        Ok(Self { replica: Some(Replica::new(&format!("mysql://{rest}"))?), ..self })
    }

    fn replica(&self) -> Option<(&Replica, &MySqlPool)> {
        match &self.database {
            Database::Sqlite { .. } => None,
            Database::MySql(server) => self.replica.as_ref().map(|replica| (replica, &server.pool)),
        }
    }

    async fn rows(&self) -> Result<SqlRows<'static>> {
        let conn = match &self.database {
            Database::Sqlite { readers, .. } => readers.acquire().await.map(Conn::SqlitePool),
            Database::MySql(server) => server.pool.acquire().await.map(Conn::MySqlPool),
        };
        let conn = conn.map_err(|error| with_meaning(database(error)))?;
        Ok(SqlRows::new(conn, Arc::clone(&self.clock)))
    }

    async fn applied_migrations(&self) -> Result<Vec<i64>> {
        let mut rows = self.rows().await?;
        let exists = match &self.database {
            Database::Sqlite { .. } => "SELECT COUNT(*) FROM sqlite_master WHERE name = '_sqlx_migrations'",
            Database::MySql(_) => {
                "SELECT COUNT(*) FROM information_schema.tables \
                 WHERE table_schema = DATABASE() AND table_name = '_sqlx_migrations'"
            }
        };
        if rows.conn.fetch_number(sql(exists)).await? == 0 {
            return Ok(Vec::new());
        }
        let query = sql("SELECT version FROM _sqlx_migrations WHERE success = TRUE ORDER BY version");
        rows.conn.fetch(query).await?.iter().map(|row| row.int(0)).collect()
    }
}

fn parts(url: &str) -> Result<(&str, &str)> {
    url.split_once("://").ok_or_else(|| unusable("it does not read scheme://…"))
}

fn unusable(why: &str) -> Error {
    Error::Config { faults: vec![format!("SCAIDRIVE_DATABASE_URL: {why}")] }
}

#[async_trait]
impl MetadataStore for SqlStore {
    async fn read(&self) -> Result<Box<dyn Reads>> {
        Ok(Box::new(self.rows().await?))
    }

    async fn replica(&self) -> Option<Box<dyn Reads>> {
        let (replica, primary) = self.replica()?;
        let reader = replica.reader(primary).await?;
        Some(Box::new(SqlRows::new(Conn::MySqlPool(reader), Arc::clone(&self.clock))))
    }

    fn replica_failed(&self, error: &Error) {
        if let Some((replica, _)) = self.replica() {
            replica.failed(error);
        }
    }

    async fn is_replica_there(&self) -> Option<bool> {
        let (replica, primary) = self.replica()?;
        Some(replica.is_there(primary).await)
    }

    fn take_reports(&self) -> ReportsRead {
        self.replica().map(|(replica, _)| replica.take_reports()).unwrap_or_default()
    }

    async fn snapshot(&self) -> Result<Box<dyn Reads>> {
        // The transaction ends with its connection, which is given to nobody after that.
        let conn = match &self.database {
            Database::Sqlite { readers, .. } => Conn::SqliteOwn(sqlite::snapshot(readers).await?),
            Database::MySql(server) => Conn::MySqlOwn(server.snapshot().await?),
        };
        Ok(Box::new(SqlRows::new(conn, Arc::clone(&self.clock))))
    }

    async fn write(&self, unit: Arc<dyn WriteUnit>) -> Result<()> {
        match &self.database {
            Database::Sqlite { writer, .. } => writer.write(unit).await,
            Database::MySql(server) => {
                // On a task of its own: a caller that goes away must not leave half a transaction behind.
                let (server, clock) = (server.clone(), Arc::clone(&self.clock));
                let task = tokio::spawn(async move { server.write(&clock, unit.as_ref()).await });
                task.await.map_err(|error| Error::internal(format!("a write unit broke off: {error}")))?
            }
        }
    }

    async fn now(&self) -> Result<Timestamp> {
        match &self.database {
            Database::Sqlite { .. } => Ok(self.clock.now()),
            Database::MySql(_) => self.rows().await?.now().await,
        }
    }

    async fn migrate(&self) -> Result<()> {
        // A program that is too old for what is there says so, and leaves it alone.
        self.pending_migrations().await?;
        match &self.database {
            Database::Sqlite { writer, .. } => writer.migrate().await?,
            Database::MySql(server) => server.migrate().await?,
        }
        match self.pending_migrations().await?.as_slice() {
            [] => Ok(()),
            left => Err(Error::internal(format!("migrations did not apply: {}", left.join(", ")))),
        }
    }

    async fn pending_migrations(&self) -> Result<Vec<String>> {
        migrations::pending(&self.applied_migrations().await?)
    }

    async fn ping(&self) -> Result<()> {
        self.rows().await?.conn.fetch_number(sql("SELECT 1")).await.map(drop)
    }

    async fn foreign_commit(&self) {
        let Database::Sqlite { writer, .. } = &self.database else {
            return std::future::pending().await;
        };
        loop {
            tokio::time::sleep(FOREIGN_COMMIT_POLL).await;
            // Asked on the writer's own connection, which sees every commit but its own as foreign.
            let Ok(version) = writer.data_version().await else { continue };
            let mut seen = self.seen_data_version.lock().await;
            if seen.replace(version) != Some(version) {
                return;
            }
        }
    }

    async fn close(&self) {
        match &self.database {
            Database::Sqlite { readers, writer } => {
                writer.close().await;
                readers.close().await;
            }
            Database::MySql(server) => server.close().await,
        }
    }
}
