//! A node: an engine on a directory that outlives it, and short ways to be its client and its worker.

use api::{
    command::v1::{
        Command, CompleteWorkflowExecutionCommandAttributes, ScheduleActivityTaskCommandAttributes,
        SignalExternalWorkflowExecutionCommandAttributes, StartChildWorkflowExecutionCommandAttributes,
        StartTimerCommandAttributes, command::Attributes,
    },
    common::v1::{ActivityType, Payload, Payloads, WorkflowExecution, WorkflowType},
    enums::v1::{CommandType, TaskQueueKind},
    history::v1::HistoryEvent,
    taskqueue::v1::{StickyExecutionAttributes, TaskQueue},
    workflowservice::v1::{
        PollActivityTaskQueueResponse, PollWorkflowTaskQueueResponse, RespondWorkflowTaskCompletedRequest,
        StartWorkflowExecutionRequest,
    },
};
use engine::{
    Engine, Error, Fault, Handle, Settings, Shared, Stepping,
    ambient::{Clock, Entropy},
    message::{StartRequest, Target},
    namespaces::{self, Namespace, Namespaces, NewNamespace},
    poll::Poll,
    token::{self, Token},
};
use std::{sync::Arc, time::Duration};
use store::{Options, Store};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;
use tradewind_core::{
    ids::{NamespaceKey, TaskKind},
    limits::Limits,
    search_attributes::Schema,
    step::{Input, Signal},
    time::Timestamp,
};

/// How long a poll waits that should get something, and one that should not.
const PATIENCE: Duration = Duration::from_secs(10);
const GLANCE: Duration = Duration::from_millis(50);

pub const RETENTION: Duration = Duration::from_secs(3_600);

pub struct Node {
    pub store: Store,
    pub clock: Clock,
    engine: Engine,
    namespace: NamespaceKey,
    directory: TempDir,
    settings: Settings,
}

impl Node {
    pub async fn start() -> Node {
        Node::with(Settings::default()).await
    }

    pub async fn with(settings: Settings) -> Node {
        Node::on(Clock::manual(Timestamp::from_nanos(1_700_000_000_000_000_000)), settings).await
    }

    pub async fn on(clock: Clock, settings: Settings) -> Node {
        Node::open(TempDir::new().expect("a directory"), clock, settings).await
    }

