//! What the attributes take.

#![deny(warnings)]
#![allow(dead_code)]

use std::sync::Arc;
use std::time::Duration;
use tradewind::prelude::*;

const LIMIT: Duration = Duration::from_secs(7);

#[derive(Debug)]
pub struct No;

impl std::error::Error for No {}

impl std::fmt::Display for No {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("no")
    }
}

/// With every option.
#[activity(
    name = "all",
    start_to_close_timeout = "1h30m",
    schedule_to_close_timeout = LIMIT,
    schedule_to_start_timeout = "10s",
    heartbeat_timeout = "500ms",
    max_attempts = 3,
    initial_interval = "1s",
    maximum_interval = "1d",
    backoff_coefficient = 2,
    non_retryable_errors = ["No"],
    task_queue = "gpu",
    rate_limit = 2.5,
    cancellation = activity::Cancellation::Wait,
    priority = 1,
    summary = "with everything",
)]
pub async fn every_option(a: u8, mut b: String, (c, d): (u8, u8), _: Vec<u8>) -> Result<String, No> {
    b.push_str(&format!("{a}{c}{d}"));
    Ok(b)
}

#[activity(local, start_to_close_timeout = "1s", max_attempts = 2, cancellation = activity::Cancellation::Abandon)]
async fn in_the_workflows_worker() -> Result<(), No> {
    Ok(())
}

/// Runs elsewhere.
#[activity(name = "declared", task_queue = "there", max_attempts = 1)]
pub(crate) async fn declared(a: u8, (b, _): (u8, u8), _: String) -> tradewind::Result<String>;

#[cfg(any())]
#[activity]
async fn not_even_declared() -> NoSuchType;

#[workflow(task_queue = "there")]
async fn declared_workflow(a: u8) -> Result<(), No>;

struct Declared;

/// Runs elsewhere, with all that it answers to.
#[workflow(name = "Declared", run_timeout = "1h")]
impl Declared {
    #[entrypoint]
    pub async fn run(this: This<Self>, name: String) -> tradewind::Result<String>;
    /// Tells it.
    #[signal]
    pub fn told(&mut self, what: String);
    #[signal(name = "slow")]
    async fn slowly_told(what: String);
    #[query]
    fn shown(&self, _: u8) -> usize;
    #[update]
    fn changed(&mut self) -> Result<u8, No>;
    #[update]
    async fn slowly_changed(this: This<Self>);
    const NOT_MARKED: u8 = 1;
    fn not_marked_either(&self) -> u8 {
        Self::NOT_MARKED
    }
}

#[activity(blocking)]
fn on_a_thread(mut list: Vec<u8>) -> tradewind::Result<usize> {
    #![allow(clippy::all)]
    list.sort();
    Ok(list.len())
}

#[activity]
async fn itself(left: u8) -> Result<u8> {
    if left == 0 { Ok(0) } else { Box::pin(itself(left - 1)).await }
}

struct Shared {
    word: String,
}

#[activities]
impl Shared {
    pub const ANYTHING: u8 = 1;

    #[activity]
    pub async fn borrowed(&self, times: usize) -> Result<String> {
        Ok(self.help().repeat(times))
    }

    #[activity(blocking, name = "counted")]
    fn counted(self: Arc<Self>) -> Result<usize> {
        Ok(self.word.len())
    }

    #[activity]
    async fn on_nothing(word: String) -> Result<String> {
        Ok(word)
    }

    fn help(&self) -> &str {
        &self.word
    }
}

#[workflow(name = "with-options", task_queue = "q", run_timeout = "1d", cron_schedule = "0 * * * *")]
pub async fn with_options() -> Result<()> {
    every_option(1, "b".into(), (2, 3), vec![]).with(|o| o.max_attempts(1)).await?;
    Shared::borrowed(2).local().await?;
    if workflow::patched("again") {
        return workflow::continue_as_new(with_options());
    }
    workflow::select! {
        counted = Shared::counted() => { counted?; }
        _ = workflow::sleep(Duration::from_secs(1)) => {},
    }
    Ok(())
}

#[derive(Default)]
struct Everything {
    seen: Vec<String>,
}

#[workflow]
impl Everything {
    #[init]
    fn begin(first: String, _count: u8) -> Self {
        Everything { seen: vec![first] }
    }

    #[entrypoint]
    async fn run(this: This<Self>, first: String, count: u8) -> Result<usize, No> {
        let _ = this.wait_for(|state| state.seen.len() > usize::from(count)).timeout(Duration::from_secs(1)).await;
        this.read(|state| if state.seen.contains(&first) { Ok(state.seen.len()) } else { Err(No) })
    }

    #[signal(name = "see-it")]
    fn see(&mut self, what: String) {
        self.seen.push(what);
    }

