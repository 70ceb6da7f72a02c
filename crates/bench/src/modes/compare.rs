//! The same modes against several servers in one run, taking turns, as rows of a markdown table.
//!
//! All servers are up the whole time and are measured one after the other, round by round; a cell is the median over
//! the rounds. So whatever else goes on at the machine meets all of them alike.

use super::{Load, Target, activities, parallel, parked, signals, starts};
use crate::{
    client::ClientOptions,
    disk::DiskSamples,
    probe::Watched,
    report::Report,
    server_process::{ServerCommand, ServerProcess},
};
use anyhow::Context;
use std::{net::TcpListener, path::PathBuf, str::FromStr, time::Duration};

/// A server to compare: `name=command`, with `{port}`, `{http}` and `{dir}` filled in.
#[derive(Debug, Clone)]
pub struct Contender {
    pub name: String,
    pub command: String,
}

impl FromStr for Contender {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        let (name, command) = text.split_once('=').context("a server is given as name=command")?;
        Ok(Self { name: name.trim().to_owned(), command: command.trim().to_owned() })
    }
}

/// What to compare. Names are those on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Row {
    OneActivity,
    TenActivities,
    OneActivity16,
    OneActivity64,
    TenActivities64,
    Starts,
    Signal,
    Signals,
    ParallelActivities,
    Parked,
}

impl Row {
    pub const ALL: [Self; 10] = [
        Self::OneActivity,
        Self::TenActivities,
        Self::OneActivity16,
        Self::OneActivity64,
        Self::TenActivities64,
        Self::Starts,
        Self::Signal,
        Self::Signals,
        Self::ParallelActivities,
        Self::Parked,
    ];

    /// Takes minutes on a slow server, and measures ratios within one run: once is enough.
    fn once(self) -> bool {
        matches!(self, Self::ParallelActivities | Self::Parked)
    }
}

#[derive(Debug, Clone)]
pub struct Plan {
    pub contenders: Vec<Contender>,
    pub rows: Vec<Row>,
    pub rounds: usize,
    /// Length of one measurement.
    pub each: Duration,
    pub parked: parked::Plan,
    pub parked_count: u64,
    pub parallel: parallel::Sizes,
    /// Data directories are made below this one, and the disk is measured here.
    pub directory: PathBuf,
    /// From here on free ports are taken: for each contender one for gRPC, and the next for HTTP.
    pub port: u16,
    pub namespace: String,
    pub count_syncs: bool,
    pub server_log: Option<PathBuf>,
}

/// A contender that is up.
struct Running {
    name: String,
    target: Target,
    _process: ServerProcess,
}

/// One line of the table: samples by contender.
struct Line {
    label: String,
    cells: Vec<Vec<f64>>,
}

/// Runs everything. Progress goes to standard error; the table is returned beside all reports.
pub async fn run(plan: &Plan) -> anyhow::Result<(String, Vec<(String, Report)>)> {
    std::fs::create_dir_all(&plan.directory)?;
    let data = tempfile::tempdir_in(&plan.directory)?;
    let mut running = Vec::new();
    let mut port = plan.port;
    for contender in &plan.contenders {
        port = free_ports(port)?;
        running.push(start(plan, contender, port, data.path()).await?);
        port += 2;
    }

    let mut lines: Vec<Line> = Vec::new();
    let (mut disk, mut reports) = (DiskSamples::default(), Vec::new());
    for round in 0..plan.rounds {
        disk.measure(&plan.directory, 200)?;
        for &row in plan.rows.iter().filter(|row| round == 0 || !row.once()) {
            // Every other round in reverse, so that nobody always runs first.
            let mut order: Vec<usize> = (0..running.len()).collect();
            if round % 2 == 1 {
                order.reverse();
            }
            for place in order {
                let contender = &running[place];
                eprintln!("round {} of {}: {row:?}, {}", round + 1, plan.rounds, contender.name);
                let measured = match measure(plan, row, &contender.target).await {
                    Ok(measured) => measured,
                    Err(error) => {
                        eprintln!("  not measured: {error:#}");
                        continue;
                    }
                };
                for (label, value) in measured.iter().flat_map(|report| cells(row, report)) {
                    add(&mut lines, running.len(), place, label, value);
                }
                for report in measured {
                    eprint!("{report}");
                    reports.push((contender.name.clone(), report));
                }
            }
        }
    }
    let mut table = render(&running, &lines);
    if let Some(disk) = disk.report() {
        let (append, preallocated) = (disk.append.p50_ms, disk.preallocated.p50_ms);
        table +=
            &format!("\ndisk, same run: 4 KiB append + flush p50 {append:.2} ms, pre-written {preallocated:.2} ms\n");
    }
    Ok((table, reports))
}

/// The first two neighbouring ports that are free, from this one on.
fn free_ports(from: u16) -> anyhow::Result<u16> {
    let free = |port: u16| TcpListener::bind(("127.0.0.1", port)).is_ok();
    (from..from.saturating_add(500))
        .step_by(2)
        .find(|&port| free(port) && free(port + 1))
        .with_context(|| format!("no free ports from {from} on"))
}

