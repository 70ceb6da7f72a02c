//! What a client can do with workflows besides talking to their code.

use crate::support::{Test, uuid};
use futures_util::TryStreamExt;
use std::time::Duration;
use tradewind::client::{IdConflict, IdReuse};
use tradewind::prelude::*;

#[derive(Debug, thiserror::Error)]
#[error("no card")]
struct NoCard;

#[workflow]
async fn echo(text: String) -> Result<String> {
    match text.as_str() {
        "fail" => Err(Error::non_retryable("no card").with_type("NoCard")),
        "wait" => {
            workflow::sleep(Duration::from_secs(3600)).await?;
            Ok(text)
        }
        _ => Ok(text),
    }
}

#[tokio::test]
async fn a_taken_id_says_who_has_it() {
    let test = Test::start().await;
    let id = uuid();
    let first = test.client.start(echo("wait".into())).id(&id).task_queue(&test.queue).await.unwrap();

    let again = test.client.start(echo("wait".into())).id(&id).task_queue(&test.queue).await.unwrap_err();
    match again {
        ClientError::AlreadyStarted { workflow_id, run_id } => {
            assert_eq!((workflow_id.as_str(), run_id.as_deref()), (id.as_str(), first.run_id()));
        }
        other => panic!("{other}"),
    }

    let same = test
        .client
        .start(echo("wait".into()))
        .id(&id)
        .task_queue(&test.queue)
        .id_conflict(IdConflict::UseExisting)
        .await
        .unwrap();
    assert_eq!(same.run_id(), first.run_id());

    first.terminate("over").await.unwrap();
    let refused =
        test.client.start(echo("x".into())).id(&id).task_queue(&test.queue).id_reuse(IdReuse::RejectDuplicate).await;
    assert!(matches!(refused, Err(ClientError::AlreadyStarted { .. })), "{refused:?}");
    test.stop().await;
}

#[tokio::test]
async fn every_end_is_told_apart() {
    let test = Test::start().await;
    let worker = test.worker(|worker| worker.workflow(echo));

    match test.client.execute(echo("fail".into())).await.unwrap_err() {
        ClientError::Failed(error) => assert!(error.is::<NoCard>(), "{error}"),
        other => panic!("{other}"),
    }

    let terminated = test.client.start(echo("wait".into())).await.unwrap();
    terminated.terminate("over").await.unwrap();
    assert!(matches!(terminated.result().await, Err(ClientError::Terminated)));

    let cancelled = test.client.start(echo("wait".into())).await.unwrap();
    cancelled.cancel_because("changed my mind").await.unwrap();
    match cancelled.result().await.unwrap_err() {
        ClientError::Failed(error) => assert!(error.is_cancelled(), "{error}"),
        other => panic!("{other}"),
    }

    let short = |o: tradewind::workflow::Options| o.execution_timeout(Duration::from_secs(1));
    let late = test.client.start(echo("wait".into())).with(short).await.unwrap();
    assert!(matches!(late.result().await, Err(ClientError::TimedOut)));

    let nobody = test.client.handle(echo, uuid()).describe().await.unwrap_err();
    assert!(matches!(nobody, ClientError::NotFound(_)), "{nobody}");

    worker.stop().await;
    test.stop().await;
}

#[tokio::test]
async fn a_description_a_list_and_a_count_agree() {
    let test = Test::start().await;
    let worker = test.worker(|worker| worker.workflow(echo));
    let id = uuid();
    let handle =
        test.client.start(echo("wait".into())).id(&id).memo("asked by", "ann".to_owned()).eager().await.unwrap();
    let done = test.client.start(echo("done".into())).id(format!("{id}-done")).await.unwrap();
    assert_eq!(done.result().await.unwrap(), "done");

    let description = handle.describe().await.unwrap();
    assert_eq!(description.workflow_type(), "echo");
    assert_eq!(description.memo().get::<String>("asked by").unwrap().as_deref(), Some("ann"));

    let filter = format!("TaskQueue = '{}'", test.queue);
    let mut listed: Vec<_> = test.client.list(&filter).try_collect().await.unwrap();
    listed.sort_by(|a, b| a.id().cmp(b.id()));
    assert_eq!(listed.iter().map(|line| line.id()).collect::<Vec<_>>(), [id.clone(), format!("{id}-done")]);
    assert_eq!(test.client.count(&filter).await.unwrap().count(), 2);
    let by_status = test.client.count(format!("{filter} GROUP BY ExecutionStatus")).await.unwrap();
    assert_eq!(by_status.groups().len(), 2);

    handle.terminate("over").await.unwrap();
    worker.stop().await;
    test.stop().await;
}

#[tokio::test]
async fn a_history_is_read_and_followed() {
    let test = Test::start().await;
    let handle = test.client.start(echo("x".into())).task_queue(&test.queue).await.unwrap();
    let so_far = handle.history().into_events().await.unwrap();
    assert_eq!(so_far.len(), 2, "nobody runs it");

    let following = tokio::spawn(handle.follow().into_events());
    let worker = test.worker(|worker| worker.workflow(echo));
    let all = following.await.unwrap().unwrap();
    assert_eq!(all.len(), 5, "started, task scheduled, started and completed, completed");

    let untyped = test.client.untyped_handle(handle.id());
    assert_eq!(untyped.result::<String>().await.unwrap(), "x");
    worker.stop().await;
    test.stop().await;
}

#[tokio::test]
async fn a_start_delay_holds_the_first_task_back() {
    let test = Test::start().await;
    let hour = Duration::from_secs(3600);
    let start = test.client.start(echo("x".into())).task_queue(&test.queue).start_delay(hour);
    let handle = start.memo("asked by", "ann".to_owned()).await.unwrap();

    let description = handle.describe().await.unwrap();
    let wait = description.execution_time().unwrap().duration_since(description.start_time().unwrap()).unwrap();
    assert_eq!(wait.as_secs(), hour.as_secs());
    assert_eq!(description.memo().get::<String>("asked by").unwrap().as_deref(), Some("ann"));
    assert_eq!(handle.history().into_events().await.unwrap().len(), 1, "no task yet");

    let again = test.client.start(echo("x".into())).id(handle.id()).task_queue(&test.queue).start_delay(hour).await;
    assert!(matches!(again, Err(ClientError::AlreadyStarted { .. })), "{again:?}");
    handle.terminate("over").await.unwrap();
    test.stop().await;
}

#[tokio::test]
async fn a_server_that_is_not_there_is_named() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    drop(listener);

    let refused = Client::connect(&address).await.err().expect("nobody listens").to_string();
    assert!(refused.starts_with("cannot connect: "), "{refused}");
    assert!(refused.contains(&address) && refused.contains("refused"), "{refused}");
}
