//! Every kind of failure, produced for real: as the workflow sees it, and as a client does that waits for a workflow
//! which passes it on.

use crate::support::Test;
use std::time::Duration;
use tradewind::activity::Cancellation;
use tradewind::prelude::*;

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3_600);

/// Runs until it is asked to stop, and says nothing unless it is to.
#[activity(start_to_close_timeout = "1m", max_attempts = 1)]
async fn linger(aloud: bool) -> Result<()> {
    loop {
        if aloud {
            activity::heartbeat(&"still here".to_owned());
        }
        tokio::select! {
            () = activity::cancelled() => return Err(Error::cancelled()),
            () = tokio::time::sleep(Duration::from_millis(50)) => {}
        }
    }
}

#[activity(max_attempts = 1)]
async fn refuse() -> Result<()> {
    Err(Error::new("no").with_type("Refused"))
}

#[activity(name = "shape")]
async fn shape_in_words() -> Result<String> {
    Ok("round".into())
}

/// What a caller in another program may think of it.
#[activity(name = "shape")]
async fn shape_in_numbers() -> Result<u32> {
    unreachable!("no worker runs this one")
}

#[activity(name = "measure")]
async fn measure_a_number(size: u32) -> Result<u32> {
    Ok(size)
}

/// What a caller in another program may think that it takes.
#[activity(name = "measure", max_attempts = 1)]
async fn measure_words(_size: String) -> Result<u32> {
    unreachable!("no worker runs this one")
}

#[workflow]
async fn wait(_how: String) -> Result<()> {
    workflow::sleep(HOUR).await
}

#[workflow]
async fn refused() -> Result<()> {
    refuse().await
}

#[derive(Default)]
struct Mailbox;

#[workflow]
impl Mailbox {
    #[entrypoint]
    async fn open(_this: This<Self>) -> Result<()> {
        Ok(())
    }

    #[signal]
    fn put(&mut self, _letter: String) {}
}

async fn meet(how: &str) -> Result<()> {
    let own_id = workflow::info().workflow_id().to_owned();
    let child = || wait(how.to_owned()).id(format!("{own_id}-child"));
    match how {
        "returned" => refuse().await,
        "no worker" => {
            let limits = |o: activity::Options| o.schedule_to_start_timeout(SECOND).task_queue("nobody is here");
            linger(false).with(limits).await
        }
        "slow" => linger(false).with(|o| o.start_to_close_timeout(SECOND)).await,
        // Each attempt may take as long as all of them together.
        "slow in all" => linger(false).with(|o| o.schedule_to_close_timeout(SECOND)).await,
        "silent" => linger(false).with(|o| o.heartbeat_timeout(SECOND)).await,
        "stopped" => {
            let scope = workflow::Scope::new();
            let lingering =
                scope.run(linger(true).with(|o| o.cancellation(Cancellation::Wait).heartbeat_timeout(SECOND)));
            let stop = async {
                workflow::sleep(Duration::from_millis(300)).await?;
                scope.cancel();
                Ok(())
            };
            workflow::try_join!(lingering, stop).map(drop)
        }
        "child refuses" => refused().await,
        "child late" => child().with(|o| o.execution_timeout(SECOND)).await,
        "child terminated" | "child stopped" => child().await,
        // Its own.
        "child not started" => wait(String::new()).id(own_id).await,
        "signal to nobody" => {
            workflow::external::<Mailbox>("nobody is here").signal(Mailbox::put("hello".into())).await
        }
        "cancellation of nobody" => workflow::external::<Mailbox>("nobody is here").cancel("enough").await,
        "not what it takes" => measure_words("large".into()).await.map(drop),
        "not what it says" => shape_in_numbers().await.map(drop),
        other => panic!("{other:?} is not a way to fail"),
    }
}

#[workflow]
async fn tell(how: String) -> Result<String> {
    let error = meet(&how).await.unwrap_err();
    Ok(format!("{:?}", error.kind()))
}

#[workflow]
async fn pass_on(how: String) -> Result<()> {
    meet(&how).await
}

