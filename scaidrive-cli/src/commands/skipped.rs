//! What a transfer left out: listed for people on standard error, for programs in the summary.

use serde::Serialize;

use crate::exit::Code;
use crate::output::{Output, printable};

/// What was left out, and why.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Skipped {
    /// Path at the source of an import, at the target of an export.
    pub(crate) path: String,
    /// Why.
    pub(crate) reason: String,
}

impl Skipped {
    pub(crate) fn new(path: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { path: path.into(), reason: reason.into() }
    }
}

/// Lists what was left out, and returns the code for it.
pub(crate) fn tell(all: &[Skipped], out: Output) -> Code {
    for skipped in all.iter().filter(|_| !out.json) {
        eprintln!("skipped: {}: {}", printable(&skipped.path), skipped.reason);
    }
    if all.is_empty() { Code::Done } else { Code::Skipped }
}
