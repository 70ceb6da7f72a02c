//! A call of an activity: a value until it is awaited.

use super::{Definition, Options};
use crate::error::{Error, Result};
use crate::value;
use crate::workflow::{current, locals};
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, FusedFuture, LocalBoxFuture};
use send_wrapper::SendWrapper;
use std::fmt;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use temporalio_common::data_converters::{SerializationContextData, WorkflowSerializationContext};
use temporalio_workflow::WorkflowCancellationToken;

/// A call of the activity `A`. Nothing happens until it is awaited.
///
/// Inside a workflow, awaiting it schedules the activity. Elsewhere it runs the function, on the spot, without
/// retries or timeouts. Dropping a call that has started asks the activity to stop.
#[must_use = "a call does nothing until it is awaited"]
pub struct Call<A: Definition> {
    state: State<A>,
}

enum State<A: Definition> {
    Described { args: A::Args, options: Box<Options>, on: Option<Arc<A::State>> },
    Scheduled(SendWrapper<Scheduled<A::Output>>),
    Running(BoxFuture<'static, Result<A::Output>>),
    Done,
}

/// An activity on its way. It lives on the thread of its workflow, whatever the type of the call that owns it says.
struct Scheduled<T> {
    outcome: LocalBoxFuture<'static, Result<T>>,
    token: WorkflowCancellationToken,
}

impl<A: Definition> Call<A> {
    #[doc(hidden)]
    pub fn new(args: A::Args) -> Self {
        Call { state: State::Described { args, options: Box::new(A::options()), on: None } }
    }

    /// Changes the options of this call.
    ///
    /// ```
    /// # use tradewind::prelude::*;
    /// # #[activity] async fn render(page: u32) -> Result<()> { Ok(()) }
    /// # #[workflow] async fn book() -> Result<()> {
    /// render(7).with(|o| o.max_attempts(1).task_queue("gpu")).await?;
    /// # Ok(()) }
    /// ```
    pub fn with(mut self, change: impl FnOnce(Options) -> Options) -> Self {
        if let State::Described { options, .. } = &mut self.state {
            **options = change(std::mem::take(&mut **options));
        }
        self
    }

    /// Runs it in the workflow's own worker: short for `.with(|o| o.local(true))`.
    pub fn local(self) -> Self {
        self.with(|options| options.local(true))
    }

    /// Runs the method on this state when awaited outside a workflow: how methods are tested.
    pub fn on(mut self, state: impl Into<Arc<A::State>>) -> Self {
        if let State::Described { on, .. } = &mut self.state {
            *on = Some(state.into());
        }
        self
    }

    /// Schedules it now, instead of when it is first awaited.
    pub fn start(mut self) -> Self {
        self.begin();
        if let State::Scheduled(scheduled) = &mut self.state {
            // The command goes out with the first poll; whoever awaits the call polls it again.
            let outcome = scheduled.outcome.as_mut().poll(&mut Context::from_waker(Waker::noop()));
            if let Poll::Ready(outcome) = outcome {
                self.state = State::Running(std::future::ready(outcome).boxed());
            }
        }
        self
    }

    fn begin(&mut self) {
        if !matches!(self.state, State::Described { .. }) {
            return;
        }
        if let State::Described { args, options, on } = std::mem::replace(&mut self.state, State::Done) {
            self.state = Self::begun(args, options, on);
        }
    }

    fn begun(args: A::Args, options: Box<Options>, on: Option<Arc<A::State>>) -> State<A> {
        match current::try_get() {
            Some(current) => {
                let token = current.token().child_token();
                let outcome = schedule::<A>(current, args, *options, token.clone()).boxed_local();
                State::Scheduled(SendWrapper::new(Scheduled { outcome, token }))
            }
            None => State::Running(match on.or_else(unit) {
                Some(state) => A::run(state, args),
                None => std::future::ready(Err(no_state::<A>())).boxed(),
            }),
        }
    }
}

/// Functions need no state: theirs is `()`.
fn unit<S: Send + Sync + 'static>() -> Option<Arc<S>> {
    (Arc::new(()) as Arc<dyn std::any::Any + Send + Sync>).downcast().ok()
}

