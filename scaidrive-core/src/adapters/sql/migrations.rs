//! The schema, compiled in, so that one binary carries all it needs.

use std::borrow::Cow;

use sqlx::migrate::{Migration, MigrationType, Migrator};

use crate::model::{Error, Result};

/// Every migration in order: number, name, text for SQLite, text for MariaDB/MySQL.
const MIGRATIONS: &[(i64, &str, &str, &str)] = &[
    (
        1,
        "foundation",
        include_str!("../../../../migrations/sqlite/0001_foundation.sql"),
        include_str!("../../../../migrations/mysql/0001_foundation.sql"),
    ),
    (
        2,
        "access",
        include_str!("../../../../migrations/sqlite/0002_access.sql"),
        include_str!("../../../../migrations/mysql/0002_access.sql"),
    ),
    (
        3,
        "audit_seals",
        include_str!("../../../../migrations/sqlite/0003_audit_seals.sql"),
        include_str!("../../../../migrations/mysql/0003_audit_seals.sql"),
    ),
    (
        4,
        "quotas",
        include_str!("../../../../migrations/sqlite/0004_quotas.sql"),
        include_str!("../../../../migrations/mysql/0004_quotas.sql"),
    ),
    (
        5,
        "idempotency",
        include_str!("../../../../migrations/sqlite/0005_idempotency.sql"),
        include_str!("../../../../migrations/mysql/0005_idempotency.sql"),
    ),
    (
        6,
        "webhooks",
        include_str!("../../../../migrations/sqlite/0006_webhooks.sql"),
        include_str!("../../../../migrations/mysql/0006_webhooks.sql"),
    ),
    (
        7,
        "access_gaps",
        include_str!("../../../../migrations/sqlite/0007_access_gaps.sql"),
        include_str!("../../../../migrations/mysql/0007_access_gaps.sql"),
    ),
    (
        8,
        "uploads",
        include_str!("../../../../migrations/sqlite/0008_uploads.sql"),
        include_str!("../../../../migrations/mysql/0008_uploads.sql"),
    ),
    (
        9,
        "sync",
        include_str!("../../../../migrations/sqlite/0009_sync.sql"),
        include_str!("../../../../migrations/mysql/0009_sync.sql"),
    ),
    (
        10,
        "delta",
        include_str!("../../../../migrations/sqlite/0010_delta.sql"),
        include_str!("../../../../migrations/mysql/0010_delta.sql"),
    ),
    (
        11,
        "apply",
        include_str!("../../../../migrations/sqlite/0011_apply.sql"),
        include_str!("../../../../migrations/mysql/0011_apply.sql"),
    ),
    (
        12,
        "jobs",
        include_str!("../../../../migrations/sqlite/0012_jobs.sql"),
        include_str!("../../../../migrations/mysql/0012_jobs.sql"),
    ),
    (
        13,
        "written_locks",
        include_str!("../../../../migrations/sqlite/0013_written_locks.sql"),
        include_str!("../../../../migrations/mysql/0013_written_locks.sql"),
    ),
];

/// Returns the migrator of one database.
pub(super) fn migrator(mysql: bool) -> Migrator {
    let migrations = MIGRATIONS
        .iter()
        .map(|(version, name, for_sqlite, for_mysql)| {
            let text = if mysql { for_mysql } else { for_sqlite };
            let sql = sqlx::SqlStr::from_static(text);
            Migration::new(*version, Cow::Borrowed(*name), MigrationType::Simple, sql, false)
        })
        .collect();
    Migrator { migrations: Cow::Owned(migrations), ..Migrator::DEFAULT }
}

/// Returns the names of what is not among `applied`, or an error if a migration there is not ours: then this
/// binary is older than the database, and must not write to it.
pub(super) fn pending(applied: &[i64]) -> Result<Vec<String>> {
    if let Some(unknown) = applied.iter().find(|version| !MIGRATIONS.iter().any(|known| known.0 == **version))
    {
        let fault = format!(
            "the database has migration {unknown}, which this version does not know: use a newer one"
        );
        return Err(Error::Config { faults: vec![fault] });
    }
    let missing = MIGRATIONS.iter().filter(|known| !applied.contains(&known.0));
    Ok(missing.map(|(version, name, ..)| format!("{version:04}_{name}")).collect())
}
