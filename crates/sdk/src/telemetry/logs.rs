//! Log lines, once each.
//!
//! Workflow code is run again to bring a run back into memory, and would log all it has ever logged. While a thread
//! polls code whose decisions history already has, lines of that code are dropped.

use crate::workflow::current;
use std::io::IsTerminal;
use tracing::{Event, Subscriber};
use tracing_subscriber::layer::{Context, SubscriberExt};
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};
use tracing_subscriber::{EnvFilter, Layer};

/// A layer that drops what workflow code logs while it is replayed.
///
/// # Examples
///
/// ```
/// use tracing_subscriber::prelude::*;
/// use tradewind::telemetry::OncePerHistory;
///
/// let subscriber = tracing_subscriber::registry()
///     .with(OncePerHistory)
///     .with(tracing_subscriber::fmt::layer());
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct OncePerHistory;

impl<S: Subscriber> Layer<S> for OncePerHistory {
    fn event_enabled(&self, _: &Event<'_>, _: Context<'_, S>) -> bool {
        !current::is_replaying()
    }
}

/// How log lines look.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum LogFormat {
    /// For people: in colour, if standard error is a terminal.
    #[default]
    Pretty,
    /// For machines: an object a line.
    Json,
}

/// Why logging is not set up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InitLogsError {
    /// `RUST_LOG` is not a filter.
    #[error("RUST_LOG: {0}")]
    Filter(#[from] tracing_subscriber::filter::FromEnvError),
    /// The process has a subscriber already: add [`OncePerHistory`] to that one.
    #[error(transparent)]
    Taken(#[from] TryInitError),
}

/// Logs to standard error, each line of a workflow once.
///
/// `RUST_LOG` says what; without it, `info` of everything but the machinery below the SDK, of which warnings.
pub fn init_logs(format: LogFormat) -> Result<(), InitLogsError> {
    let filter = match std::env::var_os("RUST_LOG") {
        Some(_) => EnvFilter::try_from_default_env()?,
        None => EnvFilter::new("info,temporalio_client=warn,temporalio_common=warn,temporalio_sdk_core=warn"),
    };
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let lines = match format {
        LogFormat::Pretty => lines.with_ansi(std::io::stderr().is_terminal()).boxed(),
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
    };
    tracing_subscriber::registry().with(filter).with(OncePerHistory).with(lines).try_init()?;
    Ok(())
}
