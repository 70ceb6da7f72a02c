//! Both ways that a query can go.

use crate::testkit::{Node, complete, text};
use api::{
    enums::v1::{QueryRejectCondition, QueryResultType},
    query::v1::{WorkflowQuery, WorkflowQueryResult},
    workflowservice::v1::{PollWorkflowTaskQueueResponse, RespondWorkflowTaskCompletedRequest},
};
use engine::{
    Error,
    query::{QueryFailure, QueryOutcome},
    token::{self, Token},
};
use std::{pin::Pin, task::Poll, time::Duration};

#[tokio::test]
async fn a_query_of_an_idle_run_is_a_task_of_its_own_and_leaves_no_trace() {
    let node = Node::start().await;
    node.begin("w").await;
    node.turn("w", []).await;
    let before = node.history("w").await;

    let (answered, ()) = tokio::join!(ask(&node, "w"), async {
        let task = node.task("w").await;
        assert_eq!(task.query.as_ref().expect("it is a query").query_type, "how");
        assert_eq!(task.history.as_ref().expect("with history").events.len(), before.len());
        assert!(answer_directly(&node, &task, Ok("fine")));
        assert!(!answer_directly(&node, &task, Ok("late")), "nobody waits any more");
    });
    assert_eq!(answered, Ok(QueryOutcome::Answered(Some(text("fine")))));
    assert_eq!(node.history("w").await, before);
}

#[tokio::test]
async fn a_query_during_a_task_rides_on_the_next_one() {
    let node = Node::start().await;
    node.begin("w").await;
    let (answered, ()) = tokio::join!(ask(&node, "w"), async {
        // Until the query is attached, the task has none.
        tokio::time::sleep(Duration::from_millis(100)).await;
        let task = node.task("w").await;
        let (id, query) = task.queries.first_key_value().expect("it rides on the task");
        assert_eq!(query.query_type, "how");
        let result = WorkflowQueryResult {
            result_type: QueryResultType::Answered as i32,
            answer: Some(text("fine")),
            ..WorkflowQueryResult::default()
        };
        let token = Token::decode_as(token::WORKFLOW, &task.task_token).expect("a token of ours");
        let request = RespondWorkflowTaskCompletedRequest {
            query_results: [(id.clone(), result)].into(),
            ..RespondWorkflowTaskCompletedRequest::default()
        };
        node.handle().complete_workflow_task(&token, request).await.expect("it is taken");
    });
    assert_eq!(answered, Ok(QueryOutcome::Answered(Some(text("fine")))));
}

#[tokio::test]
async fn a_query_that_its_task_did_not_answer_is_asked_directly() {
    let node = Node::start().await;
    node.begin("w").await;
    let (answered, ()) = tokio::join!(ask(&node, "w"), async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        node.turn("w", []).await;
        let task = node.task("w").await;
        assert!(answer_directly(&node, &task, Ok("fine")));
    });
    assert_eq!(answered, Ok(QueryOutcome::Answered(Some(text("fine")))));
}

#[tokio::test]
async fn a_query_whose_task_ends_before_it_gets_on_is_asked_directly() {
    let node = Node::start().await;
    node.begin("w").await;
    let task = node.task("w").await;

    // It has seen a task under way, and is put off until that has ended.
    let mut asking = std::pin::pin!(ask(&node, "w"));
    assert!(poll_once(asking.as_mut()).await.is_pending());
    node.nudge().await;
    node.complete(&task, []).await.expect("it is taken");

    let (answered, ()) = tokio::join!(asking, async {
        let task = node.task("w").await;
        assert!(answer_directly(&node, &task, Ok("fine")));
    });
    assert_eq!(answered, Ok(QueryOutcome::Answered(Some(text("fine")))));
}

#[tokio::test]
async fn a_closed_run_is_queried_even_after_a_restart() {
    let node = Node::start().await;
    node.begin("w").await;
    node.turn("w", [complete()]).await;
    let node = node.restart().await;
    let (answered, ()) = tokio::join!(ask(&node, "w"), async {
        let task = node.task("w").await;
        assert!(answer_directly(&node, &task, Err("no such query")));
    });
    let refused = Error::QueryFailed { message: "no such query".into(), failure: None };
    assert_eq!(answered, Err(refused));

    let rejected = query(&node, "w", QueryRejectCondition::NotOpen).await;
    assert!(matches!(rejected, Ok(QueryOutcome::Rejected(_))), "{rejected:?}");
}

async fn poll_once<F: Future>(mut future: Pin<&mut F>) -> Poll<F::Output> {
    std::future::poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx))).await
}

async fn ask(node: &Node, workflow_id: &str) -> Result<QueryOutcome, Error> {
    query(node, workflow_id, QueryRejectCondition::None).await
}

async fn query(node: &Node, workflow_id: &str, reject: QueryRejectCondition) -> Result<QueryOutcome, Error> {
    let query = WorkflowQuery { query_type: "how".into(), ..WorkflowQuery::default() };
    let deadline = Some(node.clock.now() + Duration::from_secs(10));
    node.handle().query(node.target(workflow_id), query, reject, deadline).await
}

fn answer_directly(node: &Node, task: &PollWorkflowTaskQueueResponse, answer: Result<&str, &str>) -> bool {
    let token = Token::decode_as(token::QUERY, &task.task_token).expect("a token of a query");
    let answer = match answer {
        Ok(answer) => Ok(Some(text(answer))),
        Err(message) => Err(QueryFailure { message: message.into(), failure: None }),
    };
    node.handle().answer_query(&token, answer)
}
