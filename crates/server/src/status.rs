//! Errors as gRPC statuses: the one place that knows codes.
//!
//! The detail travels in `grpc-status-details-bin` as a `google.rpc.Status` with a single `Any`, which is
//! how every SDK reads it. Messages are cut at 4,000 bytes and details that grow too long are left out, because both
//! travel as HTTP/2 headers: a client that gets more of them than it takes drops the answer, and sees a broken
//! connection in its place. Rust clients take 16 KiB.

use crate::Error;
use api::errordetails::v1::{
    MultiOperationExecutionFailure, NamespaceAlreadyExistsFailure, NamespaceInvalidStateFailure,
    NamespaceNotFoundFailure, NotFoundFailure, PermissionDeniedFailure, QueryFailedFailure, ResourceExhaustedFailure,
    WorkflowExecutionAlreadyStartedFailure, WorkflowNotReadyFailure,
    multi_operation_execution_failure::OperationStatus,
};
use api::failure::v1::MultiOperationExecutionAborted;
use prost::{Message, Name};
use prost_types::Any;
use tonic::{Code, Status};

/// Longer messages are cut to this.
pub const MESSAGE_BYTES_MAX: usize = 4_000;
/// The same of a message as it is written in a header, where some characters take three bytes.
const MESSAGE_HEADER_BYTES_MAX: usize = 6_000;
/// Longer details are left out; in a header they take a third more.
const DETAILS_BYTES_MAX: usize = 6_500;

impl From<Error> for Status {
    fn from(error: Error) -> Status {
        let parts = Parts::of(&error);
        let Some(detail) = parts.detail else { return Status::new(parts.code, parts.message) };
        let details =
            api::google::rpc::Status { code: parts.code as i32, message: parts.message.clone(), details: vec![detail] };
        if details.encoded_len() > DETAILS_BYTES_MAX {
            return Status::new(parts.code, parts.message);
        }
        Status::with_details(parts.code, parts.message, details.encode_to_vec().into())
    }
}

struct Parts {
    code: Code,
    message: String,
    detail: Option<Any>,
}

impl Parts {
    fn of(error: &Error) -> Parts {
        let (code, detail) = match error {
            Error::NamespaceNotFound { namespace } => {
                (Code::NotFound, Some(any(&NamespaceNotFoundFailure { namespace: namespace.clone() })))
            }
            Error::NamespaceAlreadyExists { .. } => (Code::AlreadyExists, Some(any(&NamespaceAlreadyExistsFailure {}))),
            Error::NamespaceInvalidState { namespace, state, allowed } => (
                Code::FailedPrecondition,
                Some(any(&NamespaceInvalidStateFailure {
                    namespace: namespace.clone(),
                    state: *state as i32,
                    allowed_states: allowed.iter().map(|state| *state as i32).collect(),
                })),
            ),
            Error::NotFound(_) => (Code::NotFound, Some(any(&NotFoundFailure::default()))),
            Error::AlreadyStarted { start_request_id, run_id, first_execution_run_id, .. } => (
                Code::AlreadyExists,
                Some(any(&WorkflowExecutionAlreadyStartedFailure {
                    start_request_id: start_request_id.clone(),
                    run_id: run_id.clone(),
                    first_execution_run_id: first_execution_run_id.clone(),
                })),
            ),
            Error::WorkflowNotReady(_) => (Code::FailedPrecondition, Some(any(&WorkflowNotReadyFailure {}))),
            Error::QueryFailed { failure, .. } => {
                (Code::InvalidArgument, Some(any(&QueryFailedFailure { failure: failure.as_deref().cloned() })))
            }
            Error::PermissionDenied(_) => (Code::PermissionDenied, Some(any(&PermissionDeniedFailure::default()))),
            Error::ResourceExhausted { cause, scope, .. } => (
                Code::ResourceExhausted,
                Some(any(&ResourceExhaustedFailure { cause: *cause as i32, scope: *scope as i32 })),
            ),
            Error::MultiOperation { statuses, .. } => (
                multi_operation_code(statuses),
                Some(any(&MultiOperationExecutionFailure {
                    statuses: statuses.iter().map(operation_status).collect(),
                })),
            ),
            Error::OperationAborted => (Code::Aborted, Some(any(&MultiOperationExecutionAborted {}))),
            Error::InvalidArgument(_) => (Code::InvalidArgument, None),
            Error::FailedPrecondition(_) => (Code::FailedPrecondition, None),
            Error::Unavailable(_) => (Code::Unavailable, None),
            Error::DeadlineExceeded => (Code::DeadlineExceeded, None),
            Error::Unimplemented(_) => (Code::Unimplemented, None),
            Error::Internal(_) => (Code::Internal, None),
        };
        Parts { code, message: cut(error.to_string()), detail }
    }
}

/// The code of the whole is that of the part that failed, not of the parts that were never tried.
fn multi_operation_code(statuses: &[Option<Error>]) -> Code {
    statuses
        .iter()
        .flatten()
        .find(|error| **error != Error::OperationAborted)
        .map_or(Code::Aborted, |error| Parts::of(error).code)
}

