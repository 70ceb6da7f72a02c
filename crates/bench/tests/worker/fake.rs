//! Just enough of a server to host the benchmark workflows: no timeouts, no disk, nothing but the happy path.
//!
//! It can lose the answers of some calls after carrying them out, which is what a client sees of a server that is
//! killed. Polls fail before they take a task, since there is no timeout that would bring it back.

use api::{
    command::v1::command::Attributes as CommandAttributes,
    enums::v1::TaskQueueKind,
    history::v1::{self as history, History, HistoryEvent, history_event::Attributes},
    workflowservice::v1::{
        self as wire,
        workflow_service_server::{WorkflowService, WorkflowServiceServer},
    },
};
use parking_lot::Mutex;
use std::{
    collections::{HashMap, VecDeque},
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};
use tokio::sync::{Notify, watch};
use tonic::{Request, Response, Status};

#[derive(Default)]
pub struct FakeServer {
    /// Every n-th answer is lost; none if zero.
    lose_every: u64,
    /// How many activities of a run may be pending; any number if zero.
    pending_max: usize,
    calls: AtomicU64,
    runs: Mutex<HashMap<String, Run>>,
    /// Run id by workflow id.
    current: Mutex<HashMap<String, String>>,
    workflow_tasks: Queues,
    activity_tasks: Queues,
}

struct Run {
    workflow_id: String,
    workflow_type: String,
    queue: String,
    sticky: Option<String>,
    events: Vec<HistoryEvent>,
    /// Started event of the task a worker holds.
    started: Option<i64>,
    previous_started: i64,
    task_waits: bool,
    /// Activities under way, by scheduled event.
    open: HashMap<i64, String>,
    closed: watch::Sender<bool>,
}

#[derive(Default)]
struct Queues {
    by_name: Mutex<HashMap<String, Arc<Queue>>>,
}

#[derive(Default)]
struct Queue {
    waiting: Mutex<VecDeque<String>>,
    added: Notify,
}

impl FakeServer {
    #[allow(dead_code, reason = "the example serves without faults")]
    pub fn losing_every(lose_every: u64) -> Self {
        Self { lose_every, ..Default::default() }
    }

    #[allow(dead_code, reason = "the example serves without limits")]
    pub fn limiting(pending_max: usize) -> Self {
        Self { pending_max, ..Default::default() }
    }

    /// Serves on a free port, or on the given one, until the process ends.
    pub async fn serve(self, port: u16) -> SocketAddr {
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await.expect("a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        let incoming = tonic::transport::server::TcpIncoming::from(listener).with_nodelay(Some(true));
        let router = tonic::transport::Server::builder().add_service(WorkflowServiceServer::new(self));
        tokio::spawn(router.serve_with_incoming(incoming));
        address
    }

    /// Fails as often as it was asked to.
    fn answer<T>(&self, reply: T) -> Result<Response<T>, Status> {
        let call = self.calls.fetch_add(1, Ordering::Relaxed) + 1;
        // Nothing but zero is a multiple of zero.
        if call.is_multiple_of(self.lose_every) {
            return Err(Status::unavailable("lost"));
        }
        Ok(Response::new(reply))
    }

    fn wake(&self, run_id: &str, run: &mut Run) {
        if run.started.is_none() && !run.task_waits && !*run.closed.borrow() {
            run.task_waits = true;
            run.record(Attributes::WorkflowTaskScheduledEventAttributes(Default::default()));
            self.workflow_tasks.named(run.sticky.as_ref().unwrap_or(&run.queue)).push(run_id.to_owned());
        }
    }
}

impl Run {
    fn record(&mut self, attributes: Attributes) -> i64 {
        let event_id = self.events.len() as i64 + 1;
        self.events.push(HistoryEvent { event_id, attributes: Some(attributes), ..Default::default() });
        event_id
    }

    fn activity_task(&self, run_id: &str, scheduled: i64) -> wire::PollActivityTaskQueueResponse {
        wire::PollActivityTaskQueueResponse {
            task_token: format!("{run_id}/{scheduled}").into(),
            activity_id: self.open[&scheduled].clone(),
            attempt: 1,
            ..Default::default()
        }
    }
}

impl Queues {
    fn named(&self, name: &str) -> Arc<Queue> {
        self.by_name.lock().entry(name.to_owned()).or_default().clone()
    }
}

impl Queue {
    fn push(&self, item: String) {
        self.waiting.lock().push_back(item);
        self.added.notify_one();
    }

