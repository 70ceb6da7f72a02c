//! `tradewind-bench`: measures a server, ours or any other that speaks the API.

use anyhow::Context;
use bench::{
    client::{Client, ClientOptions},
    disk::DiskSamples,
    modes::{
        Load, ResultFrom, Target, activities,
        compare::{self, Contender, Row},
        parallel, parked, restart, signals, starts,
    },
    probe::Watched,
    server_process::{ServerCommand, ServerProcess},
};
use clap::{Args, Parser, Subcommand};
use std::{path::PathBuf, time::Duration};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Parser)]
#[command(name = "tradewind-bench", version, about = "Plays client and worker over gRPC and measures the server.")]
struct Cli {
    #[command(subcommand)]
    mode: Mode,
    /// Also write the figures as JSON to this file, or to standard output for `-`.
    #[arg(long, global = true, value_name = "FILE")]
    json: Option<PathBuf>,
}

#[derive(Subcommand)]
enum Mode {
    /// Workflows with one activity, start to result. One in flight measures latency, and the disk beside it.
    OneActivity(Common),
    /// Workflows with ten activities in sequence.
    TenActivities(Common),
    /// Signals to one run, or to many.
    Signals {
        #[command(flatten)]
        common: Common,
        /// Runs the signals are spread over.
        #[arg(long, default_value_t = 1)]
        runs: u64,
    },
    /// Runs that wait for a signal: memory of each, idle CPU, time to wake one.
    Parked {
        #[command(flatten)]
        common: Common,
        /// Runs opened before memory is compared.
        #[arg(long, default_value_t = 2000)]
        base: u64,
        /// Runs woken at the end.
        #[arg(long, default_value_t = 200)]
        wake: u64,
    },
    /// One run with many activities at once; cost per activity, and how it grows with their number.
    ParallelActivities {
        #[command(flatten)]
        common: Common,
        /// Activities per run; each size is measured, and compared with the first.
        #[arg(long, value_delimiter = ',', default_values_t = [100, 10_000])]
        sizes: Vec<u32>,
        /// Activities of one run pending at a time. Servers limit this, by default to 2,000.
        #[arg(long, default_value_t = 2000)]
        together: u32,
        /// Small runs are repeated until each size completed about so many activities.
        #[arg(long, default_value_t = 5000)]
        activities: u32,
    },
    /// Starts alone, with nobody polling.
    Starts(Common),
    /// Opens runs on a server of its own, kills it, starts it again, and times the first answered poll.
    Restart {
        #[command(flatten)]
        common: Common,
        #[arg(long, default_value_t = 3)]
        kills: u64,
        /// Runs woken after the last restart.
        #[arg(long, default_value_t = 20)]
        wake: u64,
    },
    /// 4 KiB writes with fdatasync, appended and pre-written.
    Disk {
        #[arg(long, default_value = ".")]
        directory: PathBuf,
        #[arg(long, default_value_t = 1000)]
        count: usize,
    },
    /// The same modes against several servers in turns, as rows of a markdown table.
    Compare(CompareArgs),
}

