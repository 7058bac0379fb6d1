//! A load on the whole cluster: writers, readers, followers of the feed and sockets, all at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use crate::answers::{Caller, Tally};
use crate::cluster::{Cluster, Tenant, await_that};
use crate::ledger::Ledger;
use crate::{readers, writers};

/// Who needs longer is told of.
const SLOW: Duration = Duration::from_secs(5);

/// What a client of the load works with.
#[derive(Clone)]
pub(crate) struct Work {
    pub(crate) caller: Caller,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) share: Arc<str>,
    /// Tells clients of a kind apart.
    pub(crate) number: u64,
    stop: Arc<AtomicBool>,
    beats: Arc<AtomicU64>,
}

impl Work {
    pub(crate) fn goes_on(&self) -> bool {
        !self.stop.load(Ordering::SeqCst)
    }

    /// Notes that something was brought to its end.
    pub(crate) fn done(&self) {
        self.beats.fetch_add(1, Ordering::SeqCst);
    }
}

/// A load under way.
pub(crate) struct Load {
    pub(crate) tally: Arc<Tally>,
    pub(crate) ledger: Arc<Ledger>,
    caller: Caller,
    share: Arc<str>,
    stop: Arc<AtomicBool>,
    /// What each client has brought to its end, with its kind.
    beats: Vec<(&'static str, Arc<AtomicU64>)>,
    clients: JoinSet<()>,
    follower: JoinSet<()>,
    follower_stop: Arc<AtomicBool>,
}

impl Load {
    /// Sets it going, and waits until every client has done something.
    pub(crate) async fn start(cluster: &Cluster, tenant: &Tenant) -> Self {
        let tally = Arc::new(Tally::default());
        let caller = Caller::new(&cluster.url, &tenant.token, &tally);
        let share: Arc<str> = caller.share("Load").await.into();
        let mut load = Self {
            ledger: Arc::default(),
            share,
            stop: Arc::default(),
            beats: Vec::new(),
            clients: JoinSet::new(),
            follower: JoinSet::new(),
            follower_stop: Arc::default(),
            caller,
            tally,
        };
        let cursor = load.caller.get("/sync/changes").await["cursor"].as_u64().unwrap();
        let work = Work { stop: Arc::clone(&load.follower_stop), ..load.work("the follower of the feed", 0) };
        load.follower.spawn(readers::follow(work, cursor));
        let work = load.work("who reads reports", 0);
        load.clients.spawn(readers::reports(work));
        for number in 0..2 {
            let work = load.work("a writer of batches", number);
            load.clients.spawn(writers::batches(work));
            let work = load.work("a writer in parts", number);
            load.clients.spawn(writers::parts(work));
            let work = load.work("who renames", number);
            load.clients.spawn(writers::renames(work));
            let work = load.work("a reader", number);
            load.clients.spawn(readers::reads(work));
            let work = load.work("a socket", number);
            load.clients.spawn(readers::hears(work));
        }
        load.await_progress();
        load
    }

    fn work(&mut self, kind: &'static str, number: u64) -> Work {
        let beats = Arc::new(AtomicU64::new(0));
        self.beats.push((kind, Arc::clone(&beats)));
        Work {
            caller: self.caller.clone(),
            ledger: Arc::clone(&self.ledger),
            share: Arc::clone(&self.share),
            number,
            stop: Arc::clone(&self.stop),
            beats,
        }
    }

    /// Waits until every client has brought something more to its end that it began after this.
    pub(crate) fn await_progress(&self) {
        let before: Vec<u64> = self.beats.iter().map(|(_, beats)| beats.load(Ordering::SeqCst)).collect();
        off_the_runtime(|| {
            for ((kind, beats), before) in self.beats.iter().zip(&before) {
                let began = Instant::now();
                await_that(&format!("{kind} to get on"), || beats.load(Ordering::SeqCst) >= before + 2);
                if began.elapsed() > SLOW {
                    eprintln!("{kind} needed {:.1} s to get on", began.elapsed().as_secs_f64());
                }
            }
        });
    }

    /// Waits until so many more requests were answered, or failed, one way or the other.
    pub(crate) fn await_requests(&self, number: usize) {
        let before = self.tally.total();
        off_the_runtime(|| {
            await_that("requests to be made", || self.tally.total() >= before + number);
        });
    }

    /// Waits until so many requests have failed since the tally was taken last.
    pub(crate) fn await_failures(&self, number: usize) {
        off_the_runtime(|| await_that("requests to fail", || self.tally.failures() >= number));
    }

    /// Lets every client end what it is at, then demands that nothing acknowledged is lost, and nothing else is there.
    pub(crate) async fn finish(mut self) {
        self.stop.store(true, Ordering::SeqCst);
        while let Some(ended) = self.clients.join_next().await {
            ended.unwrap();
        }
        // Whatever was written is in the feed by now: it stops at the next answer that brings nothing.
        self.follower_stop.store(true, Ordering::SeqCst);
        while let Some(ended) = self.follower.join_next().await {
            ended.unwrap();
        }
        let files = self.ledger.check_files(&self.caller, &self.share).await;
        let rows = self.ledger.check_feed();
        eprintln!(
            "{files} files acknowledged and read back; {rows} rows of the feed, each once and in order"
        );
        self.tally.take().check();
    }
}

/// Waits where others go on working.
pub(crate) fn off_the_runtime(wait: impl FnOnce()) {
    tokio::task::block_in_place(wait);
}
