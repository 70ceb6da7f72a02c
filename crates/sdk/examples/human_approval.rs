//! An order that waits for a person: a query shows it, an update with a validator decides it, a timer reminds.
//!
//! ```text
//! cargo run --example human_approval
//! ```

use serde::{Deserialize, Serialize};
use std::time::Duration;
use tradewind::prelude::*;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
enum Decision {
    Approved { by: String },
    Refused { by: String, why: String },
}

#[derive(Default)]
struct Approval {
    amount: u32,
    reminders: u32,
    decision: Option<Decision>,
}

#[activity]
async fn remind(times: u32) -> Result<()> {
    println!("  reminder {times}: an order waits for you");
    Ok(())
}

#[workflow]
impl Approval {
    #[entrypoint]
    async fn order(this: This<Self>, amount: u32) -> Result<Decision> {
        this.write(|order| order.amount = amount);
        loop {
            let decided = this.wait_for(|order| order.decision.is_some()).timeout(Duration::from_millis(500)).await?;
            if decided {
                break;
            }
            let times = this.write(|order| {
                order.reminders += 1;
                order.reminders
            });
            remind(times).await?;
        }
        this.wait_for(|_| workflow::handlers_finished()).await?;
        Ok(this.read(|order| order.decision.clone()).expect("it was waited for"))
    }

    #[query]
    fn status(&self) -> String {
        match &self.decision {
            None => format!("{} waits, reminded {} times", self.amount, self.reminders),
            Some(decision) => format!("{decision:?}"),
        }
    }

    #[update]
    fn decide(&mut self, decision: Decision) -> u32 {
        self.decision = Some(decision);
        self.reminders
    }

    #[validator(decide)]
    fn may_decide(&self, decision: &Decision) -> Result<()> {
        match decision {
            Decision::Approved { by } if by == "Eve" => Err(Error::new("Eve may not approve").with_type("NotAllowed")),
            _ if self.decision.is_some() => Err(Error::new("it is decided already")),
            _ => Ok(()),
        }
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let data = tempfile::tempdir()?; // a program that is to remember keeps it
    let tradewind = Tradewind::from_env(&data).await?;
    tradewind.spawn(Worker::builder(&tradewind, "approvals").activity(remind).workflow(Approval::order).build()?);

    let order = tradewind.start(Approval::order(1_200)).await?;
    while !order.query(Approval::status()).await?.contains("reminded 1") {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    println!("status: {}", order.query(Approval::status()).await?);

    let refused = order.update(Approval::decide(Decision::Approved { by: "Eve".into() })).await.unwrap_err();
    println!("Eve is told: {refused}");
    let reminders = order.update(Approval::decide(Decision::Approved { by: "Ann".into() })).await?;
    let decision = order.result().await?;
    println!("{decision:?} after {reminders} reminder(s)");
    tradewind.shutdown().await?;

    if decision != (Decision::Approved { by: "Ann".into() }) || !refused.to_string().contains("Eve may not approve") {
        return Err(Error::new(format!("Ann should decide, and not Eve: {decision:?}, {refused}")));
    }
    Ok(())
}