#[derive(Args)]
struct Common {
    #[arg(long, default_value = "127.0.0.1:7233")]
    address: String,
    #[arg(long, default_value = "default")]
    namespace: String,
    /// Connections of the client, and as many of the worker.
    #[arg(long, default_value_t = 2)]
    channels: usize,
    /// The server's process, to read its CPU time and memory.
    #[arg(long)]
    pid: Option<u32>,
    /// Start this server, measure it, and kill it at the end. It must listen on the address.
    #[arg(long, value_name = "COMMAND", conflicts_with = "pid")]
    server_command: Option<String>,
    /// Where that server's output goes.
    #[arg(long, value_name = "FILE")]
    server_log: Option<PathBuf>,
    /// The server's Prometheus page, to read its flush counter.
    #[arg(long, value_name = "URL")]
    metrics_url: Option<String>,
    /// Count the server's fsync and fdatasync calls with `perf`.
    #[arg(long)]
    count_syncs: bool,
    /// Things kept going at a time [default: 1, or 32 for starts, parked, restart and parallel-activities].
    #[arg(long)]
    in_flight: Option<usize>,
    /// Things to do, not counting the warm-up.
    #[arg(long)]
    count: Option<u64>,
    /// Stop beginning new ones after so many seconds.
    #[arg(long, value_name = "SECONDS")]
    duration: Option<f64>,
    /// Things done before anything is counted.
    #[arg(long)]
    warmup: Option<u64>,
    /// Who says that a run is over.
    #[arg(long, value_enum, default_value_t)]
    result_from: ResultFrom,
    /// Pollers of each kind [default: as many as in flight, between 4 and 64].
    #[arg(long)]
    pollers: Option<usize>,
    /// Do not ask for activities in the completion's answer.
    #[arg(long)]
    no_eager: bool,
    /// Do not use a sticky queue.
    #[arg(long)]
    no_sticky: bool,
    /// Where the disk is measured: the file system of the server's data directory.
    #[arg(long, value_name = "DIRECTORY", default_value = ".")]
    disk_directory: PathBuf,
}

#[derive(Args)]
struct CompareArgs {
    /// A server as NAME=COMMAND; `{port}`, `{http}` and `{dir}` are filled in. Give several.
    #[arg(long = "server", required = true, value_name = "NAME=COMMAND")]
    servers: Vec<Contender>,
    /// What to compare [default: everything].
    #[arg(long, value_enum, value_delimiter = ',')]
    rows: Vec<Row>,
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Length of one measurement.
    #[arg(long, value_name = "SECONDS", default_value_t = 6.0)]
    each: f64,
    /// Parked runs opened before memory is compared.
    #[arg(long, default_value_t = 2000)]
    parked_base: u64,
    /// Parked runs over which memory is compared.
    #[arg(long, default_value_t = 8000)]
    parked_count: u64,
    /// Sizes of the run with parallel activities.
    #[arg(long, value_delimiter = ',', default_values_t = [100, 10_000])]
    sizes: Vec<u32>,
    /// Data directories are made below this one, and the disk is measured here.
    #[arg(long, default_value = ".")]
    directory: PathBuf,
    #[arg(long, default_value_t = 17400)]
    port: u16,
    #[arg(long, default_value = "default")]
    namespace: String,
    /// Count the servers' fsync and fdatasync calls with `perf`.
    #[arg(long)]
    count_syncs: bool,
    #[arg(long, value_name = "FILE")]
    server_log: Option<PathBuf>,
}

fn main() -> anyhow::Result<()> {
    let cli = Cli::parse();
    // One thread: the server needs the other cores, and it is enough for tens of thousands of calls a second.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let Figures { json, failures } = runtime.block_on(run(cli.mode))?;
    match cli.json {
        None => {}
        Some(path) if path.as_os_str() == "-" => println!("{}", serde_json::to_string_pretty(&json)?),
        Some(path) => std::fs::write(&path, serde_json::to_string_pretty(&json)?)
            .with_context(|| format!("cannot write {}", path.display()))?,
    }
    anyhow::ensure!(failures == 0, "{failures} failed");
    Ok(())
}

/// What a mode measured, and how much of it went wrong.
struct Figures {
    json: serde_json::Value,
    failures: u64,
}

impl Figures {
    fn new(figures: impl serde::Serialize, failures: u64) -> anyhow::Result<Self> {
        Ok(Self { json: serde_json::to_value(figures)?, failures })
    }
}

