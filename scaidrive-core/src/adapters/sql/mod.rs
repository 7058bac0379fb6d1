//! The metadata store over sqlx: SQLite and MariaDB/MySQL from one SQL text.
//!
//! `statement` runs the text, `dialect` holds the few words that differ, one file an area holds the queries;
//! `sqlite` and `mysql` are the two ways to open, write and migrate.

mod access;
mod audit;
mod chunks;
mod conflicts;
mod contents;
mod delta;
mod dialect;
mod errors;
mod galera;
mod groups;
mod jobs;
mod ledger;
mod migrations;
mod mysql;
mod once;
mod quotas;
mod replica;
mod search;
mod shares;
mod sight;
mod sqlite;
mod statement;
mod store;
mod sync;
mod tenancy;
mod tree;
mod uploads;
mod versions;
mod webhooks;

pub use store::SqlStore;

/// Returns how many statements this process has run.
#[cfg(feature = "testing")]
pub fn statements() -> u64 {
    statement::STATEMENTS.load(std::sync::atomic::Ordering::Relaxed)
}

use std::sync::Arc;

use statement::{Conn, sql};

use crate::model::Result;
use crate::ports::Clock;

/// Rows of the open database, inside or outside a transaction.
pub(crate) struct SqlRows<'c> {
    conn: Conn<'c>,
    clock: Arc<dyn Clock>,
    /// Whether others see of a lock only what was written under it.
    writes_locks: bool,
}

impl<'c> SqlRows<'c> {
    const fn new(conn: Conn<'c>, clock: Arc<dyn Clock>) -> Self {
        Self { conn, clock, writes_locks: false }
    }

    /// Takes a lock that rivals on other nodes meet too, where there are any.
    async fn write_lock(&mut self, owner: impl ToString, name: &str) -> Result<()> {
        if !self.writes_locks {
            return Ok(());
        }
        let take = self.dialect().add_to_existing("written_locks", "owner_id, name", &["taken"]);
        let insert = sql("INSERT INTO written_locks (owner_id, name, taken) VALUES (?, ?, 1)").push(&take);
        self.conn.execute(insert.text(owner).bind(name)).await.map(drop)
    }

    const fn dialect(&self) -> dialect::Dialect {
        dialect::Dialect::of(&self.conn)
    }
}

/// The most rows written by one statement: 21 columns of the widest table stay below SQLite's 32,766 arguments
/// and a statement's text stays small enough to be kept prepared.
const ROWS_PER_STATEMENT: usize = 200;