    /// An engine in whose steps this happens first.
    pub async fn with_fault(fault: impl Fn(Stepping<'_>) + Send + Sync + 'static) -> Node {
        let fault: Fault = Arc::new(fault);
        Node::with(Settings { fault: Some(fault), ..Settings::default() }).await
    }

    async fn open(directory: TempDir, clock: Clock, settings: Settings) -> Node {
        let store = Store::open(Options::directory(directory.path())).expect("the store opens");
        let epoch = store.claim().expect("it can be claimed");
        let namespaces = Namespaces::load(store.clone(), epoch).expect("namespaces can be read");
        let namespace = match namespaces.named("default") {
            Some(known) => known.key,
            None => {
                let new = NewNamespace { name: "default".into(), retention: RETENTION, ..NewNamespace::default() };
                namespaces.register(Entropy::System.uuid(), new).await.expect("it is registered").key
            }
        };
        let shared = Shared::new(
            store.clone(),
            epoch,
            clock.clone(),
            Entropy::System,
            Arc::new(Limits::default()),
            namespaces,
            CancellationToken::new(),
            settings.clone(),
        );
        let engine = Engine::start(shared.expect("the store can be read")).expect("it starts");
        Node { store, clock, engine, namespace, directory, settings }
    }

    /// The process ends and comes back.
    pub async fn restart(self) -> Node {
        let settings = self.settings.clone();
        self.restart_with(settings).await
    }

    pub async fn restart_with(self, settings: Settings) -> Node {
        let Node { store, clock, engine, directory, .. } = self;
        engine.stop().await;
        store.close();
        drop(store);
        Node::open(directory, clock, settings).await
    }

    pub async fn keep_closed_runs_for(&self, retention: Duration) {
        let keep = |namespace: &mut Namespace| {
            namespace.retention = retention;
            Ok::<_, namespaces::Error>(())
        };
        self.handle().shared().namespaces.change(self.namespace, keep).await.expect("it is changed");
    }

    pub fn handle(&self) -> Handle {
        self.engine.handle()
    }

    pub fn target(&self, workflow_id: &str) -> Target {
        Target::execution(self.namespace, workflow_id, None)
    }

    /// Starts a workflow on the task queue of its own name.
    pub async fn begin(&self, workflow_id: &str) {
        self.begin_on(workflow_id, workflow_id).await;
    }

    pub async fn begin_on(&self, workflow_id: &str, queue: &str) {
        self.try_begin_on(workflow_id, queue).await.expect("it starts");
    }

    pub async fn try_begin_on(&self, workflow_id: &str, queue: &str) -> Result<(), Error> {
        let request = StartWorkflowExecutionRequest {
            namespace: "default".into(),
            workflow_id: workflow_id.into(),
            workflow_type: Some(WorkflowType { name: "w".into() }),
            task_queue: Some(normal(queue)),
            request_id: format!("start-{workflow_id}"),
            ..StartWorkflowExecutionRequest::default()
        };
        let start = StartRequest { namespace: self.namespace, request, parent: None, signal: None, update: None };
        self.handle().start(start).await.map(drop)
    }

    pub async fn signal(&self, workflow_id: &str, name: &str) -> Result<(), Error> {
        let signal = Signal {
            name: name.into(),
            input: None,
            identity: "client".into(),
            header: None,
            request_id: String::new(),
            links: Vec::new(),
            external: None,
        };
        self.handle().step(self.target(workflow_id), Input::Signal(signal)).await.map(drop)
    }

    pub fn poll_of(&self, kind: TaskKind, queue: &str, patience: Duration) -> Poll {
        Poll {
            namespace: self.namespace,
            kind,
            queue: queue.into(),
            sticky: false,
            normal_queue: String::new(),
            identity: "worker".into(),
            worker_instance: String::new(),
            max_tasks_per_second: None,
            until: self.clock.now() + patience,
        }
    }

    /// The workflow task that must be there.
    #[track_caller]
    pub fn task(&self, queue: &str) -> impl Future<Output = PollWorkflowTaskQueueResponse> {
        let (handle, poll) = (self.handle(), self.poll_of(TaskKind::Workflow, queue, PATIENCE));
        let queue = queue.to_owned();
        async move {
            let polled = handle.poll_workflow_task(poll).await.expect("polls are answered");
            polled.unwrap_or_else(|| panic!("no workflow task in {queue}"))
        }
    }

    /// The workflow task of a worker's own queue that must be there.
    pub async fn sticky_task(&self, queue: &str, normal: &str) -> PollWorkflowTaskQueueResponse {
        let poll = self.poll_of(TaskKind::Workflow, queue, PATIENCE);
        let poll = Poll { sticky: true, normal_queue: normal.into(), ..poll };
        self.handle().poll_workflow_task(poll).await.expect("polls are answered").expect("a task is there")
    }

    pub async fn expect_no_task(&self, queue: &str) {
        let poll = self.poll_of(TaskKind::Workflow, queue, GLANCE);
        let polled = self.handle().poll_workflow_task(poll).await.expect("polls are answered");
        assert_eq!(polled, None, "in {queue}");
    }

    pub async fn activity(&self, queue: &str) -> PollActivityTaskQueueResponse {
        let poll = self.poll_of(TaskKind::Activity, queue, PATIENCE);
        self.handle().poll_activity_task(poll).await.expect("polls are answered").expect("an activity is there")
    }

    pub async fn complete_activity(&self, task: &PollActivityTaskQueueResponse, result: &str) -> Result<(), Error> {
        let token = Token::decode_as(token::ACTIVITY, &task.task_token).expect("a token of ours");
        let target = Target::Run { slot: token.slot(), run: token.run() };
        let (activity, result) = (token.activity(), Some(text(result)));
        let input = Input::CompleteActivity { activity, result, identity: "worker".into() };
        self.handle().step(target, input).await.map(drop)
    }

    pub async fn complete(
        &self,
        task: &PollWorkflowTaskQueueResponse,
        commands: impl Into<Vec<Command>>,
    ) -> Result<(), Error> {
        self.complete_sticky(task, commands, None).await
    }

    pub async fn complete_sticky(
        &self,
        task: &PollWorkflowTaskQueueResponse,
        commands: impl Into<Vec<Command>>,
        sticky: Option<&str>,
    ) -> Result<(), Error> {
        let token = Token::decode_as(token::WORKFLOW, &task.task_token).expect("a token of ours");
        let request = RespondWorkflowTaskCompletedRequest {
            task_token: task.task_token.clone(),
            commands: commands.into(),
            identity: "worker".into(),
            sticky_attributes: sticky.map(|name| StickyExecutionAttributes {
                worker_task_queue: Some(TaskQueue {
                    name: name.into(),
                    kind: TaskQueueKind::Sticky as i32,
                    ..TaskQueue::default()
                }),
                schedule_to_start_timeout: Some(seconds(5)),
            }),
            ..RespondWorkflowTaskCompletedRequest::default()
        };
        self.handle().complete_workflow_task(&token, request).await.map(drop)
    }

    /// Runs the next task of the queue with these commands.
    pub async fn turn(&self, queue: &str, commands: impl Into<Vec<Command>>) {
        let task = self.task(queue).await;
        self.complete(&task, commands).await.expect("the completion is taken");
    }

    /// Moves the clock, and lets every loop look at it.
    pub async fn advance(&self, by: Duration) {
        self.clock.advance(by);
        self.nudge().await;
    }

    /// A question to every loop: what lies before it is done when it is answered.
    pub async fn nudge(&self) {
        for _ in 0..2 {
            for number in 0..16 {
                // Nobody has this name, which each loop says for its share of the names.
                let _ = self.handle().inspect(self.target(&format!("nobody-{number}")), false).await;
            }
        }
    }

    /// The names of the events of a run, as they stand in the store.
    pub async fn history(&self, workflow_id: &str) -> Vec<String> {
        let events = self.events(workflow_id).await;
        events.iter().map(|event| event.event_type().as_str_name().replace("EVENT_TYPE_", "").to_lowercase()).collect()
    }

    pub async fn events(&self, workflow_id: &str) -> Vec<HistoryEvent> {
        let handle = self.handle();
        let snapshot = handle.inspect(self.target(workflow_id), false).await.expect("the run is there");
        handle.settled(&snapshot).await.expect("the store works");
        let until = snapshot.state.next_event_id();
        handle.events(snapshot.run, &[], 1, until, 1_000).expect("its history is there")
    }

    /// Waits until something is in history: what other runs are owed is carried out beside the test.
    pub async fn wait_for(&self, workflow_id: &str, event: &str) {
        for _ in 0..1_000 {
            if self.history(workflow_id).await.iter().any(|it| it == event) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("no {event} in {:?}", self.history(workflow_id).await);
    }

    pub async fn is_closed(&self, workflow_id: &str) -> bool {
        let snapshot = self.handle().inspect(self.target(workflow_id), false).await.expect("the run is there");
        !snapshot.state.is_running()
    }

    /// The workflow ids that a list query finds, once everything written is there.
    pub async fn list(&self, query: &str) -> Vec<String> {
        // Rows of lists may be written behind the answer.
        tokio::time::sleep(GLANCE).await;
        let query = store::filter::parse(query, &Schema::new()).expect("a good query");
        let (rows, _) = self.store.list(self.namespace, &query, 100, None).expect("the store works");
        rows.into_iter().map(|row| row.workflow_id).collect()
    }
}

pub fn normal(name: &str) -> TaskQueue {
    TaskQueue { name: name.into(), kind: TaskQueueKind::Normal as i32, ..TaskQueue::default() }
}

pub fn seconds(seconds: i64) -> prost_types::Duration {
    prost_types::Duration { seconds, nanos: 0 }
}

pub fn text(text: &str) -> Payloads {
    Payloads { payloads: vec![Payload { data: text.to_owned().into(), ..Payload::default() }] }
}

pub fn complete() -> Command {
    let attributes = CompleteWorkflowExecutionCommandAttributes { result: Some(text("done")) };
    command(
        CommandType::CompleteWorkflowExecution,
        Attributes::CompleteWorkflowExecutionCommandAttributes(Box::new(attributes)),
    )
}

pub fn timer(timer_id: &str, after: i64) -> Command {
    let attributes =
        StartTimerCommandAttributes { timer_id: timer_id.into(), start_to_fire_timeout: Some(seconds(after)) };
    command(CommandType::StartTimer, Attributes::StartTimerCommandAttributes(Box::new(attributes)))
}

pub fn activity(activity_id: &str, queue: &str) -> Command {
    let attributes = ScheduleActivityTaskCommandAttributes {
        activity_id: activity_id.into(),
        activity_type: Some(ActivityType { name: "a".into() }),
        task_queue: Some(normal(queue)),
        start_to_close_timeout: Some(seconds(60)),
        ..ScheduleActivityTaskCommandAttributes::default()
    };
    command(CommandType::ScheduleActivityTask, Attributes::ScheduleActivityTaskCommandAttributes(Box::new(attributes)))
}

/// A child on the task queue of its own name.
pub fn child(workflow_id: &str) -> Command {
    let attributes = StartChildWorkflowExecutionCommandAttributes {
        workflow_id: workflow_id.into(),
        workflow_type: Some(WorkflowType { name: "w".into() }),
        task_queue: Some(normal(workflow_id)),
        ..StartChildWorkflowExecutionCommandAttributes::default()
    };
    command(
        CommandType::StartChildWorkflowExecution,
        Attributes::StartChildWorkflowExecutionCommandAttributes(Box::new(attributes)),
    )
}

pub fn signal_other(workflow_id: &str, name: &str) -> Command {
    let attributes = SignalExternalWorkflowExecutionCommandAttributes {
        execution: Some(WorkflowExecution { workflow_id: workflow_id.into(), run_id: String::new() }),
        signal_name: name.into(),
        ..SignalExternalWorkflowExecutionCommandAttributes::default()
    };
    command(
        CommandType::SignalExternalWorkflowExecution,
        Attributes::SignalExternalWorkflowExecutionCommandAttributes(Box::new(attributes)),
    )
}

fn command(command_type: CommandType, attributes: Attributes) -> Command {
    Command { command_type: command_type as i32, attributes: Some(attributes), ..Command::default() }
}
