//! What workers tell of themselves: who are you, here I am, I am still here.

mod heartbeat;
mod identity;
mod register;
mod whoami;

use crate::Platform;
use axum::Router;
use axum::routing::{get, post};

pub fn routes() -> Router<Platform> {
    Router::new()
        .route("/register", post(register::handle))
        .route("/workers/whoami", get(whoami::handle))
        .route("/workers/heartbeat", post(heartbeat::handle))
        .route("/workers/executor-identity-token", post(identity::token))
        .route("/workers/executor-identity", post(identity::of_whom))
}
