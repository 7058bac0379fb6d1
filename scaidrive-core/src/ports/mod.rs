//! What the use-cases need from the world: async traits, implemented by adapters, spoken in model types.
//!
//! A port answers `Option` where a thing may be missing; a use-case turns that into an error.

mod blobs;
mod identity;
mod limiter;
mod mailer;
pub mod metadata;
mod system;

pub use blobs::{BlobMeta, BlobStore, Key};
pub use identity::{Claims, Grant, Identity, SignIn};
pub use limiter::{Allowance, Bucket, Limiter, Take, WINDOW_SECS};
pub use mailer::{Mail, Mailer};
pub use metadata::{MetadataStore, Outcome, Reads, WriteUnit, Writes};
pub use system::{Clock, Dispatch, Ids, News, Nudge, PubSub};
