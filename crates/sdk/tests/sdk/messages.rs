//! A workflow with state: signals, queries and updates, from a client.

use crate::support::{Test, uuid};
use serde::{Deserialize, Serialize};
use std::time::Duration;
use temporalio_common::protos::temporal::api::enums::v1::EventType;
use tradewind::payload::{Converter, Key, Keyring};
use tradewind::prelude::*;
use tradewind::workflow::Signal;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Item {
    name: String,
    price: u32,
}

struct Order {
    id: String,
    items: Vec<Item>,
    approved_by: Option<String>,
}

#[activity]
async fn price(name: String) -> Result<u32> {
    match name.as_str() {
        "nothing" => Err(Error::non_retryable("nothing has no price").with_type("NoPrice").with_details(name)),
        name => Ok(name.len() as u32),
    }
}

#[workflow(name = "order")]
impl Order {
    #[init]
    fn new(id: String) -> Self {
        Order { id, items: Vec::new(), approved_by: None }
    }

    /// Waits until somebody approves, then says what it costs.
    #[entrypoint]
    async fn run(this: This<Self>, id: String) -> Result<String> {
        this.wait_for(|order| order.approved_by.is_some() && workflow::handlers_finished()).await?;
        Ok(this.read(|order| format!("{id}: {} approved by {}", order.total(), order.approved_by.as_deref().unwrap())))
    }

    #[signal]
    fn approve(&mut self, by: String) {
        self.approved_by = Some(by);
    }

    #[signal(name = "reprice-all")]
    async fn reprice(this: This<Self>) {
        for at in 0..this.read(|order| order.items.len()) {
            let name = this.read(|order| order.items[at].name.clone());
            if let Ok(price) = price(name).await {
                this.write(|order| order.items[at].price = price);
            }
        }
    }

    #[query]
    fn id(&self) -> String {
        self.id.clone()
    }

    #[query]
    fn item(&self, at: usize) -> Result<Item> {
        self.items.get(at).cloned().ok_or_else(|| Error::new(format!("there is no item {at}")))
    }

    #[update]
    fn add(&mut self, item: Item) -> usize {
        self.items.push(item);
        self.items.len()
    }

    #[validator(add)]
    fn check_item(&self, item: &Item) -> Result<()> {
        match item.price {
            0 => Err(Error::new("an item is not free").with_type("Free").with_details(item.name.clone())),
            _ => Ok(()),
        }
    }

    #[update]
    async fn add_by_name(this: This<Self>, name: String) -> Result<u32> {
        let price = price(name.clone()).await?;
        this.write(|order| order.items.push(Item { name, price }));
        Ok(price)
    }

    fn total(&self) -> u32 {
        self.items.iter().map(|item| item.price).sum()
    }
}

#[tokio::test]
async fn handlers_change_and_read_the_state_of_a_run() {
    let test = Test::start().await;
    let worker = test.worker(|worker| worker.activity(price).workflow(Order::run));
    let order = test.client.start(Order::run("o-1".into())).await.unwrap();

    assert_eq!(order.query(Order::id()).await.unwrap(), "o-1");
    assert_eq!(order.update(Order::add(Item { name: "tea".into(), price: 7 })).await.unwrap(), 1);
    assert_eq!(order.update(Order::add_by_name("coffee".into())).await.unwrap(), 6);
    assert_eq!(order.query(Order::item(1)).await.unwrap().price, 6);
    order.signal(Order::reprice()).await.unwrap();
    order.signal(Order::approve("ann".into())).await.unwrap();
    assert_eq!(order.result().await.unwrap(), "o-1: 9 approved by ann");

    worker.stop().await;
    test.stop().await;
}

#[tokio::test]
async fn errors_of_handlers_reach_the_caller_with_their_names_and_details() {
    let test = Test::start().await;
    let worker = test.worker(|worker| worker.activity(price).workflow(Order::run));
    let order = test.client.start(Order::run("o-2".into())).await.unwrap();

    let error = order.query(Order::item(3)).await.unwrap_err();
    assert!(error.to_string().contains("there is no item 3"), "{error}");

    let error = order.update(Order::add(Item { name: "air".into(), price: 0 })).await.unwrap_err();
    let ClientError::UpdateFailed(refused) = error else { panic!("{error:?}") };
    assert_eq!((refused.failure_type(), refused.details::<String>().unwrap()), (Some("Free"), Some("air".into())));

    let error = order.update(Order::add_by_name("nothing".into())).await.unwrap_err();
    let ClientError::UpdateFailed(failed) = error else { panic!("{error:?}") };
    assert_eq!(failed.failure_type(), Some("NoPrice"));
    assert_eq!(failed.activity().unwrap().name, "price");
    order.terminate("over").await.unwrap();

    worker.stop().await;
    test.stop().await;
}

