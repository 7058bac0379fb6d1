//! One SQL text for both databases: a statement with its arguments, and rows that read by column name.

use std::borrow::Cow;

use sqlx::mysql::{MySqlArguments, MySqlRow};
use sqlx::pool::PoolConnection;
use sqlx::sqlite::{SqliteArguments, SqliteRow};
use sqlx::{Arguments, AssertSqlSafe, Executor, MySql, MySqlConnection, Row as _, Sqlite, SqliteConnection};

use super::errors::{database, with_meaning};
use crate::model::{Error, Result};

/// A value bound to a `?`.
#[derive(Clone, Debug)]
pub(super) enum Arg {
    Int(Option<i64>),
    Text(Option<String>),
    Bytes(Option<Vec<u8>>),
}

impl From<i64> for Arg {
    fn from(value: i64) -> Self {
        Self::Int(Some(value))
    }
}

impl From<u32> for Arg {
    fn from(value: u32) -> Self {
        Self::Int(Some(value.into()))
    }
}

impl From<u64> for Arg {
    /// Sizes and offsets stay below 2^63 by the limits of the product.
    fn from(value: u64) -> Self {
        Self::Int(Some(i64::try_from(value).unwrap_or(i64::MAX)))
    }
}

impl From<bool> for Arg {
    fn from(value: bool) -> Self {
        Self::Int(Some(value.into()))
    }
}

impl From<Option<i64>> for Arg {
    fn from(value: Option<i64>) -> Self {
        Self::Int(value)
    }
}

impl From<&str> for Arg {
    fn from(value: &str) -> Self {
        Self::Text(Some(value.to_owned()))
    }
}

impl From<String> for Arg {
    fn from(value: String) -> Self {
        Self::Text(Some(value))
    }
}

impl From<Option<String>> for Arg {
    fn from(value: Option<String>) -> Self {
        Self::Text(value)
    }
}

impl From<&[u8]> for Arg {
    fn from(value: &[u8]) -> Self {
        Self::Bytes(Some(value.to_vec()))
    }
}

impl From<Vec<u8>> for Arg {
    fn from(value: Vec<u8>) -> Self {
        Self::Bytes(Some(value))
    }
}

impl From<Option<&[u8]>> for Arg {
    fn from(value: Option<&[u8]>) -> Self {
        Self::Bytes(value.map(<[u8]>::to_vec))
    }
}

/// A statement with its arguments; the text is ours alone, values only ever travel as arguments.
#[derive(Debug)]
pub(super) struct Statement {
    text: Cow<'static, str>,
    args: Vec<Arg>,
}

/// Starts a statement.
pub(super) fn sql(text: impl Into<Cow<'static, str>>) -> Statement {
    Statement { text: text.into(), args: Vec::new() }
}

impl Statement {
    /// Binds the next `?`.
    pub(super) fn bind(mut self, value: impl Into<Arg>) -> Self {
        self.args.push(value.into());
        self
    }

    /// Binds an id or a word by its text.
    pub(super) fn text(self, value: impl ToString) -> Self {
        self.bind(value.to_string())
    }

    /// Binds text that the database must keep byte for byte: what comes from outside (design §3).
    pub(super) fn raw(self, value: &str) -> Self {
        self.bind(value.as_bytes())
    }

    /// Appends text.
    pub(super) fn push(mut self, text: &str) -> Self {
        self.text.to_mut().push_str(text);
        self
    }

    /// Appends `(?,?,…),(?,?,…)…`: `rows` groups of `columns` arguments to be bound next.
    pub(super) fn push_groups(self, rows: usize, columns: usize) -> Self {
        let group = format!("({})", vec!["?"; columns].join(","));
        let groups = vec![group; rows].join(",");
        self.push(&groups)
    }

    /// Appends `(?,?,…)` and binds these values to it.
    pub(super) fn push_list<A: Into<Arg>>(self, values: impl ExactSizeIterator<Item = A>) -> Self {
        let statement = self.push_groups(1, values.len());
        values.fold(statement, Self::bind)
    }

    /// Appends `(?,?,…)` and binds the texts of these values to it, byte for byte.
    pub(super) fn push_raw_list<T: ToString>(self, values: impl IntoIterator<Item = T>) -> Self {
        let texts: Vec<Vec<u8>> = values.into_iter().map(|value| value.to_string().into_bytes()).collect();
        self.push_list(texts.into_iter())
    }
}

