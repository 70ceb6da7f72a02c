//! Carrying out what a run owes to others. Each kind may run more than once; every receiver notices.

use crate::{
    Error, Handle,
    message::{Execution, ParentLink, SettledTransfer, StartRequest, Target},
};
use api::{
    common::v1::WorkflowExecution,
    enums::v1::{
        CancelExternalWorkflowExecutionFailedCause as CancelFailed, ParentClosePolicy,
        SignalExternalWorkflowExecutionFailedCause as SignalFailed,
        StartChildWorkflowExecutionFailedCause as StartFailed, WorkflowIdConflictPolicy,
    },
    history::v1::StartChildWorkflowExecutionInitiatedEventAttributes,
    workflowservice::v1::StartWorkflowExecutionRequest,
};
use std::time::Duration;
use tradewind_core::{
    ids::{NamespaceKey, RunKey, Slot},
    step::{CancelRequest, ChildOutcome, Input, Rejection, Signal},
    transfer::Transfer,
};
use uuid::Uuid;

/// Between two tries of something that can only fail while the node is in trouble.
const RETRY: Duration = Duration::from_secs(1);
const IDENTITY: &str = "history-service";

/// Carries one transfer out. Says whether its row needs nothing more: a step of its own run has taken it along, or it
/// waits for the next start.
pub(crate) async fn carry_out(
    handle: &Handle,
    run: RunKey,
    slot: Slot,
    namespace: NamespaceKey,
    transfer: Transfer,
    settles: SettledTransfer,
) -> bool {
    loop {
        match attempt(handle, run, slot, namespace, transfer.clone(), settles).await {
            Ok(by_own_step) => return by_own_step,
            // Parked runs go on after a restart, and are then told what they have missed.
            Err(error @ (Error::Parked(_) | Error::StartPanicked(_))) => {
                tracing::warn!(?run, %error, "work owed to another run stays until a restart");
                return true;
            }
            Err(error) => {
                if handle.is_closing() {
                    // The row stays, and the next start carries it out.
                    std::future::pending::<()>().await;
                }
                tracing::warn!(?run, %error, "work owed to another run failed; trying again");
                tokio::time::sleep(RETRY).await;
            }
        }
    }
}

