//! Messages that were right before some of their fields were changed.
//!
//! `TRADEWIND_MUTATIONS` sets how many of each there are.

use super::{
    server::{OPERATOR, Server, WORKFLOW, assert_no_fault_of_the_server},
    wire_format::{Random, mutate},
};
use api::{
    command::v1::{self as command, Command, command::Attributes},
    common::v1::{
        ActivityType, Header, Memo, Payload, Priority, RetryPolicy, SearchAttributes, WorkflowExecution, WorkflowType,
    },
    enums::v1::{CommandType, IndexedValueType, WorkflowIdConflictPolicy},
    namespace::v1::{NamespaceConfig, UpdateNamespaceInfo},
    operatorservice::v1 as operator,
    query::v1::WorkflowQuery,
    taskqueue::v1::StickyExecutionAttributes,
    update::v1 as update,
    workflowservice::v1::*,
};
use bench::client::{execution, normal_queue, to_payloads, wire_duration};
use prost::Message;
use std::{collections::BTreeMap, time::Duration};

const TIMEOUT: Duration = Duration::from_millis(700);

#[tokio::test]
async fn requests_of_clients_may_have_anything_in_any_field() {
    let server = Server::start().await;
    let mut random = Random(4);
    for round in 0..mutations() {
        for (path, message) in requests(round) {
            let body = if round == 0 { message } else { mutate(&message, &mut random) };
            if let Err(status) = server.call(&path, body, TIMEOUT).await {
                assert_no_fault_of_the_server(&path, &status);
                assert!(round > 0 || is_about_state(&status), "the unchanged {path} is refused: {status:?}");
            }
        }
    }
    server.assert_unharmed().await;
}

#[tokio::test]
async fn commands_of_workers_may_have_anything_in_any_field() {
    let server = Server::start().await;
    let mut random = Random(5);
    let path = format!("/{WORKFLOW}/RespondWorkflowTaskCompleted");
    let (mut taken, mut refused) = (0, 0);
    for round in 0..mutations() * 4 {
        let (queue, task) = run_with_task(&server, round).await;
        let commands = commands();
        let picked = if round == 0 { 0..0 } else { pick(&mut random, commands.len()) };
        let completed = RespondWorkflowTaskCompletedRequest {
            namespace: "default".into(),
            identity: "worker".into(),
            commands: commands[picked].to_vec(),
            sticky_attributes: Some(StickyExecutionAttributes {
                worker_task_queue: Some(normal_queue(format!("{queue}-sticky"))),
                schedule_to_start_timeout: Some(wire_duration(Duration::from_secs(5))),
            }),
            ..Default::default()
        };
        // The token stays right, so that the rest is looked at.
        let mut body = mutate(&completed.encode_to_vec(), &mut random);
        body.extend(
            RespondWorkflowTaskCompletedRequest { task_token: task.task_token, ..Default::default() }.encode_to_vec(),
        );
        match server.call(&path, body, TIMEOUT).await {
            Ok(_) => taken += 1,
            Err(status) => {
                refused += 1;
                assert_no_fault_of_the_server(&path, &status);
            }
        }
        let shown =
            DescribeWorkflowExecutionRequest { namespace: "default".into(), execution: Some(execution(&queue, "")) };
        let described = server.client.once(shown, Duration::from_secs(5), |mut rpc, request| async move {
            rpc.describe_workflow_execution(request).await
        });
        described.await.expect("the run can be looked at, whatever its worker said");
    }
    assert!(taken > 0 && refused > 0, "{taken} taken, {refused} refused: the changes are too few or too many");
    server.assert_unharmed().await;
}

#[tokio::test]
async fn tokens_may_be_anything() {
    let server = Server::start().await;
    let mut random = Random(6);
    let (_, task) = run_with_task(&server, 0).await;
    let token = task.task_token.to_vec();
    for _ in 0..mutations() * 4 {
        let task_token = mutate(&token, &mut random);
        for (method, body) in with_token(task_token) {
            let path = format!("/{WORKFLOW}/{method}");
            if let Err(status) = server.call(&path, body, TIMEOUT).await {
                assert_no_fault_of_the_server(&path, &status);
            }
        }
    }
    server.assert_unharmed().await;
}

fn mutations() -> u64 {
    std::env::var("TRADEWIND_MUTATIONS").map_or(40, |text| text.parse().expect("a number"))
}

