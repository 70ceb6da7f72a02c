//! What an activity can ask while it runs: who it is, whether to stop, where the last attempt stopped.
//!
//! Invariants
//! - A heartbeat is handed on from the runtime where no activity runs, so a blocked activity cannot hold it up.
//! - An attempt ends only after its last heartbeat was handed on. The official worker then sends it with the failure, if
//!   that is how the attempt ends, so that the next one finds it.

use super::pool::Pool;
use crate::ambient;
use crate::attempts::{self, Earlier, EarlierAttempt};
use crate::error::{Error, Repr, Result};
use crate::value::{self, Value};
use futures_util::FutureExt;
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::Duration;
use temporalio_common::RetryPolicy;
use temporalio_common::data_converters::{
    ActivitySerializationContext, PayloadConversionError, PayloadConverter, RawValue, SerializationContextData,
};
use temporalio_common::protos::temporal::api::common::v1::Payload;
use temporalio_sdk::activities::{ActivityContext, ActivityInfo};
use tokio::sync::Notify;
use tokio::task::AbortHandle;
use tokio_util::sync::CancellationToken;

tokio::task_local! {
    static CURRENT: Arc<Attempt>;
}

/// Facts about an attempt: ids, timeouts, number.
pub type Info = ActivityInfo;

/// One attempt of an activity.
pub(crate) struct Attempt {
    link: Link,
    converter: PayloadConverter,
    pool: Arc<Pool>,
    earlier: Earlier,
    beats: Mutex<Beats>,
    quiet: Notify,
}

/// Who an attempt reports to.
#[expect(clippy::large_enum_variant, reason = "nearly every attempt is a worker's, and each has a place of its own")]
enum Link {
    Worker(ActivityContext),
    Test(Arc<Probe>),
}

/// The other end of an attempt that a test runs.
pub(crate) struct Probe {
    /// The activity's name.
    pub(crate) name: &'static str,
    /// What an attempt before this one said last.
    pub(crate) details: Vec<Payload>,
    pub(crate) heartbeats: Mutex<Vec<RawValue>>,
    /// Asked to stop after so many heartbeats.
    pub(crate) cancel_after: Option<usize>,
    pub(crate) cancellation: CancellationToken,
}

impl Probe {
    fn hear(&self, details: RawValue) {
        let mut heartbeats = self.heartbeats.lock();
        heartbeats.push(details);
        if self.cancel_after.is_some_and(|after| heartbeats.len() >= after) {
            self.cancellation.cancel();
        }
    }
}

/// The heartbeats of an attempt.
#[derive(Default)]
struct Beats {
    /// What the last one said, to be said again by those that only say that the attempt lives.
    last: Option<RawValue>,
    /// One that waits for the one under way, which a slow codec can hold up.
    next: Option<RawValue>,
    under_way: bool,
}

impl Attempt {
    pub(crate) fn new(context: ActivityContext, converter: PayloadConverter, pool: Arc<Pool>) -> Self {
        Attempt::linked(Link::Worker(context), converter, pool)
    }

    /// One that a test runs.
    pub(crate) fn probed(probe: Arc<Probe>, pool: Arc<Pool>) -> Self {
        Attempt::linked(Link::Test(probe), PayloadConverter::default(), pool)
    }

    fn linked(link: Link, converter: PayloadConverter, pool: Arc<Pool>) -> Self {
        let earlier = link.earlier(&pool);
        let attempt = Attempt { link, converter, pool, earlier, beats: Mutex::default(), quiet: Notify::new() };
        let details = attempt.details();
        attempt.beats.lock().last = (!details.is_empty()).then(|| RawValue::new(details.to_vec()));
        attempt
    }

    /// Facts that only a worker's attempt has.
    fn facts(&self) -> Option<&Info> {
        match &self.link {
            Link::Worker(context) => Some(context.info()),
            Link::Test(_) => None,
        }
    }

    pub(crate) fn info(&self) -> &Info {
        self.facts().expect("a worker's attempt has facts")
    }

    /// The activity's name.
    pub(crate) fn name(&self) -> &str {
        match &self.link {
            Link::Worker(context) => &context.info().activity_type,
            Link::Test(probe) => probe.name,
        }
    }

    fn details(&self) -> &[Payload] {
        match &self.link {
            Link::Worker(context) => attempts::said(context.heartbeat_details().raw()),
            Link::Test(probe) => &probe.details,
        }
    }

    /// Tells whoever asks about this failure of the attempts before this one, and the next attempt of this one too.
    pub(crate) fn fail(self: &Arc<Self>, error: Error) -> Error {
        let Some(info) = self.facts() else { return error };
        let error = match info.is_local && error.completes_later() {
            // Only tasks of the server have an elsewhere. The official worker refuses this, and waits for the timeout.
            true => Error::non_retryable(format!(
                "{} completes later, and is called as a local activity, whose result comes from its function: leave out \
                 `local`",
                info.activity_type
            ))
            .with_type("CompletesLater"),
            false => error,
        };
        if error.is_failure() && may_be_retried(info, &error) {
            let next = self.earlier.and_this(error.failure_type(), &error.to_string(), ambient::system_now());
            self.leave(info, &next);
        } else if info.is_local {
            self.pool.left_behind().forget(info);
        }
        error.telling_of(&self.earlier)
    }

