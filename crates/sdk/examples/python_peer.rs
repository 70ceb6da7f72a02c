//! The Rust half of the tests in `tests/sdk`: a worker for a client and workers in Python that use the official SDK.
//!
//! Takes the address of a server, a task queue, and perhaps the kind of a bucket and its name: then payloads are compressed,
//! encrypted and offloaded. Stops when its standard input ends.

use tradewind::payload::{Converter, Key, Keyring, Offload, Store, Zlib};
use tradewind::prelude::*;

/// Runs here.
#[activity(max_attempts = 1)]
async fn rust_reverse(text: String) -> Result<String> {
    Ok(text.chars().rev().collect())
}

/// Runs there.
#[activity(max_attempts = 1)]
async fn python_reverse(text: String) -> Result<String>;

#[workflow]
async fn through_both(text: String, python_queue: String) -> Result<String> {
    let reversed = rust_reverse(text).await?;
    python_reverse(reversed).with(|o| o.task_queue(python_queue)).await
}

/// Numbers that are added up there.
struct Ledger;

#[workflow(name = "Ledger")]
impl Ledger {
    #[entrypoint]
    async fn run(name: String) -> Result<Vec<u32>>;
    #[update(name = "add")]
    fn add(&mut self, number: u32) -> Result<u32>;
    #[query(name = "total")]
    fn total(&self) -> u32;
    #[signal(name = "close")]
    fn close(&mut self, why: String);
}

/// As a parent: only signals go from one workflow to another.
#[workflow]
async fn closes_at_once(python_queue: String) -> Result<Vec<u32>> {
    let ledger = Ledger::run("child".into()).with(|o| o.task_queue(python_queue)).start().await?;
    ledger.signal(Ledger::close("nothing to add".into())).await?;
    ledger.result().await
}

/// As a client.
struct Bookkeeper(Client);

#[activities]
impl Bookkeeper {
    #[activity(max_attempts = 1)]
    async fn keeps_books(&self, python_queue: String) -> Result<(u32, String, u32, Vec<u32>)> {
        let ledger = self.0.start(Ledger::run("client".into())).task_queue(python_queue).await?;
        let sum = ledger.update(Ledger::add(3)).await?;
        let refused = ledger.update(Ledger::add(0)).await.err().map(|why| why.to_string()).unwrap_or_default();
        let total = ledger.query(Ledger::total()).await?;
        ledger.signal(Ledger::close("it is evening".into())).await?;
        Ok((sum, refused, total, ledger.result().await?))
    }
}

#[workflow]
async fn has_books_kept(python_queue: String) -> Result<(u32, String, u32, Vec<u32>)> {
    Bookkeeper::keeps_books(python_queue).await
}

fn payloads(kind: &str, bucket: &str) -> Result<Converter> {
    let store = match kind {
        "s3" => Store::s3(bucket)?,
        "gcs" => Store::gcs(bucket)?,
        other => return Err(Error::new(format!("{other:?} is not a kind of bucket that Python has a driver for"))),
    };
    let keys = Keyring::new("test-key", Key::new(b"test-key-test-key-test-key-test!")?);
    Ok(Converter::new().compress(Zlib::default()).encrypt(keys).offload(Offload::to(store).threshold_bytes(2000)))
}

#[tokio::main]
async fn main() -> Result<()> {
    let args: Vec<_> = std::env::args().skip(1).collect();
    let args: Vec<_> = args.iter().map(String::as_str).collect();
    let (address, queue, converter) = match args[..] {
        [address, queue] => (address, queue, Converter::new()),
        [address, queue, kind, bucket] => (address, queue, payloads(kind, bucket)?),
        _ => return Err(Error::new("python_peer ADDRESS TASK_QUEUE [BUCKET_KIND BUCKET]")),
    };

    let client = Client::builder().address(address).payloads(converter).connect().await?;
    let worker = Worker::builder(&client, queue).activity(rust_reverse).activities(Bookkeeper(client.clone()));
    let worker = worker.workflow(through_both).workflow(closes_at_once).workflow(has_books_kept).build()?;
    let input_ends = tokio::task::spawn_blocking(|| std::io::read_to_string(std::io::stdin()));
    worker.run_until(input_ends).await?;
    Ok(())
}
