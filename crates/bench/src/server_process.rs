//! A server under test as a child process: started, waited for, killed.

use crate::client::{Client, ClientOptions};
use anyhow::Context;
use rustix::process::{Pid, Signal, kill_process};
use std::{
    fs::File,
    path::PathBuf,
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

/// How to start a server.
#[derive(Debug, Clone)]
pub struct ServerCommand {
    /// A shell command. The shell is replaced by the server, so that the process measured is the server itself.
    pub command: String,
    /// Where its output goes; nowhere by default.
    pub log: Option<PathBuf>,
}

/// How a server ended that was asked to.
#[derive(Debug, Clone, Copy)]
pub struct Ended {
    pub status: ExitStatus,
    pub took: Duration,
}

/// A running server. Dropping it kills it.
#[derive(Debug)]
pub struct ServerProcess {
    child: Child,
    pub spawned_at: Instant,
}

impl ServerProcess {
    pub fn spawn(server: &ServerCommand) -> anyhow::Result<Self> {
        let output = || match &server.log {
            Some(path) => {
                let file = File::options().create(true).append(true).open(path);
                anyhow::Ok(Stdio::from(file.with_context(|| format!("cannot write {}", path.display()))?))
            }
            None => Ok(Stdio::null()),
        };
        let spawned_at = Instant::now();
        let child = Command::new("sh")
            .args(["-c", &format!("exec {}", server.command)])
            .stdin(Stdio::null())
            .stdout(output()?)
            .stderr(output()?)
            .spawn()
            .with_context(|| format!("cannot run {}", server.command))?;
        Ok(Self { child, spawned_at })
    }

    /// Starts a server and waits until it serves the namespace.
    pub async fn spawn_ready(server: &ServerCommand, client: &ClientOptions) -> anyhow::Result<Self> {
        // Else an older server would answer in the place of the one that cannot listen.
        let address = client.address.trim_start_matches("http://");
        let taken = tokio::net::TcpStream::connect(address).await.is_ok();
        anyhow::ensure!(!taken, "something listens on {address} already");
        let mut process = Self::spawn(server)?;
        let client = Client::new(client.clone())?;
        let begun = Instant::now();
        while let Err(error) = client.wait_ready(Duration::from_millis(500)).await {
            if let Some(status) = process.child.try_wait()? {
                anyhow::bail!("the server ended, {status}: {}", server.command);
            }
            anyhow::ensure!(begun.elapsed() < Duration::from_secs(60), error);
        }
        Ok(process)
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// SIGKILL: the process ends where it stands.
    pub fn kill(mut self) -> anyhow::Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// SIGTERM, and how the server ended.
    pub async fn terminate(mut self, limit: Duration) -> anyhow::Result<Ended> {
        let begun = Instant::now();
        kill_process(Pid::from_child(&self.child), Signal::TERM)?;
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(Ended { status, took: begun.elapsed() });
            }
            anyhow::ensure!(begun.elapsed() < limit, "the server did not end within {limit:?} of SIGTERM");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