    /// Notes that there will be no other attempt.
    pub(crate) fn succeed(&self) {
        if let Some(info) = self.facts().filter(|info| info.is_local && info.attempt > 1) {
            self.pool.left_behind().forget(info);
        }
    }

    fn leave(self: &Arc<Self>, info: &Info, for_the_next: &Earlier) {
        if info.is_local {
            self.pool.left_behind().leave(info, for_the_next.attempts());
            return;
        }
        let mut beats = self.beats.lock();
        let mut details = beats.last.clone().unwrap_or_default();
        for_the_next.write(&mut details.payloads);
        self.send(&mut beats, details);
    }

    /// Hands a heartbeat on: at once, unless one is still under way.
    fn beat(self: &Arc<Self>, details: Option<RawValue>) {
        let mut beats = self.beats.lock();
        let mut details = details.or_else(|| beats.last.clone()).unwrap_or_default();
        beats.last = Some(details.clone());
        self.earlier.write(&mut details.payloads);
        self.send(&mut beats, details);
    }

    fn send(self: &Arc<Self>, beats: &mut Beats, details: RawValue) {
        if beats.under_way {
            beats.next = Some(details);
            return;
        }
        let mut handed_on = self.clone().hand_on(details).boxed();
        if (&mut handed_on).now_or_never().is_none() {
            beats.under_way = true;
            let attempt = self.clone();
            self.pool.home().spawn(async move {
                handed_on.await;
                while let Some(details) = attempt.next_beat() {
                    attempt.clone().hand_on(details).await;
                }
                attempt.quiet.notify_waiters();
            });
        }
    }

    fn next_beat(&self) -> Option<RawValue> {
        let mut beats = self.beats.lock();
        beats.under_way = beats.next.is_some();
        beats.next.take()
    }

    async fn hand_on(self: Arc<Self>, details: RawValue) {
        match &self.link {
            Link::Worker(context) => {
                if let Err(error) = context.record_heartbeat(details).await {
                    self.complain(&error);
                }
            }
            Link::Test(probe) => probe.hear(details),
        }
    }

    fn complain(&self, error: &PayloadConversionError) {
        tracing::warn!(%error, activity = self.name(), "the details of a heartbeat are not recorded");
    }

    /// Waits until every heartbeat is handed on.
    pub(crate) async fn flushed(&self) {
        loop {
            let quiet = self.quiet.notified();
            let mut quiet = std::pin::pin!(quiet);
            quiet.as_mut().enable();
            if !self.beats.lock().under_way {
                return;
            }
            quiet.await;
        }
    }
}

impl Link {
    fn earlier(&self, pool: &Pool) -> Earlier {
        let Link::Worker(context) = self else { return Earlier::default() };
        let info = context.info();
        match info.is_local {
            true => Earlier::known(info.attempt, || pool.left_behind().find(info)),
            false => Earlier::found(info.attempt, context.heartbeat_details().raw()),
        }
    }
}

/// Whether there may be another attempt, as far as this one can tell.
fn may_be_retried(info: &Info, error: &Error) -> bool {
    let forbidden = |policy: &RetryPolicy| {
        let types = policy.non_retryable_error_types();
        let last = policy.maximum_attempts();
        (last > 0 && info.attempt >= last) || error.failure_type().is_some_and(|name| types.iter().any(|it| it == name))
    };
    !error.is_non_retryable() && !info.retry_policy.as_ref().is_some_and(forbidden)
}

pub(crate) async fn within<F: Future>(attempt: Arc<Attempt>, work: F) -> F::Output {
    CURRENT.scope(attempt, work).await
}

pub(crate) fn within_sync<T>(attempt: Arc<Attempt>, work: impl FnOnce() -> T) -> T {
    CURRENT.sync_scope(attempt, work)
}

fn current() -> Option<Arc<Attempt>> {
    CURRENT.try_with(Arc::clone).ok()
}

/// Facts about the attempt that is running, or `None` if the function is called as a function.
pub fn info() -> Option<Info> {
    current().and_then(|attempt| attempt.facts().cloned())
}

/// Says that the attempt lives and how far it has come. The next attempt finds it in [`heartbeat_details`].
///
/// Cheap to call: at most a few messages per heartbeat timeout are sent, and what was said last is never lost with a
/// failure. Does nothing when the function is called as a function, or as a local activity.
pub fn heartbeat<T: Value>(details: &T) {
    let Some(attempt) = current() else { return };
    let context = SerializationContextData::Activity(ActivitySerializationContext::new());
    match value::encode(details, &attempt.converter, &context) {
        Ok(details) => attempt.beat(Some(details)),
        Err(error) => attempt.complain(&error),
    }
}

