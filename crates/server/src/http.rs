//! The HTTP door: is it alive, how much has it done, what is it.
//!
//! Whoever asks shows an API key first, if keys are on: [`admit`] is around every route but the one of health.

use crate::auth::Guard;
use crate::service::Service;
use axum::Router;
use axum::extract::{Request, State};
use axum::http::{StatusCode, Uri, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{Html, IntoResponse, Json, Response};
use axum::routing::get;
use serde_json::json;
use std::sync::Arc;
use tokio::net::TcpListener;

/// Open to everybody: those who watch over processes have no keys.
const HEALTH: &str = "/healthz";

/// Serves, with the routes of annexes, until `service.shutdown`, then until the requests in flight are answered.
pub(crate) async fn serve(
    listener: TcpListener,
    guard: Guard,
    service: Arc<Service>,
    annexes: Router,
) -> std::io::Result<()> {
    let shutdown = service.shutdown.clone().cancelled_owned();
    let routes = router(service).merge(annexes).layer(from_fn_with_state(guard, admit));
    axum::serve(listener, routes).with_graceful_shutdown(shutdown).await
}

fn router(service: Arc<Service>) -> Router {
    Router::new()
        .route("/", get(about))
        .route(HEALTH, get(healthz))
        .route("/metrics", get(metrics))
        .fallback(absent)
        .with_state(service)
}

/// Lets a request in if its caller may come in, and tells the handler who that is ([`crate::auth::Caller`], an extension).
async fn admit(State(guard): State<Guard>, mut request: Request, next: Next) -> Response {
    if request.uri().path() == HEALTH {
        return next.run(request).await;
    }
    match guard.admit(request.uri().path(), request.headers()) {
        Ok(caller) => {
            request.extensions_mut().insert(guard.keys().clone());
            if let Some(caller) = caller {
                request.extensions_mut().insert(caller);
            }
            next.run(request).await
        }
        Err(refusal) => {
            let body = json!({ "detail": refusal.to_string(), "code": "UNAUTHENTICATED" });
            (StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, "Bearer")], Json(body)).into_response()
        }
    }
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
