//! Local activities: which of them the worker of this thread can run, and how they fail.
//!
//! The official worker takes a local activity that it does not know for a failed attempt, and tries it for ever. Here
//! the workflow task fails, with a word on what is missing.
//!
//! It hands the failure of one that it knows to the workflow without the wrapper that says which activity it is of, in which
//! all others come. Here it gets one, so that local or not makes no difference to whoever looks at the error.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::sync::Arc;
use temporalio_common::data_converters::{
    DefaultFailureConverter, FailureConverter, PayloadConverter, SerializationContextData,
};
use temporalio_common::error::{ActivityExecutionError, IncomingError};
use temporalio_common::protos::temporal::api::common::v1::ActivityType;
use temporalio_common::protos::temporal::api::enums::v1::RetryState;
use temporalio_common::protos::temporal::api::failure::v1::failure::FailureInfo;
use temporalio_common::protos::temporal::api::failure::v1::{ActivityFailureInfo, Failure};

thread_local! {
    static REGISTERED: RefCell<Option<Registered>> = const { RefCell::new(None) };
}

/// Names of activities.
pub(crate) type Registered = Arc<BTreeSet<&'static str>>;

/// Says what the worker runs whose workflows this thread polls.
pub(crate) fn set(registered: Registered) {
    REGISTERED.set(Some(registered));
}

/// Why the activity cannot run here, if it cannot. Where no worker is, as in a replay, nothing runs and nothing is missing.
pub(crate) fn refused(activity: &str, has_rate_limit: bool) -> Option<String> {
    if has_rate_limit {
        return Some(format!(
            "{activity} is called as a local activity, and has a rate limit, which is one of a queue on the server: leave out \
             one of them"
        ));
    }
    let known = REGISTERED.with_borrow(|registered| registered.as_ref().is_none_or(|names| names.contains(activity)));
    (!known).then(|| {
        format!(
            "{activity} is called as a local activity, and this worker does not run it: add `.activity({activity})` or the \
             type that has it to the worker, or leave out `local`"
        )
    })
}

/// The failure of a local activity as the failure of an activity. Its id is not known here.
pub(crate) fn wrapped(
    error: ActivityExecutionError,
    activity: &str,
    converter: &PayloadConverter,
    context: &SerializationContextData,
) -> ActivityExecutionError {
    let ActivityExecutionError::Failed(failed) = &error else { return error };
    let retry_state = match &failed.failure().failure_info {
        // Timeouts and cancellations have one.
        Some(FailureInfo::ActivityFailureInfo(_)) => return error,
        Some(FailureInfo::ApplicationFailureInfo(info)) if info.non_retryable => RetryState::NonRetryableFailure,
        _ => RetryState::Unspecified,
    };
    let wrapper = Failure {
        message: "Activity task failed".into(),
        cause: Some(Box::new(failed.failure().clone())),
        failure_info: Some(FailureInfo::ActivityFailureInfo(ActivityFailureInfo {
            activity_type: Some(ActivityType { name: activity.to_owned() }),
            retry_state: retry_state.into(),
            ..ActivityFailureInfo::default()
        })),
        ..Failure::default()
    };
    match DefaultFailureConverter::default().to_error(wrapper, converter, context) {
        Ok(IncomingError::Activity(wrapped)) => ActivityExecutionError::Failed(wrapped),
        Ok(_) => error,
        Err(unreadable) => ActivityExecutionError::Serialization(unreadable),
    }
}
