//! Activities that a test replaces.

use crate::activity::{self, Definition, Host, Means};
use crate::error::{Error, Result};
use crate::value::{Arguments, Encode, Undecoded};
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, ready};
use parking_lot::{Mutex, RwLock};
use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use temporalio_common::data_converters::{
    ActivitySerializationContext, PayloadConverter, RawValue, SerializationContextData,
};
use temporalio_sdk::WorkerOptions;

/// What runs in place of the activities of a client's workers, by name.
#[derive(Default)]
pub(crate) struct Mocks {
    activities: RwLock<BTreeMap<&'static str, Arc<dyn Registered>>>,
}

/// A replaced activity: remembers its calls.
pub struct Mock<A> {
    /// The arguments of each call, encoded, since the replacement takes the values.
    calls: Arc<Mutex<Vec<RawValue>>>,
    activity: PhantomData<fn() -> A>,
}

impl<A: Definition> Mock<A> {
    /// How often it has been called so far, retries included.
    pub fn calls(&self) -> usize {
        self.calls.lock().len()
    }

    /// What it has been called with so far, retries included, in the order of the calls: `assert_eq!(charged.arguments(),
    /// [("ann".to_owned(), 7)])`. The argument of a call, or a tuple if there are several.
    ///
    /// # Panics
    /// If a value does not come out of a payload as it went in.
    pub fn arguments(&self) -> Vec<<A::Args as Arguments>::Plain> {
        let decode = |call: &RawValue| {
            let undecoded = Undecoded::new(call.payloads.clone(), PayloadConverter::default(), wire());
            undecoded.arguments::<A::Args>().expect("a value comes out of a payload as it went in").plain()
        };
        self.calls.lock().iter().map(decode).collect()
    }
}

impl<A> Clone for Mock<A> {
    fn clone(&self) -> Self {
        Mock { calls: self.calls.clone(), activity: PhantomData }
    }
}

impl<A: Definition> fmt::Debug for Mock<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mock").field("activity", &A::NAME).field("calls", &self.calls()).finish()
    }
}

fn wire() -> SerializationContextData {
    SerializationContextData::Activity(ActivitySerializationContext::new())
}

/// A replacement whose activity's type is known only to itself.
trait Registered: Send + Sync {
    fn register(&self, options: &mut WorkerOptions, means: &Means);
}

struct Replacement<A: Definition> {
    run: activity::Run<A>,
}

impl<A: Definition> Registered for Replacement<A> {
    fn register(&self, options: &mut WorkerOptions, means: &Means) {
        Host::<A>::register_with(options, self.run.clone(), means.clone());
    }
}

impl Mocks {
    pub(crate) fn replace<A, F, R>(&self, with: F) -> Mock<A>
    where
        A: Definition,
        F: Fn(<A::Args as Arguments>::Plain) -> R + Send + Sync + 'static,
        R: Future<Output = Result<A::Output>> + Send + 'static,
    {
        let mock = Mock { calls: Arc::default(), activity: PhantomData };
        let calls = mock.calls.clone();
        let run: activity::Run<A> = Arc::new(move |args: A::Args| -> BoxFuture<'static, Result<A::Output>> {
            match args.payloads(&PayloadConverter::default(), &wire()) {
                Ok(call) => calls.lock().push(call),
                Err(error) => return ready(Err(Error::from(error))).boxed(),
            }
            with(args.plain()).boxed()
        });
        self.activities.write().insert(A::NAME, Arc::new(Replacement::<A> { run }));
        mock
    }

    /// The activities that are replaced.
    pub(crate) fn names(&self) -> Vec<&'static str> {
        self.activities.read().keys().copied().collect()
    }

    /// Puts the replacements in the place of what was registered under their names, or beside it.
    pub(crate) fn register(&self, options: &mut WorkerOptions, means: &Means) {
        for replacement in self.activities.read().values() {
            replacement.register(options, means);
        }
    }
}
