//! The few places where the two databases need different words, all of them.

use super::statement::Conn;

/// Fragments of SQL in the dialect of the open database.
#[derive(Clone, Copy)]
pub(super) struct Dialect {
    mysql: bool,
}

impl Dialect {
    pub(super) const fn of(conn: &Conn<'_>) -> Self {
        Self { mysql: conn.is_mysql() }
    }

    /// Ends a SELECT that must keep others from writing the row; SQLite has one writer anyway.
    pub(super) const fn share_lock(self) -> &'static str {
        if self.mysql { " LOCK IN SHARE MODE" } else { "" }
    }

    /// Ends a SELECT that must read what is committed now and keep it.
    pub(super) const fn current_read(self) -> &'static str {
        if self.mysql { " FOR UPDATE" } else { "" }
    }

    /// Follows a table that is to be searched by this index, whatever the planner thinks of it.
    pub(super) fn by_index(self, name: &str) -> String {
        if self.mysql { format!("FORCE INDEX ({name})") } else { format!("INDEXED BY {name}") }
    }

    /// Ends an INSERT that leaves an existing row as it is. (`INSERT IGNORE` would hide every other error.)
    pub(super) fn keep_existing(self, key: &'static str) -> String {
        if self.mysql {
            format!(" ON DUPLICATE KEY UPDATE {key} = {key}")
        } else {
            " ON CONFLICT DO NOTHING".to_owned()
        }
    }

    /// Ends an INSERT that changes an existing row instead; [`Self::incoming`] spells what would have been inserted.
    pub(super) fn change_existing(self, key: &str, assignments: &str) -> String {
        if self.mysql {
            format!(" ON DUPLICATE KEY UPDATE {assignments}")
        } else {
            format!(" ON CONFLICT ({key}) DO UPDATE SET {assignments}")
        }
    }

    /// Spells a column's value that an INSERT would have written, where it changes an existing row instead.
    pub(super) fn incoming(self, column: &str) -> String {
        if self.mysql { format!("VALUES({column})") } else { format!("excluded.{column}") }
    }

    /// Ends an INSERT that replaces these columns of an existing row.
    pub(super) fn replace_existing(self, key: &str, columns: &[&str]) -> String {
        let replace = |column: &&str| format!("{column} = {}", self.incoming(column));
        self.change_existing(key, &columns.iter().map(replace).collect::<Vec<_>>().join(", "))
    }

    /// Ends an INSERT that adds its numbers to an existing row.
    pub(super) fn add_to_existing(self, table: &str, key: &str, columns: &[&str]) -> String {
        let add = |column: &&str| format!("{column} = {table}.{column} + {}", self.incoming(column));
        self.change_existing(key, &columns.iter().map(add).collect::<Vec<_>>().join(", "))
    }

    /// Reads a column of bytes as the text that ids are kept as.
    pub(super) fn text_of(self, column: &str) -> String {
        if self.mysql {
            format!("CONVERT({column} USING utf8mb4) COLLATE utf8mb4_bin")
        } else {
            format!("CAST({column} AS TEXT)")
        }
    }

    /// Spells the group of a `user_groups` row as a principal.
    pub(super) const fn group_holder(self) -> &'static str {
        if self.mysql { "CONCAT('group:', id)" } else { "CAST('group:' || CAST(id AS TEXT) AS BLOB)" }
    }

    /// Names the integer type that a SUM is cast to (MySQL's is DECIMAL).
    pub(super) const fn integer(self) -> &'static str {
        if self.mysql { "SIGNED" } else { "INTEGER" }
    }

    /// Reads the database's clock in microseconds; nothing for SQLite, whose clock is the process's own.
    pub(super) const fn now(self) -> Option<&'static str> {
        if self.mysql { Some("SELECT CAST(UNIX_TIMESTAMP(NOW(6)) * 1000000 AS SIGNED)") } else { None }
    }
}
