//! A journey of three bookings. The third fails, and the first two are undone, last first.
//!
//! ```text
//! cargo run --example saga
//! ```

use parking_lot::Mutex;
use tradewind::prelude::*;

#[activity]
async fn book(what: String) -> Result<String> {
    if what == "car" {
        return Err(Error::non_retryable("no cars left").with_type("SoldOut"));
    }
    say(format!("booked the {what}"));
    Ok(format!("{what}-1"))
}

#[activity]
async fn cancel(booking: String) -> Result<()> {
    say(format!("cancelled {booking}"));
    Ok(())
}

#[workflow]
async fn journey() -> Result<Vec<String>> {
    workflow::saga(async |saga| {
        let mut bookings = Vec::new();
        for what in ["flight", "hotel", "car"] {
            let booking = book(what.into()).await?;
            let undo = booking.clone();
            saga.compensate(move || cancel(undo));
            bookings.push(booking);
        }
        Ok(bookings)
    })
    .await
}

#[tokio::main]
async fn main() -> Result<()> {
    let data = tempfile::tempdir()?; // a program that is to remember keeps it
    let tradewind = Tradewind::from_env(&data).await?;
    tradewind.spawn(Worker::builder(&tradewind, "saga").activity(book).activity(cancel).workflow(journey).build()?);

    let failed = tradewind.execute(journey()).await.unwrap_err();
    println!("the journey failed: {failed}");
    tradewind.shutdown().await?;

    let said = SAID.lock().clone();
    let expected = ["booked the flight", "booked the hotel", "cancelled hotel-1", "cancelled flight-1"];
    if said != expected {
        return Err(Error::new(format!("expected {expected:?}, got {said:?}")));
    }
    Ok(())
}

static SAID: Mutex<Vec<String>> = Mutex::new(Vec::new());

fn say(words: String) {
    println!("  {words}");
    SAID.lock().push(words);
}
