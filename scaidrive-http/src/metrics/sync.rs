//! What sync does: changes fetched, how far devices lag behind, conflicts met, open sockets.

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use scaidrive_core::model::{ConflictType, DeviceId, FeedRow, ShareId};

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ShareLabel {
    share_id: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct DeviceLabel {
    device_id: String,
}

/// `type`, and `share_id` where labels of unbounded values are wanted.
type ConflictLabels = Vec<(&'static str, String)>;

/// A metric with a label of unbounded values, where those are wanted, and without where not.
enum Detailed<L, M> {
    Whole(M),
    By(Family<L, M>),
}

impl<L, M> Detailed<L, M>
where
    L: Clone + std::hash::Hash + Eq + EncodeLabelSet + std::fmt::Debug + Send + Sync + 'static,
    M: Clone + Default + prometheus_client::metrics::TypedMetric + std::fmt::Debug + Send + Sync + 'static,
    M: prometheus_client::encoding::EncodeMetric,
{
    fn new(registry: &mut Registry, name: &str, help: &str, detail: bool) -> Self {
        let all = if detail { Self::By(Family::default()) } else { Self::Whole(M::default()) };
        match &all {
            Self::Whole(metric) => registry.register(name, help, metric.clone()),
            Self::By(family) => registry.register(name, help, family.clone()),
        }
        all
    }

    /// Returns the metric of a label, or the one there is.
    fn of(&self, label: impl FnOnce() -> L) -> M {
        match self {
            Self::Whole(metric) => metric.clone(),
            Self::By(family) => family.get_or_create_owned(&label()),
        }
    }
}

/// The metrics of sync.
pub(crate) struct SyncMetrics {
    fetched: Detailed<ShareLabel, Counter>,
    lag: Detailed<DeviceLabel, Gauge>,
    sockets: Gauge,
    conflicts: Family<ConflictLabels, Counter>,
    detail: bool,
}

impl SyncMetrics {
    pub(super) fn new(registry: &mut Registry, detail: bool) -> Self {
        let fetched = "Rows of the change log sent to readers";
        let fetched = Detailed::new(registry, "scaidrive_sync_changes_fetched", fetched, detail);
        let lag = "For how long the first change that a device lacks has waited for it, when it last asked";
        let lag = Detailed::new(registry, "scaidrive_sync_cursor_lag_seconds", lag, detail);
        let sockets = Gauge::default();
        registry.register("scaidrive_sync_websocket_connections", "Open sockets", sockets.clone());
        let conflicts = Family::default();
        registry.register(
            "scaidrive_sync_conflicts",
            "Conflicts that devices met",
            Family::clone(&conflicts),
        );
        Self { fetched, lag, sockets, conflicts, detail }
    }

    /// Counts a conflict.
    pub(crate) fn conflict(&self, share: ShareId, kind: ConflictType) {
        let share = self.detail.then(|| ("share_id", share.to_string()));
        let labels = share.into_iter().chain([("type", kind.to_string())]).collect();
        self.conflicts.get_or_create(&labels).inc();
    }

    /// Counts rows that are sent to a reader.
    pub(crate) fn fetched(&self, rows: &[FeedRow]) {
        for part in rows.chunk_by(|one, next| one.share_id() == next.share_id()) {
            let label = || ShareLabel { share_id: part[0].share_id().to_string() };
            self.fetched.of(label).inc_by(part.len() as u64);
        }
    }

    /// Notes how far a device lags behind.
    pub(crate) fn lagging(&self, device: &DeviceId, lag: Duration) {
        let label = || DeviceLabel { device_id: device.to_string() };
        self.lag.of(label).set(i64::try_from(lag.as_secs()).unwrap_or(i64::MAX));
    }

    /// Counts a socket for as long as the answer is kept.
    pub(crate) fn socket(&self) -> OpenSocket {
        self.sockets.inc();
        OpenSocket(self.sockets.clone())
    }
}

/// An open socket; it is counted until this is dropped.
pub(crate) struct OpenSocket(Gauge);

impl Drop for OpenSocket {
    fn drop(&mut self) {
        self.0.dec();
    }
}
