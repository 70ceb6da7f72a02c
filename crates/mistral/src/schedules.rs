//! Schedules: the routes are known, the engine has none yet.

use crate::{Error, Platform};
use axum::Router;
use axum::routing::{get, post};

pub fn routes() -> Router<Platform> {
    Router::new()
        .route("/schedules", get(absent).post(absent))
        .route("/schedules/{schedule}", get(absent).delete(absent).patch(absent))
        .route("/schedules/{schedule}/pause", post(absent))
        .route("/schedules/{schedule}/resume", post(absent))
        .route("/schedules/{schedule}/trigger", post(absent))
}

async fn absent() -> Error {
    Error::not_available("schedules are")
}
