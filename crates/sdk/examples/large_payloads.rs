//! Five megabytes between two activities. The server takes two: without offloading the worker refuses before the wire
//! and says what to switch on; with it the data lies in a store, and history holds its address.
//!
//! ```text
//! cargo run --example large_payloads
//! ```

use tempfile::TempDir;
use tradewind::payload::{Converter, Offload, Store};
use tradewind::prelude::*;

const BYTES: usize = 5 * 1024 * 1024;

#[activity(max_attempts = 1)]
async fn scan(pages: usize) -> Result<String> {
    // Text that does not repeat, so that nothing but a store makes it small.
    let mut state = 7_u64;
    Ok((0..pages)
        .map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            char::from(b'a' + (state >> 59) as u8 % 26)
        })
        .collect())
}

#[activity]
async fn measure(text: String) -> Result<usize> {
    Ok(text.len())
}

#[workflow]
async fn archive(bytes: usize) -> Result<usize> {
    let text = scan(bytes).await?;
    measure(text).await
}

#[tokio::main]
async fn main() -> Result<()> {
    let data = tempfile::tempdir()?; // a program that is to remember keeps it

    let plain = start(&data, Client::builder()).await?;
    let refused = plain.execute(archive(BYTES)).await.unwrap_err();
    println!("without offloading: {refused}");
    plain.shutdown().await?;

    let offload = Offload::to(Store::directory(data.path().join("payloads"))?);
    let offloading = start(&data, Client::builder().payloads(Converter::new().offload(offload))).await?;
    let handle = offloading.start(archive(BYTES)).await?;
    let measured = handle.result().await?;
    let history = handle.history().to_json().await?.len();
    println!("with offloading: {measured} bytes went through, and history has {history}");
    offloading.shutdown().await?;

    if measured != BYTES || history > 100_000 {
        return Err(Error::new(format!("{BYTES} bytes and a small history were expected: {measured}, {history}")));
    }
    Ok(())
}

async fn start(data: &TempDir, client: tradewind::client::Builder) -> Result<Tradewind> {
    let tradewind = Tradewind::from_env_with(data, client).await?;
    tradewind.spawn(Worker::builder(&tradewind, "archive").activity(scan).activity(measure).workflow(archive).build()?);
    Ok(tradewind)
}