fn operation_status(error: &Option<Error>) -> OperationStatus {
    let Some(error) = error else { return OperationStatus::default() };
    let parts = Parts::of(error);
    OperationStatus { code: parts.code as i32, message: parts.message, details: parts.detail.into_iter().collect() }
}

fn any<M: Message + Name>(message: &M) -> Any {
    Any { type_url: format!("type.googleapis.com/{}", M::full_name()), value: message.encode_to_vec() }
}

fn cut(mut message: String) -> String {
    let mut in_header = 0;
    let end = message.char_indices().find_map(|(at, char)| {
        in_header += if char.is_ascii_alphanumeric() { 1 } else { 3 * char.len_utf8() };
        let fits = at + char.len_utf8() <= MESSAGE_BYTES_MAX && in_header <= MESSAGE_HEADER_BYTES_MAX;
        (!fits).then_some(at)
    });
    if let Some(end) = end {
        message.truncate(end);
    }
    message
}

#[cfg(test)]
mod tests {
    use super::*;
    use api::enums::v1::NamespaceState;

    #[test]
    fn a_missing_namespace_carries_its_name_in_the_detail() {
        let status = Status::from(Error::namespace_not_found("nope"));

        assert_eq!(status.code(), Code::NotFound);
        assert_eq!(status.message(), "Namespace nope is not found.");
        let (detail, envelope) = detail::<NamespaceNotFoundFailure>(&status);
        assert_eq!(detail.namespace, "nope");
        assert_eq!((envelope.code, envelope.message.as_str()), (5, status.message()));
    }

    #[test]
    fn plain_validation_has_no_detail() {
        let status = Status::from(Error::invalid("WorkflowId is not set on request."));

        assert_eq!((status.code(), status.details()), (Code::InvalidArgument, &[][..]));
    }

    #[test]
    fn a_taken_id_names_the_run_that_holds_it() {
        let status = Status::from(Error::AlreadyStarted {
            message: "Workflow execution is already running. WorkflowId: w, RunId: r.".into(),
            start_request_id: "q".into(),
            run_id: "r".into(),
            first_execution_run_id: "f".into(),
        });

        assert_eq!(status.code(), Code::AlreadyExists);
        let (detail, _) = detail::<WorkflowExecutionAlreadyStartedFailure>(&status);
        assert_eq!(
            (detail.start_request_id, detail.run_id, detail.first_execution_run_id),
            ("q".to_owned(), "r".to_owned(), "f".to_owned())
        );
    }

    #[test]
    fn a_refused_multi_operation_has_the_code_of_the_part_that_failed() {
        let status = Status::from(Error::MultiOperation {
            message: "Update-with-Start could not be executed.".into(),
            statuses: vec![Some(Error::OperationAborted), Some(Error::invalid("bad update"))],
        });

        assert_eq!(status.code(), Code::InvalidArgument);
        let (detail, _) = detail::<MultiOperationExecutionFailure>(&status);
        assert_eq!(detail.statuses.iter().map(|part| part.code).collect::<Vec<_>>(), [10, 3]);
        assert!(
            detail.statuses[0].details[0].type_url.ends_with("temporal.api.failure.v1.MultiOperationExecutionAborted")
        );
    }

    #[test]
    fn a_deprecated_namespace_says_which_states_would_do() {
        let error = Error::NamespaceInvalidState {
            namespace: "n".into(),
            state: NamespaceState::Deprecated,
            allowed: vec![NamespaceState::Registered],
        };

        assert_eq!(error.to_string(), "Namespace has invalid state: Deprecated. Must be Registered.");
    }

    #[test]
    fn long_messages_are_cut_between_characters() {
        let status = Status::from(Error::invalid("x".repeat(5_000)));
        assert_eq!(status.message().len(), MESSAGE_BYTES_MAX);

        let status = Status::from(Error::invalid("é".repeat(3_000)));
        assert_eq!(status.message().len(), 2_000, "each takes six bytes in the header");
    }

    #[test]
    fn headers_stay_below_what_clients_take() {
        for name in ["x".repeat(20_000), "é".repeat(3_900), "\0".repeat(5_000)] {
            let status = Status::from(Error::namespace_not_found(name));
            let response = status.into_http::<String>();
            let headers = response.headers();
            let bytes: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 32).sum();
            assert!(bytes < 15_000, "{bytes} bytes");
        }
    }

    #[track_caller]
    fn detail<M: Message + Name + Default>(status: &Status) -> (M, api::google::rpc::Status) {
        let envelope = api::google::rpc::Status::decode(status.details()).expect("details are a google.rpc.Status");
        let [any] = &envelope.details[..] else { panic!("one detail, not {}", envelope.details.len()) };
        assert_eq!(any.type_url, format!("type.googleapis.com/{}", M::full_name()));
        (M::decode(any.value.as_slice()).expect("the detail decodes"), envelope)
    }
}
