//! Runs a server until somebody asks it to stop.

use crate::logging;
use anyhow::Context;
use server::ambient::{Clock, Entropy};
use server::{Server, Settings};
use std::io::Write;
use tokio::signal::unix::{SignalKind, signal};

/// What a shell shows for a program ended by Ctrl-C.
const INTERRUPTED: i32 = 130;

/// Starts, says where everything is, and drains at the first SIGINT or SIGTERM. A second one exits at once.
pub(crate) fn until_signal(settings: Settings, notes: &[String]) -> anyhow::Result<()> {
    logging::start(&settings.log)?;
    for note in notes {
        tracing::warn!("{note}");
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(worker_threads())
        .enable_all()
        .build()
        .context("cannot start threads")?;
    runtime.block_on(async {
        let mut stop = Stop::listen()?;
        let annexes = mistral::annex(&settings).into_iter().collect();
        let server = Server::start_with(settings.clone(), annexes, Clock::System, Entropy::System).await?;
        // Whoever started us may have closed our output; that is no reason to stop.
        let _ = std::io::stdout().write_all(summary(&server, &settings).as_bytes());

        tokio::select! {
            () = stop.asked() => {}
            () = server.failed() => {
                // Going on would answer from memory what no disk holds: start over instead.
                anyhow::bail!("the engine cannot go on; what it acknowledged is on disk");
            }
        }
        tracing::info!("stopping: requests in flight may finish");
        tokio::spawn(async move {
            stop.asked().await;
            std::process::exit(INTERRUPTED);
        });
        server.stop().await;
        Ok(())
    })
}

/// One core is the store's: its writer is a thread of its own. A worker more than there are cores for does no work but
/// wakes and is woken, which cost a sixth of all CPU time on two cores.
fn worker_threads() -> usize {
    std::thread::available_parallelism().map_or(2, std::num::NonZero::get).saturating_sub(1).max(1)
}

struct Stop {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

impl Stop {
    fn listen() -> anyhow::Result<Stop> {
        Ok(Stop { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    async fn asked(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

fn summary(server: &Server, settings: &Settings) -> String {
    let data = if settings.storage.in_memory {
        "in memory, gone when this process ends".to_owned()
    } else {
        let directory = &settings.storage.directory;
        directory.canonicalize().unwrap_or_else(|_| directory.clone()).display().to_string()
    };
    let keys = server.keys();
    let access = match (keys.count(), settings.listen.ip.is_loopback()) {
        (0, true) => "no API key is needed; only this machine can connect".to_owned(),
        (0, false) => "NO API KEY IS NEEDED: whoever reaches these ports can read and end every workflow".to_owned(),
        (1, _) => "an API key is needed at both ports".to_owned(),
        (count, _) => format!("one of {count} API keys is needed at both ports"),
    };
    let mut namespaces = settings.namespaces.clone();
    let mut mistral = String::new();
    if settings.mistral.enabled {
        let namespace = &settings.mistral.namespace;
        mistral = format!(", the Mistral Workflows API (in namespace {namespace})");
        if !namespaces.contains(namespace) {
            namespaces.push(namespace.clone());
        }
    }
    let namespaces = namespaces.join(", ");
    let (version, grpc, http) = (env!("CARGO_PKG_VERSION"), server.grpc_address(), server.http_address());
    format!(
        "Tradewind {version}\n\
         \n\
         \x20 gRPC        {grpc}         for any Temporal SDK and the temporal command\n\
         \x20 HTTP        http://{http}  health, metrics{mistral}\n\
         \x20 data        {data}\n\
         \x20 namespaces  {namespaces}\n\
         \x20 access      {access}\n\
         \n\
         Stop with Ctrl-C.\n"
    )
}
