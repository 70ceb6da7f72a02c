//! The figures of one measurement, as a table for people and as JSON for scripts.

use crate::{disk::DiskReport, load::Driven, probe::Cost};
use serde::Serialize;
use std::{collections::BTreeMap, fmt};

/// A distribution of times, in milliseconds.
#[derive(Debug, Clone, Serialize)]
pub struct Latency {
    pub count: usize,
    pub p50_ms: f64,
    pub p90_ms: f64,
    pub p99_ms: f64,
    pub max_ms: f64,
}

impl Latency {
    /// `None` without samples.
    pub fn of(micros: &[u32]) -> Option<Self> {
        let mut sorted = micros.to_vec();
        sorted.sort_unstable();
        let last = sorted.len().checked_sub(1)?;
        let at = |quantile: f64| f64::from(sorted[(last as f64 * quantile).round() as usize]) / 1000.0;
        Some(Self { count: sorted.len(), p50_ms: at(0.5), p90_ms: at(0.9), p99_ms: at(0.99), max_ms: at(1.0) })
    }
}

impl fmt::Display for Latency {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { p50_ms, p90_ms, p99_ms, max_ms, count } = self;
        write!(out, "p50 {p50_ms:.2} ms, p90 {p90_ms:.2}, p99 {p99_ms:.2}, max {max_ms:.2} ({count} samples)")
    }
}

#[derive(Debug, Clone, Default, Serialize)]
pub struct Report {
    pub mode: String,
    /// What is counted: workflow, signal, activity, run.
    pub unit: &'static str,
    pub in_flight: usize,
    pub done: u64,
    pub failures: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_failure: Option<String>,
    /// Calls that had to be repeated.
    pub retries: u64,
    pub seconds: f64,
    pub per_second: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latency: Option<Latency>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub worker_latency: Option<Latency>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server_cpu_ms_per_unit: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub driver_cpu_ms_per_unit: Option<f64>,
    pub other_cores: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rss_before_kib: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rss_after_kib: Option<u64>,
    /// As the server counts its own flushes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flushes_per_unit: Option<f64>,
    /// fsync and fdatasync calls of the server process.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub syncs_per_unit: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disk: Option<DiskReport>,
    /// What only this mode measures.
    pub figures: BTreeMap<&'static str, f64>,
}

impl Report {
    pub fn new(mode: impl Into<String>, unit: &'static str, in_flight: usize) -> Self {
        Self { mode: mode.into(), unit, in_flight, ..Default::default() }
    }

    /// Takes in what was driven and what it cost.
    pub fn with(mut self, driven: &Driven, cost: &Cost) -> Self {
        self.done = driven.samples.len() as u64;
        self.failures = driven.failures;
        self.first_failure = driven.first_failure.clone();
        self.seconds = driven.elapsed.as_secs_f64();
        self.per_second = driven.per_second();
        self.latency = Latency::of(&driven.client_micros());
        self.worker_latency = Latency::of(&driven.worker_micros());
        self.with_cost(cost)
    }

    /// Takes in a cost, shared out over the units already done.
    pub fn with_cost(mut self, cost: &Cost) -> Self {
        let units = self.done.max(1) as f64;
        self.server_cpu_ms_per_unit = cost.server_cpu_ms.map(|ms| ms / units);
        self.driver_cpu_ms_per_unit = Some(cost.driver_cpu_ms / units);
        self.other_cores = cost.other_cores;
        self.rss_before_kib = cost.rss_before_kib;
        self.rss_after_kib = cost.rss_after_kib;
        self.flushes_per_unit = cost.flushes.map(|flushes| flushes / units);
        self.syncs_per_unit = cost.syncs.map(|syncs| syncs as f64 / units);
        self
    }

    pub fn figure(&mut self, name: &'static str, value: f64) {
        self.figures.insert(name, value);
    }
}

impl fmt::Display for Report {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { mode, unit, in_flight, done, seconds, per_second, .. } = self;
        let mut row = |name: &str, value: String| writeln!(out, "  {name:<34} {value}");
        row("mode", format!("{mode}, {in_flight} in flight"))?;
        if *done > 0 {
            row("throughput", format!("{done} in {seconds:.2} s = {per_second:.1} per second (unit: {unit})"))?;
        }
        if self.failures > 0 {
            let reason = self.first_failure.as_deref().unwrap_or("");
            row("FAILED", format!("{} (first: {reason})", self.failures))?;
        }
        if self.retries > 0 {
            row("calls repeated", self.retries.to_string())?;
        }
        if let Some(latency) = &self.latency {
            row("latency, client", latency.to_string())?;
        }
        if let Some(latency) = &self.worker_latency {
            row("latency, worker", latency.to_string())?;
        }
        if let Some(ms) = self.server_cpu_ms_per_unit {
            row(&format!("server CPU per {unit}"), format!("{ms:.3} ms"))?;
        }
        if let Some(ms) = self.driver_cpu_ms_per_unit {
            row(&format!("generator CPU per {unit}"), format!("{ms:.3} ms"))?;
            row("other cores busy", format!("{:.2}", self.other_cores))?;
        }
        if let (Some(before), Some(after)) = (self.rss_before_kib, self.rss_after_kib) {
            row("server RSS", format!("{} -> {} MiB", before / 1024, after / 1024))?;
        }
        if let Some(flushes) = self.flushes_per_unit {
            row(&format!("flushes per {unit}"), format!("{flushes:.3}"))?;
        }
        if let Some(syncs) = self.syncs_per_unit {
            row(&format!("fsync calls per {unit}"), format!("{syncs:.3}"))?;
        }
        if let Some(disk) = &self.disk {
            row("disk, append 4 KiB + flush", disk.append.to_string())?;
            row("disk, pre-written 4 KiB + flush", disk.preallocated.to_string())?;
        }
        for (name, value) in &self.figures {
            row(&name.replace('_', " "), format!("{value:.3}"))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_come_from_the_sorted_samples() {
        let latency = Latency::of(&[5_000, 1_000, 3_000, 2_000, 4_000]).unwrap();
        assert_eq!((latency.p50_ms, latency.max_ms), (3.0, 5.0));
        assert!(Latency::of(&[]).is_none());
    }
}