    async fn pop(&self) -> String {
        loop {
            if let Some(item) = self.waiting.lock().pop_front() {
                return item;
            }
            self.added.notified().await;
        }
    }
}

fn parse(token: &[u8]) -> Result<(String, i64), Status> {
    let token = std::str::from_utf8(token).ok().and_then(|token| token.rsplit_once('/'));
    let (run_id, event) = token.ok_or_else(|| Status::invalid_argument("bad token"))?;
    Ok((run_id.to_owned(), event.parse().map_err(|_| Status::invalid_argument("bad token"))?))
}

#[tonic::async_trait]
impl WorkflowService for FakeServer {
    async fn describe_namespace(
        &self,
        _: Request<wire::DescribeNamespaceRequest>,
    ) -> Result<Response<wire::DescribeNamespaceResponse>, Status> {
        Ok(Response::new(Default::default()))
    }

    async fn start_workflow_execution(
        &self,
        request: Request<wire::StartWorkflowExecutionRequest>,
    ) -> Result<Response<wire::StartWorkflowExecutionResponse>, Status> {
        let start = request.into_inner();
        // The request id makes the run id, so a repeated start is the same run.
        let run_id = format!("run-{}", start.request_id);
        {
            let mut runs = self.runs.lock();
            if !runs.contains_key(&run_id) {
                let mut run = Run {
                    workflow_id: start.workflow_id.clone(),
                    workflow_type: start.workflow_type.unwrap_or_default().name,
                    queue: start.task_queue.unwrap_or_default().name,
                    sticky: None,
                    events: Vec::new(),
                    started: None,
                    previous_started: 0,
                    task_waits: false,
                    open: HashMap::new(),
                    closed: watch::Sender::new(false),
                };
                run.record(Attributes::WorkflowExecutionStartedEventAttributes(Box::new(
                    history::WorkflowExecutionStartedEventAttributes { input: start.input, ..Default::default() },
                )));
                self.wake(&run_id, &mut run);
                self.current.lock().insert(start.workflow_id, run_id.clone());
                runs.insert(run_id.clone(), run);
            }
        }
        self.answer(wire::StartWorkflowExecutionResponse { run_id, started: true, ..Default::default() })
    }

    async fn signal_workflow_execution(
        &self,
        request: Request<wire::SignalWorkflowExecutionRequest>,
    ) -> Result<Response<wire::SignalWorkflowExecutionResponse>, Status> {
        let execution = request.into_inner().workflow_execution.unwrap_or_default();
        let run_id = self.current.lock().get(&execution.workflow_id).cloned();
        let run_id = run_id.ok_or_else(|| Status::not_found("no such workflow"))?;
        let mut runs = self.runs.lock();
        let run = runs.get_mut(&run_id).expect("a current run is held");
        run.record(Attributes::WorkflowExecutionSignaledEventAttributes(Default::default()));
        self.wake(&run_id, run);
        Ok(Response::new(Default::default()))
    }

    async fn poll_workflow_task_queue(
        &self,
        request: Request<wire::PollWorkflowTaskQueueRequest>,
    ) -> Result<Response<wire::PollWorkflowTaskQueueResponse>, Status> {
        let queue = request.into_inner().task_queue.unwrap_or_default();
        self.answer(())?;
        let run_id = self.workflow_tasks.named(&queue.name).pop().await;
        let mut runs = self.runs.lock();
        let run = runs.get_mut(&run_id).expect("queued runs are held");
        run.task_waits = false;
        let started = run.record(Attributes::WorkflowTaskStartedEventAttributes(Default::default()));
        run.started = Some(started);
        let known = if queue.kind == TaskQueueKind::Sticky as i32 { run.previous_started as usize } else { 0 };
        Ok(Response::new(wire::PollWorkflowTaskQueueResponse {
            task_token: format!("{run_id}/{started}").into(),
            workflow_execution: Some(bench::client::execution(&run.workflow_id, &run_id)),
            workflow_type: Some(api::common::v1::WorkflowType { name: run.workflow_type.clone() }),
            previous_started_event_id: run.previous_started,
            started_event_id: started,
            attempt: 1,
            history: Some(History { events: run.events[known..].to_vec() }),
            ..Default::default()
        }))
    }