#[tokio::test]
async fn a_signal_that_nobody_takes_stays_in_history_and_harms_nothing() {
    let test = Test::start().await;
    let worker = test.worker(|worker| worker.activity(price).workflow(Order::run));
    let order = test.client.start(Order::run("o-3".into())).await.unwrap();
    order.signal(Signal::new("greet", ("hello".to_owned(),))).await.unwrap();
    order.signal(Order::approve("ann".into())).await.unwrap();
    assert_eq!(order.result().await.unwrap(), "o-3: 0 approved by ann");

    let events = order.history().into_events().await.unwrap();
    let signals = events.iter().filter(|event| event.event_type() == EventType::WorkflowExecutionSignaled);
    assert_eq!(signals.count(), 2);
    worker.stop().await;
    test.stop().await;
}

#[tokio::test]
async fn a_signal_that_cannot_be_read_is_not_lost_but_holds_the_run_up() {
    let test = Test::start().await;
    let worker = test.worker(|worker| worker.activity(price).workflow(Order::run));
    let order = test.client.start(Order::run("o-4".into())).await.unwrap();
    order.signal(Signal::new("approve", (7_u32,))).await.unwrap();
    test.failed_task_says(&order, "argument 1 of 1: ").await;
    order.terminate("over").await.unwrap();
    worker.stop().await;
    test.stop().await;
}

#[tokio::test]
async fn a_start_may_bring_a_signal_or_an_update() {
    let test = Test::start().await;
    let worker = test.worker(|worker| worker.activity(price).workflow(Order::run));
    let id = uuid();
    let tea = |price| Order::add(Item { name: "tea".into(), price });
    let start = || test.client.start(Order::run("o".into())).id(&id);

    assert_eq!(start().and_update(tea(7)).await.unwrap(), 1);
    assert_eq!(start().and_update(tea(8)).await.unwrap(), 2, "the same run");
    let refused = start().and_update(tea(0)).await.unwrap_err();
    assert!(matches!(refused, ClientError::UpdateFailed(_)), "{refused}");
    let order = start().and_signal(Order::approve("ann".into())).await.unwrap();
    assert_eq!(order.result().await.unwrap(), "o: 15 approved by ann");

    let fresh = test.client.start(Order::run("p".into())).id(uuid()).and_signal(Order::approve("bob".into()));
    assert_eq!(fresh.await.unwrap().result().await.unwrap(), "p: 0 approved by bob");

    let late = start().start_delay(Duration::from_secs(1)).and_signal(Order::approve("ann".into())).await.unwrap_err();
    assert!(late.to_string().contains("a start that brings a signal cannot be delayed"), "{late}");
    worker.stop().await;
    test.stop().await;
}

#[tokio::test]
async fn an_accepted_update_is_waited_for_later() {
    let test = Test::start().await;
    let worker = test.worker(|worker| worker.activity(price).workflow(Order::run));
    let order = test.client.start(Order::run("o".into())).await.unwrap();
    let update = order.start_update(Order::add_by_name("coffee".into())).await.unwrap();
    assert!(!update.id().is_empty());
    assert_eq!(update.result().await.unwrap(), 6);
    order.terminate("over").await.unwrap();
    worker.stop().await;
    test.stop().await;
}

#[tokio::test]
async fn details_of_a_failed_update_are_decrypted() {
    let keys = Keyring::new("k", Key::new(&[1; 32]).unwrap());
    let test = Test::with(|client| client.payloads(Converter::new().encrypt(keys))).await;
    let worker = test.worker(|worker| worker.activity(price).workflow(Order::run));
    let order = test.client.start(Order::run("o".into())).await.unwrap();
    let error = order.update(Order::add(Item { name: "air".into(), price: 0 })).await.unwrap_err();
    let ClientError::UpdateFailed(refused) = error else { panic!("{error:?}") };
    assert_eq!(refused.details::<String>().unwrap().as_deref(), Some("air"));
    order.terminate("over").await.unwrap();
    worker.stop().await;
    test.stop().await;
}
