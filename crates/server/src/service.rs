//! What every handler works with.

use crate::ambient::{Clock, Entropy};
use crate::metrics::Metrics;
use crate::namespaces::Namespaces;
use crate::workers::Workers;
use std::sync::Arc;
use store::Store;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tradewind_core::limits::Limits;
use uuid::Uuid;

/// The server behind its doors. Handlers borrow it; nothing in it knows which door a request came through.
pub struct Service {
    pub engine: engine::Handle,
    pub store: Store,
    pub namespaces: Namespaces,
    pub workers: Workers,
    pub limits: Arc<Limits>,
    pub announced: Announced,
    pub cluster: Cluster,
    pub clock: Clock,
    pub entropy: Entropy,
    pub metrics: Metrics,
    /// Cancelled when the server starts to drain: whoever waits on a long poll answers empty at once.
    pub shutdown: CancellationToken,
    /// What runs beside the requests and has to end before the store closes. It ends on `shutdown`.
    pub background: TaskTracker,
}

/// What clients see of this server as a cluster of one.
#[derive(Debug, Clone)]
pub struct Cluster {
    pub id: Uuid,
    pub address: String,
    pub http_address: String,
}

impl Cluster {
    /// The reference's name for the only cluster; namespaces say that they live there.
    pub const NAME: &str = "active";
}

/// Features that are told to workers, who change their protocol on them. Each is announced only once it
/// works: a wrong `true` makes workers hang, a wrong `false` only makes them slower.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Announced {
    pub eager_workflow_start: bool,
    pub sync_update: bool,
    pub async_update: bool,
    pub worker_heartbeats: bool,
    /// Workers then wait for their polls to return after ShutdownWorker instead of cancelling them. The engine
    /// completes the polls of the named worker; where it did not, a shutdown would last a whole long poll.
    pub worker_poll_complete_on_shutdown: bool,
    /// Needs `poller_scaling_decision` in poll replies.
    pub poller_autoscaling: bool,
    pub schedules: bool,
    pub nexus: bool,
    /// Workers then send their build id with each completion, where history keeps it.
    pub build_id_based_versioning: bool,
    pub server_scaled_deployments: bool,
    pub standalone_activities: bool,
}

impl Default for Announced {
    fn default() -> Announced {
        Announced {
            eager_workflow_start: true,
            sync_update: true,
            async_update: true,
            worker_heartbeats: true,
            worker_poll_complete_on_shutdown: true,
            poller_autoscaling: true,
            schedules: false,
            nexus: false,
            build_id_based_versioning: true,
            server_scaled_deployments: false,
            standalone_activities: false,
        }
    }
}
