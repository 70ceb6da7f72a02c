//! The client and the worker against a server small enough to be obviously right.

mod fake;

use bench::{
    client::{Client, ClientOptions, Start, to_payloads},
    modes::{Load, Target, activities, parallel, parked, signals},
    programs::{BenchProgram, SIGNALS, SignalsInput, result_of},
    worker::{Tally, Worker, WorkerOptions},
};
use fake::FakeServer;
use std::{sync::Arc, time::Duration};

#[tokio::test]
async fn every_run_completes_although_answers_are_lost() {
    let target = serve(FakeServer::losing_every(7)).await;
    // An eager activity whose answer is lost would come back with its timeout, which the fake does not have.
    let load = Load { in_flight: 8, count: Some(60), warmup: Some(0), eager: false, ..Default::default() };
    let report = activities::run(&target, &load, 3).await.unwrap();
    assert_eq!((report.done, report.failures), (60, 0), "{report}");
    assert!(report.retries > 0);
}

#[tokio::test]
async fn sequential_activities_come_back_eagerly_and_on_the_sticky_queue() {
    let target = serve(FakeServer::default()).await;
    let load = Load { count: Some(20), warmup: Some(0), disk_flushes: 0, ..Default::default() };
    let report = activities::run(&target, &load, 10).await.unwrap();
    assert_eq!((report.done, report.failures), (20, 0), "{report}");
    assert_eq!(report.figures["eager_activities_per_unit"], 10.0);
    assert_eq!(report.figures["workflow_tasks_per_unit"], 11.0);
    assert_eq!(report.figures["histories_read_again"], 0.0);
}

#[tokio::test]
async fn parallel_activities_and_signals_are_all_counted() {
    let target = serve(FakeServer::default()).await;
    let load = Load { in_flight: 8, ..Default::default() };
    let sizes = parallel::Sizes { sizes: vec![10, 300], together: 40, activities_min: 100 };
    let reports = parallel::run(&target, &load, &sizes).await.unwrap();
    assert_eq!([reports[0].done, reports[1].done], [100, 300]);
    assert_eq!([reports[0].failures, reports[1].failures], [0, 0]);

    let load = Load { count: Some(500), ..load };
    let report = signals::run(&target, &load, 3).await.unwrap();
    assert_eq!((report.done, report.failures), (500, 0), "{report}");
}

#[tokio::test]
async fn more_pending_activities_than_the_server_takes_are_refused_before_anything_runs() {
    let target = serve(FakeServer::limiting(40)).await;
    let sizes = parallel::Sizes { sizes: vec![10, 300], together: 41, activities_min: 100 };
    let refused = parallel::run(&target, &Load::default(), &sizes).await.unwrap_err();
    assert_eq!(refused.to_string(), "41 pending activities together are refused by the server: the limit is 40");

    let sizes = parallel::Sizes { together: 40, ..sizes };
    assert!(parallel::run(&target, &Load::default(), &sizes).await.is_ok());
}

#[tokio::test]
async fn parked_runs_wake() {
    let target = serve(FakeServer::default()).await;
    let load = Load { in_flight: 8, count: Some(50), ..Default::default() };
    let nap = Duration::from_millis(10);
    let plan = parked::Plan { base: 10, wake: 20, settle: nap, idle: nap };
    let report = parked::run(&target, &load, &plan).await.unwrap();
    assert_eq!((report.done, report.failures), (50, 0), "{report}");
}

#[tokio::test]
async fn a_worker_without_the_state_reads_the_history() {
    let target = serve(FakeServer::default()).await;
    // One connection, so that the polls the first worker gives up are given up before anything that follows.
    let client = Client::new(ClientOptions { channels: 1, ..target.client }).unwrap();
    // One sticky queue for both workers, as if the first had lost its cache.
    let options = WorkerOptions { sticky_queue: Some("sticky".into()), ..WorkerOptions::sized("queue", 1) };

    let first = Worker::start(client.clone(), options.clone(), Arc::new(BenchProgram::default()));
    let start = Start {
        workflow_id: "forgotten".into(),
        workflow_type: SIGNALS.into(),
        task_queue: "queue".into(),
        input: Some(to_payloads(&SignalsInput { wanted: 1 })),
        ..Default::default()
    };
    let run_id = client.start(start).await.unwrap();
    while client.history("forgotten", &run_id).await.unwrap().len() < 4 {
        tokio::task::yield_now().await;
    }
    first.stop().await;

    let second = Worker::start(client.clone(), options, Arc::new(BenchProgram::default()));
    client.signal("forgotten", "wake", None).await.unwrap();
    let event = client.closing_event("forgotten", &run_id).await.unwrap();
    assert_eq!(result_of(&event), Some(1));
    assert_eq!(Tally::get(&second.tally().history_reads), 1);
    second.stop().await;
}

async fn serve(server: FakeServer) -> Target {
    let address = server.serve(0).await.to_string();
    Target { client: ClientOptions { address, ..Default::default() }, ..Default::default() }
}
