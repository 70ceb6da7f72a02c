//! The Rust half of `tests/sdk/test_payloads.py`: a worker whose payloads are compressed, encrypted and offloaded, for
//! a client and a worker in Python that do the same with the official SDK.
//!
//! Takes the address of a server, a task queue, the kind of a bucket and its name; stops when its standard input ends.

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

#[tokio::main]
async fn main() -> Result<()> {
    let mut args = std::env::args().skip(1);
    let mut arg = |what: &str| args.next().ok_or_else(|| Error::new(format!("no {what}")));
    let (address, queue) = (arg("address")?, arg("task queue")?);
    let (kind, bucket) = (arg("kind of bucket")?, arg("bucket")?);

    let store = match kind.as_str() {
        "s3" => Store::s3(bucket)?,
        "gcs" => Store::gcs(bucket)?,
        other => return Err(Error::new(format!("{other:?} is not a kind of bucket that Python has a driver for"))),
    };
    let keys = Keyring::new("test-key", Key::new(b"test-key-test-key-test-key-test!")?);
    let converter =
        Converter::new().compress(Zlib::default()).encrypt(keys).offload(Offload::to(store).threshold_bytes(2000));

    let client = Client::builder().address(address).payloads(converter).connect().await?;
    let worker = Worker::builder(&client, queue).activity(rust_reverse).workflow(through_both).build()?;
    let input_ends = tokio::task::spawn_blocking(|| std::io::read_to_string(std::io::stdin()));
    worker.run_until(input_ends).await?;
    Ok(())
}
