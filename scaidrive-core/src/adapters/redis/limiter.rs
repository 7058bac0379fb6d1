//! Limits that replicas share: a hash a key, second by second, counted by one script in one round trip.

use std::sync::Arc;

use async_trait::async_trait;
use redis::Script;

use super::link::Link;
use crate::model::{Error, Result, Timestamp};
use crate::ports::{Allowance, Bucket, Clock, Limiter, Take, WINDOW_SECS};

/// A limiter for all who share a Redis.
#[derive(Debug)]
pub struct RedisLimiter {
    link: Link,
    script: Script,
    /// Whose time counts instead of the server's.
    clock: Option<Arc<dyn Clock>>,
}

impl RedisLimiter {
    /// Returns a limiter that goes by the server's clock, which is the same for all.
    pub(super) fn new(link: Link) -> Self {
        Self { link, script: Script::new(include_str!("limiter.lua")), clock: None }
    }

    /// Returns a limiter that goes by another clock: for tests, which cannot wait.
    #[must_use]
    pub fn with_clock(self, clock: Arc<dyn Clock>) -> Self {
        Self { clock: Some(clock), ..self }
    }
}

/// Returns the keys of buckets. What stands in braces puts all keys of one call on one node of a cluster: their
/// tenant, or an address that is counted alone.
fn keys(buckets: &[Bucket]) -> impl Iterator<Item = String> {
    let tenant = buckets.iter().find(|bucket| bucket.dimension == "tenant");
    buckets.iter().map(move |bucket| {
        let slot = &tenant.unwrap_or(bucket).key;
        format!("scaidrive:rate:{{{slot}}}:{}:{}", bucket.dimension, bucket.key)
    })
}

#[async_trait]
impl Limiter for RedisLimiter {
    async fn take(&self, buckets: &[Bucket], cost: u32) -> Result<Take> {
        let now = self.clock.as_ref().map_or(0, |clock| clock.now().as_secs());
        let mut call = self.script.prepare_invoke();
        call.arg(now).arg(WINDOW_SECS).arg(cost);
        keys(buckets).zip(buckets).for_each(|(key, bucket)| {
            call.key(key).arg(bucket.limit);
        });
        let told: Vec<i64> = self.link.with(async |mut redis| call.invoke_async(&mut redis).await).await?;
        read(buckets, &told).ok_or_else(|| Error::internal(format!("Redis counted {told:?} of {buckets:?}")))
    }
}

/// Reads the script's answer: which bucket refuses from 1 on or 0, how long it would have to wait, then of each bucket
/// what is left and when there will be more.
fn read(buckets: &[Bucket], told: &[i64]) -> Option<Take> {
    let [refused, wait, rest @ ..] = told else { return None };
    let mut all = buckets.iter().zip(rest.chunks_exact(2)).map(|(bucket, told)| Allowance {
        dimension: bucket.dimension,
        limit: bucket.limit,
        remaining: u32::try_from(told[0]).unwrap_or(0),
        reset: Timestamp::from_micros(told[1] * 1_000_000),
    });
    match usize::try_from(*refused).ok()?.checked_sub(1) {
        Some(refused) => Some(Take::Refused {
            allowance: all.nth(refused)?,
            retry_after_secs: u32::try_from(*wait).unwrap_or(WINDOW_SECS).clamp(1, WINDOW_SECS),
        }),
        None => all.min_by_key(Allowance::share_left).map(Take::Granted),
    }
}
