//! Where log lines go: standard error, so that standard output says only where everything is.

use anyhow::Context;
use server::config::{Log, LogFormat};
use std::io::IsTerminal;
use tracing_subscriber::EnvFilter;

pub(crate) fn start(log: &Log) -> anyhow::Result<()> {
    let filter =
        EnvFilter::try_new(directives(&log.level)).with_context(|| format!("bad log level {:?}", log.level))?;
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    match log.format {
        LogFormat::Pretty => subscriber.init(),
        LogFormat::Json => subscriber.json().init(),
    }
    Ok(())
}

/// A bare level is about this program: libraries that log every frame stay at info.
fn directives(level: &str) -> String {
    match level {
        "debug" | "trace" => format!("{level},h2=info,hyper=info,hyper_util=info,tonic=info,tower=info"),
        other => other.into(),
    }
}