fn no_state<A: Definition>() -> Error {
    Error::non_retryable(format!("{} is a method: outside a workflow say what it runs on, with `.on(...)`", A::NAME))
        .with_type("NoActivityState")
}

async fn schedule<A: Definition>(
    current: current::Current,
    args: A::Args,
    mut options: Options,
    token: WorkflowCancellationToken,
) -> Result<A::Output> {
    let context = SerializationContextData::Workflow(WorkflowSerializationContext::new());
    let converter = current.operations().converter();
    let args = value::Encode::payloads(&args, &converter, &context)?;
    if options.local
        && !current.operations().is_replaying()
        && let Some(why) = locals::refused(A::NAME, options.rate_limit.is_some())
    {
        current.operations().fail_task(why);
        return std::future::pending().await;
    }
    if options.rate_limit.is_some() && options.task_queue.is_none() {
        options.task_queue = Some(limited_queue(&current.operations().task_queue(), A::NAME));
    }
    let name = A::NAME.to_owned();
    let outcome = match options.local {
        true => {
            let outcome = current.operations().local_activity(name, args, options.in_place(token)).await;
            outcome.map_err(|error| locals::wrapped(error, A::NAME, &converter, &context))
        }
        false => current.operations().activity(name, args, options.remote(token)).await,
    };
    Ok(value::decode(outcome?, &converter, &context)?)
}

/// The queue of an activity with a rate limit.
pub(crate) fn limited_queue(queue: &str, activity: &str) -> String {
    format!("{queue}/{activity}")
}

impl<A: Definition> Future for Call<A> {
    type Output = Result<A::Output>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.begin();
        let outcome = match &mut self.state {
            State::Scheduled(scheduled) => scheduled.outcome.as_mut().poll(cx),
            State::Running(outcome) => outcome.as_mut().poll(cx),
            State::Described { .. } => unreachable!("it has begun"),
            State::Done => panic!("a call was polled after it had its result"),
        };
        if outcome.is_ready() {
            self.state = State::Done;
        }
        outcome
    }
}

impl<A: Definition> FusedFuture for Call<A> {
    fn is_terminated(&self) -> bool {
        matches!(self.state, State::Done)
    }
}

impl<A: Definition> Unpin for Call<A> {}

impl<A: Definition> Drop for Call<A> {
    fn drop(&mut self) {
        // Outside a poll the whole run is going from memory, and nothing is asked of the server.
        if let State::Scheduled(scheduled) = &self.state
            && current::try_get().is_some()
        {
            scheduled.token.cancel();
        }
    }
}

impl<A: Definition> fmt::Debug for Call<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match self.state {
            State::Described { .. } => "described",
            State::Scheduled(_) => "scheduled",
            State::Running(_) => "running",
            State::Done => "done",
        };
        f.debug_struct("Call").field("activity", &A::NAME).field("state", &state).finish()
    }
}

/// A function written under `#[activity]`: what workers register and tests replace.
#[diagnostic::on_unimplemented(
    message = "this is no activity",
    label = "not written under #[activity]",
    note = "workflows are registered with `.workflow(...)`, and methods of an #[activities] `impl` with `.activities(state)`"
)]
pub trait ActivityFn<Marker> {
    /// The activity that it calls.
    type Definition: Definition;
}

macro_rules! activity_fn {
    ($($name:ident)*) => {
        impl<F, A: Definition, $($name),*> ActivityFn<PhantomData<($($name,)*)>> for F
        where
            F: Fn($($name),*) -> Call<A>,
        {
            type Definition = A;
        }
    };
}

activity_fn!();
activity_fn!(A1);
activity_fn!(A1 A2);
activity_fn!(A1 A2 A3);
activity_fn!(A1 A2 A3 A4);
activity_fn!(A1 A2 A3 A4 A5);
activity_fn!(A1 A2 A3 A4 A5 A6);
activity_fn!(A1 A2 A3 A4 A5 A6 A7);
activity_fn!(A1 A2 A3 A4 A5 A6 A7 A8);