/// A connection to whichever database is open.
pub(super) enum Conn<'c> {
    Sqlite(&'c mut SqliteConnection),
    MySql(&'c mut MySqlConnection),
    SqlitePool(PoolConnection<Sqlite>),
    MySqlPool(PoolConnection<MySql>),
    SqliteOwn(SqliteConnection),
    MySqlOwn(MySqlConnection),
}

/// Runs one expression on whichever database is open.
macro_rules! on_db {
    ($conn:expr, $args:ident = $values:expr, |$c:ident| $body:expr, $sqlite:path, $mysql:path) => {
        match $conn {
            Conn::Sqlite($c) => {
                let $args = sqlite_args($values)?;
                $body.map($sqlite)
            }
            Conn::SqlitePool($c) => {
                let $args = sqlite_args($values)?;
                $body.map($sqlite)
            }
            Conn::MySql($c) => {
                let $args = mysql_args($values)?;
                $body.map($mysql)
            }
            Conn::MySqlPool($c) => {
                let $args = mysql_args($values)?;
                $body.map($mysql)
            }
            Conn::SqliteOwn($c) => {
                let $args = sqlite_args($values)?;
                $body.map($sqlite)
            }
            Conn::MySqlOwn($c) => {
                let $args = mysql_args($values)?;
                $body.map($mysql)
            }
        }
        .map_err(database)
    };
}

fn sqlite_args(values: Vec<Arg>) -> Result<SqliteArguments> {
    let mut bound = SqliteArguments::default();
    for value in values {
        match value {
            Arg::Int(value) => bound.add(value),
            Arg::Text(value) => bound.add(value),
            Arg::Bytes(value) => bound.add(value),
        }
        .map_err(|source| Error::Database { source })?;
    }
    Ok(bound)
}

fn mysql_args(values: Vec<Arg>) -> Result<MySqlArguments> {
    let mut bound = MySqlArguments::default();
    for value in values {
        match value {
            Arg::Int(value) => bound.add(value),
            Arg::Text(value) => bound.add(value),
            Arg::Bytes(value) => bound.add(value),
        }
        .map_err(|source| Error::Database { source })?;
    }
    Ok(bound)
}

fn sqlite_rows(rows: Vec<SqliteRow>) -> Vec<SqlRow> {
    rows.into_iter().map(SqlRow::Sqlite).collect()
}

fn mysql_rows(rows: Vec<MySqlRow>) -> Vec<SqlRow> {
    rows.into_iter().map(SqlRow::MySql).collect()
}

fn sqlite_count(done: sqlx::sqlite::SqliteQueryResult) -> u64 {
    done.rows_affected()
}

fn mysql_count(done: sqlx::mysql::MySqlQueryResult) -> u64 {
    done.rows_affected()
}

/// How many statements this process has run; tests hold what a request may cost to it.
#[cfg(feature = "testing")]
pub(super) static STATEMENTS: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);

fn count_statement() {
    #[cfg(feature = "testing")]
    STATEMENTS.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
}

impl Conn<'_> {
    /// Tells which dialect to speak.
    pub(super) const fn is_mysql(&self) -> bool {
        matches!(self, Self::MySql(_) | Self::MySqlPool(_) | Self::MySqlOwn(_))
    }

    /// Tells whether statements run outside of a transaction: what runs in one is run again, and gets its meaning last.
    const fn is_alone(&self) -> bool {
        matches!(self, Self::SqlitePool(_) | Self::MySqlPool(_))
    }

    /// Runs a statement; returns how many rows it matched.
    pub(super) async fn execute(&mut self, statement: Statement) -> Result<u64> {
        count_statement();
        let (Statement { text, args }, alone) = (statement, self.is_alone());
        // The text is built from literals of this folder only.
        let outcome = on_db!(
            self,
            args = args,
            |c| c.execute(sqlx::query_with(AssertSqlSafe(text), args)).await,
            sqlite_count,
            mysql_count
        );
        if alone { outcome.map_err(with_meaning) } else { outcome }
    }

    /// Runs a query; returns all its rows. Every query of this folder is bounded by a LIMIT or a key.
    pub(super) async fn fetch(&mut self, statement: Statement) -> Result<Vec<SqlRow>> {
        count_statement();
        let (Statement { text, args }, alone) = (statement, self.is_alone());
        let outcome = on_db!(
            self,
            args = args,
            |c| c.fetch_all(sqlx::query_with(AssertSqlSafe(text), args)).await,
            sqlite_rows,
            mysql_rows
        );
        if alone { outcome.map_err(with_meaning) } else { outcome }
    }

    /// Runs a query for at most one row.
    pub(super) async fn fetch_one(&mut self, statement: Statement) -> Result<Option<SqlRow>> {
        Ok(self.fetch(statement).await?.pop())
    }

    /// Runs a query for one number; no row and NULL count 0.
    pub(super) async fn fetch_number(&mut self, statement: Statement) -> Result<i64> {
        Ok(self.fetch_one(statement).await?.map(|row| row.opt_int(0)).transpose()?.flatten().unwrap_or(0))
    }
}

