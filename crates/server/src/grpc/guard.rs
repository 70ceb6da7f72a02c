//! Around every service of the door but the one of health: no key, no answer.
//!
//! It stands before messages are read, so that nobody without a key makes the server decode four megabytes.

use crate::auth::Guard;
use futures_util::future::Either;
use http::{Request, Response};
use std::future::{Ready, ready};
use std::task::{Context, Poll};
use tonic::Status;
use tonic::body::Body;
use tower::Layer;
use tower::layer::layer_fn;

/// Paths below it are open to everybody: those who watch over processes have no keys.
const HEALTH: &str = "/grpc.health.v1.Health/";

pub(super) fn layer<S>(guard: Guard) -> impl Layer<S, Service = Guarded<S>> + Clone {
    layer_fn(move |inner| Guarded { guard: guard.clone(), inner })
}

#[derive(Clone)]
pub(super) struct Guarded<S> {
    guard: Guard,
    inner: S,
}

impl<S, B> tower::Service<Request<B>> for Guarded<S>
where
    S: tower::Service<Request<B>, Response = Response<Body>>,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Either<S::Future, Ready<Result<Response<Body>, S::Error>>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let path = request.uri().path();
        let admitted = if path.starts_with(HEALTH) { Ok(None) } else { self.guard.admit(path, request.headers()) };
        match admitted {
            Ok(_) => Either::Left(self.inner.call(request)),
            Err(refusal) => Either::Right(ready(Ok(Status::unauthenticated(refusal.to_string()).into_http()))),
        }
    }
}