async fn attempt(
    handle: &Handle,
    run: RunKey,
    slot: Slot,
    namespace: NamespaceKey,
    transfer: Transfer,
    settles: SettledTransfer,
) -> Result<bool, Error> {
    let own = Target::Run { slot, run };
    let report = |input: Input| async move {
        match handle.report(Target::Run { slot, run }, input, settles).await {
            Ok(_) => Ok(true),
            // The run is gone: nobody is left to tell.
            Err(Error::Rejected(_)) => Ok(false),
            Err(error) => Err(error),
        }
    };
    match transfer {
        Transfer::StartChild { initiated, attributes, user_metadata, request_id } => {
            let parent = match handle.inspect(own.clone(), false).await {
                Ok(parent) => parent,
                Err(Error::Rejected(_)) => return Ok(false),
                Err(error) => return Err(error),
            };
            let start = &parent.state.start;
            let abandoned = attributes.parent_close_policy == ParentClosePolicy::Abandon as i32;
            if !parent.state.is_running() && !abandoned {
                return report(Input::ChildStartFailed { initiated, cause: StartFailed::Unspecified }).await;
            }
            let root = start.event.root_workflow_execution.clone();
            let root = root.unwrap_or_else(|| WorkflowExecution {
                workflow_id: start.workflow_id.clone(),
                run_id: start.run_id.to_string(),
            });
            let link = ParentLink {
                workflow_id: start.workflow_id.clone(),
                run_id: start.run_id,
                initiated,
                root_workflow_id: root.workflow_id,
                root_run_id: root.run_id,
            };
            let (workflow_id, policy) = (attributes.workflow_id.clone(), attributes.parent_close_policy());
            let mut request = child_request((*attributes).0, request_id);
            request.user_metadata = user_metadata.map(|it| it.0);
            let request = StartRequest { namespace, request, parent: Some(link), signal: None, update: None };
            match handle.start(request).await {
                Ok(started) => {
                    let input = Input::ChildStarted { initiated, run_id: started.run_id };
                    let parent = match handle.report(own.clone(), input, settles).await {
                        Ok(stepped) => stepped.state,
                        Err(Error::Rejected(_)) => return Ok(false),
                        Err(error) => return Err(error),
                    };
                    if !parent.is_running() {
                        // It closed without knowing this child, so its policy is applied here.
                        close_child(handle, namespace, workflow_id, started.run_id, policy).await?;
                    }
                    Ok(true)
                }
                Err(Error::AlreadyStarted { .. }) => {
                    report(Input::ChildStartFailed { initiated, cause: StartFailed::WorkflowAlreadyExists }).await
                }
                // Checked when it was initiated, and changed since: the namespace's attributes, say.
                Err(Error::Invalid(text)) => {
                    tracing::warn!(text, "a child cannot be started as it was initiated");
                    report(Input::ChildStartFailed { initiated, cause: StartFailed::NamespaceNotFound }).await
                }
                Err(error) => Err(error),
            }
        }
        Transfer::SignalExternal { initiated, target, signal_name, input, header, child_only, request_id } => {
            let source = source(handle, own).await?;
            let signal = Signal {
                name: signal_name,
                input: input.map(|it| it.0),
                identity: IDENTITY.to_owned(),
                header: header.map(|it| it.0),
                request_id: request_id.to_string(),
                links: Vec::new(),
                external: source.clone(),
            };
            // A workflow that signals itself would wait for itself.
            let to_itself = source.as_ref().is_some_and(|it| it.workflow_id == target.workflow_id);
            let target = target_of(namespace, &target.0);
            if to_itself || child_only && !is_child_of(handle, target.clone(), run).await? {
                let failed = Some(SignalFailed::ExternalWorkflowExecutionNotFound);
                return report(Input::ExternalSignaled { initiated, failed }).await;
            }
            let failed = match handle.step(target, Input::Signal(signal)).await {
                Ok(_) => None,
                Err(Error::Rejected(Rejection::Invalid(_) | Rejection::LimitExceeded { .. })) => {
                    Some(SignalFailed::SignalCountLimitExceeded)
                }
                Err(error) if is_absent(&error) => Some(SignalFailed::ExternalWorkflowExecutionNotFound),
                Err(error) => return Err(error),
            };
            report(Input::ExternalSignaled { initiated, failed }).await
        }
        Transfer::CancelExternal { initiated, target, reason, child_only, request_id } => {
            let source = source(handle, own).await?;
            let request = CancelRequest {
                reason,
                identity: IDENTITY.to_owned(),
                request_id: request_id.to_string(),
                links: Vec::new(),
                external: source.clone().map(|it| (it, initiated)),
                first_run_id: None,
                child_only: None,
            };
            let to_itself = source.as_ref().is_some_and(|it| it.workflow_id == target.workflow_id);
            let target = target_of(namespace, &target.0);
            if to_itself || child_only && !is_child_of(handle, target.clone(), run).await? {
                let failed = Some(CancelFailed::ExternalWorkflowExecutionNotFound);
                return report(Input::ExternalCanceled { initiated, failed }).await;
            }
            let failed = match handle.step(target, Input::RequestCancel(request)).await {
                Ok(_) => None,
                Err(error) if is_absent(&error) => Some(CancelFailed::ExternalWorkflowExecutionNotFound),
                Err(error) => return Err(error),
            };
            report(Input::ExternalCanceled { initiated, failed }).await
        }
        Transfer::ChildClosed { parent, event } => {
            let child = handle.inspect(own, false).await?;
            let input = Input::ChildClosed {
                initiated: parent.initiated,
                workflow_id: child.state.start.workflow_id.clone(),
                run_id: child.state.start.run_id,
                outcome: Box::new(ChildOutcome { event: (*event).0 }),
            };
            let target = Target::execution(namespace, parent.workflow_id, Some(parent.run_id));
            done(handle.step(target, input).await)
        }
        Transfer::TerminateChild { workflow_id, first_run_id } => {
            close_child(handle, namespace, workflow_id, first_run_id, ParentClosePolicy::Terminate).await
        }
        Transfer::CancelChild { workflow_id, first_run_id } => {
            close_child(handle, namespace, workflow_id, first_run_id, ParentClosePolicy::RequestCancel).await
        }
    }
}

