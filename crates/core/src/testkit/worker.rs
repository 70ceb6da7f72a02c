//! What workers do with a run's tasks. Activities go by the id that workflow code gave them.

use super::{Run, application_failure, payloads, secs};
use crate::{
    ids::{EventId, RunKey},
    state::{ActivityPhase, WorkflowTask},
    step::{
        ActivityRef, Input, PolledActivity, PolledTask, Rejection, Reply, TaskCompleted, TaskCompletion, TaskToken,
    },
};
use api::{
    command::v1::Command,
    enums::v1::WorkflowTaskFailedCause as Cause,
    failure::v1::Failure,
    protocol::v1::Message as ProtocolMessage,
    taskqueue::v1::{StickyExecutionAttributes, TaskQueue},
    workflowservice::v1::RespondWorkflowTaskCompletedRequest,
};

impl Run {
    /// A worker polls and gets the workflow task.
    #[track_caller]
    pub fn poll(&mut self) -> PolledTask {
        let WorkflowTask::Scheduled(task) = self.state.workflow_task().clone() else {
            panic!("no workflow task waits, but {:?}", self.state.workflow_task())
        };
        let input = Input::StartWorkflowTask {
            scheduled: task.scheduled,
            task: task.task,
            identity: "worker".into(),
            request_id: format!("poll-{}", self.seed),
            sticky: task.sticky.is_some(),
        };
        match self.step(input) {
            Ok(Reply::WorkflowTask(polled)) => *polled,
            other => panic!("expected a workflow task, got {other:?}"),
        }
    }

    /// What the worker of the running workflow task must present.
    #[track_caller]
    pub fn token(&self) -> TaskToken {
        let WorkflowTask::Started(task) = self.state.workflow_task() else {
            panic!("no workflow task runs, but {:?}", self.state.workflow_task())
        };
        TaskToken {
            run: RunKey(1),
            scheduled: task.scheduled,
            started: task.started,
            attempt: task.attempt,
            started_at: task.started_at,
        }
    }

    /// A worker completes the workflow task with these commands, having polled for it if it had not.
    #[track_caller]
    pub fn complete_task(&mut self, commands: impl IntoIterator<Item = Command>) -> TaskCompleted {
        self.complete_task_with(commands, [], |_| ())
    }

    /// The same, with messages; every acceptance and response gets its command.
    #[track_caller]
    pub fn complete_task_with(
        &mut self,
        commands: impl IntoIterator<Item = Command>,
        messages: impl IntoIterator<Item = ProtocolMessage>,
        change: impl FnOnce(&mut RespondWorkflowTaskCompletedRequest),
    ) -> TaskCompleted {
        match self.respond(commands, messages, change) {
            Ok(Reply::TaskCompleted(done)) => *done,
            other => panic!("expected the workflow task to be completed, got {other:?}"),
        }
    }

    /// The same, with whatever answer it gets.
    #[track_caller]
    pub fn respond(
        &mut self,
        commands: impl IntoIterator<Item = Command>,
        messages: impl IntoIterator<Item = ProtocolMessage>,
        change: impl FnOnce(&mut RespondWorkflowTaskCompletedRequest),
    ) -> Result<Reply, Rejection> {
        if !self.state.workflow_task().is_started() {
            self.poll();
        }
        let sticky_attributes = self.sticky.map(|queue| StickyExecutionAttributes {
            worker_task_queue: Some(TaskQueue { name: queue.into(), ..TaskQueue::default() }),
            schedule_to_start_timeout: crate::time::wire(secs(5)),
        });
        let mut request = RespondWorkflowTaskCompletedRequest {
            commands: commands.into_iter().collect(),
            messages: messages.into_iter().collect(),
            identity: "worker".into(),
            sticky_attributes,
            ..RespondWorkflowTaskCompletedRequest::default()
        };
        change(&mut request);
        let completion = TaskCompletion { token: self.token(), request };
        self.step(Input::CompleteWorkflowTask(Box::new(completion)))
    }

    /// A worker's commands are refused; the text is what it is told.
    #[track_caller]
    pub fn refused(&mut self, commands: impl IntoIterator<Item = Command>) -> String {
        match self.respond(commands, [], |_| ()) {
            Ok(Reply::TaskRefused(text)) => text,
            other => panic!("expected the workflow task to be refused, got {other:?}"),
        }
    }

    #[track_caller]
    pub fn fail_task(&mut self) {
        self.fail_task_because(Cause::WorkflowWorkerUnhandledFailure);
    }

    #[track_caller]
    pub fn fail_task_because(&mut self, cause: Cause) {
        if !self.state.workflow_task().is_started() {
            self.poll();
        }
        let input = Input::FailWorkflowTask {
            token: self.token(),
            cause,
            failure: Some(application_failure("worker broke")),
            identity: "worker".into(),
            binary_checksum: String::new(),
        };
        self.done(input);
    }

    #[track_caller]
    pub fn scheduled(&self, activity_id: &str) -> EventId {
        self.state.recorded.activity_ids[activity_id]
    }

    #[track_caller]
    pub fn attempt(&self, activity_id: &str) -> &crate::state::ActivityAttempt {
        &self.state.unrecorded.attempts[&self.scheduled(activity_id)]
    }

    #[track_caller]
    pub fn start_activity(&mut self, activity_id: &str) -> PolledActivity {
        let scheduled = self.scheduled(activity_id);
        let ActivityPhase::Queued { task } = self.attempt(activity_id).phase else {
            panic!("{activity_id} does not wait, but {:?}", self.attempt(activity_id))
        };
        let input = Input::StartActivity {
            scheduled,
            task,
            identity: "worker".into(),
            request_id: format!("poll-{}", self.seed),
        };
        match self.step(input) {
            Ok(Reply::ActivityTask(polled)) => *polled,
            other => panic!("expected an activity task, got {other:?}"),
        }
    }

    /// How the worker of the current attempt names it.
    #[track_caller]
    pub fn activity_token(&self, activity_id: &str) -> ActivityRef {
        ActivityRef::Token { scheduled: self.scheduled(activity_id), attempt: self.attempt(activity_id).attempt }
    }

    #[track_caller]
    pub fn complete_activity(&mut self, activity_id: &str, result: &str) {
        let activity = self.activity_token(activity_id);
        self.done(Input::CompleteActivity { activity, result: Some(payloads(result)), identity: "worker".into() });
    }

    #[track_caller]
    pub fn fail_activity(&mut self, activity_id: &str, failure: Failure) {
        let activity = self.activity_token(activity_id);
        let identity = "worker".into();
        self.done(Input::FailActivity { activity, failure: Some(failure), last_heartbeat: None, identity });
    }

    #[track_caller]
    pub fn cancel_activity(&mut self, activity_id: &str) -> Result<Reply, Rejection> {
        let activity = self.activity_token(activity_id);
        self.step(Input::CancelActivity { activity, details: Some(payloads("stopped")), identity: "worker".into() })
    }

    /// Reports progress; the answer is whether the activity is to stop.
    #[track_caller]
    pub fn heartbeat(&mut self, activity_id: &str, details: &str) -> bool {
        let activity = self.activity_token(activity_id);
        match self.step(Input::Heartbeat { activity, details: Some(payloads(details)), identity: "worker".into() }) {
            Ok(Reply::Heartbeat { cancel_requested, .. }) => cancel_requested,
            other => panic!("expected the heartbeat to be taken, got {other:?}"),
        }
    }
}
