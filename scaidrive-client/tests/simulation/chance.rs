//! Time and chance of a run: all of it follows from the seed.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use scaidrive_client::system::System;

/// When every run begins: 2026-11-23, in nanoseconds.
const BEGIN: i64 = 1_795_392_000_000_000_000;

/// A clock that moves only when it is told to.
#[derive(Clone, Debug)]
pub(crate) struct Clock(Arc<AtomicI64>);

impl Clock {
    pub(crate) fn new() -> Self {
        Self(Arc::new(AtomicI64::new(BEGIN)))
    }

    pub(crate) fn reset(&self) {
        self.0.store(BEGIN, Ordering::SeqCst);
    }

    pub(crate) fn now(&self) -> i64 {
        self.0.load(Ordering::SeqCst)
    }

    pub(crate) fn pass(&self, millis: i64) {
        self.0.fetch_add(millis * 1_000_000, Ordering::SeqCst);
    }
}

impl scaidrive_core::ports::Clock for Clock {
    fn now(&self) -> scaidrive_core::model::Timestamp {
        scaidrive_core::model::Timestamp::from_micros(Clock::now(self) / 1000)
    }
}

/// What a device knows of time and chance.
#[derive(Debug)]
pub(crate) struct Fate {
    clock: Clock,
    dice: Mutex<fastrand::Rng>,
}

impl Fate {
    pub(crate) fn new(clock: Clock, seed: u64) -> Self {
        Self { clock, dice: Mutex::new(fastrand::Rng::with_seed(seed)) }
    }
}

#[async_trait]
impl System for Fate {
    fn now(&self) -> i64 {
        self.clock.now()
    }

    fn random(&self) -> u64 {
        self.dice.lock().unwrap().u64(..)
    }

    async fn sleep(&self, time: Duration) {
        self.clock.pass(time.as_millis() as i64);
    }
}
