//! The program, as people and scripts use it: real processes on data directories of their own.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod access;
mod commands;
mod program;
mod sync;
mod transfer;
