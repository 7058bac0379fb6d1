//! What every request may use: the drive, the configuration, metrics, health.

use std::sync::Arc;

use scaidrive_core::Drive;
use scaidrive_core::config::Config;

use crate::health::Health;
use crate::metrics::Metrics;
use crate::once::UnderWay;
use crate::routes::Router;

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
        let health = Health::new(drive.clone());
        Self(Arc::new(Parts {
            drive,
            config,
            metrics: Metrics::new(),
            health,
            router: Router::new(),
            under_way: UnderWay::default(),
        }))
    }
}
