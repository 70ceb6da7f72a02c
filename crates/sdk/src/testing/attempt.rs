//! One attempt of an activity without a worker: what it says, what it is told, what comes out.

use crate::activity::{Attempt, Call, Definition, Pool, PoolOptions, Probe, within};
use crate::error::{Error, Result};
use crate::value::{self, Value};
use parking_lot::Mutex;
use std::fmt;
use std::sync::Arc;
use temporalio_common::data_converters::{
    ActivitySerializationContext, PayloadConverter, RawValue, SerializationContextData,
};
use temporalio_common::protos::temporal::api::common::v1::Payload;
use tokio_util::sync::CancellationToken;

/// Runs one attempt of an activity, as a worker would: with heartbeats that are kept, details of an attempt before it,
/// and a cancellation.
///
/// An activity that needs none of this is tested by calling it. Facts of a worker's attempt are not made up: inside,
/// [`activity::info`](crate::activity::info) is `None`.
///
/// ```
/// use tradewind::prelude::*;
/// use tradewind::testing;
///
/// #[activity(heartbeat_timeout = "30s")]
/// async fn count(to: u64) -> Result<u64> {
///     let from: u64 = activity::heartbeat_details()?.unwrap_or(0);
///     for done in from..to {
///         if activity::is_cancelled() {
///             return Err(Error::cancelled());
///         }
///         activity::heartbeat(&(done + 1));
///     }
///     Ok(to - from)
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<()> {
/// let attempt = testing::activity(count(10)).resuming_from(&7_u64).run().await;
/// assert_eq!(attempt.heartbeats::<u64>()?, [8, 9, 10]);
/// assert_eq!(attempt.result?, 3);
///
/// let attempt = testing::activity(count(10)).cancelled().run().await;
/// assert!(attempt.result.unwrap_err().is_cancelled());
/// # Ok(())
/// # }
/// ```
pub fn activity<A: Definition>(call: Call<A>) -> ActivityTest<A> {
    ActivityTest { call, details: Vec::new(), cancel_after: None }
}

/// An attempt that is being described: see [`activity`].
#[must_use = "the attempt begins with run()"]
pub struct ActivityTest<A: Definition> {
    call: Call<A>,
    details: Vec<Payload>,
    cancel_after: Option<usize>,
}

/// What came of an attempt.
pub struct ActivityOutcome<T> {
    /// What the activity returned.
    pub result: Result<T>,
    heartbeats: Vec<RawValue>,
}

impl<A: Definition> ActivityTest<A> {
    /// The attempt before it said this in its last heartbeat.
    ///
    /// # Panics
    /// If the value cannot be encoded.
    pub fn resuming_from<T: Value>(mut self, details: &T) -> Self {
        let encoded = value::encode(details, &PayloadConverter::default(), &wire());
        self.details = encoded.expect("details of a heartbeat can be encoded").payloads;
        self
    }

    /// It is asked to stop before it begins.
    pub fn cancelled(self) -> Self {
        self.cancelled_after(0)
    }

    /// It is asked to stop when it has said so many heartbeats.
    pub fn cancelled_after(mut self, heartbeats: usize) -> Self {
        self.cancel_after = Some(heartbeats);
        self
    }

    /// Runs it to its end.
    ///
    /// # Panics
    /// If the system has no threads left.
    pub async fn run(self) -> ActivityOutcome<A::Output> {
        let probe = Arc::new(Probe {
            name: A::NAME,
            details: self.details,
            heartbeats: Mutex::default(),
            cancel_after: self.cancel_after,
            cancellation: CancellationToken::new(),
        });
        if self.cancel_after == Some(0) {
            probe.cancellation.cancel();
        }
        let pool = Pool::new(&PoolOptions::default(), None).expect("the system has threads");
        let attempt = Arc::new(Attempt::probed(probe.clone(), Arc::new(pool)));
        let result = within(attempt.clone(), self.call).await;
        attempt.flushed().await;
        let heartbeats = std::mem::take(&mut *probe.heartbeats.lock());
        ActivityOutcome { result, heartbeats }
    }
}

impl<T> ActivityOutcome<T> {
    /// What it said in its heartbeats, in order.
    pub fn heartbeats<D: Value>(&self) -> Result<Vec<D>> {
        let converter = PayloadConverter::default();
        let decode = |raw: &RawValue| value::decode(raw.clone(), &converter, &wire()).map_err(Error::from);
        self.heartbeats.iter().map(decode).collect()
    }
}

impl<T: fmt::Debug> fmt::Debug for ActivityOutcome<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let heartbeats = self.heartbeats.len();
        f.debug_struct("ActivityOutcome").field("result", &self.result).field("heartbeats", &heartbeats).finish()
    }
}

fn wire() -> SerializationContextData {
    SerializationContextData::Activity(ActivitySerializationContext::new())
}
