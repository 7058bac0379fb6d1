//! The contract of [`Limiter`].

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use crate::model::Timestamp;
use crate::ports::{Allowance, Bucket, Clock, Limiter, Take};

/// A clock that stands until it is told to go on.
#[derive(Debug, Default)]
pub struct HandClock(AtomicI64);

impl HandClock {
    /// Goes on by so many seconds.
    pub fn advance(&self, secs: i64) {
        self.0.fetch_add(secs, Ordering::SeqCst);
    }
}

impl Clock for HandClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros((1_800_000_000 + self.0.load(Ordering::SeqCst)) * 1_000_000)
    }
}

fn bucket(key: &str, limit: u32) -> Bucket {
    Bucket { dimension: "token", key: key.to_owned(), limit }
}

async fn take(limiter: &dyn Limiter, buckets: &[Bucket], cost: u32) -> Take {
    limiter.take(buckets, cost).await.expect("a limiter that works answers")
}

async fn left(limiter: &dyn Limiter, bucket: &Bucket) -> Allowance {
    match take(limiter, std::slice::from_ref(bucket), 0).await {
        Take::Granted(allowance) | Take::Refused { allowance, .. } => allowance,
    }
}

/// Runs the whole suite on a limiter that goes by `clock`; `seed` keeps runs on one store apart.
///
/// # Panics
/// Where the limiter breaks its contract.
pub async fn check(limiter: Arc<dyn Limiter>, clock: &HandClock, seed: &str) {
    the_window_slides(&*limiter, clock, &bucket(&format!("{seed} slides"), 10)).await;
    all_or_none(&*limiter, seed).await;
    as_many_as_fit(&limiter, &bucket(&format!("{seed} races"), 1000)).await;
}

async fn the_window_slides(limiter: &dyn Limiter, clock: &HandClock, one: &Bucket) {
    let buckets = std::slice::from_ref(one);
    for remaining in (6..10).rev() {
        assert!(matches!(take(limiter, buckets, 1).await, Take::Granted(now) if now.remaining == remaining));
    }
    clock.advance(30);
    assert!(matches!(take(limiter, buckets, 6).await, Take::Granted(now) if now.remaining == 0));
    match take(limiter, buckets, 1).await {
        Take::Refused { allowance, retry_after_secs } => {
            assert_eq!((allowance.remaining, allowance.limit, retry_after_secs), (0, 10, 30));
        }
        granted @ Take::Granted(_) => panic!("{granted:?} beyond the limit"),
    }
    assert!(matches!(take(limiter, buckets, 5).await, Take::Refused { retry_after_secs: 60, .. }));
    clock.advance(29);
    assert!(matches!(take(limiter, buckets, 1).await, Take::Refused { retry_after_secs: 1, .. }));
    clock.advance(1);
    assert!(matches!(take(limiter, buckets, 4).await, Take::Granted(now) if now.remaining == 0));
    clock.advance(90);
    assert_eq!(left(limiter, one).await.remaining, 10, "all of it, after a while");
}

async fn all_or_none(limiter: &dyn Limiter, seed: &str) {
    let (wide, narrow) = (bucket(&format!("{seed} wide"), 100), bucket(&format!("{seed} narrow"), 3));
    let both = [wide.clone(), narrow.clone()];
    assert!(
        matches!(take(limiter, &both, 2).await, Take::Granted(now) if now.limit == 3),
        "the tightest is told"
    );
    assert!(matches!(take(limiter, &both, 2).await, Take::Refused { allowance, .. } if allowance.limit == 3));
    assert_eq!(left(limiter, &wide).await.remaining, 98, "what one limit refuses counts against no other");
    assert_eq!(left(limiter, &narrow).await.remaining, 1);
}

async fn as_many_as_fit(limiter: &Arc<dyn Limiter>, one: &Bucket) {
    let rivals: Vec<_> = (0..64)
        .map(|_| {
            let (limiter, one) = (Arc::clone(limiter), one.clone());
            tokio::spawn(async move {
                let mut granted = 0;
                for _ in 0..50 {
                    let taken = take(&*limiter, std::slice::from_ref(&one), 1).await;
                    granted += u32::from(matches!(taken, Take::Granted(_)));
                }
                granted
            })
        })
        .collect();
    let mut granted = 0;
    for rival in rivals {
        granted += rival.await.expect("a rival ends well");
    }
    assert_eq!(granted, 1000);
}
