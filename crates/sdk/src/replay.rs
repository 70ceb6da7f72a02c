//! Replaying histories: does this code still do what it did?
//!
//! A change of a workflow's code has to fit the runs that are under way. A test that replays histories of real runs
//! says so before a worker does, and where the two part.
//!
//! ```no_run
//! # use tradewind::prelude::*;
//! # #[workflow] async fn order() -> Result<()> { Ok(()) }
//! # async fn test() -> Result<()> {
//! // temporal workflow show --workflow-id order-42 --output json > tests/order-42.json
//! tradewind::replay(order).file("tests/order-42.json").await?;
//! # Ok(()) }
//! ```
//!
//! The official replayer decides whether code and history fit. What is added here is where they part: commands of the
//! code are kept beside the events of the history, and the first pair that differs is named.

mod json;
mod trail;

use crate::client::{Client, ClientError};
use crate::workflow::{Host, Implemented, WorkflowFn};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use temporalio_client::WorkflowHistory;
use temporalio_common::protos::temporal::api::history::v1::{History, HistoryEvent};
use temporalio_sdk::WorkflowRegistrationError;
use temporalio_sdk::workflow_replayer::{
    WorkflowReplayError, WorkflowReplayFailure, WorkflowReplayer, WorkflowReplayerOptions,
};
use tokio::sync::oneshot;
use trail::Trail;

/// What a workflow asked for, as its history records it, in words.
pub(crate) fn steps(events: &[HistoryEvent]) -> Vec<String> {
    trail::steps(events).map(|(_, step)| step.to_string()).collect()
}

/// Replays histories of this workflow: `replay(order).file("order.json").await?`.
pub fn replay<M, F: WorkflowFn<M>>(workflow: F) -> Replay
where
    F::Definition: Implemented,
{
    let options = WorkflowReplayerOptions::new().build();
    Replay { options, duplicate: None }.with_workflow(workflow)
}

/// A replay that is being described.
#[must_use = "nothing is replayed until a history is given"]
pub struct Replay {
    options: WorkflowReplayerOptions,
    duplicate: Option<WorkflowRegistrationError>,
}

/// Why a replay does not succeed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReplayError {
    /// The file cannot be read.
    #[error("{}: {reason}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why not.
        reason: std::io::Error,
    },
    /// This is not a history.
    #[error("this is not the JSON of a workflow history: {0}")]
    NotAHistory(String),
    /// The history cannot be fetched.
    #[error(transparent)]
    Fetch(#[from] ClientError),
    /// The code does something else than it did.
    #[error("{0}")]
    Diverged(Divergence),
    /// The code fails where it did not, as by a panic.
    #[error("the workflow's code fails: {0}")]
    TaskFailed(String),
    /// The replay itself cannot be carried out.
    #[error("the replay cannot be carried out: {0}")]
    Replayer(String),
}

/// Where code and history part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Divergence {
    /// The event that the code did not ask for. `None` if the history ends where the code goes on, or if the place is
    /// not known.
    pub event_id: Option<i64>,
    /// What history says there.
    pub history: Option<String>,
    /// What the code does there.
    pub code: Option<String>,
    /// What the official replayer says.
    pub reason: String,
}

impl fmt::Display for Divergence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.event_id {
            Some(id) => writeln!(f, "the workflow's code and its history part at event {id}")?,
            None => writeln!(f, "the workflow's code and its history part")?,
        }
        writeln!(f, "  history: {}", self.history.as_deref().unwrap_or("nothing more"))?;
        writeln!(f, "  code:    {}", self.code.as_deref().unwrap_or("nothing more"))?;
        write!(f, "  reason:  {}", self.reason)
    }
}

impl Replay {
    /// Knows this workflow too, for histories of several.
    pub fn with_workflow<M, F: WorkflowFn<M>>(mut self, workflow: F) -> Self
    where
        F::Definition: Implemented,
    {
        let _ = workflow;
        if let Err(error) = self.options.register_workflow::<Host<F::Definition>>() {
            self.duplicate = self.duplicate.or(Some(error));
        }
        self
    }