/// What becomes of the child of this run is decided here, where "child terminated" and the like are not the
/// workflow's own doing.
async fn see_to_the_child(test: &Test, how: &str, parent: &str) {
    let child = test.client.untyped_handle(format!("{parent}-child"));
    for _ in 0..300 {
        let done = match how {
            "child terminated" => child.terminate("enough").await,
            "child stopped" => child.cancel().await,
            _ => return,
        };
        match done {
            Ok(()) => return,
            Err(ClientError::NotFound(_)) => tokio::time::sleep(Duration::from_millis(100)).await,
            Err(other) => panic!("{other}"),
        }
    }
    panic!("there is no child of {parent}");
}

/// What a workflow says of the failure, and what a client is told by one that passes it on.
async fn seen(test: &Test, how: &str) -> (String, Kind) {
    let id = |what: &str| format!("{}-{what}-{how}", test.queue);
    let inside = async {
        let run = test.client.start(tell(how.to_owned())).id(id("tell")).await.unwrap();
        see_to_the_child(test, how, run.id()).await;
        run.result().await.unwrap()
    };
    let outside = async {
        let run = test.client.start(pass_on(how.to_owned())).id(id("pass-on")).await.unwrap();
        see_to_the_child(test, how, run.id()).await;
        match run.result().await.unwrap_err() {
            ClientError::Failed(error) => error.kind(),
            other => panic!("{how}: {other:?}"),
        }
    };
    tokio::join!(inside, outside)
}

#[tokio::test]
async fn every_kind_is_told_apart_by_the_workflow_and_by_its_caller() {
    let test = Test::start().await;
    let worker = worker(&test);
    for (how, kind) in [
        ("returned", Kind::Application),
        ("no worker", Kind::TimedOut(Timeout::ScheduleToStart)),
        ("slow", Kind::TimedOut(Timeout::StartToClose)),
        ("slow in all", Kind::TimedOut(Timeout::ScheduleToClose)),
        ("silent", Kind::TimedOut(Timeout::Heartbeat)),
        ("stopped", Kind::Cancelled),
        ("not what it takes", Kind::Application),
        ("child refuses", Kind::Application),
        ("child late", Kind::TimedOut(Timeout::StartToClose)),
        ("child terminated", Kind::Terminated),
        ("child stopped", Kind::Cancelled),
    ] {
        assert_eq!(seen(&test, how).await, (format!("{kind:?}"), kind), "{how}");
    }
    worker.stop().await;
    test.stop().await;
}

/// What a workflow is refused is its own failure, in the eyes of whoever waits for it.
#[tokio::test]
async fn what_finds_nobody_or_no_place_is_told_apart_by_the_workflow() {
    let test = Test::start().await;
    let worker = worker(&test);
    for (how, kind) in [
        ("child not started", Kind::NotStarted),
        ("signal to nobody", Kind::NotFound),
        ("cancellation of nobody", Kind::NotFound),
    ] {
        assert_eq!(seen(&test, how).await, (format!("{kind:?}"), Kind::Application), "{how}");
    }
    worker.stop().await;
    test.stop().await;
}

/// The code is wrong, and is mended: the run waits.
#[tokio::test]
async fn a_value_of_another_shape_is_told_apart_and_fails_the_task_alone() {
    let test = Test::start().await;
    let worker = worker(&test);
    assert_eq!(test.client.execute(tell("not what it says".into())).await.unwrap(), "Payload");
    let run = test.client.start(pass_on("not what it says".into())).await.unwrap();
    test.failed_task_says(&run, "invalid type: string \"round\"").await;
    run.terminate("over").await.unwrap();

    let told = test.client.start(tell("returned".into())).await.unwrap();
    let misread = test.client.untyped_handle(told.id()).result::<u32>().await.unwrap_err();
    assert!(matches!(misread, ClientError::Payload(_)), "{misread:?}");
    worker.stop().await;
    test.stop().await;
}

fn worker(test: &Test) -> crate::support::RunningWorker {
    test.worker(|worker| {
        let worker = worker.activity(linger).activity(refuse).activity(shape_in_words).activity(measure_a_number);
        worker.workflow(wait).workflow(refused).workflow(tell).workflow(pass_on)
    })
}
