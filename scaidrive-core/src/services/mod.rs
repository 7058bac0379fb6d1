//! The use-cases, one file an area. They see ports, model and chunking only.

pub mod access;
pub mod archive;
pub mod bulk;
pub mod cache;
pub mod collect;
pub mod content;
pub mod copies;
pub mod feed;
pub mod files;
pub mod folders;
pub mod foreign;
pub mod fsck;
pub mod identity;
pub mod ingest;
pub mod me;
pub mod moves;
pub mod mutation;
pub mod paths;
pub mod shares;
pub mod sign_in;
pub mod tenants;
pub(crate) mod transaction;
pub mod trash;
mod tree;
pub mod versions;
pub mod webhook;
