//! Executions: what a client starts, sees and steers, and what its worker says about it.
//!
//! Everything acts on the latest run of the execution id, and what is true of it is what the engine says.

mod execute;
mod get;
mod register;
mod routing;
mod search_keys;
pub mod view;

use crate::Platform;
use axum::Router;
use axum::routing::{get, patch, post};

pub fn routes() -> Router<Platform> {
    Router::new()
        .route("/{workflow}/execute", post(execute::by_workflow))
        .route("/registrations/{registration}/execute", post(execute::by_registration))
        .route("/executions/register", post(register::handle))
        .route("/executions/search_keys/{execution}", patch(search_keys::upsert).delete(search_keys::delete))
        .route("/executions/{execution}", get(get::handle))
}
