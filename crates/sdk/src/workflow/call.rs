//! A call of a workflow: what a client starts, and a child when it is awaited inside another workflow.

use super::{Child, Definition, Options, current};
use crate::error::{Error, Result};
use crate::value::Encode;
use futures_util::FutureExt;
use futures_util::future::{FusedFuture, LocalBoxFuture};
use send_wrapper::SendWrapper;
use std::fmt;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll};
use temporalio_common::data_converters::{SerializationContextData, WorkflowSerializationContext};
use temporalio_workflow::WorkflowCancellationToken;

/// A call of the workflow `W`. Nothing happens until a client starts it or a workflow awaits it.
#[must_use = "a call does nothing until a client starts it or a workflow awaits it"]
pub struct Call<W: Definition> {
    state: State<W>,
}

enum State<W: Definition> {
    Described { args: W::Args, options: Box<Options> },
    Started(SendWrapper<Started<W::Output>>),
    Done,
}

struct Started<T> {
    outcome: LocalBoxFuture<'static, Result<T>>,
    token: WorkflowCancellationToken,
}

impl<W: Definition> Call<W> {
    #[doc(hidden)]
    pub fn new(args: W::Args) -> Self {
        Call { state: State::Described { args, options: Box::new(W::options()) } }
    }

    /// Changes the options of this start.
    pub fn with(mut self, change: impl FnOnce(Options) -> Options) -> Self {
        if let State::Described { options, .. } = &mut self.state {
            **options = change(std::mem::take(&mut **options));
        }
        self
    }

    /// Its workflow id: short for `.with(|o| o.id(id))`.
    pub fn id(self, id: impl Into<String>) -> Self {
        self.with(|options| options.id(id))
    }

    /// Starts it as a child, and goes on once it runs: to signal it, or to wait for it later.
    pub async fn start(mut self) -> Result<Child<W>> {
        let State::Described { args, options } = std::mem::replace(&mut self.state, State::Done) else {
            panic!("a call that has started is not started again")
        };
        let Some(current) = current::try_get() else { return Err(nowhere::<W>()) };
        let token = current.token().child_token();
        start::<W>(current, args, *options, token).await
    }

    /// What it is made of, for a client to start.
    ///
    /// # Panics
    /// If it has been polled.
    pub(crate) fn into_parts(mut self) -> (Box<dyn Encode>, Options) {
        match std::mem::replace(&mut self.state, State::Done) {
            State::Described { args, options } => (Box::new(args), *options),
            _ => panic!("a call that has started is not started again"),
        }
    }
}

async fn start<W: Definition>(
    current: current::Current,
    args: W::Args,
    mut options: Options,
    token: WorkflowCancellationToken,
) -> Result<Child<W>> {
    let context = SerializationContextData::Workflow(WorkflowSerializationContext::new());
    let args = args.payloads(&current.operations().converter(), &context)?;
    let id = options.id.get_or_insert_with(|| super::uuid().to_string()).clone();
    let child = current.operations().child(W::NAME.to_owned(), args, options.child(token)).await?;
    Ok(Child::new(child, id))
}

impl<W: Definition> Future for Call<W> {
    type Output = Result<W::Output>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if let State::Described { .. } = self.state {
            let State::Described { args, options } = std::mem::replace(&mut self.state, State::Done) else {
                unreachable!("it was just looked at")
            };
            let Some(current) = current::try_get() else { return Poll::Ready(Err(nowhere::<W>())) };
            let token = current.token().child_token();
            let started = start::<W>(current, args, *options, token.clone());
            let outcome = async move { started.await?.result().await }.boxed_local();
            self.state = State::Started(SendWrapper::new(Started { outcome, token }));
        }
        let State::Started(started) = &mut self.state else { panic!("a call was polled after it had its result") };
        let outcome = started.outcome.as_mut().poll(cx);
        if outcome.is_ready() {
            self.state = State::Done;
        }
        outcome
    }
}

fn nowhere<W: Definition>() -> Error {
    Error::non_retryable(format!(
        "the workflow {} was awaited outside a workflow: start it with client.start(...) or client.execute(...)",
        W::NAME
    ))
    .with_type("NotInWorkflow")
}

impl<W: Definition> FusedFuture for Call<W> {
    fn is_terminated(&self) -> bool {
        matches!(self.state, State::Done)
    }
}

impl<W: Definition> Unpin for Call<W> {}

impl<W: Definition> Drop for Call<W> {
    fn drop(&mut self) {
        // Outside a poll the whole run is going from memory, and nothing is asked of the server.
        if let State::Started(started) = &self.state
            && current::try_get().is_some()
        {
            started.token.cancel();
        }
    }
}

impl<W: Definition> fmt::Debug for Call<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call").field("workflow", &W::NAME).finish_non_exhaustive()
    }
}

/// A function written under `#[workflow]`: what workers register.
#[diagnostic::on_unimplemented(
    message = "this is no workflow",
    label = "not written under #[workflow]",
    note = "a workflow with state is named by its entrypoint, as in `Order::run`; activities are registered with `.activity(...)`"
)]
pub trait WorkflowFn<Marker> {
    /// The workflow that it calls.
    type Definition: Definition;
}

macro_rules! workflow_fn {
    ($($name:ident)*) => {
        impl<F, W: Definition, $($name),*> WorkflowFn<PhantomData<($($name,)*)>> for F
        where
            F: Fn($($name),*) -> Call<W>,
        {
            type Definition = W;
        }
    };
}

workflow_fn!();
workflow_fn!(A1);
workflow_fn!(A1 A2);
workflow_fn!(A1 A2 A3);
workflow_fn!(A1 A2 A3 A4);
workflow_fn!(A1 A2 A3 A4 A5);
workflow_fn!(A1 A2 A3 A4 A5 A6);
workflow_fn!(A1 A2 A3 A4 A5 A6 A7);
workflow_fn!(A1 A2 A3 A4 A5 A6 A7 A8);
