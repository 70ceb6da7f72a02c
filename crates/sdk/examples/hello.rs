//! The smallest program: one activity, one workflow, one process.
//!
//! ```text
//! cargo run --example hello
//! ```

use tradewind::prelude::*;

#[activity]
async fn greeting(name: String) -> Result<String> {
    Ok(format!("Hello, {name}!"))
}

#[workflow]
async fn hello(name: String) -> Result<String> {
    greeting(name).await
}

#[tokio::main]
async fn main() -> Result<()> {
    let data = tempfile::tempdir()?; // a program that is to remember keeps it
    let tradewind = Tradewind::from_env(&data).await?;
    tradewind.spawn(Worker::builder(&tradewind, "hello").activity(greeting).workflow(hello).build()?);

    let said = tradewind.execute(hello("world".into())).await?;
    println!("{said}");
    tradewind.shutdown().await?;

    if said != "Hello, world!" {
        return Err(Error::new(format!("it should have greeted the world, not {said:?}")));
    }
    Ok(())
}
