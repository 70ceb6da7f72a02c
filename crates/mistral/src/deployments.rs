//! Deployments as clients see them: task queues with the workers that serve them, and who may serve.

mod credentials;
mod find;
mod managed;
mod view;

pub use credentials::refuse_stranger;

use crate::Platform;
use axum::Router;
use axum::routing::{get, post};

pub fn routes() -> Router<Platform> {
    Router::new()
        .route("/deployments", get(find::list).post(managed::absent))
        .route("/deployments/{deployment}", get(find::one).patch(managed::absent).delete(managed::absent))
        .route("/deployments/{deployment}/workers", get(find::workers))
        .route("/deployments/{deployment}/stop", post(managed::absent))
        .route("/deployments/{deployment}/start", post(managed::absent))
        .route("/deployments/{deployment}/restart", post(managed::absent))
        .route(
            "/deployments/authorized-credentials",
            get(credentials::list).post(credentials::add).delete(credentials::remove),
        )
}
