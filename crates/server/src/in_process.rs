//! A server without ports, for clients in its own process.
//!
//! A request is handed over as what it would be on the wire: a method's name, headers, and the bytes of a message. So
//! it takes the same way as any other from [`crate::grpc`] on (deadline, limits, error details, metrics), and
//! nothing can work in process that does not work over a socket.
//!
//! Invariants
//! - Dropping the future of a call ends the request at once: a poll gives up its place.
//! - Once the server drains, calls are refused; those that had begun are answered before the store closes.

use crate::ambient::{Clock, Entropy};
use crate::config::Settings;
use crate::grpc;
use crate::interior::{Interior, Reached};
use crate::server::StartError;
use crate::service::Service;
use bytes::{BufMut, Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, Request, Response, header};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::task::TaskTracker;
use tonic::Status;
use tonic::body::Body;
use tower::ServiceExt;

/// A server that is running. Dropping it without [`InProcess::stop`] is a crash: safe, and rude to callers.
pub struct InProcess {
    interior: Interior,
    drain_timeout: Duration,
    calls: TaskTracker,
}

/// Where the clients of an [`InProcess`] knock. Cheap to clone.
#[derive(Clone)]
pub struct Door {
    service: Arc<Service>,
    calls: TaskTracker,
    methods: grpc::InMemory,
}

/// Flag and length, which precede each message of a gRPC body.
const FRAME_BYTES: usize = 5;

impl InProcess {
    /// Opens the store and makes sure that the configured namespaces exist. What the settings say of listening has
    /// no meaning here.
    pub async fn start(settings: Settings, clock: Clock, entropy: Entropy) -> Result<InProcess, StartError> {
        let reached = Reached { grpc: "in-process".into(), http: String::new() };
        let interior = Interior::open(&settings, Vec::new(), clock, entropy, reached).await?;
        Ok(InProcess { interior, drain_timeout: settings.transport.drain_timeout, calls: TaskTracker::new() })
    }

    pub fn service(&self) -> &Arc<Service> {
        &self.interior.service
    }

    pub fn door(&self) -> Door {
        let service = self.interior.service.clone();
        Door { methods: grpc::in_memory(&service), service, calls: self.calls.clone() }
    }

    /// Resolves when the engine cannot go on: the store has failed, or a loop has ended.
    pub async fn failed(&self) {
        self.interior.service.engine.shared().failed.cancelled().await;
    }

    /// Drains and closes. Returns once everything that was acknowledged is on disk and the lock is free.
    pub async fn stop(self) {
        self.interior.service.shutdown.cancel();
        self.calls.close();
        if tokio::time::timeout(self.drain_timeout, self.calls.wait()).await.is_err() {
            tracing::warn!("some requests were still running after {:?}; closing anyway", self.drain_timeout);
        }
        self.interior.close().await;
    }
}

impl Door {
    /// Makes one request; answers with the response's headers and message.
    pub async fn call(
        &self,
        service: &str,
        method: &str,
        headers: HeaderMap,
        message: Bytes,
    ) -> Result<(HeaderMap, Vec<u8>), Status> {
        // Counted before it looks whether it may: else a drain could miss it.
        let _counted = self.calls.token();
        if self.service.shutdown.is_cancelled() {
            // For good, so with a code that clients do not try again on.
            return Err(Status::failed_precondition("the engine of this process has stopped"));
        }
        let request = request(service, method, headers, message)?;
        let response = match self.methods.clone().oneshot(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        };
        answer(response).await
    }
}

fn request(service: &str, method: &str, headers: HeaderMap, message: Bytes) -> Result<Request<Body>, Status> {
    let length = u32::try_from(message.len())
        .map_err(|_| Status::resource_exhausted(format!("a message of {} bytes cannot be sent", message.len())))?;
    let mut frame = BytesMut::with_capacity(FRAME_BYTES);
    frame.put_u8(0);
    frame.put_u32(length);
    let frames = [frame.freeze(), message].map(|it| Ok::<_, Status>(http_body::Frame::data(it)));
    let body = Body::new(http_body_util::StreamBody::new(futures_util::stream::iter(frames)));
    let mut request = Request::post(format!("/{service}/{method}"))
        .body(body)
        .map_err(|error| Status::unimplemented(format!("no method {service}/{method}: {error}")))?;
    *request.headers_mut() = headers;
    request.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    Ok(request)
}

async fn answer(response: Response<Body>) -> Result<(HeaderMap, Vec<u8>), Status> {
    let (parts, body) = response.into_parts();
    // An error that is made before there is a body travels in the headers, any other in the trailers.
    if let Some(status) = Status::from_header_map(&parts.headers) {
        refused(status)?;
    }
    let body = http_body_util::BodyExt::collect(body).await?;
    if let Some(status) = body.trailers().and_then(Status::from_header_map) {
        refused(status)?;
    }
    let mut message = Vec::from(body.to_bytes());
    if message.len() < FRAME_BYTES {
        return Err(Status::internal("the response holds no message"));
    }
    message.drain(..FRAME_BYTES);
    Ok((parts.headers, message))
}

fn refused(status: Status) -> Result<(), Status> {
    if status.code() == tonic::Code::Ok { Ok(()) } else { Err(status) }
}
