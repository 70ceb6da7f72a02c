//! The catalogue as clients see it: workflows with their names and tags, their registrations, and their figures.

mod archive;
mod edit;
mod find;
mod metrics;
mod registrations;
mod view;

use crate::Platform;
use axum::Router;
use axum::routing::{get, put};

pub fn routes() -> Router<Platform> {
    Router::new()
        .route("/", get(find::list))
        .route("/{workflow}", get(find::one).put(edit::handle))
        .route("/{workflow}/archive", put(archive::one))
        .route("/{workflow}/unarchive", put(archive::one_back))
        .route("/archive", put(archive::many))
        .route("/unarchive", put(archive::many_back))
        .route("/{workflow}/metrics", get(metrics::handle))
        .route("/registrations", get(registrations::list))
        .route("/registrations/{registration}", get(registrations::one))
}
