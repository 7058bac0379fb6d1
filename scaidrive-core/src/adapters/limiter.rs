//! Limits counted within the process: a slot a second, a minute of them a key.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;

use crate::model::{Result, Timestamp};
use crate::ports::{Allowance, Bucket, Clock, Limiter, Take, WINDOW_SECS};

/// Keys kept before idle ones are looked for.
const MANY: usize = 10_000;

/// A limiter for one process.
#[derive(Debug)]
pub struct LocalLimiter {
    clock: Arc<dyn Clock>,
    windows: Mutex<Windows>,
}

#[derive(Debug, Default)]
struct Windows {
    by_key: HashMap<(&'static str, String), Window>,
    /// How many keys there may be before the idle ones go.
    many: usize,
}

/// Units by the second they were counted in; seconds without any are not kept.
#[derive(Debug, Default)]
struct Window(BTreeMap<i64, u32>);

impl Window {
    /// Forgets what has left the window; returns what is still in it.
    fn used(&mut self, now: i64) -> u32 {
        self.0 = self.0.split_off(&(now - i64::from(WINDOW_SECS) + 1));
        self.0.values().sum()
    }

    /// Returns when `units` of what is counted will have left.
    fn free_at(&self, units: u32, now: i64) -> i64 {
        let mut left = 0;
        for (second, counted) in &self.0 {
            left += counted;
            if left >= units {
                return second + i64::from(WINDOW_SECS);
            }
        }
        now + i64::from(WINDOW_SECS)
    }
}

impl LocalLimiter {
    /// Returns a limiter that goes by a clock.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, windows: Mutex::new(Windows { by_key: HashMap::new(), many: MANY }) }
    }
}

impl Windows {
    fn window(&mut self, bucket: &Bucket) -> &mut Window {
        self.by_key.entry((bucket.dimension, bucket.key.clone())).or_default()
    }

    fn allowance(&mut self, bucket: &Bucket, now: i64) -> Allowance {
        let window = self.window(bucket);
        let used = window.used(now);
        let reset = if used == 0 { now } else { window.free_at(1, now) };
        Allowance {
            dimension: bucket.dimension,
            limit: bucket.limit,
            remaining: bucket.limit.saturating_sub(used),
            reset: Timestamp::from_micros(reset * 1_000_000),
        }
    }

    fn take(&mut self, buckets: &[Bucket], cost: u32, now: i64) -> Option<Take> {
        for bucket in buckets {
            let allowance = self.allowance(bucket, now);
            if allowance.remaining < cost {
                let free_at = self.window(bucket).free_at(cost - allowance.remaining, now);
                let wait = u32::try_from(free_at - now).unwrap_or(WINDOW_SECS).clamp(1, WINDOW_SECS);
                return Some(Take::Refused { allowance, retry_after_secs: wait });
            }
        }
        if cost > 0 {
            for bucket in buckets {
                *self.window(bucket).0.entry(now).or_default() += cost;
            }
        }
        let all: Vec<Allowance> = buckets.iter().map(|bucket| self.allowance(bucket, now)).collect();
        let tightest = all.into_iter().min_by_key(Allowance::share_left);
        self.forget_idle(now);
        tightest.map(Take::Granted)
    }

    fn forget_idle(&mut self, now: i64) {
        if self.by_key.len() > self.many {
            self.by_key.retain(|_, window| window.used(now) > 0);
            self.many = MANY.max(2 * self.by_key.len());
        }
    }
}

#[async_trait]
impl Limiter for LocalLimiter {
    async fn take(&self, buckets: &[Bucket], cost: u32) -> Result<Take> {
        let now = self.clock.now().as_secs();
        let mut windows = self.windows.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let taken = windows.take(buckets, cost, now);
        taken.ok_or_else(|| crate::model::Error::internal("a request counts against no limit"))
    }
}
