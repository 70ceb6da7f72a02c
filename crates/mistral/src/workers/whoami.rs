//! `GET /workers/whoami`: where the scheduler is, and what this server can.

use crate::Platform;
use axum::extract::State;
use axum::http::{HeaderMap, Uri, header};
use axum::response::Json;
use serde_json::{Value, json};

pub async fn handle(State(platform): State<Platform>, headers: HeaderMap) -> Json<Value> {
    let scheduler_url = scheduler_url(&platform, &headers);
    Json(json!({
        "tls": scheduler_url.starts_with("https://"),
        "scheduler_url": scheduler_url,
        "namespace": platform.settings.namespace,
        "features": { "upload_graph": null, "events_api_version": null },
    }))
}

/// The worker has reached the HTTP port under some name for this machine; the gRPC port is beside it.
fn scheduler_url(platform: &Platform, headers: &HeaderMap) -> String {
    if let Some(url) = &platform.settings.scheduler_url {
        return url.clone();
    }
    let own = &platform.service.cluster.address;
    let named = headers.get(header::HOST).and_then(|host| host.to_str().ok()?.parse::<Uri>().ok());
    match (named.as_ref().and_then(Uri::host), own.rsplit_once(':')) {
        (Some(host), Some((_, port))) => format!("{host}:{port}"),
        _ => own.clone(),
    }
}
