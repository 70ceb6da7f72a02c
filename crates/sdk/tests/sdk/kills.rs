//! A worker that is killed at any moment, again and again: the program comes out the same, with the engine in the
//! worker's process and with a server.
//!
//! The test runs itself as the worker, in processes that get SIGKILL: half way through an activity, between its end and
//! its report, in the middle of a workflow task, while the engine opens or writes. `KILLS` says how often, `KILLS_SEED`
//! when.

use crate::support::Test;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use temporalio_common::protos::temporal::api::history::v1::history_event::Attributes;
use tokio::process::{Child, Command};
use tradewind::prelude::*;

const STEPS: u64 = 60;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Ledger {
    sum: u64,
    marks: Vec<String>,
    chance: Vec<u64>,
    undone: bool,
}

/// Leaves a trace in a file, for the test to see that it ran at least once.
fn leave(trace: &str) -> Result<()> {
    let path = std::env::var("KILLS_TRACES")?;
    let mut file = std::fs::OpenOptions::new().append(true).create(true).open(path)?;
    Ok(file.write_all(format!("{trace}\n").as_bytes())?)
}

#[activity(start_to_close_timeout = "2s", initial_interval = "10ms", maximum_interval = "50ms")]
async fn step(number: u64) -> Result<u64> {
    tokio::time::sleep(Duration::from_millis(number % 7)).await;
    leave(&format!("step {number}"))?;
    tokio::time::sleep(Duration::from_millis(number % 5)).await;
    Ok(number)
}

#[activity(local, start_to_close_timeout = "2s")]
async fn mark(number: u64) -> Result<String> {
    Ok(format!("mark {number}"))
}

#[activity(start_to_close_timeout = "1m", heartbeat_timeout = "1s", initial_interval = "10ms")]
async fn long_step(to: u64) -> Result<u64> {
    let from: u64 = activity::heartbeat_details()?.unwrap_or(0);
    for done in from..to {
        tokio::time::sleep(Duration::from_millis(10)).await;
        activity::heartbeat(&(done + 1));
    }
    Ok(to)
}

#[activity(start_to_close_timeout = "2s", initial_interval = "10ms")]
async fn undo(number: u64) -> Result<()> {
    leave(&format!("undo {number}"))
}

#[workflow(task_timeout = "1s")]
async fn half(from: u64) -> Result<u64> {
    let steps = (from..from + STEPS / 2).map(step);
    Ok(workflow::try_join_all(steps).at_most(4).await?.iter().sum())
}

#[workflow(task_timeout = "1s")]
async fn ledger() -> Result<Ledger> {
    let mut ledger = Ledger { sum: 0, marks: Vec::new(), chance: Vec::new(), undone: false };
    for number in 0..STEPS / 2 {
        ledger.sum += step(number).await?;
        if number % 10 == 0 {
            ledger.marks.push(mark(number).await?);
            ledger.chance.push(workflow::random());
            workflow::sleep(Duration::from_millis(20)).await?;
        }
    }
    ledger.sum += half(STEPS / 2).id(format!("{}-half", workflow::info().workflow_id())).await?;
    ledger.sum += long_step(40).await?;
    let refused: Result<()> = workflow::saga(async |saga| {
        saga.compensate(|| undo(1));
        Err(Error::new("it is not to be"))
    })
    .await;
    ledger.undone = refused.is_err();
    Ok(ledger)
}

/// What the processes do that get killed.
#[tokio::test]
#[ignore = "it is what the tests below run and kill"]
async fn works_until_it_is_killed() {
    let Ok(id) = std::env::var("KILLS_ID") else { return };
    let tradewind = Tradewind::from_env(PathBuf::from(std::env::var("KILLS_DATA").unwrap())).await.unwrap();
    let worker = Worker::builder(&tradewind, &id).activity(step).activity(mark).activity(long_step).activity(undo);
    tradewind.spawn(worker.workflow(half).workflow(ledger).build().unwrap());
    let handle = match tradewind.start(ledger()).id(&id).await {
        Ok(handle) => handle,
        Err(ClientError::AlreadyStarted { .. }) => tradewind.handle(ledger, &id),
        Err(error) => panic!("{error}"),
    };
    let result = handle.result().await.unwrap();
    let completed = completed_activities(&handle).await;
    let outcome = serde_json::to_string(&(result, completed)).unwrap();
    tradewind::replay(ledger).execution(&tradewind, &id).await.unwrap();
    tradewind.shutdown().await.unwrap();
    std::fs::write(std::env::var("KILLS_OUTCOME").unwrap(), outcome).unwrap();
}

