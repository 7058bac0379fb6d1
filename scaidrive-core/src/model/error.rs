//! The one error of the core, by meaning. Frontends map it to a status or an exit code, each in one place.

use std::time::Duration;

use serde_json::Value;
use thiserror::Error;

/// How long to stay away from a part that is away: a restart takes about as long.
const RESTART: Duration = Duration::from_secs(5);

/// The result of everything that can fail in the core.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A field of a request that does not hold what it must.
#[derive(Clone, Debug, PartialEq)]
pub struct FieldError {
    /// The field's name on the wire.
    pub field: String,
    /// What is wrong, for people.
    pub message: String,
    /// What was given, cut to a readable length.
    pub input: Value,
}

impl FieldError {
    /// Returns the fault of one field; a long input is cut to 200 characters.
    pub fn new(field: impl Into<String>, message: impl Into<String>, input: impl Into<Value>) -> Self {
        let input = match input.into() {
            Value::String(text) if text.chars().nth(200).is_some() => {
                Value::String(text.chars().take(200).chain(['…']).collect())
            }
            other => other,
        };
        Self { field: field.into(), message: message.into(), input }
    }
}

/// Everything that can go wrong, by meaning.
///
/// No message carries SQL, a file-system path, a secret, or whether something invisible exists: what the
/// system needs to know for repair travels as `source` and is logged, never shown.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Error {
    /// Absent, or not visible to the caller: deliberately the same.
    #[error("Not found")]
    NotFound,
    /// The caller sees the thing but lacks a right on it.
    #[error("Permission denied: {right} on {resource}")]
    PermissionDenied {
        /// The right that is missing.
        right: &'static str,
        /// The resource, as `kind/id`.
        resource: String,
    },
    /// Only the owner (or a tenant admin) may do this.
    #[error("Only the owner may do this: {action}")]
    OwnerOnly {
        /// What was tried.
        action: &'static str,
    },
    /// The thing is in the trash, or has run out.
    #[error("Gone: {what} is in the trash or no longer exists; restore it first")]
    Gone {
        /// The resource, as `kind/id`.
        what: String,
    },
    /// An upload session that has run out, was aborted, or lost its parts.
    #[error("The upload session has ended: {why}; begin a new one")]
    SessionExpired {
        /// How it ended.
        why: &'static str,
    },
    /// A cursor that the retained log does not reach, or that lies beyond its head.
    #[error("The cursor is not in the retained log; take a snapshot and go on from its cursor")]
    CursorExpired,
    /// A sibling has this name (compared case-insensitively).
    #[error("The name is taken: {name}")]
    NameConflict {
        /// The name asked for.
        name: String,
    },
    /// Something that must be unique exists already.
    #[error("Already exists: {what}")]
    AlreadyExists {
        /// What exists.
        what: String,
    },
    /// The folder would become its own descendant.
    #[error("Nothing can be put into itself or into what it holds")]
    Cycle,
    /// Parts or chunks that a content needs are not there, or not for this caller.
    #[error("{} of the content's chunks are missing; send them first", missing.len())]
    ChunksMissing {
        /// Indexes of parts, or hashes of chunks.
        missing: Vec<Value>,
    },
    /// Somebody else changed the thing in between.
    #[error("The base is stale: {what}")]
    VersionConflict {
        /// What changed.
        what: String,
    },
    /// `If-Match` names another state than the current one.
    #[error("The precondition failed: the item changed since")]
    PreconditionFailed,
    /// A body or value is larger than allowed.
    #[error("Too large: the limit is {limit} bytes")]
    TooLarge {
        /// The limit in bytes.
        limit: u64,
    },
    /// A range lies outside the content.
    #[error("The range lies outside the content of {size} bytes")]
    RangeNotSatisfiable {
        /// Size of the content in bytes.
        size: u64,
    },
    /// Fields of the request do not hold what they must.
    #[error("Validation failed: {}", fields.iter().map(|f| format!("{}: {}", f.field, f.message)).collect::<Vec<_>>().join("; "))]
    Invalid {
        /// Every fault found.
        fields: Vec<FieldError>,
    },
    /// The caller's stream broke off or could not be read.
    #[error("The content could not be read to its end: {reason}")]
    BadStream {
        /// What happened, for people.
        reason: String,
    },
    /// Content has not the checksum it should have.
    #[error("Checksum mismatch: {what}")]
    ChecksumMismatch {
        /// What was compared.
        what: String,
    },
    /// A quota would be exceeded.
    #[error("The quota of the {level} is exhausted")]
    QuotaExceeded {
        /// share, user, group, tenant or partner.
        level: &'static str,
    },
    /// Who calls is unknown, or the token is not valid.
    #[error("{reason}")]
    Unauthenticated {
        /// Whether a token was given at all.
        missing: bool,
        /// What is wrong, for people.
        reason: &'static str,
    },
    /// The identity provider did not take what somebody signed in with.
    #[error("The identity provider refused: {}", description.as_ref().unwrap_or(error))]
    GrantRefused {
        /// Whether it does not know who asks, rather than what is asked.
        unauthorized: bool,
        /// Its own code, such as `invalid_grant`.
        error: String,
        /// Its own words, if it had any.
        description: Option<String>,
    },
    /// A service that we ask on somebody's behalf does not answer, or not in time.
    #[error("{what} does not answer{}; try again later", if *timed_out { " in time" } else { "" })]
    Upstream {
        /// Which service.
        what: &'static str,
        /// Whether it was too slow, rather than away or out of order.
        timed_out: bool,
    },
    /// Too much was asked in a minute.
    #[error("Too many requests: the limit of this {dimension} is {limit} units a minute")]
    RateLimited {
        /// address, token, user or tenant.
        dimension: &'static str,
        /// Units a minute.
        limit: u32,
        /// How long to wait.
        retry_after: Duration,
    },
    /// The same request is being served right now.
    #[error("The same request is under way; ask again")]
    InProgress,
    /// The user is suspended.
    #[error("The user is suspended")]
    Suspended,
    /// The token's scope does not cover the request.
    #[error("The token lacks the scope {scope}")]
    ScopeInsufficient {
        /// The scope that would do.
        scope: &'static str,
    },
    /// Try again later: a lock was held too long, a part is away, or the server drains.
    #[error("Temporarily unavailable: {what}; try again later")]
    Unavailable {
        /// What is away.
        what: String,
        /// How long to wait.
        retry_after: Duration,
    },
    /// The chunks of a content were touched too long ago to be referred to: touch them again and retry.
    #[error("The upload took too long; try again")]
    TouchExpired,
    /// Stored bytes do not match their hash, or are not there: never served as good.
    #[error("Stored content is damaged or missing")]
    Corrupt {
        /// Which object, for the log.
        what: String,
    },
    /// The configuration does not hold; every fault is named at once.
    #[error("The configuration is not usable:\n{}", faults.iter().map(|f| format!("  - {f}")).collect::<Vec<_>>().join("\n"))]
    Config {
        /// Every fault found.
        faults: Vec<String>,
    },
    /// A row holds what it cannot hold.
    #[error("Impossible data in the database")]
    ImpossibleRow {
        /// Table and column.
        place: &'static str,
        /// What was found, for the log.
        found: String,
    },
    /// The database failed in a way nobody expects.
    #[error("The database failed")]
    Database {
        /// The cause, for the log.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The connection was lost while a commit was under way: applied or not, nobody knows yet.
    #[error("The outcome of the commit is unknown")]
    CommitUnknown {
        /// The cause, for the log.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The object store failed.
    #[error("The object store failed")]
    Storage {
        /// The cause, for the log.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A broken invariant of our own.
    #[error("Internal error")]
    Internal {
        /// What broke, for the log.
        what: String,
    },
}

impl Error {
    /// Returns the fault of a single field.
    pub fn invalid(field: impl Into<String>, message: impl Into<String>, input: impl Into<Value>) -> Self {
        FieldError::new(field, message, input).into()
    }

    /// Returns the error for a broken invariant.
    pub fn internal(what: impl Into<String>) -> Self {
        Self::Internal { what: what.into() }
    }

    /// Returns the error for a part that is away for so long.
    pub fn unavailable(what: impl Into<String>, retry_after: Duration) -> Self {
        Self::Unavailable { what: what.into(), retry_after }
    }

    /// Returns the error for a part that cannot be reached, or breaks off, as it does while it is restarted.
    pub fn away(what: impl Into<String>) -> Self {
        Self::unavailable(what, RESTART)
    }

    /// Returns the stable code for programs (conventions.md).
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NotFound => "NOT_FOUND",
            Self::PermissionDenied { .. } => "PERMISSION_DENIED",
            Self::OwnerOnly { .. } => "OWNER_ONLY",
            Self::Gone { .. } => "GONE",
            Self::SessionExpired { .. } => "SESSION_EXPIRED",
            Self::CursorExpired => "CURSOR_EXPIRED",
            Self::NameConflict { .. } => "NAME_CONFLICT",
            Self::AlreadyExists { .. } | Self::InProgress => "ALREADY_EXISTS",
            Self::Cycle => "CYCLE",
            Self::ChunksMissing { .. } => "CHUNKS_MISSING",
            Self::VersionConflict { .. } => "VERSION_CONFLICT",
            Self::PreconditionFailed => "PRECONDITION_FAILED",
            Self::TooLarge { .. } => "PAYLOAD_TOO_LARGE",
            Self::RangeNotSatisfiable { .. } => "RANGE_NOT_SATISFIABLE",
            Self::Invalid { .. } => "VALIDATION_FAILED",
            Self::BadStream { .. } | Self::GrantRefused { unauthorized: false, .. } => "BAD_REQUEST",
            Self::ChecksumMismatch { .. } => "CHECKSUM_MISMATCH",
            Self::QuotaExceeded { .. } => "QUOTA_EXCEEDED",
            Self::Unauthenticated { missing: true, .. } => "AUTH_TOKEN_MISSING",
            Self::Unauthenticated { missing: false, .. } | Self::GrantRefused { unauthorized: true, .. } => {
                "AUTH_TOKEN_INVALID"
            }
            Self::Upstream { timed_out: true, .. } => "UPSTREAM_TIMEOUT",
            Self::Upstream { timed_out: false, .. } => "UPSTREAM_UNREACHABLE",
            Self::RateLimited { .. } => "RATE_LIMITED",
            Self::Suspended => "AUTHZ_USER_SUSPENDED",
            Self::ScopeInsufficient { .. } => "SCOPE_INSUFFICIENT",
            Self::Unavailable { .. } | Self::TouchExpired => "UNAVAILABLE",
            Self::Corrupt { .. }
            | Self::Config { .. }
            | Self::ImpossibleRow { .. }
            | Self::Database { .. }
            | Self::CommitUnknown { .. }
            | Self::Storage { .. }
            | Self::Internal { .. } => "INTERNAL",
        }
    }

    /// Tells whether this is our fault rather than the caller's: such errors are logged where they are handled.
    pub const fn is_internal(&self) -> bool {
        matches!(self.code().as_bytes(), b"INTERNAL")
    }
}

impl From<FieldError> for Error {
    fn from(fault: FieldError) -> Self {
        Self::Invalid { fields: vec![fault] }
    }
}