/// Refusals that a right request may meet.
fn is_about_state(status: &tonic::Status) -> bool {
    use tonic::Code::{AlreadyExists, Cancelled, DeadlineExceeded, FailedPrecondition, InvalidArgument, NotFound};
    let too_short = status.code() == InvalidArgument && status.message().contains("deadline");
    too_short || matches!(status.code(), AlreadyExists | Cancelled | DeadlineExceeded | FailedPrecondition | NotFound)
}

fn pick(random: &mut Random, end: usize) -> std::ops::Range<usize> {
    let first = random.below(end);
    first..(first + 1 + random.below(3)).min(end)
}

/// A run of its own, and its first workflow task.
async fn run_with_task(server: &Server, round: u64) -> (String, PollWorkflowTaskQueueResponse) {
    let queue = format!("queue-{round}");
    let start = bench::client::Start {
        workflow_id: queue.clone(),
        workflow_type: "w".into(),
        task_queue: queue.clone(),
        ..Default::default()
    };
    server.client.start(start).await.expect("it starts");
    let poll = PollWorkflowTaskQueueRequest {
        namespace: "default".into(),
        task_queue: Some(normal_queue(queue.clone())),
        ..Default::default()
    };
    let polled = server.client.once(poll, Duration::from_secs(10), |mut rpc, request| async move {
        rpc.poll_workflow_task_queue(request).await
    });
    let task = polled.await.expect("there is a task");
    assert!(!task.task_token.is_empty());
    (queue, task)
}

fn with_token(task_token: Vec<u8>) -> Vec<(&'static str, Vec<u8>)> {
    let task_token = bytes::Bytes::from(task_token);
    let namespace = "default".to_owned();
    vec![
        (
            "RespondWorkflowTaskCompleted",
            RespondWorkflowTaskCompletedRequest {
                namespace: namespace.clone(),
                task_token: task_token.clone(),
                ..Default::default()
            }
            .encode_to_vec(),
        ),
        (
            "RespondWorkflowTaskFailed",
            RespondWorkflowTaskFailedRequest {
                namespace: namespace.clone(),
                task_token: task_token.clone(),
                ..Default::default()
            }
            .encode_to_vec(),
        ),
        (
            "RespondActivityTaskCompleted",
            RespondActivityTaskCompletedRequest {
                namespace: namespace.clone(),
                task_token: task_token.clone(),
                ..Default::default()
            }
            .encode_to_vec(),
        ),
        (
            "RecordActivityTaskHeartbeat",
            RecordActivityTaskHeartbeatRequest {
                namespace: namespace.clone(),
                task_token: task_token.clone(),
                ..Default::default()
            }
            .encode_to_vec(),
        ),
        (
            "RespondQueryTaskCompleted",
            RespondQueryTaskCompletedRequest {
                namespace: namespace.clone(),
                task_token: task_token.clone(),
                ..Default::default()
            }
            .encode_to_vec(),
        ),
        (
            "GetWorkflowExecutionHistory",
            GetWorkflowExecutionHistoryRequest {
                namespace: namespace.clone(),
                execution: Some(execution("queue-0", "")),
                next_page_token: task_token.clone(),
                ..Default::default()
            }
            .encode_to_vec(),
        ),
        (
            "ListWorkflowExecutions",
            ListWorkflowExecutionsRequest { namespace, next_page_token: task_token, ..Default::default() }
                .encode_to_vec(),
        ),
    ]
}

