//! The HTTP door: is it alive, how much has it done, what is it.

use crate::service::Service;
use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, Uri, header};
use axum::response::{Html, IntoResponse, Json, Response};
use axum::routing::get;
use serde_json::json;
use std::sync::Arc;
use tokio::net::TcpListener;

/// Serves, with the routes of annexes, until `service.shutdown`, then until the requests in flight are answered.
pub(crate) async fn serve(listener: TcpListener, service: Arc<Service>, annexes: Router) -> std::io::Result<()> {
    let shutdown = service.shutdown.clone().cancelled_owned();
    axum::serve(listener, router(service).merge(annexes)).with_graceful_shutdown(shutdown).await
}

fn router(service: Arc<Service>) -> Router {
    Router::new()
        .route("/", get(about))
        .route("/healthz", get(healthz))
        .route("/metrics", get(metrics))
        .fallback(absent)
        .with_state(service)
}

/// 200 while requests are welcome, 503 from the moment that the server drains.
async fn healthz(State(service): State<Arc<Service>>) -> Response {
    if service.shutdown.is_cancelled() {
        return (StatusCode::SERVICE_UNAVAILABLE, Json(json!({ "status": "draining" }))).into_response();
    }
    Json(json!({ "status": "serving" })).into_response()
}

async fn metrics(State(service): State<Arc<Service>>) -> Response {
    match service.metrics.encode() {
        Ok(text) => {
            let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
            ([(header::CONTENT_TYPE, kind)], text).into_response()
        }
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

async fn about(State(service): State<Arc<Service>>) -> Html<String> {
    let grpc = escaped(&service.cluster.address);
    let version = env!("CARGO_PKG_VERSION");
    Html(format!(
        "<!doctype html><html lang=en><meta charset=utf-8><title>Tradewind</title>\
         <style>body{{font:16px/1.5 system-ui;max-width:40em;margin:3em auto;padding:0 1em}}</style>\
         <h1>Tradewind {version}</h1>\
         <p>A durable-execution engine that speaks the Temporal API.\
         Point any Temporal SDK or the <code>temporal</code> command at <code>{grpc}</code>.\
         <p><a href=/healthz>health</a> · <a href=/metrics>metrics</a>\
         <p>The project's <code>README.md</code> and <code>docs/</code> explain the rest."
    ))
}

async fn absent(uri: Uri) -> Response {
    let body = json!({ "error": "not found", "path": uri.path() });
    (StatusCode::NOT_FOUND, Json(body)).into_response()
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
