//! Errors in the shape that the clients parse: the one place that knows statuses and codes.
//!
//! `{"detail", "code", …}`, where `detail` is a sentence. Under status 422 it is a list of problems instead, each with
//! the place of the offending value: both packages parse any other 422 as a broken response.
//!
//! Invariants
//! - The detail of a failure on our side says nothing; its cause goes to the log.
//! - A code is one that the platform documents, or names something that it has no code for.

use axum::extract::OriginalUri;
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Json, Response};
use serde::Serialize;
use serde_json::{Map, Value, json};
use std::fmt::Display;

/// Codes of the platform.
pub mod code {
    pub const INVALID: &str = "WF_1001";
    pub const NOT_FOUND: &str = "WF_1100";
    pub const ALREADY_RUNNING: &str = "WF_1101";
    pub const NOT_RUNNING: &str = "WF_1102";
    pub const SCHEDULER: &str = "WF_1103";
    pub const REGISTRATION: &str = "WF_1104";
    pub const AMBIGUOUS_WORKFLOW: &str = "AMBIGUOUS_WORKFLOW";
    /// Ours: the feature is not built, or depends on what only the vendor has.
    pub const NOT_AVAILABLE: &str = "NOT_AVAILABLE";
    pub const METHOD_NOT_ALLOWED: &str = "METHOD_NOT_ALLOWED";
    pub const TOO_LARGE: &str = "TOO_LARGE";
    pub const BUSY: &str = "BUSY";
}

/// A request that does not succeed.
#[derive(Debug, Clone, PartialEq)]
pub struct Error {
    pub status: StatusCode,
    /// Empty if there is none.
    pub code: &'static str,
    pub detail: Detail,
    /// Members beside `detail` and `code`.
    pub more: Map<String, Value>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Detail {
    Text(String),
    Problems(Vec<Problem>),
}

/// What is wrong with one value of a request.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Problem {
    /// Where it stands: `body`, `query` or `path`, then the way to the value.
    pub loc: Vec<Step>,
    pub msg: String,
    #[serde(rename = "type")]
    pub kind: String,
}

/// One step on the way to a value.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Step {
    Name(String),
    Index(usize),
}

/// The way to a value, for example `["body", "input"]`.
pub fn place<const N: usize>(steps: [&str; N]) -> Vec<Step> {
    steps.into_iter().map(|step| Step::Name(step.to_owned())).collect()
}

impl Error {
    pub fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Error {
        Error { status, code, detail: Detail::Text(detail.into()), more: Map::new() }
    }

    /// 422: the request is understood and cannot be right.
    pub fn invalid(loc: Vec<Step>, msg: impl Into<String>) -> Error {
        Error::problems(vec![Problem { loc, msg: msg.into(), kind: "value_error".into() }])
    }

    pub fn problems(problems: Vec<Problem>) -> Error {
        Error {
            status: StatusCode::UNPROCESSABLE_ENTITY,
            code: code::INVALID,
            detail: Detail::Problems(problems),
            more: Map::new(),
        }
    }

    pub fn not_found(detail: impl Into<String>) -> Error {
        Error::new(StatusCode::NOT_FOUND, code::NOT_FOUND, detail)
    }

    pub fn conflict(code: &'static str, detail: impl Into<String>) -> Error {
        Error::new(StatusCode::CONFLICT, code, detail)
    }

    /// The feature is not here. Said plainly, although the status is one of ours.
    pub fn not_available(what: impl Display) -> Error {
        Error::new(StatusCode::NOT_IMPLEMENTED, code::NOT_AVAILABLE, format!("{what} not available here"))
    }

    /// A failure on our side: the cause is logged and not told.
    pub fn internal(cause: impl Display) -> Error {
        Error::failed(StatusCode::INTERNAL_SERVER_ERROR, cause)
    }

    /// What waits when the server drains is told to come back.
    pub fn shutting_down() -> Error {
        Error::failed(StatusCode::SERVICE_UNAVAILABLE, "the server is shutting down")
    }

    fn failed(status: StatusCode, cause: impl Display) -> Error {
        match status {
            StatusCode::INTERNAL_SERVER_ERROR => tracing::error!("a request failed: {cause}"),
            // It may well succeed when it is tried again.
            _ => tracing::warn!(%status, "a request failed: {cause}"),
        }
        Error::new(status, code::SCHEDULER, "An error occurred")
    }

    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Error {
        self.more.insert(name.to_owned(), value.into());
        self
    }

    /// The detail as one sentence.
    pub fn text(&self) -> String {
        match &self.detail {
            Detail::Text(text) => text.clone(),
            Detail::Problems(problems) => {
                problems.iter().map(|problem| problem.msg.as_str()).collect::<Vec<_>>().join("; ")
            }
        }
    }
}

impl From<server::Error> for Error {
    fn from(error: server::Error) -> Error {
        use server::Error as From;
        let text = error.to_string();
        match error {
            From::NotFound(_) => Error::not_found(text),
            From::AlreadyStarted { .. } => Error::conflict(code::ALREADY_RUNNING, text),
            From::InvalidArgument(_) | From::QueryFailed { .. } => Error::invalid(place(["body"]), text),
            From::WorkflowNotReady(_) | From::FailedPrecondition(_) => Error::conflict(code::SCHEDULER, text),
            From::PermissionDenied(_) => Error::new(StatusCode::FORBIDDEN, code::SCHEDULER, text),
            From::ResourceExhausted { .. } => Error::new(StatusCode::TOO_MANY_REQUESTS, code::BUSY, text),
            From::Unimplemented(_) => Error::new(StatusCode::NOT_IMPLEMENTED, code::NOT_AVAILABLE, text),
            From::Unavailable(_) => Error::failed(StatusCode::SERVICE_UNAVAILABLE, text),
            From::DeadlineExceeded => Error::failed(StatusCode::GATEWAY_TIMEOUT, text),
            From::NamespaceNotFound { .. }
            | From::NamespaceAlreadyExists { .. }
            | From::NamespaceInvalidState { .. }
            | From::MultiOperation { .. }
            | From::OperationAborted
            | From::Internal(_) => Error::internal(text),
        }
    }
}

impl From<engine::Error> for Error {
    fn from(error: engine::Error) -> Error {
        server::Error::from(error).into()
    }
}

impl From<store::Error> for Error {
    fn from(error: store::Error) -> Error {
        server::Error::from(error).into()
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let mut body = self.more.clone();
        // Workers log `message`; everybody else reads `detail`.
        body.insert("message".into(), self.text().into());
        if !self.code.is_empty() {
            body.insert("code".into(), self.code.into());
        }
        let detail = match self.detail {
            Detail::Text(text) => Value::String(text),
            Detail::Problems(problems) => json!(problems),
        };
        body.insert("detail".into(), detail);
        (self.status, Json(Value::Object(body))).into_response()
    }
}

/// Workers go over to an older route if one is absent, and know that by the missing code.
pub async fn absent(OriginalUri(uri): OriginalUri) -> Error {
    Error::new(StatusCode::NOT_FOUND, "", format!("there is no {}", uri.path()))
}

pub async fn method_not_allowed(method: Method, OriginalUri(uri): OriginalUri) -> Error {
    let detail = format!("{method} is not allowed on {}", uri.path());
    Error::new(StatusCode::METHOD_NOT_ALLOWED, code::METHOD_NOT_ALLOWED, detail)
}
