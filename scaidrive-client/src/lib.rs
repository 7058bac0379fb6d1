//! Keeps a directory in step with a share, through the published API alone.
//!
//! This crate knows the contract and nothing of how a server is made: it shares no code with the core, only its tests
//! hold it against the real thing.
//!
//! # Three trees
//! - **remote**: what the server said last. It comes from a snapshot, and from the feed ever after.
//! - **local**: what the scanner sees. A file is read again only if its stamp (number, size, times) is another one, or
//!   too young to be believed.
//! - **synced**: what both sides agreed on last. It is what tells "new here" from "deleted there".
//!
//! What is not in `synced` as it is here or there is somebody's work, and is never removed on either side.
//!
//! # Who does what
//! | module | |
//! |---|---|
//! | [`model`], [`trees`] | values; the three trees |
//! | [`plan`] | what must be done, as a pure function of the three trees: no I/O, no clock, no chance |
//! | [`fs`], [`scan`], [`watch`], [`ignore_rules`] | the directory: how it is changed, looked at, watched; what is left out |
//! | [`remote`], [`http`], [`chunker`] | the server: as a trait, and over HTTP; how contents are cut |
//! | [`state`] | what is remembered between runs |
//! | [`Engine`] | round after round: settle what was sent, follow, look, plan, carry out |
//!
//! [`fs::LocalFs`], [`remote::Remote`], [`state::Log`] and [`system::System`] come in from outside, so that whole
//! clients run on one seed with every fault there is: `tests/simulation`.
//!
//! # What is relied on
//! - *Look before every step.* A plan is a guess about a world that goes on. A local file is replaced, moved or removed
//!   only if it still looks as it did when it was planned; on Linux the replacing itself is an exchange that is taken
//!   back if the file changed in that very moment. The server judges edits and deletes by the version they were made of.
//! - *Written down before it is sent.* A change has its id in the log before the server hears of it: if the answer is
//!   lost, the same change is sent again, and has no effect again.
//! - *Remembered after it is safe.* What is agreed goes into the log after files and directories are synced to the disk
//!   and the server acknowledged. A crash anywhere leaves too little remembered, never too much; what is not remembered
//!   is found again by comparing contents.
//! - *Absence must be seen twice.* A file that moves while the scanner passes is seen nowhere; only a second look that
//!   misses it, too, makes it deleted. Nothing is concluded from what cannot be listed. Many deletions at once, or a
//!   root that is another directory than before, stop everything until somebody says that this is meant.
//!
//! # What people meet
//! - *Changed on both sides*: the server settles it by the device's strategy; by default both are kept, the later one
//!   as `plan (conflict, laptop, 2026-11-23).odt`.
//! - *Deleted here, changed there*: it comes back. *Changed here, deleted there*: it stays, at its place.
//! - *Not allowed on the server*: what is new stays here alone and is told; an edit stays beside the server's version
//!   under a conflict name; a deletion or a move is taken back.
//! - *A right that ends*: unchanged copies go, edited ones stay. A share that ends: everything stays.
//! - *Names that differ only in case, or in Unicode form*: one of them gets a conflict name, for the server, Windows and
//!   macOS take them for one. Names that this computer cannot have, links, devices and what is ignored are told.

pub mod chunker;
mod engine;
mod error;
pub mod fs;
pub mod http;
pub mod ignore_rules;
pub mod model;
pub mod plan;
pub mod remote;
pub mod scan;
pub mod state;
pub mod system;
pub mod trees;
pub mod watch;

pub use engine::{Control, Controller, Engine, Event, Moved, Nudge, Observer, Options, Ports, Round, Silent};
pub use error::{Error, Result};
