//! What clients read of executions and of the queues that they wait in.

// Deprecated fields are still sent by tools in use.
#![allow(deprecated)]

use super::{Test, refused};
use api::command::v1::{Command, ScheduleActivityTaskCommandAttributes, command::Attributes};
use api::common::v1::{Payload, Payloads, Priority, RetryPolicy, SearchAttributes, WorkflowExecution, WorkflowType};
use api::enums::v1::{
    CommandType, DescribeTaskQueueMode, EventType, IndexedValueType, PendingActivityState, PendingWorkflowTaskState,
    TaskQueueType, WorkflowExecutionStatus as Status, WorkflowIdConflictPolicy,
};
use api::failure::v1::Failure;
use api::filter::v1::{StartTimeFilter, StatusFilter, WorkflowExecutionFilter, WorkflowTypeFilter};
use api::operatorservice::v1::{DeleteNamespaceRequest, RemoveSearchAttributesRequest};
use api::taskqueue::v1::TaskQueue;
use api::worker::v1::WorkerHeartbeat;
use api::workflow::v1::{OnConflictOptions, WorkflowExecutionInfo};
use api::workflowservice::v1::*;
use std::time::Duration;
use store::row::RunRow;
use tonic::Code;
use tradewind_core::ids::{NamespaceKey, RunKey};
use tradewind_core::search_attributes::{AttributeValue, encode};

// --- describe ----------------------------------------------------------------------------------------------------

