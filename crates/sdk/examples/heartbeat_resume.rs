//! A worker is killed half way through a file. The next one goes on at the last checkpoint.
//!
//! The example runs itself twice as a worker in a process of its own. The first one gets SIGKILL, as from the kernel
//! when memory runs out, together with the engine inside it; the second opens the same directory.
//!
//! ```text
//! cargo run --example heartbeat_resume
//! ```

use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tradewind::prelude::*;

const BLOCKS: u64 = 30;
const KILL_AT: u64 = 12;

#[derive(Debug, Serialize, Deserialize)]
struct Processed {
    blocks: u64,
    began_at: u64,
    attempt: u32,
}

#[activity(start_to_close_timeout = "1m", heartbeat_timeout = "1s", initial_interval = "100ms")]
async fn process_large_file(path: String) -> Result<Processed> {
    let began_at: u64 = activity::heartbeat_details()?.unwrap_or(0); // where the last attempt stopped
    let attempt = activity::info().map_or(1, |info| info.attempt);
    println!("attempt {attempt} of {path} begins at block {began_at}");
    for block in began_at..BLOCKS {
        tokio::time::sleep(Duration::from_millis(100)).await; // the work
        activity::heartbeat(&(block + 1)); // ping and checkpoint
        println!("block {}", block + 1);
    }
    Ok(Processed { blocks: BLOCKS, began_at, attempt })
}

#[workflow]
async fn process(path: String) -> Result<Processed> {
    process_large_file(path).await
}

#[tokio::main]
async fn main() -> Result<()> {
    let id = format!("heartbeat-resume-{}", std::process::id());
    if let Ok(id) = std::env::var("HEARTBEAT_RESUME_WORKER") {
        return work(id).await;
    }
    let directory = tempfile::tempdir()?;

    let mut first = worker(&id, directory.path())?;
    wait_for(&mut first, &format!("block {KILL_AT}")).await?;
    println!("kill -9 {}", first.id().unwrap_or_default());
    first.kill().await?; // SIGKILL

    let mut second = worker(&id, directory.path())?;
    let result = wait_for(&mut second, "result ").await?;
    if !second.wait().await?.success() {
        return Err(Error::new("the second worker failed"));
    }

    let result: Processed = serde_json::from_str(result.trim_start_matches("result "))?;
    println!("the second worker began at block {} of {BLOCKS}", result.began_at);
    if result.blocks != BLOCKS || result.attempt < 2 || result.began_at == 0 {
        return Err(Error::new(format!("it should have gone on from a checkpoint: {result:?}")));
    }
    Ok(())
}

/// What the processes do that the example starts: a worker, with the engine in it unless TRADEWIND_ADDRESS says otherwise.
async fn work(id: String) -> Result<()> {
    let directory = std::env::var("HEARTBEAT_RESUME_DIRECTORY")?;
    let tradewind = Tradewind::from_env(PathBuf::from(directory)).await?;
    let worker = Worker::builder(&tradewind, id.as_str()).activity(process_large_file).workflow(process);
    tradewind.spawn(worker.build()?);

    let handle = match tradewind.start(process("large.csv".into())).id(&id).await {
        Ok(handle) => handle,
        Err(ClientError::AlreadyStarted { .. }) => tradewind.handle(process, &id), // by the one that was killed
        Err(error) => return Err(error.into()),
    };
    println!("result {}", serde_json::to_string(&handle.result().await?)?);
    tradewind.shutdown().await?;
    Ok(())
}

fn worker(id: &str, directory: &Path) -> Result<Child> {
    Ok(Command::new(std::env::current_exe()?)
        .env("HEARTBEAT_RESUME_WORKER", id)
        .env("HEARTBEAT_RESUME_DIRECTORY", directory)
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?)
}

/// Passes on what a worker says, until it says this.
async fn wait_for(worker: &mut Child, words: &str) -> Result<String> {
    let stdout = worker.stdout.as_mut().ok_or_else(|| Error::new("its output is read already"))?;
    let mut lines = BufReader::new(stdout).lines();
    while let Some(line) = lines.next_line().await? {
        println!("  {line}");
        if line.starts_with(words) {
            return Ok(line);
        }
    }
    Err(Error::new(format!("the worker ended without saying {words:?}")))
}
