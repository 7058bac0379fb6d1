//! Time and chance, which come in from outside so that a whole client can run on one seed.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;

/// The clock and the dice.
#[async_trait]
pub trait System: Send + Sync + fmt::Debug {
    /// Returns the time, in nanoseconds since 1970.
    fn now(&self) -> i64;

    /// Returns a number that nobody can foresee.
    fn random(&self) -> u64;

    /// Waits.
    async fn sleep(&self, time: Duration);
}

/// The computer's own.
#[derive(Clone, Copy, Debug, Default)]
pub struct Computer;

#[async_trait]
impl System for Computer {
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the system's clock")]
    fn now(&self) -> i64 {
        let since_epoch = std::time::SystemTime::now().duration_since(std::time::SystemTime::UNIX_EPOCH);
        since_epoch.map_or(0, |since| i64::try_from(since.as_nanos()).unwrap_or(i64::MAX))
    }

    fn random(&self) -> u64 {
        fastrand::u64(..)
    }

    async fn sleep(&self, time: Duration) {
        tokio::time::sleep(time).await;
    }
}