async fn run(mode: Mode) -> anyhow::Result<Figures> {
    let reports = match mode {
        Mode::Disk { directory, count } => return disk(directory, count),
        Mode::Compare(args) => return compare(args).await,
        Mode::Restart { common, kills, wake } => {
            let server = common.server_command().context("restart needs --server-command: it kills the server")?;
            let plan = restart::Plan { server, kills, wake };
            vec![restart::run(&common.target(), &common.load(32), &plan).await?]
        }
        Mode::OneActivity(common) => {
            let (target, _server) = common.open().await?;
            vec![activities::run(&target, &common.load(1), 1).await?]
        }
        Mode::TenActivities(common) => {
            let (target, _server) = common.open().await?;
            vec![activities::run(&target, &common.load(1), 10).await?]
        }
        Mode::Signals { common, runs } => {
            let (target, _server) = common.open().await?;
            vec![signals::run(&target, &common.load(1), runs).await?]
        }
        Mode::Parked { common, base, wake } => {
            let (target, _server) = common.open().await?;
            let plan = parked::Plan { base, wake, ..Default::default() };
            vec![parked::run(&target, &common.load(32), &plan).await?]
        }
        Mode::ParallelActivities { common, sizes, together, activities } => {
            let (target, _server) = common.open().await?;
            let sizes = parallel::Sizes { sizes, together, activities_min: activities };
            parallel::run(&target, &common.load(32), &sizes).await?
        }
        Mode::Starts(common) => {
            let (target, _server) = common.open().await?;
            vec![starts::run(&target, &common.load(32)).await?]
        }
    };
    for report in &reports {
        println!("{report}");
    }
    let failures = reports.iter().map(|report| report.failures).sum();
    Figures::new(reports, failures)
}

fn disk(directory: PathBuf, count: usize) -> anyhow::Result<Figures> {
    let mut samples = DiskSamples::default();
    samples.measure(&directory, count)?;
    let report = samples.report().context("--count must be above zero")?;
    println!("append 4 KiB + flush       {}", report.append);
    println!("pre-written 4 KiB + flush  {}", report.preallocated);
    Figures::new(report, 0)
}

async fn compare(args: CompareArgs) -> anyhow::Result<Figures> {
    let plan = compare::Plan {
        contenders: args.servers,
        rows: if args.rows.is_empty() { Row::ALL.to_vec() } else { args.rows },
        rounds: args.rounds,
        each: Duration::from_secs_f64(args.each),
        parked: parked::Plan { base: args.parked_base, ..Default::default() },
        parked_count: args.parked_count,
        parallel: parallel::Sizes { sizes: args.sizes, ..Default::default() },
        directory: args.directory,
        port: args.port,
        namespace: args.namespace,
        count_syncs: args.count_syncs,
        server_log: args.server_log,
    };
    let (table, reports) = compare::run(&plan).await?;
    println!("{table}");
    let failures = reports.iter().map(|(_, report)| report.failures).sum();
    Figures::new(reports, failures)
}

impl Common {
    fn server_command(&self) -> Option<ServerCommand> {
        let command = self.server_command.clone()?;
        Some(ServerCommand { command, log: self.server_log.clone() })
    }

    /// Starts the server if it is ours to start, and waits until it answers.
    async fn open(&self) -> anyhow::Result<(Target, Option<ServerProcess>)> {
        let mut target = self.target();
        let server = match self.server_command() {
            Some(command) => Some(ServerProcess::spawn_ready(&command, &target.client).await?),
            None => None,
        };
        if let Some(server) = &server {
            target.watched.pid = Some(server.pid());
        }
        Client::new(target.client.clone())?.wait_ready(Duration::from_secs(10)).await?;
        Ok((target, server))
    }

    fn target(&self) -> Target {
        Target {
            client: ClientOptions {
                address: self.address.clone(),
                namespace: self.namespace.clone(),
                channels: self.channels,
                ..Default::default()
            },
            watched: Watched { pid: self.pid, metrics_url: self.metrics_url.clone(), count_syncs: self.count_syncs },
        }
    }

    fn load(&self, in_flight: usize) -> Load {
        Load {
            in_flight: self.in_flight.unwrap_or(in_flight),
            count: self.count,
            duration: self.duration.map(Duration::from_secs_f64),
            warmup: self.warmup,
            result_from: self.result_from,
            eager: !self.no_eager,
            sticky: !self.no_sticky,
            pollers: self.pollers,
            disk_directory: self.disk_directory.clone(),
            ..Default::default()
        }
    }
}
