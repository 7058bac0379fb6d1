//! Keeps a directory in step with a share, through the published API alone.

pub mod model;
pub mod plan;
pub mod trees;
