//! Activities that a test replaces.

use crate::activity::{self, Definition, Host, Means};
use crate::error::Result;
use crate::value::Arguments;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use parking_lot::RwLock;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use temporalio_sdk::WorkerOptions;

/// What runs in place of the activities of a client's workers, by name.
#[derive(Default)]
pub(crate) struct Mocks {
    activities: RwLock<BTreeMap<&'static str, Arc<dyn Registered>>>,
}

/// A replaced activity: counts its calls.
#[derive(Clone)]
pub struct Mock {
    name: &'static str,
    calls: Arc<AtomicUsize>,
}

impl Mock {
    /// How often it has been called so far, retries included.
    pub fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }
}

impl fmt::Debug for Mock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mock").field("activity", &self.name).field("calls", &self.calls()).finish()
    }
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
    pub(crate) fn replace<A, F, R>(&self, with: F) -> Mock
    where
        A: Definition,
        F: Fn(<A::Args as Arguments>::Plain) -> R + Send + Sync + 'static,
        R: Future<Output = Result<A::Output>> + Send + 'static,
    {
        let mock = Mock { name: A::NAME, calls: Arc::default() };
        let calls = mock.calls.clone();
        let run: activity::Run<A> = Arc::new(move |args: A::Args| -> BoxFuture<'static, Result<A::Output>> {
            calls.fetch_add(1, Ordering::SeqCst);
            with(args.plain()).boxed()
        });
        self.activities.write().insert(A::NAME, Arc::new(Replacement::<A> { run }));
        mock
    }

    /// Puts the replacements in the place of what was registered under their names, or beside it.
    pub(crate) fn register(&self, options: &mut WorkerOptions, means: &Means) {
        for replacement in self.activities.read().values() {
            replacement.register(options, means);
        }
    }
}
