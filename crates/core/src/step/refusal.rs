//! How a run says no: to an input, which then leaves no trace, and to a command, which fails its workflow task.

use crate::ids::EventId;
use api::enums::v1::WorkflowTaskFailedCause;

/// Why a run refuses an input. The run is unchanged.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Rejection {
    /// Nothing will change any more.
    #[error("workflow execution already completed")]
    Closed,
    /// The worker lost a race or outlived a timeout; its report is dropped.
    #[error("Workflow task not found.")]
    StaleWorkflowTask,
    /// The queue still had a task that is over: throw it away.
    #[error("task {scheduled} no longer waits")]
    StaleTask { scheduled: EventId },
    #[error("invalid activityID or activity already timed out or invoking workflow is completed")]
    StaleActivity,
    #[error("cannot find pending activity with ActivityID {0}, check workflow execution history for more details")]
    NoSuchActivity(String),
    #[error("{0}")]
    Invalid(String),
    /// The caller meant another run or chain than the current one.
    #[error("workflow execution not found")]
    NotThisExecution,
    #[error("{text}")]
    LimitExceeded { text: String },
    /// The run has taken as many updates as a run may.
    #[error("{0}")]
    TooManyUpdates(String),
    /// Workflow tasks keep failing; nothing that needs one can be served.
    #[error("{0}")]
    NotReady(String),
}

/// A refusal of a worker's command: the workflow *task* fails, not the run.
#[derive(Debug, Clone, PartialEq)]
pub struct BadCommand {
    pub cause: WorkflowTaskFailedCause,
    /// What is wrong; `None` when the cause says it all.
    pub text: Option<String>,
    /// The run cannot go on (its command would never fit): terminate it.
    pub terminate: bool,
}

impl BadCommand {
    pub fn new(cause: WorkflowTaskFailedCause, text: impl Into<String>) -> BadCommand {
        BadCommand { cause, text: Some(text.into()), terminate: false }
    }

    pub fn fatal(cause: WorkflowTaskFailedCause, text: impl Into<String>) -> BadCommand {
        BadCommand { cause, text: Some(text.into()), terminate: true }
    }

    /// The text as clients see it: `BadStartTimerAttributes: …`, or the cause alone.
    pub fn message(&self) -> String {
        let cause = cause_name(self.cause);
        match &self.text {
            Some(text) => format!("{cause}: {text}"),
            None => cause,
        }
    }
}

/// A cause's short name in the protocol's camel case.
pub fn cause_name(cause: WorkflowTaskFailedCause) -> String {
    camel(cause.as_str_name().trim_start_matches("WORKFLOW_TASK_FAILED_CAUSE_"))
}

/// `SCREAMING_SNAKE` to `CamelCase`.
pub fn camel(name: &str) -> String {
    name.split('_')
        .map(|word| {
            let mut letters = word.chars();
            letters
                .next()
                .map(|first| first.to_ascii_uppercase().to_string() + &letters.as_str().to_ascii_lowercase())
                .unwrap_or_default()
        })
        .collect()
}