/// What clients ask, every field of it that matters.
fn requests(round: u64) -> Vec<(String, Vec<u8>)> {
    let namespace = || "default".to_owned();
    let id = format!("run-{round}");
    let second = || Some(wire_duration(Duration::from_secs(1)));
    let payload = || Payload { data: "1".into(), metadata: json(), ..Default::default() };
    let start = StartWorkflowExecutionRequest {
        namespace: namespace(),
        workflow_id: id.clone(),
        workflow_type: Some(WorkflowType { name: "w".into() }),
        task_queue: Some(normal_queue("q")),
        input: Some(to_payloads(&"input")),
        workflow_execution_timeout: Some(wire_duration(Duration::from_secs(100))),
        workflow_run_timeout: Some(wire_duration(Duration::from_secs(50))),
        workflow_task_timeout: second(),
        identity: "client".into(),
        request_id: format!("request-{round}"),
        workflow_id_conflict_policy: WorkflowIdConflictPolicy::UseExisting as i32,
        retry_policy: Some(retry()),
        cron_schedule: "0 12 * * MON-FRI".into(),
        memo: Some(Memo { fields: [("memo".to_owned(), payload())].into() }),
        search_attributes: Some(attributes()),
        header: Some(Header { fields: [("header".to_owned(), payload())].into() }),
        priority: Some(Priority { priority_key: 2, ..Default::default() }),
        ..Default::default()
    };
    let delayed = StartWorkflowExecutionRequest {
        workflow_id: format!("delayed-{round}"),
        workflow_start_delay: second(),
        cron_schedule: String::new(),
        ..start.clone()
    };
    let signal = SignalWorkflowExecutionRequest {
        namespace: namespace(),
        workflow_execution: Some(execution(&id, "")),
        signal_name: "signal".into(),
        input: Some(to_payloads(&1)),
        request_id: format!("signal-{round}"),
        ..Default::default()
    };
    let signal_with_start = SignalWithStartWorkflowExecutionRequest {
        namespace: namespace(),
        workflow_id: format!("signaled-{round}"),
        workflow_type: start.workflow_type.clone(),
        task_queue: start.task_queue.clone(),
        signal_name: "signal".into(),
        workflow_execution_timeout: second(),
        retry_policy: Some(retry()),
        memo: start.memo.clone(),
        search_attributes: start.search_attributes.clone(),
        ..Default::default()
    };
    let asked = update::Request {
        meta: Some(update::Meta { update_id: format!("update-{round}"), identity: "client".into() }),
        input: Some(update::Input { name: "update".into(), args: Some(to_payloads(&1)), ..Default::default() }),
        ..Default::default()
    };
    let updated = UpdateWorkflowExecutionRequest {
        namespace: namespace(),
        workflow_execution: Some(execution(&id, "")),
        wait_policy: Some(update::WaitPolicy { lifecycle_stage: 2 }),
        request: Some(asked),
        ..Default::default()
    };
    let queried = QueryWorkflowRequest {
        namespace: namespace(),
        execution: Some(execution(&id, "")),
        query: Some(WorkflowQuery { query_type: "q".into(), query_args: Some(to_payloads(&1)), ..Default::default() }),
        query_reject_condition: 1,
    };
    let list = "WorkflowType = 'w' AND (StartTime > '2020-01-01T00:00:00Z' OR ExecutionStatus IN ('Running')) \
                AND ExecutionDuration < '5m' AND CloseTime IS NULL AND WorkflowId STARTS_WITH 'r'";
    let history = GetWorkflowExecutionHistoryRequest {
        namespace: namespace(),
        execution: Some(execution(&id, "")),
        maximum_page_size: 2,
        history_event_filter_type: 1,
        ..Default::default()
    };
    let poll = PollWorkflowTaskQueueRequest {
        namespace: namespace(),
        task_queue: Some(normal_queue("other")),
        identity: "worker".into(),
        ..Default::default()
    };
    let poll_activity = PollActivityTaskQueueRequest {
        namespace: namespace(),
        task_queue: Some(normal_queue("other")),
        task_queue_metadata: Some(api::taskqueue::v1::TaskQueueMetadata { max_tasks_per_second: Some(5.0) }),
        ..Default::default()
    };
    let by_id = RespondActivityTaskCompletedByIdRequest {
        namespace: namespace(),
        workflow_id: id.clone(),
        activity_id: "a".into(),
        ..Default::default()
    };
    let heartbeat = RecordActivityTaskHeartbeatByIdRequest {
        namespace: namespace(),
        workflow_id: id.clone(),
        activity_id: "a".into(),
        ..Default::default()
    };
    let cancel = RequestCancelWorkflowExecutionRequest {
        namespace: namespace(),
        workflow_execution: Some(execution(&id, "")),
        request_id: "cancel".into(),
        reason: "why".into(),
        ..Default::default()
    };
    let terminate = TerminateWorkflowExecutionRequest {
        namespace: namespace(),
        workflow_execution: Some(execution(&id, "")),
        reason: "why".into(),
        details: Some(to_payloads(&1)),
        ..Default::default()
    };
    let register = RegisterNamespaceRequest {
        namespace: format!("namespace-{round}"),
        workflow_execution_retention_period: Some(wire_duration(Duration::from_secs(7_200))),
        data: [("key".to_owned(), "value".to_owned())].into(),
        ..Default::default()
    };
    let change = UpdateNamespaceRequest {
        namespace: "namespace-0".into(),
        update_info: Some(UpdateNamespaceInfo { description: "text".into(), ..Default::default() }),
        config: Some(NamespaceConfig {
            workflow_execution_retention_ttl: Some(wire_duration(Duration::from_secs(7_200))),
            ..Default::default()
        }),
        ..Default::default()
    };
    let add = operator::AddSearchAttributesRequest {
        namespace: namespace(),
        search_attributes: [(format!("Attribute{round}"), IndexedValueType::Keyword as i32)].into(),
    };
    let shown = DescribeWorkflowExecutionRequest { namespace: namespace(), execution: Some(execution(&id, "")) };
    let queue = DescribeTaskQueueRequest {
        namespace: namespace(),
        task_queue: Some(normal_queue("q")),
        task_queue_type: 1,
        report_stats: true,
        ..Default::default()
    };
    let listed = ListWorkflowExecutionsRequest {
        namespace: namespace(),
        page_size: 10,
        query: list.into(),
        ..Default::default()
    };
    let counted =
        CountWorkflowExecutionsRequest { namespace: namespace(), query: "GROUP BY ExecutionStatus".to_owned() };
    let multi = ExecuteMultiOperationRequest {
        namespace: namespace(),
        operations: vec![
            multi(execute_multi_operation_request::operation::Operation::StartWorkflow(
                StartWorkflowExecutionRequest {
                    workflow_id: format!("multi-{round}"),
                    cron_schedule: String::new(),
                    ..start.clone()
                },
            )),
            multi(execute_multi_operation_request::operation::Operation::UpdateWorkflow(
                UpdateWorkflowExecutionRequest {
                    workflow_execution: Some(execution(&format!("multi-{round}"), "")),
                    ..updated.clone()
                },
            )),
        ],
        ..Default::default()
    };
    let workflow = [
        ("RegisterNamespace", register.encode_to_vec()),
        ("UpdateNamespace", change.encode_to_vec()),
        ("StartWorkflowExecution", start.encode_to_vec()),
        ("StartWorkflowExecution", delayed.encode_to_vec()),
        ("SignalWorkflowExecution", signal.encode_to_vec()),
        ("SignalWithStartWorkflowExecution", signal_with_start.encode_to_vec()),
        ("UpdateWorkflowExecution", updated.encode_to_vec()),
        ("ExecuteMultiOperation", multi.encode_to_vec()),
        ("QueryWorkflow", queried.encode_to_vec()),
        ("ListWorkflowExecutions", listed.encode_to_vec()),
        ("CountWorkflowExecutions", counted.encode_to_vec()),
        ("GetWorkflowExecutionHistory", history.encode_to_vec()),
        ("PollWorkflowTaskQueue", poll.encode_to_vec()),
        ("PollActivityTaskQueue", poll_activity.encode_to_vec()),
        ("RespondActivityTaskCompletedById", by_id.encode_to_vec()),
        ("RecordActivityTaskHeartbeatById", heartbeat.encode_to_vec()),
        ("DescribeWorkflowExecution", shown.encode_to_vec()),
        ("DescribeTaskQueue", queue.encode_to_vec()),
        ("RequestCancelWorkflowExecution", cancel.encode_to_vec()),
        ("TerminateWorkflowExecution", terminate.encode_to_vec()),
    ];
    let mut requests: Vec<_> =
        workflow.into_iter().map(|(method, message)| (format!("/{WORKFLOW}/{method}"), message)).collect();
    requests.push((format!("/{OPERATOR}/AddSearchAttributes"), add.encode_to_vec()));
    requests
}