    /// Reads payloads as this client does: for histories whose payloads are encrypted, compressed or stored elsewhere.
    pub fn with_payloads_of(mut self, client: &Client) -> Self {
        self.options.data_converter = client.inner().options().data_converter.clone();
        self
    }

    /// Replays the history in a file, as `temporal workflow show --output json` and the web page export it.
    pub async fn file(self, path: impl AsRef<Path>) -> Result<(), ReplayError> {
        let path = path.as_ref();
        let bytes = std::fs::read(path).map_err(|reason| ReplayError::File { path: path.to_owned(), reason })?;
        self.json(bytes).await
    }

    /// Replays a history that is JSON.
    pub async fn json(self, json: impl AsRef<[u8]>) -> Result<(), ReplayError> {
        let events = json::events(json.as_ref()).await?;
        self.events(events).await
    }

    /// Replays the history of a run that a server knows.
    pub async fn execution(self, client: &Client, workflow_id: impl Into<String>) -> Result<(), ReplayError> {
        let events = client.untyped_handle(workflow_id).history().into_events().await?;
        self.with_payloads_of(client).events(events).await
    }

    /// Replays these events.
    pub async fn events(mut self, events: Vec<HistoryEvent>) -> Result<(), ReplayError> {
        if let Some(duplicate) = self.duplicate {
            return Err(ReplayError::Replayer(duplicate.to_string()));
        }
        if events.is_empty() {
            return Err(ReplayError::NotAHistory("it has no events".into()));
        }
        let trail = Arc::new(Trail::default());
        self.options.worker_interceptor(TrailOf(trail.clone()));
        let history = WorkflowHistory::from(History { events: events.clone() });
        match on_a_thread(self.options, history).await? {
            Ok(()) => Ok(()),
            Err(WorkflowReplayError::Replay(failure)) => Err(explained(failure, &trail, &events)),
            Err(other) => Err(ReplayError::Replayer(other.to_string())),
        }
    }
}

fn explained(failure: WorkflowReplayFailure, trail: &Trail, events: &[HistoryEvent]) -> ReplayError {
    match failure {
        WorkflowReplayFailure::InvalidHistory { message } => ReplayError::NotAHistory(message),
        WorkflowReplayFailure::Nondeterminism { message } => ReplayError::Diverged(trail.divergence(events, message)),
        WorkflowReplayFailure::WorkflowTaskFailure { message } => {
            ReplayError::TaskFailed(trail.failure().unwrap_or(message))
        }
        other => ReplayError::Replayer(other.to_string()),
    }
}

/// Workflow code stays on one thread, which a test's may not be able to offer.
async fn on_a_thread(
    options: WorkflowReplayerOptions,
    history: WorkflowHistory,
) -> Result<Result<(), WorkflowReplayError>, ReplayError> {
    let runtime = tokio::runtime::Handle::current();
    let (ended, outcome) = oneshot::channel();
    let replaying = move || {
        let outcome =
            WorkflowReplayer::new(options).and_then(|replayer| runtime.block_on(replayer.replay_workflow(history)));
        let _ = ended.send(outcome);
    };
    let failed = |error: String| ReplayError::Replayer(error);
    std::thread::Builder::new().name("replay".into()).spawn(replaying).map_err(|error| failed(error.to_string()))?;
    outcome.await.map_err(|_| failed("its thread ended early".into()))
}

/// Hands commands to the trail as the code gives them.
struct TrailOf(Arc<Trail>);

#[async_trait::async_trait(?Send)]
impl temporalio_sdk::interceptors::WorkerInterceptor for TrailOf {
    async fn on_workflow_activation_completion(
        &self,
        completion: &temporalio_common::protos::coresdk::workflow_completion::WorkflowActivationCompletion,
    ) {
        self.0.keep(completion);
    }
}
