//! Start-up and shutdown.
//!
//! Ports are bound before the store is opened, so that a taken port leaves no half-made data directory
//! behind. Going down runs the other way round: first nobody new is let in and long polls are answered
//! empty, then the requests in flight finish, and only then the store is closed.

use crate::ambient::{Clock, Entropy};
use crate::annex::Annex;
use crate::auth::{self, FrontDoor, Guard, Keys};
use crate::config::Settings;
use crate::health::Checks;
use crate::interior::{Interior, Reached};
use crate::namespaces;
use crate::service::Service;
use crate::{grpc, http};
use axum::Router;
use engine::Engine;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// A server that is running. Dropping it without [`Server::stop`] is a crash: safe, and rude to callers.
pub struct Server {
    service: Arc<Service>,
    keys: Keys,
    engine: Engine,
    checks: Arc<Checks>,
    grpc_address: SocketAddr,
    http_address: SocketAddr,
    drain_timeout: Duration,
    grpc: JoinHandle<()>,
    http: JoinHandle<()>,
}

/// Why a server does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    Auth(#[from] auth::Error),
    #[error("cannot listen on {address}: {}", listen_reason(.reason))]
    Listen { address: SocketAddr, reason: std::io::Error },
    #[error(transparent)]
    Open(#[from] store::OpenError),
    #[error(transparent)]
    Store(#[from] store::Error),
    #[error(transparent)]
    Engine(#[from] engine::Error),
    #[error(transparent)]
    Namespaces(#[from] namespaces::Error),
    #[error("the cluster id in the data directory is damaged: {0}")]
    ClusterId(uuid::Error),
    #[error("{annex} cannot start: {reason}")]
    Annex { annex: &'static str, reason: Box<dyn std::error::Error + Send + Sync> },
}

fn listen_reason(reason: &std::io::Error) -> String {
    match reason.kind() {
        std::io::ErrorKind::AddrInUse => "another process uses this port".into(),
        _ => reason.to_string(),
    }
}

impl Server {
    /// Opens the store, makes sure that the configured namespaces exist, and serves both doors.
    pub async fn start(settings: Settings) -> Result<Server, StartError> {
        Server::start_with(settings, Vec::new(), Clock::System, Entropy::System).await
    }

    /// The same with annexes, on a given clock and source of ids.
    pub async fn start_with(
        settings: Settings,
        annexes: Vec<Annex>,
        clock: Clock,
        entropy: Entropy,
    ) -> Result<Server, StartError> {
        let keys = Keys::load(&settings.auth, settings.listen.ip)?;
        let grpc_listener = listen(SocketAddr::new(settings.listen.ip, settings.listen.port)).await?;
        let http_listener = listen(SocketAddr::new(settings.listen.ip, settings.listen.http_port)).await?;
        let grpc_address = local_address(&grpc_listener)?;
        let http_address = local_address(&http_listener)?;

        let reached = Reached { grpc: grpc_address.to_string(), http: http_address.to_string() };
        let following = annexes.iter().flat_map(|annex| annex.following.clone()).collect();
        let Interior { service, engine } = Interior::open(&settings, following, clock, entropy, reached).await?;
        let mut routes = Router::new();
        for annex in annexes {
            let opened = (annex.open)(service.clone(), settings.clone()).await;
            routes = routes.merge(opened.map_err(|reason| StartError::Annex { annex: annex.name, reason })?);
        }
        let checks = Arc::new(Checks::serving().await);
        let guard = |door| Guard::new(keys.clone(), door, service.metrics.clone(), service.clock.clone());
        let transport = settings.transport.clone();
        let grpc =
            tokio::spawn(run_grpc(grpc_listener, guard(FrontDoor::Grpc), service.clone(), checks.clone(), transport));
        let http = tokio::spawn(run_http(http_listener, guard(FrontDoor::Http), service.clone(), routes));
        let drain_timeout = settings.transport.drain_timeout;
        Ok(Server { service, keys, engine, checks, grpc_address, http_address, drain_timeout, grpc, http })
    }

    pub fn service(&self) -> &Arc<Service> {
        &self.service
    }

    /// Who may come in at its doors.
    pub fn keys(&self) -> &Keys {
        &self.keys
    }

    pub fn grpc_address(&self) -> SocketAddr {
        self.grpc_address
    }

    pub fn http_address(&self) -> SocketAddr {
        self.http_address
    }

    /// Resolves when the engine cannot go on: the store has failed, or a loop has ended. The process should end.
    pub async fn failed(&self) {
        self.service.engine.shared().failed.cancelled().await;
    }

    /// Drains and closes. Returns once everything that was acknowledged is on disk and the lock is free.
    pub async fn stop(self) {
        self.checks.draining().await;
        self.service.shutdown.cancel();
        self.service.background.close();
        let doors = async {
            for door in [self.grpc, self.http] {
                // A door that panicked has nothing left to drain.
                let _ = door.await;
            }
            self.service.background.wait().await;
        };
        if tokio::time::timeout(self.drain_timeout, doors).await.is_err() {
            tracing::warn!("some requests were still running after {:?}; closing anyway", self.drain_timeout);
        }
        Interior { service: self.service, engine: self.engine }.close().await;
    }
}

async fn run_grpc(
    listener: TcpListener,
    guard: Guard,
    service: Arc<Service>,
    checks: Arc<Checks>,
    transport: crate::config::Transport,
) {
    if let Err(error) = grpc::serve(listener, guard, service, &checks, &transport).await {
        tracing::error!("the gRPC door closed: {error}");
    }
}

async fn run_http(listener: TcpListener, guard: Guard, service: Arc<Service>, routes: Router) {
    if let Err(error) = http::serve(listener, guard, service, routes).await {
        tracing::error!("the HTTP door closed: {error}");
    }
}

async fn listen(address: SocketAddr) -> Result<TcpListener, StartError> {
    TcpListener::bind(address).await.map_err(|reason| StartError::Listen { address, reason })
}

fn local_address(listener: &TcpListener) -> Result<SocketAddr, StartError> {
    let unknown = SocketAddr::from(([0, 0, 0, 0], 0));
    listener.local_addr().map_err(|reason| StartError::Listen { address: unknown, reason })
}