async fn start(plan: &Plan, contender: &Contender, port: u16, data: &std::path::Path) -> anyhow::Result<Running> {
    // Not named after the contender: names may hold blanks, which the shell would split at.
    let directory = data.join(port.to_string());
    std::fs::create_dir_all(&directory)?;
    let command = contender
        .command
        .replace("{port}", &port.to_string())
        .replace("{http}", &(port + 1).to_string())
        .replace("{dir}", &directory.to_string_lossy());
    let client =
        ClientOptions { address: format!("127.0.0.1:{port}"), namespace: plan.namespace.clone(), ..Default::default() };
    let process = ServerProcess::spawn_ready(&ServerCommand { command, log: plan.server_log.clone() }, &client)
        .await
        .with_context(|| format!("cannot start {}", contender.name))?;
    let watched = Watched {
        pid: Some(process.pid()),
        metrics_url: Some(format!("http://127.0.0.1:{}/metrics", port + 1)),
        count_syncs: plan.count_syncs,
    };
    Ok(Running { name: contender.name.clone(), target: Target { client, watched }, _process: process })
}

async fn measure(plan: &Plan, row: Row, target: &Target) -> anyhow::Result<Vec<Report>> {
    let load = |in_flight| Load {
        in_flight,
        duration: Some(plan.each),
        disk_flushes: 0,
        disk_directory: plan.directory.clone(),
        ..Default::default()
    };
    let counted = |in_flight, count| Load { duration: None, count: Some(count), ..load(in_flight) };
    Ok(match row {
        Row::OneActivity => vec![activities::run(target, &load(1), 1).await?],
        Row::TenActivities => vec![activities::run(target, &load(1), 10).await?],
        Row::OneActivity16 => vec![activities::run(target, &load(16), 1).await?],
        Row::OneActivity64 => vec![activities::run(target, &load(64), 1).await?],
        Row::TenActivities64 => vec![activities::run(target, &load(64), 10).await?],
        Row::Starts => vec![starts::run(target, &load(32)).await?],
        Row::Signal => vec![signals::run(target, &counted(1, 500), 1).await?],
        Row::Signals => vec![signals::run(target, &counted(32, 4000), 1).await?],
        Row::ParallelActivities => parallel::run(target, &load(32), &plan.parallel).await?,
        Row::Parked => vec![parked::run(target, &counted(32, plan.parked_count), &plan.parked).await?],
    })
}

/// The cells a report contributes, with the labels of their lines.
fn cells(row: Row, report: &Report) -> Vec<(String, f64)> {
    let mut cells = Vec::new();
    let mut cell = |label: String, value: Option<f64>| cells.extend(value.map(|value| (label, value)));
    let (mode, unit, in_flight) = (&report.mode, report.unit, report.in_flight);
    let what = match row {
        Row::ParallelActivities => mode.clone(),
        _ if in_flight == 1 => format!("{mode}, alone"),
        _ => format!("{mode}, {in_flight} in flight"),
    };
    if row != Row::ParallelActivities {
        cell(format!("{what}: p50 ms"), report.latency.as_ref().map(|latency| latency.p50_ms));
        cell(format!("{what}: p99 ms"), report.latency.as_ref().map(|latency| latency.p99_ms));
    }
    if in_flight > 1 {
        cell(format!("{what}: per second"), Some(report.per_second));
    }
    cell(format!("{what}: server CPU ms per {unit}"), report.server_cpu_ms_per_unit);
    cell(format!("{what}: flushes per {unit}"), report.flushes_per_unit);
    cell(format!("{what}: fsync calls per {unit}"), report.syncs_per_unit);
    for name in [
        "ms_per_activity",
        "time_per_activity_over_smallest_run",
        "server_cpu_per_activity_over_smallest_run",
        "consumed_per_second",
        "rss_kib_per_run_above_base",
        "rss_kib_per_run_from_empty",
        "idle_cores",
        "wake_p50_ms",
        "wake_p99_ms",
    ] {
        cell(format!("{what}: {}", name.replace('_', " ")), report.figures.get(name).copied());
    }
    cells
}

fn add(lines: &mut Vec<Line>, contenders: usize, place: usize, label: String, value: f64) {
    let line = match lines.iter().position(|line| line.label == label) {
        Some(line) => line,
        None => {
            lines.push(Line { label, cells: vec![Vec::new(); contenders] });
            lines.len() - 1
        }
    };
    lines[line].cells[place].push(value);
}

fn render(running: &[Running], lines: &[Line]) -> String {
    let names: Vec<&str> = running.iter().map(|contender| contender.name.as_str()).collect();
    let mut table = format!("| | {} |\n|---|{}\n", names.join(" | "), "---|".repeat(names.len()));
    for line in lines {
        let cells: Vec<String> = line.cells.iter().map(|samples| show(median(samples))).collect();
        table += &format!("| {} | {} |\n", line.label, cells.join(" | "));
    }
    table
}

fn median(samples: &[f64]) -> Option<f64> {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => None,
        length if length % 2 == 1 => Some(sorted[middle]),
        _ => Some((sorted[middle - 1] + sorted[middle]) / 2.0),
    }
}

/// Three significant digits, or a dash for what was not measured.
fn show(value: Option<f64>) -> String {
    match value {
        None => "–".to_owned(),
        Some(value) if value.abs() >= 100.0 => format!("{value:.0}"),
        Some(value) if value.abs() >= 10.0 => format!("{value:.1}"),
        Some(value) if value.abs() >= 1.0 => format!("{value:.2}"),
        Some(value) => format!("{value:.3}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_is_the_median_of_its_rounds() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), Some(2.5));
        assert_eq!(show(median(&[])), "–");
        assert_eq!(show(Some(0.0412)), "0.041");
    }
}
