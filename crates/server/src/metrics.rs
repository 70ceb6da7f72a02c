//! What the server counts, in the text format that Prometheus reads.
//!
//! The registry is a value that start-up makes and hands around, so several servers in one process (tests,
//! embedded use) do not mix their numbers.

use crate::auth::FrontDoor;
use parking_lot::RwLock;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use store::Store;

/// Handles to all metrics. Cheap to clone; all clones are one.
#[derive(Clone)]
pub struct Metrics {
    registry: Arc<RwLock<Registry>>,
    calls: Family<CallLabels, Counter>,
    call_durations: Family<MethodLabels, Histogram, fn() -> Histogram>,
    calls_in_flight: Gauge,
    refusals: Family<DoorLabels, Counter>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CallLabels {
    method: &'static str,
    code: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct MethodLabels {
    method: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct DoorLabels {
    door: &'static str,
}

impl Metrics {
    pub fn new(store: &Store, engine: &engine::Handle) -> Metrics {
        let mut registry = Registry::with_prefix("tradewind");
        let calls = Family::default();
        let call_durations = Family::new_with_constructor(duration_histogram as fn() -> Histogram);
        let calls_in_flight = Gauge::default();
        registry.register("rpc_requests", "Requests answered, by method and gRPC code", calls.clone());
        registry.register_with_unit(
            "rpc_duration",
            "Time from request to answer, long polls included",
            Unit::Seconds,
            call_durations.clone(),
        );
        registry.register("rpc_in_flight", "Requests being answered", calls_in_flight.clone());
        let refusals = Family::default();
        registry.register("auth_refused", "Requests turned away for their API key, by door", refusals.clone());
        registry.register_collector(Box::new(StoreCollector(store.clone())));
        registry.register_collector(Box::new(EngineCollector(engine.clone())));
        Metrics { registry: Arc::new(RwLock::new(registry)), calls, call_durations, calls_in_flight, refusals }
    }

    /// Adds metrics that another part of the server keeps.
    pub fn register(&self, register: impl FnOnce(&mut Registry)) {
        register(&mut self.registry.write());
    }

    pub(crate) fn call_started(&self) {
        self.calls_in_flight.inc();
    }

    pub(crate) fn call_ended(&self, method: &'static str, code: tonic::Code, took: Duration) {
        self.calls_in_flight.dec();
        self.calls.get_or_create(&CallLabels { method, code: code_name(code) }).inc();
        self.call_durations.get_or_create(&MethodLabels { method }).observe(took.as_secs_f64());
    }

    /// Somebody came without a key that is good here.
    pub(crate) fn refused(&self, door: FrontDoor) {
        let door = match door {
            FrontDoor::Grpc => "grpc",
            FrontDoor::Http => "http",
        };
        self.refusals.get_or_create(&DoorLabels { door }).inc();
    }

    /// Everything, as text.
    pub fn encode(&self) -> Result<String, fmt::Error> {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry.read())?;
        Ok(text)
    }
}

/// From a fifth of a millisecond, below one flush of a fast disk, up to a whole long poll.
fn duration_histogram() -> Histogram {
    Histogram::new([0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 30.0, 70.0])
}

/// Reads the store's own counters when somebody asks.
struct StoreCollector(Store);

impl fmt::Debug for StoreCollector {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("StoreCollector")
    }
}

impl Collector for StoreCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let statistics = self.0.statistics();
        for (name, help, value) in [
            (
                "store_flushes",
                "Groups of writes committed, each by one flush unless flush_every is set",
                statistics.groups,
            ),
            ("store_writes", "Writes in those groups; one is one step of one run", statistics.writes),
            ("store_written_bytes", "Bytes of rows handed to the database", statistics.bytes_written),
        ] {
            let metric = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
            ConstCounter::new(value).encode(metric)?;
        }
        Ok(())
    }
}

/// Reads the engine's counters when somebody asks.
struct EngineCollector(engine::Handle);

impl fmt::Debug for EngineCollector {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("EngineCollector")
    }
}

impl Collector for EngineCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let shared = self.0.shared();
        let counters = &shared.counters;
        for (name, help, value) in [
            ("engine_steps", "Inputs put to runs, refused ones included", &counters.steps),
            ("engine_runs_loaded", "Runs read from the store into memory", &counters.runs_loaded),
            ("engine_transfers", "Pieces of work carried out that runs owed to other runs", &counters.transfers),
        ] {
            let metric = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
            ConstCounter::new(value.load(Relaxed)).encode(metric)?;
        }
        for (name, help, value) in [
            ("engine_runs_cached", "Runs in memory", counters.runs_cached.load(Relaxed)),
            (
                "engine_runs_parked",
                "Runs that a panic has parked since the start: each is a defect to look into",
                counters.runs_parked.load(Relaxed),
            ),
            ("matching_backlog", "Tasks in memory that wait for a poller", shared.matching.backlog()),
        ] {
            let metric = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX)).encode(metric)?;
        }
        Ok(())
    }
}

/// The code as gRPC's documentation spells it.
pub(crate) fn code_name(code: tonic::Code) -> &'static str {
    use tonic::Code;
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}
