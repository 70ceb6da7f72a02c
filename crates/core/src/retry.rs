//! Retry policies: filling in defaults, validation, and whether and when the next attempt comes.

use crate::{
    limits::RetryPolicyDefaults,
    time::{Timestamp, duration, wire},
};
use api::{
    common::v1::RetryPolicy,
    enums::v1::{RetryState, TimeoutType},
    failure::v1::{Failure, failure::FailureInfo},
};
use std::time::Duration;

/// What a timeout is called in a list of non-retryable errors: this and the timeout's name.
const TIMEOUT_PREFIX: &str = "TemporalTimeout:";

/// Fills what a policy leaves unset, as the protocol shows it afterwards.
pub fn fill(policy: &mut RetryPolicy, defaults: &RetryPolicyDefaults) {
    if policy.maximum_attempts == 0 {
        policy.maximum_attempts = defaults.maximum_attempts;
    }
    if is_unset(policy.initial_interval.as_ref()) {
        policy.initial_interval = wire(defaults.initial_interval);
    }
    if is_unset(policy.maximum_interval.as_ref()) {
        let initial = duration(policy.initial_interval.as_ref());
        policy.maximum_interval =
            wire(initial.mul_f64(defaults.maximum_interval_coefficient).min(crate::time::DURATION_MAX));
    }
    if policy.backoff_coefficient == 0.0 {
        policy.backoff_coefficient = defaults.backoff_coefficient;
    }
}

/// Absent or zero. A negative one is left for [`validate`] to refuse.
fn is_unset(interval: Option<&prost_types::Duration>) -> bool {
    interval.is_none_or(|it| it.seconds == 0 && it.nanos == 0)
}

/// Checks a filled policy; the text says what is wrong.
pub fn validate(policy: &RetryPolicy) -> Result<(), String> {
    if policy.maximum_attempts == 1 {
        // Never retried: the rest does not matter.
        return Ok(());
    }
    let negative = |it: Option<&prost_types::Duration>| it.is_some_and(|it| it.seconds < 0 || it.nanos < 0);
    if negative(policy.initial_interval.as_ref()) {
        return Err("invalid InitialInterval set on retry policy: negative duration".into());
    }
    if policy.backoff_coefficient < 1.0 || policy.backoff_coefficient.is_nan() {
        return Err("BackoffCoefficient cannot be less than 1 on retry policy.".into());
    }
    if negative(policy.maximum_interval.as_ref()) {
        return Err("invalid MaximumInterval set on retry policy: negative duration".into());
    }
    let (initial, maximum) = (duration(policy.initial_interval.as_ref()), duration(policy.maximum_interval.as_ref()));
    if !maximum.is_zero() && maximum < initial {
        return Err("MaximumInterval cannot be less than InitialInterval on retry policy.".into());
    }
    if policy.maximum_attempts < 0 {
        return Err("MaximumAttempts cannot be negative on retry policy.".into());
    }
    for listed in &policy.non_retryable_error_types {
        if let Some(name) = listed.strip_prefix(TIMEOUT_PREFIX)
            && ![
                TimeoutType::StartToClose,
                TimeoutType::Heartbeat,
                TimeoutType::ScheduleToStart,
                TimeoutType::ScheduleToClose,
            ]
            .iter()
            .any(|it| timeout_name(*it) == name)
        {
            return Err(format!("Invalid timeout type value: {name}."));
        }
    }
    Ok(())
}

/// A timeout type's name as the protocol writes it in texts.
pub fn timeout_name(timeout: TimeoutType) -> &'static str {
    match timeout {
        TimeoutType::Unspecified => "Unspecified",
        TimeoutType::StartToClose => "StartToClose",
        TimeoutType::ScheduleToStart => "ScheduleToStart",
        TimeoutType::ScheduleToClose => "ScheduleToClose",
        TimeoutType::Heartbeat => "Heartbeat",
    }
}

fn is_retryable(failure: &Failure, non_retryable: &[String]) -> bool {
    match &failure.failure_info {
        Some(FailureInfo::TerminatedFailureInfo(_) | FailureInfo::CanceledFailureInfo(_)) => false,
        Some(FailureInfo::TimeoutFailureInfo(it)) => match it.timeout_type() {
            timeout @ (TimeoutType::StartToClose | TimeoutType::Heartbeat) => {
                !non_retryable.iter().any(|listed| listed.strip_prefix(TIMEOUT_PREFIX) == Some(timeout_name(timeout)))
            }
            TimeoutType::ScheduleToStart | TimeoutType::ScheduleToClose | TimeoutType::Unspecified => false,
        },
        Some(FailureInfo::ServerFailureInfo(it)) => !it.non_retryable,
        Some(FailureInfo::ApplicationFailureInfo(it)) => !it.non_retryable && !non_retryable.contains(&it.r#type),
        Some(_) | None => true,
    }
}

/// How long to wait before the next attempt, or why there is none.
///
/// `attempt` counts from 1 and is the one that failed; `expires` is when all attempts must be over.
pub fn next(
    policy: &RetryPolicy,
    attempt: i32,
    failure: &Failure,
    now: Timestamp,
    expires: Option<Timestamp>,
) -> Result<Duration, RetryState> {
    if let Some(FailureInfo::TimeoutFailureInfo(it)) = &failure.failure_info
        && matches!(it.timeout_type(), TimeoutType::ScheduleToStart | TimeoutType::ScheduleToClose)
    {
        return Err(RetryState::Timeout);
    }
    if !is_retryable(failure, &policy.non_retryable_error_types) {
        return Err(RetryState::NonRetryableFailure);
    }
    if policy.maximum_attempts > 0 && attempt >= policy.maximum_attempts {
        return Err(RetryState::MaximumAttemptsReached);
    }
    let asked = match &failure.failure_info {
        Some(FailureInfo::ApplicationFailureInfo(it)) => it.next_retry_delay.as_ref().map(|it| duration(Some(it))),
        _ => None,
    };
    let interval = asked.unwrap_or_else(|| exponential(policy, attempt));
    if expires.is_some_and(|expires| now + interval > expires) {
        return Err(RetryState::Timeout);
    }
    Ok(interval)
}

fn exponential(policy: &RetryPolicy, attempt: i32) -> Duration {
    let initial = duration(policy.initial_interval.as_ref());
    let maximum = duration(policy.maximum_interval.as_ref());
    let cap = if maximum.is_zero() { crate::time::DURATION_MAX } else { maximum };
    let seconds = initial.as_secs_f64() * policy.backoff_coefficient.powi(attempt.max(1) - 1);
    // Also where the power overflowed.
    if seconds.is_finite() && seconds < cap.as_secs_f64() { Duration::from_secs_f64(seconds) } else { cap }
}
