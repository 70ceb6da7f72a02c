//! What an activity may be asked for: the checks of the command that schedules it, and what fills its gaps.
//!
//! Queue names and priorities are checked for whoever takes them from users, not for activities alone.
//!
//! Invariants
//! - A command that passed has a queue, an id, a type, a whole retry policy and a limit on the time of an attempt.
//! - None of its timeouts is longer than that of its run, and no attempt may take longer than all of them together.

use crate::{
    draft::Draft,
    retry,
    time::{duration, wire},
};
use api::{command::v1::ScheduleActivityTaskCommandAttributes, enums::v1::TaskQueueKind};

/// Checks a command and fills what it leaves unset: queue, retry policy, timeouts.
pub(super) fn normalize(draft: &Draft<'_>, command: &mut ScheduleActivityTaskCommandAttributes) -> Result<(), String> {
    let limits = draft.env.limits;
    let queue = command.task_queue.as_mut().ok_or("taskQueue is not set")?;
    queue.normal_name.clear();
    check_queue_name(&queue.name, limits.id_length_max)?;
    if queue.kind == TaskQueueKind::Unspecified as i32 {
        queue.kind = TaskQueueKind::Normal as i32;
    }
    let kind = command.activity_type.as_ref().map_or("", |it| it.name.as_str());
    if command.activity_id.is_empty() {
        return Err("activityId is not set".into());
    }
    if kind.is_empty() {
        return Err("activityType is not set".into());
    }
    let policy = command.retry_policy.get_or_insert_default();
    retry::fill(policy, &limits.activity_retry_policy);
    retry::validate(policy)?;
    for (what, length) in [("activityId", command.activity_id.len()), ("activityType", kind.len())] {
        if length > limits.id_length_max {
            return Err(format!("{what} exceeds length limit. Length={length} Limit={}", limits.id_length_max));
        }
    }
    check_priority(command.priority.as_ref(), limits.fairness_key_length_max)
        .map_err(|text| format!("invalid priorities: {text}"))?;
    for (what, timeout) in [
        ("ScheduleToCloseTimeout", &command.schedule_to_close_timeout),
        ("ScheduleToStartTimeout", &command.schedule_to_start_timeout),
        ("StartToCloseTimeout", &command.start_to_close_timeout),
        ("HeartbeatTimeout", &command.heartbeat_timeout),
    ] {
        if timeout.as_ref().is_some_and(|it| it.seconds < 0 || it.nanos < 0) {
            return Err(format!("invalid {what}: negative duration"));
        }
    }

    let run = draft.state.start.run_timeout();
    let mut to_close = duration(command.schedule_to_close_timeout.as_ref());
    let mut to_start = duration(command.schedule_to_start_timeout.as_ref());
    let mut start_to_close = duration(command.start_to_close_timeout.as_ref());
    let mut heartbeat = duration(command.heartbeat_timeout.as_ref());
    if !to_close.is_zero() {
        to_start = if to_start.is_zero() { to_close } else { to_start.min(to_close) };
        start_to_close = if start_to_close.is_zero() { to_close } else { start_to_close.min(to_close) };
    } else if !start_to_close.is_zero() {
        to_close = run;
        if to_start.is_zero() {
            to_start = run;
        }
    } else {
        return Err(format!(
            "a valid StartToCloseTimeout or ScheduleToCloseTimeout must be set on the activity. ActivityId={} \
             ActivityType={kind}",
            command.activity_id
        ));
    }
    if !run.is_zero() {
        for timeout in [&mut to_close, &mut to_start, &mut start_to_close, &mut heartbeat] {
            *timeout = (*timeout).min(run);
        }
    }
    command.schedule_to_close_timeout = wire(to_close);
    command.schedule_to_start_timeout = wire(to_start);
    command.start_to_close_timeout = wire(start_to_close);
    command.heartbeat_timeout = wire(heartbeat.min(start_to_close));
    Ok(())
}

/// Queue names that users may use.
pub fn check_queue_name(name: &str, length_max: usize) -> Result<(), String> {
    if name.is_empty() {
        return Err("missing task queue name".into());
    }
    if name.len() > length_max {
        return Err(format!("taskQueue length exceeds limit. Length={} Limit={length_max}", name.len()));
    }
    if name.starts_with("/_sys/") {
        return Err("task queue name cannot start with reserved prefix /_sys/".into());
    }
    Ok(())
}

/// Priorities that users may give.
pub fn check_priority(
    priority: Option<&api::common::v1::Priority>,
    fairness_key_length_max: usize,
) -> Result<(), String> {
    let Some(priority) = priority else { return Ok(()) };
    if priority.priority_key < 0 {
        return Err("priority key can't be negative".into());
    }
    if priority.fairness_key.len() > fairness_key_length_max {
        return Err(format!(
            "fairness key length exceeds limit. Length={} Limit={fairness_key_length_max}",
            priority.fairness_key.len()
        ));
    }
    if priority.fairness_weight < 0.0 {
        return Err("fairness weight can't be negative".into());
    }
    Ok(())
}

#[cfg(test)]
mod tests;
