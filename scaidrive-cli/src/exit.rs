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

/// An error of the core, and what of the command line it is about.
#[derive(Debug)]
pub(crate) struct Failure {
    error: Error,
    about: Option<String>,
}

/// What a command ends with.
pub(crate) type Result<T, E = Failure> = std::result::Result<T, E>;

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self { error, about: None }
    }
}

/// Names what a result is about: "Not found" alone tells nobody what was looked for.
pub(crate) trait About<T> {
    /// Names the thing, such as `share Plans`.
    fn about(self, what: impl FnOnce() -> String) -> Result<T>;
}

impl<T> About<T> for Result<T, Error> {
    fn about(self, what: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|error| Failure { error, about: Some(what()) })
    }
}

/// Says what went wrong, and what to do about it; returns the code for it.
pub(crate) fn report(failure: &Failure, verbose: bool) -> Code {
    let Failure { error, about } = failure;
    match about {
        Some(what) => eprintln!("error: {what}: {error}"),
        None => eprintln!("error: {error}"),
    }
    for cause in causes(error).iter().filter(|_| verbose) {
        eprintln!("  because: {cause}");
    }
    let code = code(error);
    if let Some(hint) = hint(error, code, verbose) {
        eprintln!("hint: {hint}");
    }
    code
}

/// Returns what is known beyond the message, the nearest cause first.
fn causes(error: &Error) -> Vec<String> {
    let mut causes = Vec::new();
    if let Error::Internal { what } | Error::Corrupt { what } | Error::ImpossibleRow { found: what, .. } =
        error
    {
        causes.push(what.clone());
    }
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        causes.push(cause.to_string());
        source = cause.source();
    }
    causes
}

/// Returns the code for an error.
fn code(error: &Error) -> Code {
    match error {
        Error::NotFound | Error::Gone { .. } | Error::SessionExpired { .. } | Error::CursorExpired => {
            Code::NotFound
        }
        Error::Config { .. } | Error::Invalid { .. } | Error::TooLarge { .. } => Code::Usage,
        Error::NameConflict { .. }
        | Error::AlreadyExists { .. }
        | Error::Cycle
        | Error::ChunksMissing { .. }
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

fn hint(error: &Error, code: Code, verbose: bool) -> Option<&'static str> {
    match error {
        Error::Corrupt { .. } => Some("run `scaidrive fsck --deep` to see what is damaged"),
        Error::PermissionDenied { .. } | Error::OwnerOnly { .. } => Some("act as another user with --user"),
        Error::Unavailable { .. } => Some("another process may hold the database; try again"),
        Error::NotFound => Some("`tenant list`, `user list`, `share list` and `ls` tell what there is"),
        Error::Gone { .. } => Some("`ls --deleted` tells what is in the trash"),
        _ if code == Code::Failed && !verbose => Some("run again with -v for the cause"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_are_told_from_the_nearest_on() {
        let source = std::io::Error::other("disk on fire");
        assert_eq!(causes(&Error::Storage { source: Box::new(source) }), ["disk on fire"]);
        assert_eq!(causes(&Error::internal("a broken invariant")), ["a broken invariant"]);
        assert!(causes(&Error::NotFound).is_empty());
    }

    #[test]
    fn errors_of_one_meaning_have_one_code() {
        let unavailable = Error::unavailable("the database", std::time::Duration::from_secs(1));
        for (error, wanted) in [
            (Error::NotFound, Code::NotFound),
            (Error::Cycle, Code::Conflict),
            (Error::Suspended, Code::Denied),
            (Error::TooLarge { limit: 1 }, Code::Usage),
            (Error::Corrupt { what: String::new() }, Code::Damaged),
            (Error::internal(""), Code::Failed),
            (unavailable, Code::Unavailable),
        ] {
            assert_eq!(code(&error), wanted, "{error:?}");
        }
    }
}
