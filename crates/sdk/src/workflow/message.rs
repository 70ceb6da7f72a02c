//! Signals, queries and updates: what is sent to a run, and what receives it.
//!
//! A handler written under `#[signal]`, `#[query]` or `#[update]` becomes a function that builds the message; whoever
//! holds a handle of the run sends it: `handle.signal(Order::approve("ann".into())).await?`.

use super::{Definition, This};
use crate::error::{Error, Fallible, Result};
use crate::value::{Arguments, Encode, Undecoded, Value};
use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;
use std::marker::PhantomData;
use temporalio_common::data_converters::PayloadConversionError;
use temporalio_workflow::workflow_interceptors::WorkflowOutputValue;

macro_rules! message {
    ($(#[$doc:meta])* $name:ident<W $(, $output:ident)?>) => {
        $(#[$doc])*
        #[must_use = "a message does nothing until a handle sends it"]
        pub struct $name<W $(, $output)?> {
            name: &'static str,
            args: Box<dyn Encode>,
            for_workflow: PhantomData<fn() -> (W, $($output)?)>,
        }

        impl<W $(, $output)?> $name<W $(, $output)?> {
            #[doc(hidden)]
            pub fn new(name: &'static str, args: impl Arguments) -> Self {
                $name { name, args: Box::new(args), for_workflow: PhantomData }
            }

            /// Its name on the wire.
            pub fn name(&self) -> &'static str {
                self.name
            }

            #[allow(dead_code)]
            pub(crate) fn into_parts(self) -> (&'static str, Box<dyn Encode>) {
                (self.name, self.args)
            }
        }
    };
}

message! {
    /// A signal to the workflow `W`: it changes something, and nobody waits for an answer.
    Signal<W>
}
message! {
    /// A query of the workflow `W`: it reads a `T`, and changes nothing.
    Query<W, T>
}
message! {
    /// An update of the workflow `W`: it changes something, and answers with a `T`.
    Update<W, T>
}

/// The names of a workflow's handlers.
#[derive(Debug, Clone, Copy, Default)]
#[doc(hidden)]
pub struct Messages {
    pub signals: &'static [&'static str],
    pub queries: &'static [&'static str],
    /// With whether there is a validator.
    pub updates: &'static [(&'static str, bool)],
}

/// The arguments of a message, as they came.
#[doc(hidden)]
pub struct Received(pub(super) Undecoded);

pub(super) type Output = Box<dyn WorkflowOutputValue>;
type Decoded<T> = std::result::Result<T, PayloadConversionError>;

/// A signal with its handler, ready to run.
#[doc(hidden)]
pub struct SignalHandler<W: Definition>(Box<dyn FnOnce(This<W>) -> LocalBoxFuture<'static, ()>>);

/// A query with its handler, ready to run.
#[doc(hidden)]
pub struct QueryHandler<W: Definition>(Read<W::State>);

type Read<S> = Box<dyn FnOnce(&S) -> Result<Output>>;

/// An update with its handler, ready to be checked and to run.
#[doc(hidden)]
pub struct UpdateHandler<W: Definition>(Box<dyn AnyUpdate<W>>);

/// An update whose arguments are known only to this box.
trait AnyUpdate<W: Definition> {
    fn check(&self, state: &W::State) -> Result<()>;
    fn run(self: Box<Self>, this: This<W>) -> LocalBoxFuture<'static, Result<Output>>;
}

impl<W: Definition> SignalHandler<W> {
    /// Of a handler that changes the state at once.
    pub fn now<A: Arguments>(received: Received, run: impl FnOnce(&mut W::State, A) + 'static) -> Decoded<Self> {
        let args = received.0.arguments()?;
        Ok(SignalHandler(Box::new(move |this| {
            this.write(|state| run(state, args));
            std::future::ready(()).boxed_local()
        })))
    }

    /// Of a handler that takes its time.
    pub fn over_time<A: Arguments, F>(received: Received, run: impl FnOnce(This<W>, A) -> F + 'static) -> Decoded<Self>
    where
        F: Future<Output = ()> + 'static,
    {
        let args = received.0.arguments()?;
        Ok(SignalHandler(Box::new(move |this| run(this, args).boxed_local())))
    }

    /// Of a signal that the workflow does not know. It stays in history, and only the log says so.
    pub(super) fn nobody(name: &str) -> Self {
        let signal = name.to_owned();
        SignalHandler(Box::new(move |_| {
            tracing::warn!(signal, "a signal that no handler takes is left aside");
            std::future::ready(()).boxed_local()
        }))
    }

    pub(super) fn run(self, this: This<W>) -> LocalBoxFuture<'static, ()> {
        (self.0)(this)
    }
}

impl<W: Definition> QueryHandler<W> {
    /// Of a handler whose answer may be an error.
    pub fn new<A: Arguments, R>(received: Received, run: impl FnOnce(&W::State, A) -> R + 'static) -> Decoded<Self>
    where
        R: Fallible<Ok: Value>,
    {
        let args = received.0.arguments()?;
        Ok(QueryHandler(Box::new(move |state| Ok(Box::new(run(state, args).into_result()?) as Output))))
    }

    pub(super) fn run(self, state: &W::State) -> Result<Output> {
        (self.0)(state)
    }
}

struct AnUpdate<A, C, R> {
    args: A,
    check: C,
    run: R,
}

impl<W: Definition> UpdateHandler<W> {
    /// Of a handler that changes the state at once.
    pub fn now<A: Arguments, R>(
        received: Received,
        check: impl Fn(&W::State, &A) -> Result<()> + 'static,
        run: impl FnOnce(&mut W::State, A) -> R + 'static,
    ) -> Decoded<Self>
    where
        R: Fallible<Ok: Value> + 'static,
    {
        let run = move |this: This<W>, args: A| std::future::ready(this.write(|state| run(state, args)));
        Self::over_time(received, check, run)
    }

    /// Of a handler that takes its time.
    pub fn over_time<A: Arguments, F>(
        received: Received,
        check: impl Fn(&W::State, &A) -> Result<()> + 'static,
        run: impl FnOnce(This<W>, A) -> F + 'static,
    ) -> Decoded<Self>
    where
        F: Future<Output: Fallible<Ok: Value>> + 'static,
    {
        Ok(UpdateHandler(Box::new(AnUpdate { args: received.0.arguments::<A>()?, check, run })))
    }

    pub(super) fn check(&self, state: &W::State) -> Result<()> {
        self.0.check(state)
    }

    pub(super) fn run(self, this: This<W>) -> LocalBoxFuture<'static, Result<Output>> {
        self.0.run(this)
    }
}

impl<W, A, C, R, F> AnyUpdate<W> for AnUpdate<A, C, R>
where
    W: Definition,
    C: Fn(&W::State, &A) -> Result<()>,
    R: FnOnce(This<W>, A) -> F,
    F: Future<Output: Fallible<Ok: Value>> + 'static,
{
    fn check(&self, state: &W::State) -> Result<()> {
        (self.check)(state, &self.args)
    }

    fn run(self: Box<Self>, this: This<W>) -> LocalBoxFuture<'static, Result<Output>> {
        let AnUpdate { args, run, .. } = *self;
        let answer = run(this, args);
        answer.map(|answer| answer.into_result().map(|answer| Box::new(answer) as Output)).boxed_local()
    }
}

/// A handler's plain answer, where one that may fail is expected.
#[doc(hidden)]
pub fn infallible<T>(answer: T) -> Result<T, Error> {
    Ok(answer)
}
