//! What a stretch of load cost: CPU of the server, of the generator and of everything else; memory; flushes.
//!
//! CPU comes from /proc, memory too. Flushes come from the server's own counter where it has one
//! (`tradewind_store_flushes_total` on its metrics page), and from `perf` counting the system calls of the server
//! process, where asked for: that works for any server, and checks the counter.

use anyhow::Context;
use rustix::process::{Pid, Signal, kill_process};
use serde::Serialize;
use std::{
    fs,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

pub const FLUSHES_METRIC: &str = "tradewind_store_flushes_total";

/// Linux fixes the unit of CPU times in /proc at this on every architecture it is commonly run on.
const TICKS_PER_SECOND: f64 = 100.0;

/// Where the server's cost can be read.
#[derive(Debug, Clone, Default)]
pub struct Watched {
    pub pid: Option<u32>,
    pub metrics_url: Option<String>,
    /// Count fsync and fdatasync calls with `perf`. Needs the right to trace.
    pub count_syncs: bool,
}

/// The cost of a stretch of load.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Cost {
    pub seconds: f64,
    pub server_cpu_ms: Option<f64>,
    pub driver_cpu_ms: f64,
    /// Cores kept busy by neither of the two: what else ran on the machine.
    pub other_cores: f64,
    pub rss_before_kib: Option<u64>,
    pub rss_after_kib: Option<u64>,
    pub flushes: Option<f64>,
    pub syncs: Option<u64>,
}

/// A measurement under way.
pub struct Probe {
    watched: Watched,
    begun: Instant,
    server_cpu_ms: Option<f64>,
    driver_cpu_ms: f64,
    machine_cpu_ms: f64,
    rss_kib: Option<u64>,
    flushes: Option<f64>,
    syncs: Option<SyncCounter>,
}

impl Probe {
    pub async fn begin(watched: &Watched) -> anyhow::Result<Self> {
        let syncs = match watched.pid.filter(|_| watched.count_syncs) {
            Some(pid) => Some(SyncCounter::attach(pid).await?),
            None => None,
        };
        Ok(Self {
            begun: Instant::now(),
            server_cpu_ms: watched.pid.map(cpu_ms).transpose()?,
            driver_cpu_ms: cpu_ms(std::process::id())?,
            machine_cpu_ms: machine_cpu_ms()?,
            rss_kib: watched.pid.map(rss_kib).transpose()?,
            flushes: flushes(watched).await,
            syncs,
            watched: watched.clone(),
        })
    }

    pub async fn end(self) -> anyhow::Result<Cost> {
        let seconds = self.begun.elapsed().as_secs_f64();
        let pid = self.watched.pid;
        let server_cpu_ms = match (pid, self.server_cpu_ms) {
            (Some(pid), Some(before)) => Some(cpu_ms(pid)? - before),
            _ => None,
        };
        let driver_cpu_ms = cpu_ms(std::process::id())? - self.driver_cpu_ms;
        let machine_cpu_ms = machine_cpu_ms()? - self.machine_cpu_ms;
        let other_ms = machine_cpu_ms - driver_cpu_ms - server_cpu_ms.unwrap_or(0.0);
        Ok(Cost {
            seconds,
            server_cpu_ms,
            driver_cpu_ms,
            other_cores: (other_ms / 1000.0 / seconds).max(0.0),
            rss_before_kib: self.rss_kib,
            rss_after_kib: pid.map(rss_kib).transpose()?,
            flushes: match (self.flushes, flushes(&self.watched).await) {
                (Some(before), Some(after)) => Some(after - before),
                _ => None,
            },
            syncs: self.syncs.map(SyncCounter::detach).transpose()?,
        })
    }
}

/// CPU time of a process and all its threads, ended ones included.
pub fn cpu_ms(pid: u32) -> anyhow::Result<f64> {
    let path = format!("/proc/{pid}/stat");
    let stat = fs::read_to_string(&path).with_context(|| format!("cannot read {path}: is the server gone?"))?;
    // The second field is the command in parentheses, which may itself hold blanks and parentheses.
    let (_, fields) = stat.rsplit_once(')').context("a stat line names its command")?;
    let fields: Vec<&str> = fields.split_whitespace().collect();
    let ticks = |index: usize| fields.get(index).and_then(|field| field.parse::<f64>().ok());
    let (user, system) = ticks(11).zip(ticks(12)).context("a stat line holds CPU times")?;
    Ok((user + system) * 1000.0 / TICKS_PER_SECOND)
}

