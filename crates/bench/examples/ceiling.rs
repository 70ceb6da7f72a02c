//! Serves the fake server of the tests, to see how much the load generator itself can do:
//!
//! ```text
//! cargo run --release -p tradewind-bench --example ceiling -- 17555 &
//! tradewind-bench one-activity --address 127.0.0.1:17555 --in-flight 64 --count 20000
//! ```

#[path = "../tests/worker/fake.rs"]
mod fake;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let port = std::env::args().nth(1).and_then(|port| port.parse().ok()).unwrap_or(0);
    println!("{}", fake::FakeServer::default().serve(port).await);
    std::future::pending::<()>().await;
}
