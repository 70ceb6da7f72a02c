//! The engine in this process, reached in memory.
//!
//! The official client hands each request to a function instead of a connection: method, headers and message. The
//! server takes it from there as if it had come over a socket, so the two are one wire with nothing in between.

use super::TradewindError;
use crate::client::{self, Client, ClientError};
use futures_util::FutureExt;
use server::ambient::{Clock, Entropy};
use server::{Door, InProcess, Settings};
use std::path::Path;
use std::sync::Arc;
use temporalio_client::callback_based::{CallbackBasedGrpcService, GrpcRequest, GrpcSuccessResponse};
use temporalio_client::{ConnectionOptions, Url};

/// Never resolved: there is no connection that it could be the target of.
const TARGET: &str = "http://in-process";

pub(crate) struct Engine {
    server: InProcess,
}

impl Engine {
    pub(crate) async fn on(directory: &Path) -> Result<Engine, TradewindError> {
        let mut settings = Settings::default();
        settings.storage.directory = directory.to_owned();
        Engine::start(settings, Clock::System).await
    }

    pub(crate) async fn in_memory() -> Result<Engine, TradewindError> {
        let mut settings = Settings::default();
        settings.storage.in_memory = true;
        Engine::start(settings, Clock::System).await
    }

    pub(crate) async fn start(settings: Settings, clock: Clock) -> Result<Engine, TradewindError> {
        let started = InProcess::start(settings, clock, Entropy::System).await;
        let server = started.map_err(|error| TradewindError::Engine(Box::new(error)))?;
        Ok(Engine { server })
    }

    /// A client over memory. What the description says of addresses and encryption is left aside.
    pub(crate) async fn client(&self, describe: client::Builder) -> Result<Client, ClientError> {
        let target = Url::parse(TARGET).expect("this is a URL");
        let connection = ConnectionOptions::new(target)
            .dns_load_balancing(None)
            .keep_alive(None)
            .service_override(in_memory(self.server.door()))
            .build();
        describe.connect_over(connection).await
    }

    pub(crate) async fn failed(&self) {
        self.server.failed().await;
    }

    pub(crate) async fn stop(self) {
        self.server.stop().await;
    }
}

fn in_memory(door: Door) -> CallbackBasedGrpcService {
    let callback = move |request: GrpcRequest| {
        let door = door.clone();
        async move {
            let GrpcRequest { service, rpc, headers, proto } = request;
            let (headers, proto) = door.call(&service, &rpc, headers, proto).await?;
            Ok(GrpcSuccessResponse { headers, proto })
        }
        .boxed()
    };
    CallbackBasedGrpcService { callback: Arc::new(callback) }
}