/// Memory of a process that is in RAM.
pub fn rss_kib(pid: u32) -> anyhow::Result<u64> {
    let path = format!("/proc/{pid}/status");
    let status = fs::read_to_string(&path).with_context(|| format!("cannot read {path}: is the server gone?"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("a status page holds VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}

/// CPU time of all processes together.
fn machine_cpu_ms() -> anyhow::Result<f64> {
    let stat = fs::read_to_string("/proc/stat")?;
    let line = stat.lines().next().context("the first line sums all CPUs")?;
    let ticks: Vec<f64> = line.split_whitespace().skip(1).filter_map(|field| field.parse().ok()).collect();
    // user, nice, system, then idle and iowait, then irq and softirq.
    let busy: f64 = [0, 1, 2, 5, 6].iter().filter_map(|&index| ticks.get(index)).sum();
    Ok(busy * 1000.0 / TICKS_PER_SECOND)
}

async fn flushes(watched: &Watched) -> Option<f64> {
    let page = fetch(watched.metrics_url.as_deref()?).await.ok()?;
    metric(&page, FLUSHES_METRIC)
}

/// The sum of all series of a metric on a Prometheus page.
fn metric(page: &str, name: &str) -> Option<f64> {
    let series = page.lines().filter_map(|line| {
        let rest = line.strip_prefix(name)?;
        // Another metric may begin with the same name.
        if !rest.starts_with([' ', '{']) {
            return None;
        }
        rest.rsplit(' ').next()?.parse::<f64>().ok()
    });
    series.reduce(|sum, value| sum + value)
}

/// Reads a page over plain HTTP. Version 1.0, so that the answer is not chunked.
async fn fetch(url: &str) -> anyhow::Result<String> {
    let rest = url.strip_prefix("http://").context("only http:// pages can be read")?;
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    let exchange = async {
        let mut stream = TcpStream::connect(host).await?;
        stream.write_all(format!("GET /{path} HTTP/1.0\r\nHost: {host}\r\n\r\n").as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        anyhow::Ok(answer)
    };
    let answer = tokio::time::timeout(Duration::from_secs(5), exchange).await??;
    let (head, body) = answer.split_once("\r\n\r\n").context("an HTTP answer has a head")?;
    anyhow::ensure!(head.split(' ').nth(1) == Some("200"), "{url} answered {}", head.lines().next().unwrap_or(""));
    Ok(body.to_owned())
}

/// `perf stat` on the system calls that flush.
struct SyncCounter {
    perf: Child,
}

impl SyncCounter {
    async fn attach(pid: u32) -> anyhow::Result<Self> {
        let perf = Command::new("perf")
            .args(["stat", "-x", ",", "-e", "syscalls:sys_enter_fdatasync,syscalls:sys_enter_fsync", "-p"])
            .arg(pid.to_string())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .context("cannot run perf")?;
        // perf says nothing when it is attached.
        tokio::time::sleep(Duration::from_millis(500)).await;
        Ok(Self { perf })
    }

    fn detach(self) -> anyhow::Result<u64> {
        let pid = Pid::from_child(&self.perf);
        kill_process(pid, Signal::INT)?;
        let output = self.perf.wait_with_output()?;
        let text = String::from_utf8_lossy(&output.stderr);
        let counts: Vec<u64> = text.lines().filter_map(|line| line.split(',').next()?.parse().ok()).collect();
        anyhow::ensure!(!counts.is_empty(), "perf counted nothing: {}", text.trim());
        Ok(counts.iter().sum())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_metric_is_the_sum_of_its_series() {
        let page =
            "# HELP flushes_total x\nflushes_total{kind=\"a\"} 3\nflushes_total{kind=\"b\"} 4\nflushes_total_bytes 9\n";
        assert_eq!(metric(page, "flushes_total"), Some(7.0));
        assert_eq!(metric("plain 2\n", "plain"), Some(2.0));
        assert_eq!(metric(page, "missing"), None);
    }

    #[test]
    fn the_own_process_has_memory_and_cpu_time() {
        assert!(rss_kib(std::process::id()).unwrap() > 0);
        assert!(cpu_ms(std::process::id()).unwrap() >= 0.0);
    }
}