/// Does to a child what its closed parent wanted.
async fn close_child(
    handle: &Handle,
    namespace: NamespaceKey,
    workflow_id: String,
    first_run_id: Uuid,
    policy: ParentClosePolicy,
) -> Result<bool, Error> {
    let reason = "by parent close policy".to_owned();
    let input = match policy {
        ParentClosePolicy::Abandon => return Ok(false),
        ParentClosePolicy::RequestCancel => Input::RequestCancel(CancelRequest {
            reason,
            identity: IDENTITY.to_owned(),
            request_id: String::new(),
            links: Vec::new(),
            external: None,
            first_run_id: None,
            child_only: None,
        }),
        ParentClosePolicy::Terminate | ParentClosePolicy::Unspecified => {
            Input::Terminate { reason, details: None, identity: IDENTITY.to_owned(), links: Vec::new() }
        }
    };
    done(handle.step(child_target(namespace, workflow_id, first_run_id), input).await)
}

/// Whatever the other side said is the end of it, unless it could not be asked.
fn done<T>(outcome: Result<T, Error>) -> Result<bool, Error> {
    match outcome {
        Ok(_) => Ok(false),
        Err(error) if is_absent(&error) || matches!(error, Error::Rejected(_)) => Ok(false),
        Err(error) => Err(error),
    }
}

fn is_absent(error: &Error) -> bool {
    matches!(
        error,
        Error::NoSuchWorkflow { .. }
            | Error::NoSuchRun { .. }
            | Error::Rejected(Rejection::Closed | Rejection::NotThisExecution)
    )
}

fn target_of(namespace: NamespaceKey, execution: &WorkflowExecution) -> Target {
    Target::execution(namespace, execution.workflow_id.clone(), execution.run_id.parse().ok())
}

fn child_target(namespace: NamespaceKey, workflow_id: String, first_run_id: Uuid) -> Target {
    Target::Execution(Execution { namespace, workflow_id, run_id: None, first_run_id: Some(first_run_id) })
}

/// The run itself, as the other side is told of it; `None` once it is gone.
async fn source(handle: &Handle, own: Target) -> Result<Option<WorkflowExecution>, Error> {
    match handle.inspect(own, false).await {
        Ok(it) => Ok(Some(WorkflowExecution {
            workflow_id: it.state.start.workflow_id.clone(),
            run_id: it.state.start.run_id.to_string(),
        })),
        Err(Error::Rejected(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

async fn is_child_of(handle: &Handle, target: Target, parent: RunKey) -> Result<bool, Error> {
    let child = match handle.inspect(target, false).await {
        Ok(child) => child,
        Err(error) if is_absent(&error) => return Ok(false),
        Err(error) => return Err(error),
    };
    let Some(link) = child.state.start.parent() else { return Ok(false) };
    let start = &child.state.start;
    let target = Target::execution(start.namespace, link.workflow_id, Some(link.run_id));
    match handle.inspect(target, false).await {
        Ok(found) => Ok(found.run == parent),
        Err(error) if is_absent(&error) => Ok(false),
        Err(error) => Err(error),
    }
}

fn child_request(
    it: StartChildWorkflowExecutionInitiatedEventAttributes,
    request_id: Uuid,
) -> StartWorkflowExecutionRequest {
    StartWorkflowExecutionRequest {
        namespace: it.namespace,
        workflow_id: it.workflow_id,
        workflow_type: it.workflow_type,
        task_queue: it.task_queue,
        input: it.input,
        workflow_execution_timeout: it.workflow_execution_timeout,
        workflow_run_timeout: it.workflow_run_timeout,
        workflow_task_timeout: it.workflow_task_timeout,
        request_id: request_id.to_string(),
        workflow_id_reuse_policy: it.workflow_id_reuse_policy,
        workflow_id_conflict_policy: WorkflowIdConflictPolicy::Fail as i32,
        retry_policy: it.retry_policy,
        cron_schedule: it.cron_schedule,
        memo: it.memo,
        search_attributes: it.search_attributes,
        header: it.header,
        priority: it.priority,
        ..StartWorkflowExecutionRequest::default()
    }
}