    #[signal]
    async fn slowly(this: This<Self>, what: String) {
        let _ = workflow::sleep(Duration::from_secs(1)).await;
        this.write(|state| state.seen.push(what));
    }

    #[query]
    fn plain(&self) -> usize {
        self.seen.len()
    }

    #[query]
    fn fallible(&self, at: usize) -> Result<String, No> {
        self.seen.get(at).cloned().ok_or(No)
    }

    #[update]
    fn at_once(&mut self, a: String, b: u8) {
        self.seen.push(format!("{a}{b}"));
    }

    #[validator(at_once)]
    fn may(&self, a: &str, b: &u8) -> Result<(), No> {
        if a.len() > usize::from(*b) { Ok(()) } else { Err(No) }
    }

    #[update]
    async fn over_time(this: This<Self>) -> Result<usize> {
        workflow::sleep(Duration::from_secs(1)).await?;
        Ok(this.read(|state| state.seen.len()))
    }

    #[update]
    async fn without_state() {}
}

/// Names that the expansion uses too, and types that are called like ours.
mod names {
    #![deny(missing_docs)]

    use tradewind as sdk;

    /// Not ours.
    pub type Call = Vec<u8>;

    /// Not ours.
    #[derive(Debug)]
    pub struct Error;

    impl std::error::Error for Error {}

    impl std::fmt::Display for Error {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("not ours")
        }
    }

    /// Not ours.
    pub type Result<T> = std::result::Result<T, Error>;

    /// Works on a call.
    #[sdk::activity]
    #[must_use]
    #[deprecated = "for the test"]
    #[inline]
    #[expect(unused_mut)]
    pub async fn work(mut name: Call, args: Option<Call>, received: Vec<String>) -> Result<Call> {
        drop((args, received));
        Ok(name)
    }

    #[sdk::activity]
    pub(super) async fn by_text(first: String) -> std::result::Result<String, String> {
        Err(first)
    }

    #[sdk::activity]
    #[cfg(any())]
    async fn is_not_there(what: NoSuchType) -> Result<NoSuchType> {
        Ok(what)
    }

    struct Shop {
        state: String,
    }

    #[sdk::activities(crate = sdk)]
    #[allow(unused_parens)]
    impl Shop {
        #[activity]
        async fn moves(&self, state: String, this: u8) -> Result<String> {
            Ok((format!("{} {state} {this}", self.state)))
        }

        #[activity(blocking)]
        fn counts(self: std::sync::Arc<Self>, state: String) -> Result<usize> {
            Ok((self.state.len() + state.len()))
        }
    }

    #[derive(Default)]
    struct Order {
        state: String,
    }

    #[sdk::workflow(crate = sdk)]
    #[allow(unused_parens)]
    impl Order {
        #[entrypoint]
        async fn run(run: sdk::workflow::This<Self>, state: String, this: u8, args: Call) -> Result<String> {
            drop((run, this, args));
            Ok((state))
        }

        #[signal]
        fn told(&mut self, state: String, name: u8, received: u8) {
            self.state = format!("{state}{name}{received}");
        }

        #[query]
        fn asked(&self, state: String) -> Result<bool> {
            Ok(self.state == state)
        }

        #[update]
        fn changed(&mut self, state: String) -> Result<()> {
            self.state = state;
            Ok(())
        }

        #[validator(changed)]
        fn may(&self, state: &str) -> Result<()> {
            if state.is_empty() { Err(Error) } else { Ok(()) }
        }

        #[update]
        async fn slowly(run: sdk::workflow::This<Self>, this: String, state: u8) -> Result<()> {
            run.write(|order| order.state = format!("{this}{state}"));
            Ok(())
        }
    }

    #[sdk::workflow]
    async fn races(first: u32) -> sdk::Result<u32> {
        struct First(u32);
        let count = sdk::workflow::select! {
            () = std::future::ready(drop(First(first))) => First(first + 1).0,
            _ = std::future::pending::<()>() => first,
        };
        Ok(count)
    }

    /// Another module.
    pub mod elsewhere {
        /// With activities that others call.
        pub struct Open;

        #[tradewind::activities]
        impl Open {
            /// What others call.
            #[activity]
            pub async fn called(&self) -> tradewind::Result<()> {
                Ok(())
            }
        }
    }

    #[sdk::workflow]
    async fn calls_elsewhere() -> sdk::Result<()> {
        elsewhere::Open::called().await
    }

    pub fn all() {
        let _ = calls_elsewhere;
        let _ = (by_text, Shop::moves, Shop::counts, races, Order::run, Order::told, Order::asked);
        let _ = (Order::changed, Order::slowly);
    }
}

fn main() {
    names::all();
    let _ = (every_option, on_a_thread, itself, with_options, Everything::run);
    let _ = Shared::borrowed(1);
    let _ = (Everything::see("x".into()), Everything::fallible(1), Everything::at_once("a".into(), 1));
}
