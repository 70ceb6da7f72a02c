//! The activities that a worker will run.

use super::{Definition, Host, Means, limited_queue};
use std::sync::Arc;
use temporalio_sdk::WorkerOptions;

/// The activities of a type whose methods share its state. Written by `#[activities]`.
pub trait Activities: Send + Sync + Sized + 'static {
    /// Registers all of them, on this state.
    fn register(state: Arc<Self>, registrar: &mut Registrar);
}

/// Collects activities for a worker.
#[derive(Default)]
pub struct Registrar {
    registered: Vec<Registered>,
}

/// Registers one activity, whose type is known only here, with an official worker.
type Register = Box<dyn Fn(&mut WorkerOptions, &Means) + Send>;

/// An activity that is still without threads to run on.
pub(crate) struct Registered {
    name: &'static str,
    rate_limit: Option<f64>,
    has_queue: bool,
    register: Register,
}

impl Registrar {
    /// Adds an activity that runs on this state.
    pub fn add<A: Definition>(&mut self, state: Arc<A::State>) {
        let options = A::options();
        self.registered.push(Registered {
            name: A::NAME,
            rate_limit: options.rate_limit,
            has_queue: options.task_queue.is_some(),
            register: Box::new(move |options, means| Host::<A>::register(options, state.clone(), means.clone())),
        });
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Registered> {
        self.registered.iter()
    }
}

impl Registered {
    pub(crate) fn name(&self) -> &'static str {
        self.name
    }

    /// The queue that its rate limit gives it, and the limit.
    pub(crate) fn own_queue(&self, queue: &str) -> Option<(String, f64)> {
        let limit = self.rate_limit.filter(|_| !self.has_queue)?;
        Some((limited_queue(queue, self.name), limit))
    }

    pub(crate) fn register(&self, options: &mut WorkerOptions, means: &Means) {
        (self.register)(options, means);
    }
}
