//! What a database error means.

use std::time::Duration;

use sqlx::error::{DatabaseError, ErrorKind};

use crate::model::Error;

/// Wraps a database error as ours; the cause travels along for the log.
pub(super) fn database(error: sqlx::Error) -> Error {
    Error::Database { source: Box::new(error) }
}

fn cause(error: &Error) -> Option<&sqlx::Error> {
    match error {
        Error::Database { source } | Error::CommitUnknown { source } => source.downcast_ref(),
        _ => None,
    }
}

fn database_cause(error: &Error) -> Option<&dyn DatabaseError> {
    cause(error)?.as_database_error()
}

/// Tells whether a row with this unique key exists already.
pub(super) fn is_duplicate(error: &Error) -> bool {
    database_cause(error).is_some_and(|cause| cause.kind() == ErrorKind::UniqueViolation)
}

/// Tells whether the whole transaction may succeed if it is simply run again: deadlock (1213, and what Galera says of
/// a rival on another node, at COMMIT too), lock wait (1205), a record changed since it was read (1020, MariaDB's
/// snapshot check), a Galera node that joins its cluster (1047), a savepoint that went with its transaction (1305), or a
/// busy SQLite file.
pub(super) fn is_transient(error: &Error) -> bool {
    let Some(cause) = database_cause(error) else { return false };
    if let Some(mysql) = cause.try_downcast_ref::<sqlx::mysql::MySqlDatabaseError>() {
        return matches!(mysql.number(), 1205 | 1213 | 1020 | 1047 | 1305);
    }
    // Extended result codes keep SQLITE_BUSY (5) and SQLITE_LOCKED (6) in the low byte.
    cause.code().and_then(|code| code.parse::<u32>().ok()).is_some_and(|code| matches!(code & 0xFF, 5 | 6))
}

/// Tells whether the connection itself broke, so that nobody knows what the server did last.
pub(super) fn is_broken_connection(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_) | sqlx::Error::Protocol(_) | sqlx::Error::Tls(_) | sqlx::Error::WorkerCrashed => {
            true
        }
        // 1053 shutdown in progress, 1180 a Galera node that lost its cluster in COMMIT, 1317 query interrupted,
        // 1927 connection was killed.
        sqlx::Error::Database(cause) => cause
            .try_downcast_ref::<sqlx::mysql::MySqlDatabaseError>()
            .is_some_and(|mysql| matches!(mysql.number(), 1053 | 1180 | 1317 | 1927)),
        _ => false,
    }
}

/// Turns the outcome of an INSERT into whether its row is new.
pub(super) fn unless_duplicate(outcome: crate::model::Result<u64>) -> crate::model::Result<bool> {
    match outcome {
        Ok(_) => Ok(true),
        Err(error) if is_duplicate(&error) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Tells whether an error of ours stems from a broken connection.
pub(super) fn is_broken(error: &Error) -> bool {
    matches!(error, Error::Database { .. }) && cause(error).is_some_and(is_broken_connection)
}

/// Tells whether the database cannot be reached, or was lost on the way; not whether a commit came through.
fn is_away(error: &Error) -> bool {
    matches!(error, Error::Database { .. })
        && cause(error).is_some_and(|cause| {
            is_broken_connection(cause)
                || matches!(cause, sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed)
        })
}

/// Turns what a caller can do something about into its own meaning: a full disk (SQLITE_FULL) passes, and so does the
/// absence of the database.
pub(super) fn with_meaning(error: Error) -> Error {
    let full = database_cause(&error).and_then(DatabaseError::code).is_some_and(|code| code == "13");
    if full {
        return Error::unavailable("the disk is full", Duration::from_secs(30));
    }
    if is_away(&error) {
        tracing::warn!(error = ?error, "the database does not answer");
        return Error::away("the database");
    }
    error
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    fn meaning(error: sqlx::Error) -> Error {
        with_meaning(database(error))
    }

    #[test]
    fn a_database_that_is_away_is_no_fault_of_ours() {
        let reset = || sqlx::Error::Io(io::Error::from(io::ErrorKind::ConnectionReset));
        for error in [reset(), sqlx::Error::PoolTimedOut, sqlx::Error::PoolClosed] {
            assert!(matches!(meaning(error), Error::Unavailable { .. }));
        }
        assert!(meaning(sqlx::Error::RowNotFound).is_internal());
        let unknown = Error::CommitUnknown { source: Box::new(reset()) };
        assert!(matches!(with_meaning(unknown), Error::CommitUnknown { .. }), "it must be looked up first");
    }
}
