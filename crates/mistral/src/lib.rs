//! The Mistral Workflows HTTP API, over the same engine as the gRPC API.
//!
//! Workers of `mistralai-workflows` poll over gRPC like any other and use what is here to introduce themselves
//! ([`workers`], kept by the [`catalogue`]); clients of `mistralai` start and steer executions ([`executions`]). A
//! route converts, calls a handler of `server` in process, and converts: what is true of a run is what the engine
//! says. The packages' own source is the final word on shapes.
//!
//! Invariants
//! - Every answer below our paths that is no success has the shape that both packages parse ([`error`]).
//! - Nothing is acknowledged before it is durable.
//! - Payloads are relayed byte for byte; what is encoded is never looked into ([`payload`]).

// Fields that the protocol has deprecated are still sent by SDKs in use and must come through.
#![allow(deprecated)]

pub mod catalogue;
pub mod deployments;
pub mod duration;
pub mod error;
pub mod events;
pub mod executions;
pub mod extract;
pub mod graph;
pub mod limits;
pub mod paging;
pub mod payload;
pub mod platform;
mod runs;
mod schedules;
pub mod schema;
pub mod telemetry;
pub mod time;
pub mod workers;
pub mod workflows;

pub use error::Error;
pub use platform::Platform;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;
use server::{Annex, Settings};
use std::panic::AssertUnwindSafe;

/// What joins the server's HTTP port; nothing where the settings say so.
pub fn annex(settings: &Settings) -> Option<Annex> {
    settings.mistral.enabled.then(|| {
        Annex::new("the Mistral API", async |service, settings| {
            let platform = Platform::open(service, &settings).await?;
            events::begin(&platform);
            Ok(router(platform))
        })
        .following(events::lifecycle::following(&settings.mistral.namespace))
    })
}

fn router(platform: Platform) -> Router {
    let limit = DefaultBodyLimit::max(platform.service.limits.message_bytes_max);
    let v1 = Router::new()
        .merge(workers::routes())
        .merge(executions::routes())
        .merge(events::routes())
        .merge(workflows::routes())
        .merge(deployments::routes())
        .merge(telemetry::routes())
        .merge(graph::routes())
        .merge(runs::routes())
        .merge(schedules::routes())
        .method_not_allowed_fallback(error::method_not_allowed)
        .fallback(error::absent);
    let sinks = telemetry::sinks().method_not_allowed_fallback(error::method_not_allowed);
    let v2 = events::routes_v2().method_not_allowed_fallback(error::method_not_allowed).fallback(error::absent);
    Router::new()
        .nest("/v1/workflows", v1)
        .nest("/v2/workflows", v2)
        .nest("/telemetry/v1", sinks)
        .layer(limit)
        .layer(from_fn(contain))
        .with_state(platform)
}

/// A bug costs one request, not the connection with what else is on it.
async fn contain(request: Request, next: Next) -> Response {
    let path = request.uri().path().to_owned();
    let answer = AssertUnwindSafe(next.run(request)).catch_unwind().await;
    answer.unwrap_or_else(|_| Error::internal(format!("a handler panicked: {path}")).into_response())
}
