//! What our layer over the official Rust SDK costs a worker, in CPU per activity.
//!
//!     cargo run --release -- dev                                                 # or any other server
//!     cargo run --release -p tradewind-bench --example sdk_layer -- --address 127.0.0.1:7233
//!
//! The same workflow, ten activities in sequence, is written twice: against the official crates, and against ours. The
//! workers run in this process, one after the other in turn, against one server, and the same official client starts
//! the runs of all. So what differs in the CPU time of this process is the layer. Ours runs twice: with requests
//! compressed, as the official one sends them, which is the comparison; and as it comes, which on one machine leaves
//! that out. The order within a round changes, so that whoever goes last does not gain by it.

use anyhow::Context;
use clap::Parser;
use std::time::Duration;
use temporalio_client::{
    Client, ClientOptions, Connection, ConnectionOptions, Url, WorkflowGetResultOptions, WorkflowStartOptions,
};
use temporalio_common::UntypedWorkflow;
use temporalio_common::data_converters::{PayloadConverter, RawValue};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const ACTIVITIES_PER_RUN: u32 = 10;

#[derive(Parser)]
struct Cli {
    /// The server.
    #[arg(long, default_value = "127.0.0.1:7233")]
    address: String,
    /// Measurements of each.
    #[arg(long, default_value_t = 10)]
    rounds: u32,
    /// Runs per measurement.
    #[arg(long, default_value_t = 500)]
    runs: u32,
    /// Runs under way at a time.
    #[arg(long, default_value_t = 16)]
    in_flight: usize,
    /// Bytes of the argument and of the result of each activity.
    #[arg(long, default_value_t = 100)]
    bytes: usize,
}

/// The program against the official crates.
mod official {
    use super::ACTIVITIES_PER_RUN;
    use std::time::Duration;
    use temporalio_macros::{activities, workflow, workflow_methods};
    use temporalio_sdk::activities::{ActivityContext, ActivityError};
    use temporalio_sdk::{ActivityOptions, WorkflowContext, WorkflowResult};

    pub struct Texts;

    #[activities]
    impl Texts {
        #[activity]
        pub async fn official_echo(_: ActivityContext, text: String) -> Result<String, ActivityError> {
            Ok(text)
        }
    }

    #[workflow]
    #[derive(Default)]
    pub struct OfficialChain;

    #[workflow_methods]
    impl OfficialChain {
        #[run(name = "official_chain")]
        pub async fn run(ctx: &mut WorkflowContext<Self>, text: String) -> WorkflowResult<String> {
            let mut text = text;
            for _ in 0..ACTIVITIES_PER_RUN {
                let options = ActivityOptions::start_to_close_timeout(Duration::from_secs(60));
                text = ctx.execute_activity(Texts::official_echo, text, options).await?;
            }
            Ok(text)
        }
    }
}

/// The program against ours.
mod ours {
    use super::ACTIVITIES_PER_RUN;
    use tradewind::prelude::*;

    #[activity(start_to_close_timeout = "60s")]
    pub async fn our_echo(text: String) -> Result<String> {
        Ok(text)
    }

    #[workflow]
    pub async fn our_chain(text: String) -> Result<String> {
        let mut text = text;
        for _ in 0..ACTIVITIES_PER_RUN {
            text = our_echo(text).await?;
        }
        Ok(text)
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Contender {
    Official,
    /// With compressed requests, as the official one.
    Ours,
    OursAsItComes,
}

impl Contender {
    const ALL: [Contender; 3] = [Contender::Official, Contender::Ours, Contender::OursAsItComes];

    fn name(self) -> &'static str {
        match self {
            Contender::Official => "official",
            Contender::Ours => "ours",
            Contender::OursAsItComes => "ours as it comes",
        }
    }

    fn workflow(self) -> &'static str {
        match self {
            Contender::Official => "official_chain",
            Contender::Ours | Contender::OursAsItComes => "our_chain",
        }
    }

