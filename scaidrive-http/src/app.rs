//! What every request may use: the drive, the configuration, metrics, health.

use std::sync::Arc;

use scaidrive_core::Drive;
use scaidrive_core::config::Config;
use tokio::sync::{Semaphore, SemaphorePermit, watch};

use crate::health::Health;
use crate::metrics::Metrics;
use crate::nudges::Nudges;
use crate::once::UnderWay;
use crate::routes::Router;
use crate::sockets::Sockets;

/// How many of those that were woken look at the database at once: fewer than it has connections, so that requests
/// find one.
const TURNS: usize = 4;

/// The parts of a running server; cheap to clone.
#[derive(Clone)]
pub(crate) struct App(Arc<Parts>);

/// The parts themselves.
pub(crate) struct Parts {
    /// The core.
    pub(crate) drive: Drive,
    /// How it was configured.
    pub(crate) config: Config,
    /// What is counted.
    pub(crate) metrics: Metrics,
    /// Whether it may get requests.
    pub(crate) health: Health,
    /// Which handler answers what.
    pub(crate) router: Router,
    /// Requests that must have one effect and are being served.
    pub(crate) under_way: UnderWay,
    /// Wakes those who wait for changes.
    pub(crate) nudges: Nudges,
    /// Every open socket.
    pub(crate) sockets: Sockets,
    turns: Semaphore,
    stopping: watch::Sender<bool>,
}

impl std::ops::Deref for App {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}

impl App {
    /// Puts the parts together.
    pub(crate) fn new(drive: Drive, config: Config) -> Self {
        let health = Health::new(drive.clone(), config.redis_url.is_some());
        Self(Arc::new(Parts {
            drive,
            metrics: Metrics::new(config.metrics_detail),
            config,
            health,
            router: Router::new(),
            under_way: UnderWay::default(),
            nudges: Nudges::default(),
            sockets: Sockets::default(),
            turns: Semaphore::new(TURNS),
            stopping: watch::Sender::new(false),
        }))
    }

    /// Ends what waits: the server stops.
    pub(crate) fn stop(&self) {
        self.stopping.send_replace(true);
    }

    /// Returns once the server stops.
    pub(crate) async fn stopping(&self) {
        // The sender is held here: the wait ends by a stop alone.
        drop(self.stopping.subscribe().wait_for(|stops| *stops).await);
    }

    /// Returns once it is the caller's turn to look at what it was woken for; nothing once the server is gone.
    pub(crate) async fn turn(&self) -> Option<SemaphorePermit<'_>> {
        self.turns.acquire().await.ok()
    }
}
