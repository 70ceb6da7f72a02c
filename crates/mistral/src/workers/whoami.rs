//! `GET /workers/whoami`: where the scheduler is, and what this server can.

use crate::Platform;
use axum::extract::State;
use axum::http::{HeaderMap, Uri, header};
use axum::response::Json;
use serde_json::{Value, json};

pub async fn handle(State(platform): State<Platform>, headers: HeaderMap) -> Json<Value> {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let configured = platform.settings.scheduler_url.as_deref();
    let scheduler_url = scheduler_url(configured, &platform.service.cluster.address, host);
    Json(json!({
        "tls": scheduler_url.starts_with("https://"),
        "scheduler_url": scheduler_url,
        "namespace": platform.settings.namespace,
        "features": { "upload_graph": null, "events_api_version": null },
    }))
}

/// The worker has reached the HTTP port under some name for this machine; the gRPC port is beside it.
fn scheduler_url(configured: Option<&str>, own: &str, host: Option<&str>) -> String {
    if let Some(url) = configured {
        return url.to_owned();
    }
    let named = host.and_then(|host| host.parse::<Uri>().ok());
    match (named.as_ref().and_then(Uri::host), own.rsplit_once(':')) {
        (Some(host), Some((_, port))) => format!("{host}:{port}"),
        _ => own.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scheduler_is_where_the_worker_is_already() {
        let told = |host| scheduler_url(None, "0.0.0.0:7233", host);
        assert_eq!(told(Some("tradewind.internal:8233")), "tradewind.internal:7233");
        assert_eq!(told(Some("10.0.0.7")), "10.0.0.7:7233");
        assert_eq!(told(Some("[::1]:8233")), "[::1]:7233");
        for nowhere in [None, Some(""), Some("a b"), Some("\u{1f32c}")] {
            assert_eq!(told(nowhere), "0.0.0.0:7233");
        }
        let configured = scheduler_url(Some("https://grpc.example.com"), "0.0.0.0:7233", Some("here:8233"));
        assert_eq!(configured, "https://grpc.example.com");
    }
}