/// A row; columns are read by their place in the SELECT list, in `rows.rs` beside the lists themselves.
pub(super) enum SqlRow {
    Sqlite(SqliteRow),
    MySql(MySqlRow),
}

macro_rules! reader {
    ($(#[$doc:meta])* $name:ident, $optional:ident, $type:ty) => {
        $(#[$doc])*
        pub(super) fn $optional(&self, column: usize) -> Result<Option<$type>> {
            match self {
                Self::Sqlite(row) => row.try_get(column),
                Self::MySql(row) => row.try_get(column),
            }
            .map_err(|error| impossible(column, &error.to_string()))
        }

        /// Reads a column that is never NULL.
        pub(super) fn $name(&self, column: usize) -> Result<$type> {
            self.$optional(column)?.ok_or_else(|| impossible(column, "NULL"))
        }
    };
}

impl SqlRow {
    reader!(
        /// Reads an integer or NULL.
        int, opt_int, i64);
    reader!(
        /// Reads text or NULL.
        string, opt_string, String);
    reader!(
        /// Reads bytes or NULL.
        bytes, opt_bytes, Vec<u8>);

    /// Reads a count or size, which is never negative.
    pub(super) fn unsigned(&self, column: usize) -> Result<u64> {
        let value = self.int(column)?;
        u64::try_from(value).map_err(|_| impossible(column, &value.to_string()))
    }

    /// Reads a number that fits 32 bits.
    pub(super) fn small(&self, column: usize) -> Result<u32> {
        let value = self.int(column)?;
        u32::try_from(value).map_err(|_| impossible(column, &value.to_string()))
    }

    /// Reads a number that fits 32 bits, or NULL.
    pub(super) fn opt_small(&self, column: usize) -> Result<Option<u32>> {
        let number = self.opt_int(column)?;
        number.map(|n| u32::try_from(n).map_err(|_| impossible(column, &n.to_string()))).transpose()
    }

    /// Reads an id or a word.
    pub(super) fn parse<T: std::str::FromStr>(&self, column: usize) -> Result<T> {
        let text = self.string(column)?;
        text.parse().map_err(|_| impossible(column, &text))
    }

    /// Reads an id or a word, or NULL.
    pub(super) fn opt_parse<T: std::str::FromStr>(&self, column: usize) -> Result<Option<T>> {
        self.opt_string(column)?.map(|text| text.parse().map_err(|_| impossible(column, &text))).transpose()
    }

    /// Reads text kept byte for byte.
    pub(super) fn raw(&self, column: usize) -> Result<String> {
        String::from_utf8(self.bytes(column)?).map_err(|_| impossible(column, "bytes that are not UTF-8"))
    }

    /// Reads an id kept byte for byte.
    pub(super) fn parse_raw<T: std::str::FromStr>(&self, column: usize) -> Result<T> {
        let text = self.raw(column)?;
        text.parse().map_err(|_| impossible(column, &text))
    }

    /// Reads a SHA-256.
    pub(super) fn hash(&self, column: usize) -> Result<crate::model::Sha256Hash> {
        let bytes = self.bytes(column)?;
        let digest: [u8; 32] = bytes
            .try_into()
            .map_err(|wrong: Vec<u8>| impossible(column, &format!("{} bytes", wrong.len())))?;
        Ok(crate::model::Sha256Hash::from_bytes(digest))
    }

    /// Reads a SHA-256 or NULL.
    pub(super) fn opt_hash(&self, column: usize) -> Result<Option<crate::model::Sha256Hash>> {
        if self.opt_bytes(column)?.is_some() { self.hash(column).map(Some) } else { Ok(None) }
    }

    /// Reads a time.
    pub(super) fn time(&self, column: usize) -> Result<crate::model::Timestamp> {
        self.int(column).map(crate::model::Timestamp::from_micros)
    }

    /// Reads a time or NULL.
    pub(super) fn opt_time(&self, column: usize) -> Result<Option<crate::model::Timestamp>> {
        Ok(self.opt_int(column)?.map(crate::model::Timestamp::from_micros))
    }

    /// Reads JSON.
    pub(super) fn json<T: serde::de::DeserializeOwned>(&self, column: usize) -> Result<T> {
        let text = self.string(column)?;
        serde_json::from_str(&text).map_err(|error| impossible(column, &error.to_string()))
    }
}

fn impossible(column: usize, found: &str) -> Error {
    Error::ImpossibleRow {
        place: "column by place in the SELECT list",
        found: format!("column {column}: {found}"),
    }
}
