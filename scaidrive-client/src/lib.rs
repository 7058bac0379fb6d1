//! Keeps a directory in step with a share, through the published API alone.

pub mod chunker;
mod engine;
mod error;
pub mod fs;
pub mod ignore_rules;
pub mod model;
pub mod plan;
pub mod remote;
pub mod scan;
pub mod state;
pub mod system;
pub mod trees;

pub use engine::{Control, Controller, Engine, Event, Nudge, Observer, Options, Ports, Round, Silent};
pub use error::{Error, Result};
