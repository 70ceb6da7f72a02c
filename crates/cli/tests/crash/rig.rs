//! A server of the binary under test on a port and a directory that stay the same over its lives, and workers.

use crate::{ledger::Ledger, program::Orders};
use bench::{
    client::{Client, ClientOptions},
    server_process::{ServerCommand, ServerProcess},
    worker::{Worker, WorkerOptions},
};
use std::{net::TcpListener, path::PathBuf, sync::Arc, time::Duration};
use tempfile::TempDir;

pub(crate) struct Rig {
    pub(crate) command: ServerCommand,
    pub(crate) options: ClientOptions,
    http_port: u16,
    log: PathBuf,
    directory: Option<TempDir>,
}

impl Rig {
    pub(crate) fn new() -> Rig {
        let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory");
        let (port, http_port) = (free_port(), free_port());
        let log = directory.path().join("server.log");
        let command = format!(
            "{} dev --port {port} --http-port {http_port} --data-dir {}",
            env!("CARGO_BIN_EXE_tradewind"),
            directory.path().join("data").display()
        );
        Rig {
            command: ServerCommand { command, log: Some(log.clone()) },
            options: ClientOptions { address: format!("127.0.0.1:{port}"), ..ClientOptions::default() },
            http_port,
            log,
            directory: Some(directory),
        }
    }

    pub(crate) fn client(&self) -> Client {
        Client::new(self.options.clone()).expect("a good address")
    }

    pub(crate) fn http(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.http_port)
    }

    pub(crate) fn spawn(&self) -> ServerProcess {
        ServerProcess::spawn(&self.command).expect("the binary starts")
    }

    pub(crate) async fn spawn_ready(&self) -> ServerProcess {
        ServerProcess::spawn_ready(&self.command, &self.options).await.unwrap_or_else(|error| {
            panic!("{error:#}\n{}", self.log_tail());
        })
    }

    pub(crate) fn worker(&self, ledger: &Arc<Ledger>, options: WorkerOptions) -> Worker {
        let client = self.client();
        Worker::start(client.clone(), options, Arc::new(Orders::new(client, ledger.clone())))
    }

    /// Everything that the server has said, in all its lives.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    pub(crate) fn log_tail(&self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(40)..].join("\n")
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        if std::thread::panicking()
            && let Some(directory) = self.directory.take()
        {
            eprintln!("the server's data and log stay in {}", directory.keep().display());
        }
    }
}

/// A worker with a sticky queue, or one that is sent the whole history with each task.
pub(crate) fn worker_options(task_queue: &str, sticky: bool) -> WorkerOptions {
    WorkerOptions {
        sticky_pollers: if sticky { 8 } else { 0 },
        sticky_timeout: Duration::from_secs(1),
        ..WorkerOptions::sized(task_queue, 8)
    }
}

/// A port that nobody used a moment ago. It has to be known before the server starts, and stay the same.
fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("a bound listener has an address").port()
}