#[tokio::test]
async fn a_description_shows_what_a_run_waits_for() {
    let test = Test::start().await;
    let run_id = test.launch("w", |_| {}).await;

    let described = test.describe_run("w").await;
    let task = described.pending_workflow_task.unwrap();
    assert_eq!((task.state(), task.attempt, task.started_time), (PendingWorkflowTaskState::Scheduled, 1, None));
    let config = described.execution_config.unwrap();
    assert_eq!(config.default_workflow_task_timeout.unwrap().seconds, 10);
    assert_eq!((config.workflow_run_timeout, config.workflow_execution_timeout), (None, None), "shown if set");
    let info = described.workflow_execution_info.unwrap();
    assert_eq!((info.status(), info.history_length, info.first_run_id), (Status::Running, 2, run_id.clone()));
    assert_eq!((info.memo, info.search_attributes), (Some(Default::default()), Some(Default::default())));
    assert_eq!(info.auto_reset_points.unwrap().points, []);

    test.complete_task(vec![schedule_activity("a")]).await;
    let activity = test.poll_activity().await;
    let pending = test.pending_activity("w").await;
    assert_eq!((pending.state(), pending.attempt), (PendingActivityState::Started, 1));
    assert!(pending.last_started_time.is_some() && pending.next_attempt_schedule_time.is_none());

    test.fail_activity(activity).await;
    let pending = test.pending_activity("w").await;
    assert_eq!((pending.state(), pending.attempt), (PendingActivityState::Scheduled, 2));
    assert_eq!(pending.last_failure.unwrap().message, "boom");
    assert_eq!((pending.last_started_time, pending.current_retry_interval.unwrap().seconds), (None, 3_600));
    assert_eq!(pending.next_attempt_schedule_time, pending.scheduled_time);
    let options = pending.activity_options.unwrap();
    assert_eq!(options.task_queue.unwrap().name, QUEUE);
    assert_eq!(options.heartbeat_timeout, Some(prost_types::Duration::default()), "0 s, not absent");

    let info = test.describe_run("w").await.workflow_execution_info.unwrap();
    let [point] = &info.auto_reset_points.unwrap().points[..] else { panic!("one first completed task") };
    assert_eq!((point.run_id.as_str(), point.first_workflow_task_completed_id), (run_id.as_str(), 4));
    assert_eq!(info.search_attributes.unwrap().indexed_fields["BuildIds"].data, r#"["unversioned"]"#);
}

#[tokio::test]
async fn a_closed_run_shows_how_long_it_ran_and_waits_for_nothing() {
    let test = Test::start().await;
    test.launch("w", |request| {
        request.workflow_run_timeout = Some(prost_types::Duration { seconds: 60, nanos: 0 });
    })
    .await;
    test.terminate("w").await;

    let described = test.describe_run("w").await;
    assert_eq!((described.pending_activities, described.pending_workflow_task), (vec![], None));
    let info = described.workflow_execution_info.unwrap();
    assert_eq!(info.status(), Status::Terminated);
    assert!(info.close_time.is_some() && info.execution_duration.is_some());
    let extended = described.workflow_extended_info.unwrap();
    assert_eq!(extended.run_expiration_time.unwrap().seconds - info.start_time.unwrap().seconds, 60);
}

#[tokio::test]
async fn a_description_names_the_requests_that_the_run_answered() {
    let test = Test::start().await;
    test.launch("w", |request| request.request_id = "first".into()).await;
    test.launch("w", |request| {
        request.request_id = "second".into();
        request.workflow_id_conflict_policy = WorkflowIdConflictPolicy::UseExisting as i32;
        request.on_conflict_options =
            Some(OnConflictOptions { attach_request_id: true, attach_completion_callbacks: true, attach_links: true });
    })
    .await;

    let infos = test.describe_run("w").await.workflow_extended_info.unwrap().request_id_infos;
    let infos: Vec<_> = infos.iter().map(|(id, info)| (id.as_str(), info.event_type(), info.event_id)).collect();
    assert_eq!(
        infos,
        [("first", EventType::WorkflowExecutionStarted, 1), ("second", EventType::WorkflowExecutionOptionsUpdated, 3)]
    );
}

#[tokio::test]
async fn a_run_that_is_not_there_cannot_be_described() {
    let test = Test::start().await;
    let describe = |workflow_id: &str, run_id: &str| DescribeWorkflowExecutionRequest {
        namespace: "default".into(),
        execution: Some(WorkflowExecution { workflow_id: workflow_id.into(), run_id: run_id.into() }),
    };
    let absent = test.workflow().describe_workflow_execution(describe("nope", "")).await;
    refused(absent, Code::NotFound, "workflow not found for ID: nope");
    let bad = test.workflow().describe_workflow_execution(describe("w", "7")).await;
    refused(bad, Code::InvalidArgument, "Invalid RunId.");
}

// --- lists and counts --------------------------------------------------------------------------------------------

#[tokio::test]
async fn a_list_is_read_by_page_and_its_times_are_in_microseconds() {
    let test = Test::start().await;
    for id in ["a", "b", "c"] {
        test.launch(id, |_| {}).await;
    }
    let mut seen = Vec::new();
    let mut next_page_token = Default::default();
    loop {
        let page = ListWorkflowExecutionsRequest {
            namespace: "default".into(),
            page_size: 2,
            next_page_token,
            query: "WorkflowType = 'T'".into(),
        };
        let page = test.workflow().list_workflow_executions(page).await.unwrap().into_inner();
        seen.extend(page.executions);
        next_page_token = page.next_page_token;
        if next_page_token.is_empty() {
            break;
        }
    }
    assert_eq!(ids(&seen), ["c", "b", "a"], "latest first");
    assert!(seen.iter().all(|it| it.start_time.unwrap().nanos % 1_000 == 0 && it.history_length == 0));
    assert!(seen.iter().all(|it| it.memo.is_some() && it.search_attributes.is_some()));
}

#[tokio::test]
async fn open_and_closed_runs_are_listed_apart() {
    let test = Test::start().await;
    for id in ["it's", "b", "c"] {
        test.launch(id, |_| {}).await;
    }
    test.terminate("b").await;
    let by_id = |id: &str| WorkflowExecutionFilter { workflow_id: id.into(), run_id: String::new() };

    assert_eq!(test.open(None, None).await.unwrap(), ["c", "it's"]);
    use list_open_workflow_executions_request::Filters as Open;
    assert_eq!(test.open(None, Some(Open::ExecutionFilter(by_id("it's")))).await.unwrap(), ["it's"]);
    assert_eq!(
        test.open(None, Some(Open::TypeFilter(WorkflowTypeFilter { name: "U".into() }))).await.unwrap(),
        [""; 0]
    );
    let at = |seconds| Some(prost_types::Timestamp { seconds, nanos: 0 });
    let long_ago = StartTimeFilter { earliest_time: None, latest_time: at(1) };
    assert_eq!(test.open(Some(long_ago), None).await.unwrap(), [""; 0]);
    let backwards = StartTimeFilter { earliest_time: at(2), latest_time: at(1) };
    refused(
        test.open(Some(backwards), None).await,
        Code::InvalidArgument,
        "EarliestTime in StartTimeFilter should not be larger than LatestTime.",
    );

    use list_closed_workflow_executions_request::Filters as Closed;
    let status = |status: Status| Some(Closed::StatusFilter(StatusFilter { status: status as i32 }));
    assert_eq!(test.closed(None).await.unwrap(), ["b"]);
    assert_eq!(test.closed(status(Status::Terminated)).await.unwrap(), ["b"]);
    assert_eq!(test.closed(status(Status::Failed)).await.unwrap(), [""; 0]);
    assert_eq!(test.closed(Some(Closed::ExecutionFilter(by_id("c")))).await.unwrap(), [""; 0]);
    refused(
        test.closed(status(Status::Running)).await,
        Code::InvalidArgument,
        "StatusFilter must be specified and must be not Running.",
    );
}

#[tokio::test]
async fn counts_come_in_groups_that_are_keywords() {
    let test = Test::start().await;
    for id in ["a", "b", "c"] {
        test.launch(id, |_| {}).await;
    }
    test.terminate("b").await;
    let count = |query: &str| CountWorkflowExecutionsRequest { namespace: "default".into(), query: query.into() };

    let counted = test.workflow().count_workflow_executions(count("WorkflowId = 'a'")).await.unwrap().into_inner();
    assert_eq!((counted.count, counted.groups), (1, vec![]));
    let counted = test.workflow().count_workflow_executions(count("GROUP BY ExecutionStatus")).await.unwrap();
    let counted = counted.into_inner();
    let groups: Vec<_> = counted.groups.iter().map(|group| (&group.group_values[0].data[..], group.count)).collect();
    assert_eq!((counted.count, groups), (3, vec![(&br#""Running""#[..], 2), (&br#""Terminated""#[..], 1)]));
    assert_eq!(counted.groups[0].group_values[0].metadata["type"], "Keyword");
    let bad = test.workflow().count_workflow_executions(count("Foo = 1")).await;
    refused(bad, Code::InvalidArgument, "invalid query: invalid search attribute: Foo");
}

#[tokio::test]
async fn a_removed_attribute_does_not_take_the_others_along() {
    let test = Test::start().await;
    let keyword = |text: &str| encode(&AttributeValue::Keyword(text.into()));
    for name in ["Kept", "Removed"] {
        test.add_attribute(name, IndexedValueType::Keyword).await.unwrap();
    }
    test.launch("w", |request| {
        let indexed_fields = [("Kept".into(), keyword("x")), ("Removed".into(), keyword("y"))].into();
        request.search_attributes = Some(SearchAttributes { indexed_fields });
    })
    .await;
    let remove =
        RemoveSearchAttributesRequest { namespace: "default".into(), search_attributes: vec!["Removed".into()] };
    test.operator().remove_search_attributes(remove).await.unwrap();
    test.terminate("w").await;

    let count = CountWorkflowExecutionsRequest { namespace: "default".into(), query: "Kept = 'x'".into() };
    assert_eq!(test.workflow().count_workflow_executions(count).await.unwrap().into_inner().count, 1);
    let shown = test.describe_run("w").await.workflow_execution_info.unwrap().search_attributes.unwrap();
    assert_eq!(shown.indexed_fields.into_keys().collect::<Vec<_>>(), ["Kept"]);
}

#[tokio::test]
async fn there_is_no_archive() {
    let test = Test::start().await;
    let request = ListArchivedWorkflowExecutionsRequest { namespace: "default".into(), ..Default::default() };
    let listed = test.workflow().list_archived_workflow_executions(request).await;
    refused(listed, Code::InvalidArgument, "Cluster is not configured for visibility archival.");
}

// --- task queues and workers -------------------------------------------------------------------------------------

#[tokio::test]
async fn a_queue_tells_its_backlog_by_priority_and_who_polls() {
    let mut test = Test::start().await;
    test.launch("a", |_| {}).await;
    test.launch("b", |request| request.priority = Some(Priority { priority_key: 1, ..Default::default() })).await;

    let queue = test.describe_queue(|_| {}).await;
    let waiting: Vec<_> =
        queue.stats_by_priority_key.iter().map(|(key, stats)| (*key, stats.approximate_backlog_count)).collect();
    assert_eq!(waiting, [(1, 1), (3, 1)]);
    assert_eq!(queue.stats.unwrap().approximate_backlog_count, 2);
    assert_eq!((queue.pollers, queue.effective_rate_limit), (vec![], None));

    test.restart().await;
    assert_eq!(test.describe_queue(|_| {}).await.stats.unwrap().approximate_backlog_count, 2, "read from disk");

    test.complete_task(vec![]).await;
    let queue = test.describe_queue(|request| request.api_mode = DescribeTaskQueueMode::Enhanced as i32).await;
    let info = &queue.versions_info[""].types_info[&(TaskQueueType::Workflow as i32)];
    assert_eq!(info.pollers[0].identity, "worker");
    assert_eq!(info.stats.unwrap().approximate_backlog_count, 1);
}

#[tokio::test]
async fn a_queue_has_one_partition() {
    let test = Test::start().await;
    let queue = Some(TaskQueue { name: "q".into(), ..Default::default() });
    let request = ListTaskQueuePartitionsRequest { namespace: "default".into(), task_queue: queue };
    let listed = test.workflow().list_task_queue_partitions(request).await.unwrap().into_inner();
    assert_eq!(listed.workflow_task_queue_partitions[0].key, "q");
    assert_eq!(listed.activity_task_queue_partitions.len(), 1);
}

#[tokio::test]
async fn a_leaving_worker_gets_its_poll_back_and_its_last_heartbeat_counts() {
    let test = Test::start().await;
    let mut poller = test.workflow();
    let poll = tokio::spawn(async move {
        poller
            .poll_workflow_task_queue(PollWorkflowTaskQueueRequest { worker_instance_key: "k".into(), ..poll() })
            .await
    });
    while test.describe_queue(|_| {}).await.pollers.is_empty() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let farewell = ShutdownWorkerRequest {
        namespace: "default".into(),
        worker_instance_key: "k".into(),
        worker_heartbeat: Some(WorkerHeartbeat { worker_instance_key: "k".into(), ..Default::default() }),
        ..Default::default()
    };
    test.workflow().shutdown_worker(farewell).await.unwrap();

    let answered = tokio::time::timeout(Duration::from_secs(5), poll).await.expect("at once").unwrap().unwrap();
    assert!(answered.into_inner().task_token.is_empty());
    let list = ListWorkersRequest { namespace: "default".into(), ..Default::default() };
    assert_eq!(test.workflow().list_workers(list).await.unwrap().into_inner().workers.len(), 1);
}

// --- deleted namespaces ------------------------------------------------------------------------------------------

#[tokio::test]
async fn a_deleted_namespace_takes_its_runs_along_even_across_a_restart() {
    let mut test = Test::start().await;
    test.register("orders", 3_600).await.unwrap();
    let info = test.describe("orders").await.unwrap().namespace_info.unwrap();
    let service = test.server().service();
    let key = service.namespaces.named("orders").unwrap().key;
    for id in ["a", "b"] {
        test.launch(id, |request| request.namespace = "orders".into()).await;
    }
    test.launch("mine", |_| {}).await;

    let delete = DeleteNamespaceRequest { namespace: "orders".into(), ..Default::default() };
    test.operator().delete_namespace(delete).await.unwrap();
    // The record outlives the runs by a look a second later, so this restart comes before the end.
    test.restart().await;

    let by_id = || DescribeNamespaceRequest { id: info.id.clone(), ..Default::default() };
    while test.workflow().describe_namespace(by_id()).await.is_ok() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(test.runs_of(key), []);
    test.describe_run("mine").await;
}

// --- helpers -----------------------------------------------------------------------------------------------------

const QUEUE: &str = "q";

impl Test {
    /// Starts a workflow of type `T`; says which run it is.
    async fn launch(&self, id: &str, change: impl FnOnce(&mut StartWorkflowExecutionRequest)) -> String {
        let mut request = StartWorkflowExecutionRequest {
            namespace: "default".into(),
            workflow_id: id.into(),
            workflow_type: Some(WorkflowType { name: "T".into() }),
            task_queue: queue(),
            ..Default::default()
        };
        change(&mut request);
        self.workflow().start_workflow_execution(request).await.expect("it starts").into_inner().run_id
    }

    async fn terminate(&self, id: &str) {
        let request = TerminateWorkflowExecutionRequest {
            namespace: "default".into(),
            workflow_execution: execution(id),
            ..Default::default()
        };
        self.workflow().terminate_workflow_execution(request).await.expect("it runs");
    }

    async fn describe_run(&self, id: &str) -> DescribeWorkflowExecutionResponse {
        let request = DescribeWorkflowExecutionRequest { namespace: "default".into(), execution: execution(id) };
        self.workflow().describe_workflow_execution(request).await.expect("it exists").into_inner()
    }

    async fn pending_activity(&self, id: &str) -> api::workflow::v1::PendingActivityInfo {
        self.describe_run(id).await.pending_activities.pop().expect("an activity is pending")
    }

    async fn complete_task(&self, commands: Vec<Command>) {
        let task = self.workflow().poll_workflow_task_queue(poll()).await.expect("a task").into_inner();
        let request = RespondWorkflowTaskCompletedRequest {
            namespace: "default".into(),
            task_token: task.task_token,
            commands,
            ..Default::default()
        };
        self.workflow().respond_workflow_task_completed(request).await.expect("a good answer");
    }

    async fn poll_activity(&self) -> PollActivityTaskQueueResponse {
        let request = PollActivityTaskQueueRequest {
            namespace: "default".into(),
            task_queue: queue(),
            identity: "worker".into(),
            ..Default::default()
        };
        self.workflow().poll_activity_task_queue(request).await.expect("a task").into_inner()
    }

    async fn fail_activity(&self, task: PollActivityTaskQueueResponse) {
        let request = RespondActivityTaskFailedRequest {
            namespace: "default".into(),
            task_token: task.task_token,
            failure: Some(Failure { message: "boom".into(), ..Default::default() }),
            ..Default::default()
        };
        self.workflow().respond_activity_task_failed(request).await.expect("a good answer");
    }

    async fn open(
        &self,
        start_time_filter: Option<StartTimeFilter>,
        filters: Option<list_open_workflow_executions_request::Filters>,
    ) -> Result<Vec<String>, tonic::Status> {
        let namespace = "default".into();
        let request = ListOpenWorkflowExecutionsRequest { namespace, start_time_filter, filters, ..Default::default() };
        Ok(ids(&self.workflow().list_open_workflow_executions(request).await?.into_inner().executions))
    }

    async fn closed(
        &self,
        filters: Option<list_closed_workflow_executions_request::Filters>,
    ) -> Result<Vec<String>, tonic::Status> {
        let request =
            ListClosedWorkflowExecutionsRequest { namespace: "default".into(), filters, ..Default::default() };
        Ok(ids(&self.workflow().list_closed_workflow_executions(request).await?.into_inner().executions))
    }

    async fn describe_queue(&self, change: impl FnOnce(&mut DescribeTaskQueueRequest)) -> DescribeTaskQueueResponse {
        let mut request = DescribeTaskQueueRequest {
            namespace: "default".into(),
            task_queue: queue(),
            task_queue_type: TaskQueueType::Workflow as i32,
            report_stats: true,
            report_pollers: true,
            ..Default::default()
        };
        change(&mut request);
        self.workflow().describe_task_queue(request).await.expect("any queue can be described").into_inner()
    }

    fn runs_of(&self, namespace: NamespaceKey) -> Vec<RunRow> {
        self.server().service().store.runs_of_namespace(namespace, RunKey(0), 10).expect("the store reads")
    }
}

fn queue() -> Option<TaskQueue> {
    Some(TaskQueue { name: QUEUE.into(), ..Default::default() })
}

fn poll() -> PollWorkflowTaskQueueRequest {
    PollWorkflowTaskQueueRequest {
        namespace: "default".into(),
        task_queue: queue(),
        identity: "worker".into(),
        ..Default::default()
    }
}

fn execution(id: &str) -> Option<WorkflowExecution> {
    Some(WorkflowExecution { workflow_id: id.into(), run_id: String::new() })
}

fn ids(executions: &[WorkflowExecutionInfo]) -> Vec<String> {
    executions.iter().map(|it| it.execution.as_ref().expect("a list names them").workflow_id.clone()).collect()
}

/// An activity that is tried again after an hour.
fn schedule_activity(id: &str) -> Command {
    let seconds = |seconds| Some(prost_types::Duration { seconds, nanos: 0 });
    Command {
        command_type: CommandType::ScheduleActivityTask as i32,
        attributes: Some(Attributes::ScheduleActivityTaskCommandAttributes(Box::new(
            ScheduleActivityTaskCommandAttributes {
                activity_id: id.into(),
                activity_type: Some(api::common::v1::ActivityType { name: "A".into() }),
                task_queue: queue(),
                input: Some(Payloads { payloads: vec![Payload::default()] }),
                start_to_close_timeout: seconds(10),
                retry_policy: Some(RetryPolicy { initial_interval: seconds(3_600), ..Default::default() }),
                ..Default::default()
            },
        ))),
        ..Default::default()
    }
}
