//! Between two attempts: whether there is a next one, when, and what is kept of the one before.
//!
//! Invariants
//! - An activity that was asked to stop has no next attempt.
//! - A failed attempt is durable before its successor waits in a queue.
//! - What is kept of a failure has a limit, so that retries cannot make the state grow without bound.

use crate::{
    draft::Draft,
    ids::TaskKind,
    proto::Proto,
    retry,
    state::{Activity, ActivityPhase},
    step::Dispatch,
};
use api::{
    enums::v1::RetryState,
    failure::v1::{ApplicationFailureInfo, Failure, ServerFailureInfo, failure::FailureInfo},
};
use prost::Message;

pub(super) fn next_attempt(
    draft: &Draft<'_>,
    activity: &Activity,
    failure: &Failure,
) -> Result<std::time::Duration, RetryState> {
    let policy = activity.retry_policy().ok_or(RetryState::RetryPolicyNotSet)?;
    if activity.facts.cancel_requested.is_some() {
        return Err(RetryState::CancelRequested);
    }
    retry::next(policy, activity.attempt.attempt, failure, draft.now(), activity.expires())
}

pub(super) fn back_off(draft: &mut Draft<'_>, activity: &Activity, failure: &Failure, interval: std::time::Duration) {
    let now = draft.now();
    let kept = truncated(failure, draft.env.limits.retained_activity_failure_bytes_max);
    draft.change_attempt(activity.facts.scheduled, |attempt| {
        attempt.attempt += 1;
        attempt.phase = ActivityPhase::BackingOff;
        attempt.attempt_scheduled_at = now + interval;
        attempt.last_failure = Some(Proto(kept));
        attempt.last_completed_at = Some(now);
        attempt.retry_interval = Some(interval);
    });
    draft.step.durable = true;
}

pub(super) fn dispatch_again(draft: &mut Draft<'_>, activity: &Activity) {
    let task = draft.next_id();
    draft.dispatch(Dispatch {
        id: task,
        kind: TaskKind::Activity,
        queue: activity.task_queue().to_owned(),
        sticky: None,
        scheduled: activity.facts.scheduled,
        priority: draft.state.start.activity_priority(activity.facts.attributes.priority.as_ref()),
    });
    draft.change_attempt(activity.facts.scheduled, |attempt| attempt.phase = ActivityPhase::Queued { task });
    draft.step.durable = true;
}

/// What is kept of a failure between attempts, so that retries cannot make the state grow without bound: one that
/// is too long becomes the cause of a failure that says so, cut to what fits.
fn truncated(failure: &Failure, bytes_max: usize) -> Failure {
    if failure.encoded_len() <= bytes_max {
        return failure.clone();
    }
    let cut = |text: &str, bytes: usize| text.get(..text.floor_char_boundary(bytes)).unwrap_or_default().to_owned();
    let kept_info = match &failure.failure_info {
        Some(FailureInfo::ApplicationFailureInfo(it)) => {
            Some(FailureInfo::ApplicationFailureInfo(ApplicationFailureInfo { details: None, ..it.clone() }))
        }
        _ => None,
    };
    let original = Failure {
        message: cut(&failure.message, bytes_max / 2),
        source: cut(&failure.source, bytes_max / 16),
        stack_trace: cut(&failure.stack_trace, bytes_max / 4),
        failure_info: kept_info,
        ..Failure::default()
    };
    Failure {
        message: format!("Failure exceeds size limit. Size={} Limit={bytes_max}", failure.encoded_len()),
        source: "Server".to_owned(),
        failure_info: Some(FailureInfo::ServerFailureInfo(ServerFailureInfo::default())),
        cause: Some(Box::new(original)),
        ..Failure::default()
    }
}

#[cfg(test)]
mod tests;