    fn queue(self) -> String {
        format!("sdk-layer-{}-{}", self.name().replace(' ', "-"), std::process::id())
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let cli = Cli::parse();
    let target: Url = format!("http://{}", cli.address).parse()?;
    let connection = Connection::connect(ConnectionOptions::new(target).build()).await?;
    let starter = Client::new(connection, ClientOptions::new("default").build())?;

    // Code, caches and connections that the first use pays for.
    for contender in Contender::ALL {
        measure(&cli, &starter, contender, cli.runs / 5 + 1).await?;
    }
    let mut figures: [Vec<f64>; 3] = Default::default();
    for round in 0..cli.rounds as usize {
        for turn in 0..Contender::ALL.len() {
            let contender = (round + turn) % Contender::ALL.len();
            let micros = measure(&cli, &starter, Contender::ALL[contender], cli.runs).await?;
            figures[contender].push(micros);
        }
        let line = Contender::ALL.iter().zip(&figures);
        let line: Vec<_> = line.map(|(contender, of)| format!("{} {:.1} µs", contender.name(), of[round])).collect();
        println!("round {round:>2}: {}", line.join(", "));
    }
    let [official, ..] = &figures;
    println!(
        "\nCPU of the worker's process per activity, median of {} rounds of {} activities:\n{:<16} {:>6.1} µs",
        cli.rounds,
        cli.runs * ACTIVITIES_PER_RUN,
        Contender::Official.name(),
        median(official),
    );
    for (contender, of) in Contender::ALL.iter().zip(&figures).skip(1) {
        let differences: Vec<f64> = official.iter().zip(of).map(|(official, of)| percent(*official, *of)).collect();
        println!(
            "{:<16} {:>6.1} µs; against official, round by round: median {:+.1} %, from {:+.1} to {:+.1} %",
            contender.name(),
            median(of),
            median(&differences),
            differences.iter().copied().fold(f64::INFINITY, f64::min),
            differences.iter().copied().fold(f64::NEG_INFINITY, f64::max),
        );
    }
    Ok(())
}

/// CPU time of this process per activity, in microseconds, while one worker runs so many workflows.
async fn measure(cli: &Cli, starter: &Client, contender: Contender, runs: u32) -> anyhow::Result<f64> {
    let worker = start_worker(cli, contender).await?;
    let text = "x".repeat(cli.bytes);
    let before = cpu_micros();
    let mut under_way = tokio::task::JoinSet::new();
    for number in 0..runs {
        if under_way.len() >= cli.in_flight {
            under_way.join_next().await.context("some are under way")???;
        }
        under_way.spawn(one_run(starter.clone(), contender, number, text.clone()));
    }
    while let Some(ended) = under_way.join_next().await {
        ended??;
    }
    let spent = cpu_micros() - before;
    worker.stop().await?;
    Ok(spent / f64::from(runs * ACTIVITIES_PER_RUN))
}

/// CPU time of this process so far. To the nanosecond, where the figure that other processes can read comes in steps of
/// ten milliseconds.
fn cpu_micros() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    time.tv_sec as f64 * 1e6 + time.tv_nsec as f64 / 1e3
}

async fn one_run(starter: Client, contender: Contender, number: u32, text: String) -> anyhow::Result<()> {
    let id = format!("{}-{number}-{}", contender.queue(), fresh());
    let argument = RawValue::from_value(&text, &PayloadConverter::default());
    let workflow = UntypedWorkflow::new(contender.workflow());
    let options = WorkflowStartOptions::new(contender.queue(), id).build();
    let handle = starter.start_workflow(workflow, argument, options).await?;
    let result: String =
        handle.get_result(WorkflowGetResultOptions::default()).await?.to_value(&PayloadConverter::default());
    anyhow::ensure!(result == text, "the run returned something else");
    Ok(())
}

/// A worker on a thread of its own, until it is stopped.
struct RunningWorker {
    stop: tokio::sync::oneshot::Sender<()>,
    thread: std::thread::JoinHandle<anyhow::Result<()>>,
}

impl RunningWorker {
    async fn stop(self) -> anyhow::Result<()> {
        let _ = self.stop.send(());
        let ended = tokio::task::spawn_blocking(move || self.thread.join()).await?;
        ended.map_err(|_| anyhow::anyhow!("the worker panicked"))?
    }
}

async fn start_worker(cli: &Cli, contender: Contender) -> anyhow::Result<RunningWorker> {
    let (stop, stopped) = tokio::sync::oneshot::channel();
    let (queue, address) = (contender.queue(), cli.address.clone());
    let runtime = tokio::runtime::Handle::current();
    let thread = match contender {
        Contender::Official => {
            let target: Url = format!("http://{address}").parse()?;
            let connection = Connection::connect(ConnectionOptions::new(target).build()).await?;
            let client = Client::new(connection, ClientOptions::new("default").build())?;
            let sdk = temporalio_sdk::Runtime::from_current_tokio(Default::default())?;
            let options = temporalio_sdk::WorkerOptions::new(queue)
                .register_activities(official::Texts)
                .register_workflow::<official::OfficialChain>()?
                .graceful_shutdown_period(Duration::from_secs(10))
                .build();
            let mut worker = temporalio_sdk::Worker::new(&sdk, client, options)?;
            std::thread::spawn(move || {
                runtime.block_on(async move {
                    let stop = worker.shutdown_handle();
                    let running = worker.run();
                    tokio::pin!(running);
                    tokio::select! {
                        ended = &mut running => return ended.map_err(Into::into),
                        _ = stopped => stop(),
                    }
                    running.await.map_err(Into::into)
                })
            })
        }
        Contender::Ours | Contender::OursAsItComes => {
            let client = tradewind::Client::builder().address(&address);
            let client = match contender {
                Contender::Ours => client.compressed_requests(true),
                _ => client,
            };
            let client = client.connect().await?;
            let worker = tradewind::Worker::builder(&client, queue)
                .activity(ours::our_echo)
                .workflow(ours::our_chain)
                .build()?;
            std::thread::spawn(move || runtime.block_on(worker.run_until(stopped)).map_err(Into::into))
        }
    };
    Ok(RunningWorker { stop, thread })
}

fn percent(official: f64, ours: f64) -> f64 {
    (ours / official - 1.0) * 100.0
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    match sorted.len() {
        0 => f64::NAN,
        even if even % 2 == 0 => (sorted[even / 2 - 1] + sorted[even / 2]) / 2.0,
        odd => sorted[odd / 2],
    }
}

/// A number that no other run of this process has.
fn fresh() -> u64 {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}
