//! Executions: what a client starts, sees and steers, and what its worker says about it.
//!
//! Everything acts on the latest run of the execution id, and what is true of it is what the engine says.

mod end;
mod execute;
mod get;
mod handlers;
pub mod history;
mod query;
mod register;
mod routing;
mod search_keys;
mod signal;
mod update;
pub mod view;

use crate::{Error, Platform};
use axum::Router;
use axum::routing::{get, patch, post};

/// Who does what comes through this API, as histories show it.
const IDENTITY: &str = "mistral-api";

pub fn routes() -> Router<Platform> {
    Router::new()
        .route("/{workflow}/execute", post(execute::by_workflow))
        .route("/registrations/{registration}/execute", post(execute::by_registration))
        .route("/executions/register", post(register::handle))
        .route("/executions/search_keys/{execution}", patch(search_keys::upsert).delete(search_keys::delete))
        .route("/executions/cancel", post(end::cancel_many))
        .route("/executions/terminate", post(end::terminate_many))
        .route("/executions/{execution}", get(get::handle))
        .route("/executions/{execution}/history", get(history::of_execution))
        .route("/executions/{execution}/signals", post(signal::handle))
        .route("/executions/{execution}/queries", post(query::handle))
        .route("/executions/{execution}/updates", post(update::handle))
        .route("/executions/{execution}/cancel", post(end::cancel))
        .route("/executions/{execution}/terminate", post(end::terminate))
        .route("/executions/{execution}/reset", post(reset))
}

/// Waits for the engine.
async fn reset() -> Error {
    Error::not_available("resetting an execution is")
}