    async fn respond_workflow_task_completed(
        &self,
        request: Request<wire::RespondWorkflowTaskCompletedRequest>,
    ) -> Result<Response<wire::RespondWorkflowTaskCompletedResponse>, Status> {
        let completion = request.into_inner();
        let (run_id, started) = parse(&completion.task_token)?;
        let mut reply = wire::RespondWorkflowTaskCompletedResponse::default();
        {
            let mut runs = self.runs.lock();
            let run = runs.get_mut(&run_id).ok_or_else(|| Status::not_found("no such run"))?;
            if run.started != Some(started) {
                return Err(Status::not_found("not the current workflow task"));
            }
            // What came in meanwhile goes behind the task, as buffered events do.
            let arrived = run.events.split_off(started as usize);
            run.record(Attributes::WorkflowTaskCompletedEventAttributes(Default::default()));
            run.started = None;
            run.previous_started = started;
            let sticky = completion.sticky_attributes.and_then(|sticky| sticky.worker_task_queue);
            run.sticky = sticky.map(|queue| queue.name);
            for command in completion.commands {
                match command.attributes {
                    Some(CommandAttributes::ScheduleActivityTaskCommandAttributes(_))
                        if self.pending_max > 0 && run.open.len() >= self.pending_max =>
                    {
                        return Err(Status::invalid_argument(format!("the limit is {}", self.pending_max)));
                    }
                    Some(CommandAttributes::ScheduleActivityTaskCommandAttributes(schedule)) => {
                        let scheduled =
                            run.record(Attributes::ActivityTaskScheduledEventAttributes(Default::default()));
                        run.open.insert(scheduled, schedule.activity_id);
                        if schedule.request_eager_execution {
                            reply.activity_tasks.push(run.activity_task(&run_id, scheduled));
                        } else {
                            let queue = schedule.task_queue.unwrap_or_default().name;
                            self.activity_tasks.named(&queue).push(format!("{run_id}/{scheduled}"));
                        }
                    }
                    Some(CommandAttributes::CompleteWorkflowExecutionCommandAttributes(complete)) => {
                        run.record(Attributes::WorkflowExecutionCompletedEventAttributes(Box::new(
                            history::WorkflowExecutionCompletedEventAttributes {
                                result: complete.result,
                                ..Default::default()
                            },
                        )));
                        run.closed.send_replace(true);
                    }
                    other => return Err(Status::invalid_argument(format!("unknown command {other:?}"))),
                }
            }
            let news = !arrived.is_empty();
            for event in arrived {
                run.record(event.attributes.expect("recorded events have attributes"));
            }
            if news {
                self.wake(&run_id, run);
            }
        }
        self.answer(reply)
    }

    async fn poll_activity_task_queue(
        &self,
        request: Request<wire::PollActivityTaskQueueRequest>,
    ) -> Result<Response<wire::PollActivityTaskQueueResponse>, Status> {
        let queue = request.into_inner().task_queue.unwrap_or_default();
        self.answer(())?;
        let token = self.activity_tasks.named(&queue.name).pop().await;
        let (run_id, scheduled) = parse(token.as_bytes())?;
        Ok(Response::new(self.runs.lock()[&run_id].activity_task(&run_id, scheduled)))
    }

    async fn respond_activity_task_completed(
        &self,
        request: Request<wire::RespondActivityTaskCompletedRequest>,
    ) -> Result<Response<wire::RespondActivityTaskCompletedResponse>, Status> {
        let (run_id, scheduled) = parse(&request.into_inner().task_token)?;
        {
            let mut runs = self.runs.lock();
            let run = runs.get_mut(&run_id).ok_or_else(|| Status::not_found("no such run"))?;
            run.open.remove(&scheduled).ok_or_else(|| Status::not_found("no such activity"))?;
            run.record(Attributes::ActivityTaskStartedEventAttributes(Default::default()));
            run.record(Attributes::ActivityTaskCompletedEventAttributes(Default::default()));
            self.wake(&run_id, run);
        }
        self.answer(Default::default())
    }

    async fn get_workflow_execution_history(
        &self,
        request: Request<wire::GetWorkflowExecutionHistoryRequest>,
    ) -> Result<Response<wire::GetWorkflowExecutionHistoryResponse>, Status> {
        let request = request.into_inner();
        let execution = request.execution.unwrap_or_default();
        let run_id = match execution.run_id.as_str() {
            "" => self.current.lock().get(&execution.workflow_id).cloned().unwrap_or_default(),
            run_id => run_id.to_owned(),
        };
        let closed = self.runs.lock().get(&run_id).map(|run| run.closed.subscribe());
        let mut closed = closed.ok_or_else(|| Status::not_found("no such run"))?;
        let mut from = 0;
        if request.wait_new_event {
            closed.wait_for(|closed| *closed).await.map_err(|_| Status::not_found("no such run"))?;
            let runs = self.runs.lock();
            let is_close = |event: &HistoryEvent| {
                matches!(event.attributes, Some(Attributes::WorkflowExecutionCompletedEventAttributes(_)))
            };
            from = runs[&run_id].events.iter().position(is_close).expect("a closed run has a closing event");
        }
        let events = self.runs.lock()[&run_id].events[from..].to_vec();
        let history = Some(History { events });
        self.answer(wire::GetWorkflowExecutionHistoryResponse { history, ..Default::default() })
    }
}
