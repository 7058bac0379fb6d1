//! What the program says and returns when something is not as it should be.

use std::process::ExitCode;

use scaidrive_core::model::Error;

/// What the exit code means; scripts rely on these numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Code {
    /// Done.
    Done = 0,
    /// Failed, and it is our fault or the system's.
    Failed = 1,
    /// The command line or the configuration does not hold.
    Usage = 2,
    /// Done, but something was skipped: it was listed.
    Skipped = 3,
    /// Damage was found.
    Damaged = 4,
    /// What was named is not there.
    NotFound = 5,
    /// Something is in the way.
    Conflict = 6,
    /// The user may not do this.
    Denied = 7,
    /// Try again later.
    Unavailable = 8,
}

impl From<Code> for ExitCode {
    fn from(code: Code) -> Self {
        Self::from(code as u8)
    }
}

/// The meaning of the codes, as `--help` ends with it.
pub(crate) const HELP: &str = "Exit codes: 0 done; 1 failed; 2 usage or configuration; 3 done, but something was skipped; \
    4 damage found; 5 not found; 6 conflict; 7 not allowed; 8 unavailable, try again";

/// Says what went wrong, and what to do about it; returns the code for it.
pub(crate) fn report(error: &Error, verbose: bool) -> Code {
    eprintln!("error: {error}");
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source.filter(|_| verbose) {
        eprintln!("  because: {cause}");
        source = cause.source();
    }
    if let Some(hint) = hint(error, verbose) {
        eprintln!("hint: {hint}");
    }
    code(error)
}

/// Returns the code for an error.
pub(crate) fn code(error: &Error) -> Code {
    match error {
        Error::NotFound | Error::Gone { .. } => Code::NotFound,
        Error::Config { .. } | Error::Invalid { .. } | Error::TooLarge { .. } => Code::Usage,
        Error::NameConflict { .. }
        | Error::AlreadyExists { .. }
        | Error::Cycle
        | Error::VersionConflict { .. }
        | Error::PreconditionFailed => Code::Conflict,
        Error::PermissionDenied { .. }
        | Error::OwnerOnly { .. }
        | Error::Unauthenticated { .. }
        | Error::Suspended
        | Error::ScopeInsufficient { .. }
        | Error::QuotaExceeded { .. } => Code::Denied,
        Error::Unavailable { .. } | Error::TouchExpired => Code::Unavailable,
        Error::Corrupt { .. } | Error::ChecksumMismatch { .. } => Code::Damaged,
        _ => Code::Failed,
    }
}

fn hint(error: &Error, verbose: bool) -> Option<&'static str> {
    match error {
        Error::Corrupt { .. } => Some("run `scaidrive fsck --deep` to see what is damaged"),
        Error::PermissionDenied { .. } | Error::OwnerOnly { .. } => Some("act as another user with --user"),
        Error::Unavailable { .. } => Some("another process may hold the database; try again"),
        error if error.is_internal() && !verbose && code(error) == Code::Failed => {
            Some("run again with -v for the cause")
        }
        _ => None,
    }
}