/// How often each activity of the run is recorded as completed.
async fn completed_activities(handle: &WorkflowHandle<ledger>) -> BTreeMap<String, usize> {
    let events = handle.history().into_events().await.unwrap();
    let names: BTreeMap<i64, String> = events
        .iter()
        .filter_map(|event| match event.attributes.as_ref()? {
            Attributes::ActivityTaskScheduledEventAttributes(scheduled) => {
                Some((event.event_id, scheduled.activity_type.clone()?.name))
            }
            _ => None,
        })
        .collect();
    let mut completed = BTreeMap::new();
    for event in events {
        if let Some(Attributes::ActivityTaskCompletedEventAttributes(done)) = event.attributes {
            *completed.entry(names[&done.scheduled_event_id].clone()).or_default() += 1;
        }
    }
    completed
}

#[cfg(feature = "embedded")]
#[tokio::test(flavor = "multi_thread")]
async fn a_program_with_its_engine_comes_out_the_same_however_often_it_is_killed() {
    kill_until_done(None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_of_a_server_comes_out_the_same_however_often_it_is_killed() {
    let test = Test::start().await;
    kill_until_done(Some(test.address())).await;
    test.stop().await;
}

async fn kill_until_done(address: Option<String>) {
    let directory = tempfile::tempdir().unwrap();
    let kills = std::env::var("KILLS").map_or(6, |kills| kills.parse().unwrap());
    let mut seed: u64 = std::env::var("KILLS_SEED").map_or(4_711, |seed| seed.parse().unwrap());
    let place = Place { directory: directory.path(), address, id: format!("ledger-{}", crate::support::uuid()) };
    for _ in 0..kills {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let mut worker = place.worker();
        // What is under test is that the moment does not matter.
        tokio::time::sleep(Duration::from_millis(20 + (seed >> 33) % 1_200)).await;
        worker.kill().await.unwrap();
    }
    let ended = tokio::time::timeout(Duration::from_secs(120), place.worker().wait()).await;
    assert!(ended.expect("it ends").unwrap().success());
    let outcome = std::fs::read_to_string(place.outcome()).unwrap();

    let (result, completed): (Ledger, BTreeMap<String, usize>) = serde_json::from_str(&outcome).unwrap();
    assert_eq!(result.sum, (0..STEPS).sum::<u64>() + 40);
    assert_eq!(result.marks, ["mark 0", "mark 10", "mark 20"]);
    assert!(result.undone && result.chance.len() == 3);
    let expected = [("long_step", 1), ("step", STEPS as usize / 2), ("undo", 1)];
    assert_eq!(completed, expected.map(|(name, times)| (name.to_owned(), times)).into());
    let traces = std::fs::read_to_string(place.traces()).unwrap();
    for trace in (0..STEPS).map(|number| format!("step {number}")).chain(["undo 1".to_owned()]) {
        assert!(traces.lines().any(|line| line == trace), "{trace} never ran");
    }
}

/// Where the workers live and die.
struct Place<'a> {
    directory: &'a Path,
    address: Option<String>,
    id: String,
}

impl Place<'_> {
    fn worker(&self) -> Child {
        let mut worker = Command::new(std::env::current_exe().unwrap());
        worker.args(["kills::works_until_it_is_killed", "--exact", "--ignored", "--nocapture"]);
        worker.env("KILLS_ID", &self.id).env("KILLS_DATA", self.directory.join("data"));
        worker.env("KILLS_TRACES", self.traces()).env("KILLS_OUTCOME", self.outcome());
        worker.env_remove("TRADEWIND_ADDRESS");
        if let Some(address) = &self.address {
            worker.env("TRADEWIND_ADDRESS", address);
        }
        worker.stdin(Stdio::null()).stdout(Stdio::null()).kill_on_drop(true).spawn().unwrap()
    }

    fn traces(&self) -> PathBuf {
        self.directory.join("traces")
    }

    fn outcome(&self) -> PathBuf {
        self.directory.join("outcome")
    }
}