fn multi(
    operation: execute_multi_operation_request::operation::Operation,
) -> execute_multi_operation_request::Operation {
    execute_multi_operation_request::Operation { operation: Some(operation) }
}

/// What workers ask, one command of each kind.
fn commands() -> Vec<Command> {
    let second = || Some(wire_duration(Duration::from_secs(1)));
    let other = || Some(WorkflowExecution { workflow_id: "queue-0".into(), run_id: String::new() });
    let all = [
        (
            CommandType::StartTimer,
            Attributes::StartTimerCommandAttributes(Box::new(command::StartTimerCommandAttributes {
                timer_id: "t".into(),
                start_to_fire_timeout: second(),
            })),
        ),
        (
            CommandType::CancelTimer,
            Attributes::CancelTimerCommandAttributes(Box::new(command::CancelTimerCommandAttributes {
                timer_id: "t".into(),
            })),
        ),
        (
            CommandType::ScheduleActivityTask,
            Attributes::ScheduleActivityTaskCommandAttributes(Box::new(
                command::ScheduleActivityTaskCommandAttributes {
                    activity_id: "a".into(),
                    activity_type: Some(ActivityType { name: "a".into() }),
                    task_queue: Some(normal_queue("q")),
                    input: Some(to_payloads(&1)),
                    schedule_to_close_timeout: second(),
                    schedule_to_start_timeout: second(),
                    start_to_close_timeout: second(),
                    heartbeat_timeout: second(),
                    retry_policy: Some(retry()),
                    request_eager_execution: true,
                    ..Default::default()
                },
            )),
        ),
        (
            CommandType::RequestCancelActivityTask,
            Attributes::RequestCancelActivityTaskCommandAttributes(Box::new(
                command::RequestCancelActivityTaskCommandAttributes { scheduled_event_id: 5 },
            )),
        ),
        (
            CommandType::StartChildWorkflowExecution,
            Attributes::StartChildWorkflowExecutionCommandAttributes(Box::new(
                command::StartChildWorkflowExecutionCommandAttributes {
                    workflow_id: "child".into(),
                    workflow_type: Some(WorkflowType { name: "w".into() }),
                    task_queue: Some(normal_queue("q")),
                    workflow_run_timeout: second(),
                    workflow_task_timeout: second(),
                    retry_policy: Some(retry()),
                    cron_schedule: "* * * * *".into(),
                    search_attributes: Some(attributes()),
                    ..Default::default()
                },
            )),
        ),
        (
            CommandType::SignalExternalWorkflowExecution,
            Attributes::SignalExternalWorkflowExecutionCommandAttributes(Box::new(
                command::SignalExternalWorkflowExecutionCommandAttributes {
                    execution: other(),
                    signal_name: "s".into(),
                    ..Default::default()
                },
            )),
        ),
        (
            CommandType::RequestCancelExternalWorkflowExecution,
            Attributes::RequestCancelExternalWorkflowExecutionCommandAttributes(Box::new(
                command::RequestCancelExternalWorkflowExecutionCommandAttributes {
                    workflow_id: "queue-0".into(),
                    ..Default::default()
                },
            )),
        ),
        (
            CommandType::RecordMarker,
            Attributes::RecordMarkerCommandAttributes(Box::new(command::RecordMarkerCommandAttributes {
                marker_name: "m".into(),
                details: [("key".to_owned(), to_payloads(&1))].into(),
                ..Default::default()
            })),
        ),
        (
            CommandType::UpsertWorkflowSearchAttributes,
            Attributes::UpsertWorkflowSearchAttributesCommandAttributes(Box::new(
                command::UpsertWorkflowSearchAttributesCommandAttributes { search_attributes: Some(attributes()) },
            )),
        ),
        (
            CommandType::ModifyWorkflowProperties,
            Attributes::ModifyWorkflowPropertiesCommandAttributes(Box::new(
                command::ModifyWorkflowPropertiesCommandAttributes {
                    upserted_memo: Some(Memo { fields: [("memo".to_owned(), Payload::default())].into() }),
                },
            )),
        ),
        (
            CommandType::ContinueAsNewWorkflowExecution,
            Attributes::ContinueAsNewWorkflowExecutionCommandAttributes(Box::new(
                command::ContinueAsNewWorkflowExecutionCommandAttributes {
                    workflow_type: Some(WorkflowType { name: "w".into() }),
                    task_queue: Some(normal_queue("q")),
                    workflow_run_timeout: second(),
                    backoff_start_interval: second(),
                    retry_policy: Some(retry()),
                    ..Default::default()
                },
            )),
        ),
        (
            CommandType::CompleteWorkflowExecution,
            Attributes::CompleteWorkflowExecutionCommandAttributes(Box::new(
                command::CompleteWorkflowExecutionCommandAttributes { result: Some(to_payloads(&1)) },
            )),
        ),
        (
            CommandType::ProtocolMessage,
            Attributes::ProtocolMessageCommandAttributes(Box::new(command::ProtocolMessageCommandAttributes {
                message_id: "none".into(),
            })),
        ),
    ];
    all.map(|(kind, attributes)| Command {
        command_type: kind as i32,
        attributes: Some(attributes),
        ..Default::default()
    })
    .to_vec()
}

fn retry() -> RetryPolicy {
    RetryPolicy {
        initial_interval: Some(wire_duration(Duration::from_secs(1))),
        backoff_coefficient: 2.0,
        maximum_interval: Some(wire_duration(Duration::from_secs(10))),
        maximum_attempts: 3,
        non_retryable_error_types: vec!["Fatal".into()],
    }
}

fn attributes() -> SearchAttributes {
    let mut metadata = json();
    metadata.insert("type".to_owned(), "Int".into());
    let value = Payload { data: "5".into(), metadata, ..Default::default() };
    SearchAttributes { indexed_fields: [("CustomIntField".to_owned(), value)].into() }
}

fn json() -> BTreeMap<String, bytes::Bytes> {
    [("encoding".to_owned(), "json/plain".into())].into()
}