/// What the last attempt said in its last heartbeat, or `None` if it said nothing or there was none.
pub fn heartbeat_details<T: Value>() -> Result<Option<T>> {
    match current() {
        Some(attempt) if !attempt.details().is_empty() => {
            let context = SerializationContextData::Activity(ActivitySerializationContext::new());
            let details = RawValue::new(attempt.details().to_vec());
            let details = value::decode(details, &attempt.converter, &context);
            details.map(Some).map_err(|error| Error::from(Repr::Payload(error)))
        }
        _ => Ok(None),
    }
}

/// The attempts before this one, oldest first, the latest twenty of them at most.
///
/// Empty in a first attempt, in a local activity, and if the function is called as a function.
pub fn earlier_attempts() -> Vec<EarlierAttempt> {
    current().map(|attempt| attempt.earlier.attempts().to_vec()).unwrap_or_default()
}

/// Resolves when the activity should stop: its workflow no longer waits for it, or the worker has stopped and will not
/// wait for it any longer. Of the first, only activities that heartbeat are told, and local ones.
pub async fn cancelled() {
    match current() {
        Some(attempt) => match &attempt.link {
            Link::Worker(context) => context.cancelled().await,
            Link::Test(probe) => probe.cancellation.cancelled().await,
        },
        None => std::future::pending().await,
    }
}

/// Whether the activity should stop.
pub fn is_cancelled() -> bool {
    current().is_some_and(|attempt| match &attempt.link {
        Link::Worker(context) => context.is_cancelled(),
        Link::Test(probe) => probe.cancellation.is_cancelled(),
    })
}

/// Resolves when the worker begins to stop. The activity may go on for the worker's
/// [grace period](crate::worker::Builder::graceful_shutdown), and is then [asked to stop](cancelled); if it fails
/// before that, or returns [`Error::cancelled`] after, the next worker goes on at the last heartbeat.
pub async fn worker_stopping() {
    match current() {
        Some(attempt) => attempt.pool.stopping().cancelled().await,
        None => std::future::pending().await,
    }
}

/// Whether the worker has begun to stop: tells why an activity is asked to, and blocking code that it soon will be.
pub fn is_worker_stopping() -> bool {
    current().is_some_and(|attempt| attempt.pool.stopping().is_cancelled())
}

/// Says that the attempt lives, every so often, for as long as the value is kept: for code that cannot call out,
/// blocking code included. The last checkpoint stays what it is.
#[must_use = "the heartbeats end when this is dropped"]
pub fn keep_alive(interval: Duration) -> KeepAlive {
    let beating = current().map(|attempt| {
        let home = attempt.pool.home().clone();
        home.spawn(async move {
            loop {
                attempt.beat(None);
                tokio::time::sleep(interval).await;
            }
        })
        .abort_handle()
    });
    KeepAlive { beating }
}

/// Heartbeats that go on by themselves: see [`keep_alive`].
pub struct KeepAlive {
    beating: Option<AbortHandle>,
}

impl Drop for KeepAlive {
    fn drop(&mut self) {
        if let Some(beating) = &self.beating {
            beating.abort();
        }
    }
}

/// Runs this work and says every so often that the attempt lives. If the activity is asked to stop, the work is dropped
/// and this is [cancelled](Error::cancelled).
///
/// ```
/// # use tradewind::prelude::*;
/// # use std::time::Duration;
/// # async fn train_model(epochs: u32) -> Result<String> { Ok(epochs.to_string()) }
/// #[activity(start_to_close_timeout = "2h", heartbeat_timeout = "30s")]
/// async fn train(epochs: u32) -> Result<String> {
///     activity::heartbeat_every(Duration::from_secs(10), train_model(epochs)).await?
/// }
/// ```
pub async fn heartbeat_every<F: Future>(interval: Duration, work: F) -> Result<F::Output> {
    let _alive = keep_alive(interval);
    tokio::select! {
        output = work => Ok(output),
        () = cancelled() => Err(Error::cancelled()),
    }
}

/// The result comes later and from elsewhere, through [`Client::activity`](crate::Client::activity): return this error.
/// From a local activity it cannot.
pub fn completes_later() -> Error {
    Repr::CompletesLater.into()
}

/// Runs code that blocks: on a thread of the worker's that may be blocked, or, when the function is called as a
/// function, on one of the current runtime's.
pub(crate) async fn block<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    match current() {
        Some(attempt) => attempt.pool.clone().block(attempt, work).await?,
        None => match tokio::runtime::Handle::try_current() {
            Ok(runtime) => match runtime.spawn_blocking(work).await {
                Ok(outcome) => outcome,
                Err(error) => std::panic::resume_unwind(error.into_panic()),
            },
            Err(_) => work(),
        },
    }
}
