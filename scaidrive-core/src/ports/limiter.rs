//! How much may be asked in a minute.

use std::fmt;

use async_trait::async_trait;

use crate::model::{Result, Timestamp};

/// Seconds that limits count over.
pub const WINDOW_SECS: u32 = 60;

/// One limit that a request counts against.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bucket {
    /// `address`, `token`, `user` or `tenant`.
    pub dimension: &'static str,
    /// Whose; never a token itself.
    pub key: String,
    /// Units in a window.
    pub limit: u32,
}

/// How a limit stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowance {
    /// `address`, `token`, `user` or `tenant`.
    pub dimension: &'static str,
    /// Units in a window.
    pub limit: u32,
    /// Units left now.
    pub remaining: u32,
    /// When there will be more: the oldest units counted fall out of the window then.
    pub reset: Timestamp,
}

impl Allowance {
    /// Returns how much of the limit is left, in millionths.
    pub fn share_left(&self) -> u64 {
        u64::from(self.remaining) * 1_000_000 / u64::from(self.limit.max(1))
    }
}

/// What became of a request to count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Take {
    /// Counted against all; the allowance with the least left, in proportion.
    Granted(Allowance),
    /// Counted against none, for this one is used up.
    Refused {
        /// The limit.
        allowance: Allowance,
        /// Seconds until the request would fit.
        retry_after_secs: u32,
    },
}

/// Counts what is asked, in a sliding window.
///
/// Contract (`testing::limiter` holds every adapter to it): in no stretch of [`WINDOW_SECS`] seconds, counted in
/// whole seconds, more than the limit is granted; a request counts against all of its buckets or against none, and
/// of racing requests exactly as many are granted as fit. A cost of 0 only looks.
#[async_trait]
pub trait Limiter: Send + Sync + fmt::Debug {
    /// Counts a request that costs so many units; there is at least one bucket.
    async fn take(&self, buckets: &[Bucket], cost: u32) -> Result<Take>;
}
