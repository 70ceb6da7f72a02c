//! Activities and workflows that are only declared here: their code is in another program, perhaps in another language.

use crate::support::{RunningWorker, Test, uuid};
use tradewind::prelude::*;

/// The other program.
mod there {
    use tradewind::prelude::*;

    #[activity(name = "charge-card")]
    pub async fn charges(who: String, cents: u32) -> Result<String> {
        Ok(format!("{who} paid {cents}"))
    }

    pub struct Basket {
        items: Vec<String>,
        paid: bool,
    }

    #[workflow(name = "basket")]
    impl Basket {
        #[init]
        fn new(first: String) -> Self {
            Basket { items: vec![first], paid: false }
        }

        #[entrypoint]
        pub async fn run(this: This<Self>, _first: String) -> Result<Vec<String>> {
            this.wait_for(|basket| basket.paid).await?;
            Ok(this.read(|basket| basket.items.clone()))
        }

        #[signal(name = "pay")]
        fn pays(&mut self, _by: String) {
            self.paid = true;
        }

        #[query(name = "count")]
        fn counts(&self) -> usize {
            self.items.len()
        }

        #[update(name = "add")]
        fn adds(&mut self, item: String) -> Result<usize> {
            match item.is_empty() {
                true => Err(Error::new("that is nothing").with_type("Nothing")),
                false => Ok({
                    self.items.push(item);
                    self.items.len()
                }),
            }
        }
    }

    #[workflow(name = "twice")]
    pub async fn doubles(number: u32) -> Result<u32> {
        Ok(number * 2)
    }
}

/// Takes the money.
#[activity(name = "charge-card", max_attempts = 2)]
async fn charge(who: String, cents: u32) -> Result<String>;

#[workflow]
async fn twice(number: u32) -> Result<u32>;

/// What somebody is about to buy.
struct Basket;

#[workflow(name = "basket")]
impl Basket {
    #[entrypoint]
    async fn run(first: String) -> Result<Vec<String>>;

    #[signal]
    fn pay(&mut self, by: String);

    #[query]
    fn count(&self) -> usize;

    #[update]
    fn add(&mut self, item: String) -> Result<usize>;

    /// Has code, and no mark.
    fn id(of: &str) -> String {
        format!("basket-{of}")
    }
}

#[workflow]
async fn calls_elsewhere(there: String, basket: String) -> Result<(String, u32, Vec<String>)> {
    let queue = there.clone();
    let paid = charge("ann".into(), 7).with(|o| o.task_queue(there)).await?;
    let doubled = twice(21).with(|o| o.task_queue(&queue)).await?;
    let child = Basket::run("apple".into()).id(basket).with(|o| o.task_queue(queue)).start().await?;
    child.signal(Basket::pay("ann".into())).await?;
    Ok((paid, doubled, child.result().await?))
}

#[tokio::test]
async fn what_is_declared_is_called_where_its_code_is() {
    let test = Test::start().await;
    let elsewhere = format!("{}-there", test.queue);
    let there = Worker::builder(&test.client, &elsewhere).activity(there::charges);
    let there = RunningWorker::start(there.workflow(there::doubles).workflow(there::Basket::run).build().unwrap());
    let here = test.worker(|worker| worker.workflow(calls_elsewhere));

    let result = test.client.execute(calls_elsewhere(elsewhere.clone(), uuid())).await.unwrap();
    assert_eq!(result, ("ann paid 7".to_owned(), 42, vec!["apple".to_owned()]));

    let id = Basket::id(&uuid());
    let basket = test.client.start(Basket::run("pear".into())).id(&id).task_queue(&elsewhere).await.unwrap();
    assert_eq!(basket.update(Basket::add("plum".into())).await.unwrap(), 2);
    assert_eq!(basket.query(Basket::count()).await.unwrap(), 2);
    basket.signal(Basket::pay("bob".into())).await.unwrap();
    assert_eq!(basket.result().await.unwrap(), ["pear", "plum"]);
    assert_eq!(test.client.handle(Basket::run, &id).result().await.unwrap(), ["pear", "plum"]);

    here.stop().await;
    there.stop().await;
    test.stop().await;
}

#[tokio::test]
async fn a_run_of_a_workflow_that_nobody_declared_is_talked_to_by_name() {
    let test = Test::start().await;
    let worker = test.worker(|worker| worker.workflow(there::Basket::run));
    let id = test.client.start(there::Basket::run("pear".into())).await.unwrap().id().to_owned();

    let basket = test.client.untyped_handle(id);
    assert_eq!(basket.update::<usize>("add", ("plum".to_owned(),)).await.unwrap(), 2);
    let accepted = basket.start_update::<usize>("add", ("fig".to_owned(),)).await.unwrap();
    assert_eq!(accepted.result().await.unwrap(), 3);
    assert_eq!(basket.query::<usize>("count", ()).await.unwrap(), 3);

    let refused = basket.update::<usize>("add", (String::new(),)).await.unwrap_err();
    let ClientError::UpdateFailed(why) = refused else { panic!("{refused}") };
    assert!(why.to_string().contains("that is nothing"), "{why}");
    let unreadable = basket.query::<String>("count", ()).await.unwrap_err().to_string();
    assert!(unreadable.contains("expected a string"), "{unreadable}");
    let unknown = basket.query::<String>("price", ()).await.unwrap_err().to_string();
    assert!(unknown.contains("price"), "{unknown}");

    // It may go on another thread, whatever the arguments are.
    let told = basket.clone();
    tokio::spawn(async move { told.signal("pay", ("ann".to_owned(),)).await }).await.unwrap().unwrap();
    assert_eq!(basket.result::<Vec<String>>().await.unwrap(), ["pear", "plum", "fig"]);

    worker.stop().await;
    test.stop().await;
}

#[tokio::test]
async fn what_is_declared_does_not_run_here() {
    let refused = charge("ann".into(), 7).await.unwrap_err();
    assert!(refused.failure_type() == Some("RunsElsewhere"), "{refused}");
    assert_eq!(refused.to_string(), "the activity charge-card runs elsewhere: it was declared without a body");
}
