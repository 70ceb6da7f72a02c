//! Time in tests.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};
use tradewind::prelude::*;
use tradewind::testing::Environment;

const DAY: Duration = Duration::from_secs(86_400);

#[workflow]
async fn sleeps(days: u32) -> Result<u64> {
    let began = workflow::now();
    workflow::sleep(days * DAY).await?;
    Ok(workflow::now().duration_since(began)?.as_secs())
}

#[tokio::test]
async fn a_month_takes_no_time() {
    let env = environment().await;
    let began = (machine(), env.now());
    let slept = env.execute(sleeps(30)).await.unwrap();
    assert!((30 * 86_400..30 * 86_400 + 60).contains(&slept), "{slept} s");
    assert!(env.now().duration_since(began.1).unwrap() >= 30 * DAY);
    assert!(began.0.elapsed_here() < Duration::from_secs(30), "it took real time");
    env.shutdown().await.unwrap();
}

#[tokio::test]
async fn retries_of_a_week_take_no_time() {
    static ATTEMPTS: AtomicU32 = AtomicU32::new(0);
    #[activity(initial_interval = "12h", maximum_interval = "2d")]
    async fn unlucky() -> Result<u32> {
        match ATTEMPTS.fetch_add(1, Ordering::SeqCst) + 1 {
            attempt @ ..6 => Err(Error::new(format!("not yet: {attempt}"))),
            attempt => Ok(attempt),
        }
    }
    #[workflow]
    async fn stubborn() -> Result<u32> {
        unlucky().await
    }

    let env = Environment::start().await.unwrap();
    env.spawn(Worker::builder(&env, "queue").activity(unlucky).workflow(stubborn).build().unwrap());
    let began = env.now();
    assert_eq!(env.execute(stubborn()).await.unwrap(), 6);
    // Half a day, one, two, two, two.
    let took = env.now().duration_since(began).unwrap();
    assert!((7 * DAY + DAY / 2..8 * DAY).contains(&took), "{took:?}");
    env.shutdown().await.unwrap();
}

#[tokio::test]
async fn an_activity_that_runs_is_not_run_over() {
    #[activity(start_to_close_timeout = "1m", max_attempts = 1)]
    async fn works() -> Result<String> {
        tokio::time::sleep(Duration::from_millis(400)).await;
        Ok("done".into())
    }
    #[workflow]
    async fn waits(local: bool) -> Result<String> {
        works().with(|o| o.local(local)).await
    }

    let env = Environment::start().await.unwrap();
    env.spawn(Worker::builder(&env, "queue").activity(works).workflow(waits).workflow(sleeps).build().unwrap());
    for local in [false, true] {
        let (done, slept) = tokio::join!(env.execute(waits(local)).into_future(), env.execute(sleeps(1)).into_future());
        assert_eq!(done.unwrap(), "done");
        assert!(slept.unwrap() >= 86_400);
    }
    env.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_sleep_returns_when_what_was_due_has_happened() {
    static FIRED: AtomicU32 = AtomicU32::new(0);
    #[activity]
    async fn fire() -> Result<()> {
        FIRED.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }
    #[workflow]
    async fn daily() -> Result<()> {
        for _ in 0..5 {
            workflow::sleep(DAY).await?;
            fire().await?;
        }
        Ok(())
    }

    let env = Environment::start().await.unwrap();
    env.spawn(Worker::builder(&env, "queue").activity(fire).workflow(daily).build().unwrap());
    let handle = env.start(daily()).await.unwrap();
    env.sleep(2 * DAY + DAY / 2).await;
    assert_eq!(FIRED.load(Ordering::SeqCst), 2);
    env.sleep(DAY).await;
    assert_eq!(FIRED.load(Ordering::SeqCst), 3);
    handle.result().await.unwrap();
    assert_eq!(FIRED.load(Ordering::SeqCst), 5);
    env.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_mock_takes_the_place_of_an_activity_and_the_rest_is_real() {
    #[activity]
    async fn price(article: String, pieces: u32) -> Result<u32> {
        unreachable!("asks a service about {pieces} {article}")
    }
    #[activity]
    async fn tax(amount: u32) -> Result<u32> {
        Ok(amount / 5)
    }
    #[workflow]
    async fn quote(article: String) -> Result<u32> {
        let price = price(article, 3).await?;
        workflow::sleep(DAY).await?;
        Ok(price + tax(price).await?)
    }

    let env = Environment::start().await.unwrap();
    let prices = env.mock(price, |(article, pieces)| async move { Ok(article.len() as u32 * pieces * 10) });
    env.spawn(Worker::builder(&env, "queue").activity(tax).workflow(quote).build().unwrap());
    let run = env.start(quote("lamp".into())).await.unwrap();
    assert_eq!(run.result().await.unwrap(), 144);
    assert_eq!(prices.calls(), 1);
    assert_eq!(prices.arguments(), [("lamp".to_owned(), 3)]);
    let steps = run.history().steps().await.unwrap();
    assert_eq!(steps, ["activity price", "timer of 86400s", "activity tax", "the workflow completes"]);
    env.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_mock_stands_in_for_what_runs_elsewhere() {
    #[activity(task_queue = "payments")]
    async fn charge(who: String) -> Result<u32>;
    #[workflow]
    async fn sells() -> Result<u32> {
        charge("ann".into()).await
    }

    let env = Environment::start().await.unwrap();
    let charged = env.mock(charge, |_| async { Ok(7) });
    env.spawn(Worker::builder(&env, "shop").workflow(sells).build().unwrap());
    env.spawn(Worker::builder(&env, "payments").build().unwrap());
    assert_eq!(env.execute(sells()).await.unwrap(), 7);
    assert_eq!(charged.arguments(), ["ann"]);
    env.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_mock_fails_and_is_retried_as_an_activity() {
    #[activity]
    async fn flaky() -> Result<u32> {
        unreachable!("the mock is called instead")
    }
    #[workflow]
    async fn stubborn() -> Result<u32> {
        flaky().await
    }

    let env = Environment::start().await.unwrap();
    let calls = Arc::new(AtomicU32::new(0));
    let seen = calls.clone();
    let mock = env.mock(flaky, move |()| {
        let attempt = seen.fetch_add(1, Ordering::SeqCst) + 1;
        async move { if attempt < 4 { Err(Error::new("not yet")) } else { Ok(attempt) } }
    });
    env.spawn(Worker::builder(&env, "queue").activity(flaky).workflow(stubborn).build().unwrap());
    assert_eq!(env.execute(stubborn()).await.unwrap(), 4);
    assert_eq!(mock.calls(), 4);
    assert_eq!(mock.arguments(), [(); 4]);
    env.shutdown().await.unwrap();
}

async fn environment() -> Environment {
    let env = Environment::start().await.unwrap();
    env.spawn(Worker::builder(&env, "queue").workflow(sleeps).build().unwrap());
    env
}

/// The machine's time, which a test of time has to know.
#[expect(clippy::disallowed_methods, reason = "the test compares with real time")]
fn machine() -> Machine {
    Machine(Instant::now())
}

struct Machine(Instant);

impl Machine {
    fn elapsed_here(&self) -> Duration {
        machine().0 - self.0
    }
}
