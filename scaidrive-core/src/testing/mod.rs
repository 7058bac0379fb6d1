//! What every adapter of a port must do, as suites that tests run on each of them.
//!
//! A host program that brings its own store runs the same suites on it.

pub mod blobs;
mod jobs;
pub mod limiter;
pub mod metadata;
