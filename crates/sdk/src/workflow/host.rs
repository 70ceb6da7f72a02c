//! The bridge from our definitions to the official worker.

use super::current::Current;
use super::operations::Operations;
use super::{Definition, This, guard};
use crate::error::{Error, Result};
use crate::value::Arguments;
use futures_util::future::{FutureExt, LocalBoxFuture, pending, ready};
use std::any::Any;
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use temporalio_common::WorkflowDefinition;
use temporalio_common::data_converters::{
    PayloadConversionError, SerializationContext, TemporalDeserializable, TemporalSerializable,
};
use temporalio_common::protos::temporal::api::common::v1::Payload;
use temporalio_workflow::workflow_interceptors::WorkflowOutputValue;
use temporalio_workflow::workflows::{WorkflowDefinitionDescriptor, WorkflowError, WorkflowImplementation};
use temporalio_workflow::{WorkflowContext, WorkflowContextView, WorkflowTermination};

/// One run of a workflow, as the official worker holds it.
pub(crate) struct Host<W: Definition> {
    /// Or why there is none: its `#[init]` panicked, which must fail the task and not the worker.
    state: Result<W::State, String>,
    /// Waits for the main routine.
    args: Option<W::Args>,
}

impl<W: Definition> Host<W> {
    pub(super) fn state(&self) -> &W::State {
        self.state.as_ref().unwrap_or_else(|why| panic!("{why}"))
    }

    pub(super) fn state_mut(&mut self) -> &mut W::State {
        self.state.as_mut().unwrap_or_else(|why| panic!("{why}"))
    }
}

/// A workflow of ours as the official worker knows it.
pub(crate) struct Hosted<W>(PhantomData<fn() -> W>);

impl<W: Definition> WorkflowDefinition for Hosted<W> {
    type Input = Input<W>;
    type Output = W::Output;

    fn name(&self) -> &str {
        W::NAME
    }
}

/// The arguments of a run: once for its code, once more for its `#[init]` if that wants them.
pub(crate) struct Input<W: Definition> {
    args: W::Args,
    for_init: Option<W::Args>,
}

impl<W: Definition> TemporalDeserializable for Input<W> {
    fn from_payload(context: &SerializationContext<'_>, payload: Payload) -> Result<Self, PayloadConversionError> {
        Self::from_payloads(context, vec![payload])
    }

    fn from_payloads(
        context: &SerializationContext<'_>,
        payloads: Vec<Payload>,
    ) -> Result<Self, PayloadConversionError> {
        let for_init = match W::INIT_TAKES_ARGS {
            true => Some(W::Args::decode(context, payloads.clone())?),
            false => None,
        };
        Ok(Input { args: W::Args::decode(context, payloads)?, for_init })
    }
}

impl<W: Definition> TemporalSerializable for Input<W> {
    fn to_payloads(&self, context: &SerializationContext<'_>) -> Result<Vec<Payload>, PayloadConversionError> {
        self.args.encode(context)
    }
}

impl<W: Definition> WorkflowImplementation for Host<W> {
    type Run = Hosted<W>;

    const HAS_INIT: bool = true;
    const INIT_TAKES_INPUT: bool = true;

    fn name() -> &'static str {
        W::NAME
    }

    fn definition() -> WorkflowDefinitionDescriptor {
        WorkflowDefinitionDescriptor {
            workflow_type: W::NAME.to_owned(),
            has_init: true,
            init_takes_input: true,
            signals: Vec::new(),
            queries: Vec::new(),
            updates: Vec::new(),
        }
    }

    fn init(_: WorkflowContextView, input: Option<Input<W>>) -> Self {
        let Input { args, for_init } = input.expect("the worker passes what INIT_TAKES_INPUT asks for");
        let state = catch_unwind(AssertUnwindSafe(|| W::init(for_init)));
        let state = state.map_err(|panic| format!("the workflow's init panicked: {}", message(&*panic)));
        Host { state, args: Some(args) }
    }

    fn run(
        context: WorkflowContext<Self>,
        _: Option<Input<W>>,
    ) -> LocalBoxFuture<'static, Result<Box<dyn WorkflowOutputValue>, WorkflowTermination>> {
        let operations: Rc<dyn Operations> = Rc::new(context.clone());
        let (args, broken) = context.state_mut(|host| (host.args.take(), host.state.as_ref().err().cloned()));
        if let Some(why) = broken {
            operations.fail_task(why);
            return pending().boxed_local();
        }
        let args = args.expect("a run is started once");
        let code = W::run(This::new(context), args);
        Driven { operations, code }
            .map(|outcome| match outcome {
                Ok(output) => Ok(Box::new(output) as Box<dyn WorkflowOutputValue>),
                Err(error) => Err(error.into_termination()),
            })
            .boxed_local()
    }

    fn dispatch_signal(
        _: WorkflowContext<Self>,
        name: &str,
        _: Box<dyn Any>,
    ) -> LocalBoxFuture<'static, Result<(), WorkflowError>> {
        ready(Err(unknown("signal", name))).boxed_local()
    }

    fn dispatch_query(
        &self,
        _: WorkflowContextView,
        name: &str,
        _: Box<dyn Any>,
    ) -> Result<Box<dyn WorkflowOutputValue>, WorkflowError> {
        Err(unknown("query", name))
    }

    fn dispatch_update(
        _: WorkflowContext<Self>,
        name: &str,
        _: Box<dyn Any>,
    ) -> LocalBoxFuture<'static, Result<Box<dyn WorkflowOutputValue>, WorkflowError>> {
        ready(Err(unknown("update", name))).boxed_local()
    }

    fn validate_update(&self, _: WorkflowContextView, name: &str, _: Box<dyn Any>) -> Result<(), WorkflowError> {
        Err(unknown("update", name))
    }
}

fn unknown(kind: &str, name: &str) -> WorkflowError {
    WorkflowError::Execution(format!("no {kind} is named {name:?}").into())
}

/// Workflow code, polled with its run at hand and the world out of reach.
struct Driven<T> {
    operations: Rc<dyn Operations>,
    code: LocalBoxFuture<'static, Result<T>>,
}

impl<T> Future for Driven<T> {
    type Output = Result<T, Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let _current = Current::new(self.operations.clone()).enter();
        let this = &mut *self;
        guard::poll(|| this.code.as_mut().poll(cx)).unwrap_or_else(|trespass| {
            this.operations.fail_task(trespass);
            Poll::Pending
        })
    }
}

/// What a panic says.
pub(crate) fn message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or(panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("a panic without a message")
}
