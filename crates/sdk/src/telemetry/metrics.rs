//! Metrics of clients and workers.

use std::fmt;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use temporalio_common::telemetry::metrics::{
    CoreMeter, Counter, MetricKeyValue, MetricParameters, NewAttributes, TemporalMeter,
};
use temporalio_common::telemetry::{
    PrometheusExporterOptions, TelemetryOptions, start_prometheus_metric_exporter, telemetry_init,
};
use tokio::task::AbortHandle;

/// Why there is nothing to scrape.
#[derive(Debug, thiserror::Error)]
#[error("cannot serve metrics at {address}: {reason}")]
pub struct MetricsError {
    address: String,
    reason: String,
}

/// Where the metrics of clients and workers go.
///
/// # Examples
///
/// ```no_run
/// use tradewind::prelude::*;
/// use tradewind::telemetry::Metrics;
///
/// # async fn connect() -> Result<(), Box<dyn std::error::Error>> {
/// let metrics = Metrics::prometheus("0.0.0.0:9464")?;         // GET /metrics
/// let client = Client::builder().metrics(&metrics).connect().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Metrics {
    meter: Arc<dyn CoreMeter>,
    served: Option<Arc<Served>>,
}

/// How often code blocked its thread, by the type of its activity or workflow.
pub(crate) struct Blocked {
    meter: Arc<dyn CoreMeter>,
    counter: Counter,
    label: &'static str,
}

impl Blocked {
    pub(crate) fn add(&self, of: &str) {
        let labels = vec![MetricKeyValue::new(self.label, of.to_owned())];
        self.counter.add(1, &self.meter.new_attributes(NewAttributes::from(labels)));
    }
}

/// The endpoint, for as long as somebody has metrics to tell.
struct Served {
    address: SocketAddr,
    task: AbortHandle,
}

impl Drop for Served {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Metrics {
    /// Serves them in the format of Prometheus at `/metrics` of this address. With port 0, at a free port. Must be called
    /// on a tokio runtime, and stops when the last clone and the last client with it are gone.
    pub fn prometheus(address: impl ToSocketAddrs + fmt::Debug) -> Result<Self, MetricsError> {
        let failed = |reason: String| MetricsError { address: format!("{address:?}"), reason };
        let socket_addr = address
            .to_socket_addrs()
            .map_err(|error| failed(error.to_string()))?
            .next()
            .ok_or_else(|| failed("it resolves to nothing".into()))?;
        if tokio::runtime::Handle::try_current().is_err() {
            return Err(failed("there is no tokio runtime here".into()));
        }
        let options = PrometheusExporterOptions::builder().socket_addr(socket_addr).build();
        let started = start_prometheus_metric_exporter(options).map_err(|error| failed(format!("{error:#}")))?;
        let served = Served { address: started.bound_addr, task: started.abort_handle };
        Ok(Self { meter: started.meter, served: Some(Arc::new(served)) })
    }

    /// Hands them to a meter of your own.
    pub fn to(meter: Arc<dyn CoreMeter>) -> Self {
        Self { meter, served: None }
    }

    /// Where they are served, if they are.
    pub fn address(&self) -> Option<SocketAddr> {
        self.served.as_ref().map(|served| served.address)
    }

    /// What a runtime takes, for the metrics of its workers.
    pub(crate) fn options(&self) -> TelemetryOptions {
        TelemetryOptions::builder().metrics(self.meter.clone()).build()
    }

    /// Counts how often async activities blocked their thread.
    pub(crate) fn blocked_activities(&self) -> Blocked {
        let what = "Async activities that held their thread for longer than the limit";
        self.blocked("tradewind_activity_blocked", what, "activity_type")
    }

    /// Counts how often workflow code blocked its thread.
    pub(crate) fn blocked_workflows(&self) -> Blocked {
        let what = "Workflow code that held its thread for longer than the limit";
        self.blocked("tradewind_workflow_blocked", what, "workflow_type")
    }

    fn blocked(&self, name: &'static str, what: &'static str, label: &'static str) -> Blocked {
        let parameters = MetricParameters::builder().name(name).description(what).build();
        Blocked { meter: self.meter.clone(), counter: self.meter.counter(parameters), label }
    }

    /// The meter of a connection: its requests, their failures and how long they took.
    pub(crate) fn of_requests(&self) -> Option<TemporalMeter> {
        telemetry_init(self.options()).ok()?.get_temporal_metric_meter()
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").field("address", &self.address()).finish_non_exhaustive()
    }
}
