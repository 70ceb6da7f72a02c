//! The bridge from our definitions to the official worker.

use super::current::Current;
use super::message::{Output, QueryHandler, Received, SignalHandler, UpdateHandler};
use super::operations::Operations;
use super::watchdog::{self, Run};
use super::{Definition, This, guard, outside};
use crate::error::{Error, Result};
use crate::value::{Arguments, Undecoded};
use futures_util::future::{FutureExt, LocalBoxFuture, pending};
use std::any::Any;
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::task::{Context, Poll};
use temporalio_common::WorkflowDefinition;
use temporalio_common::data_converters::{
    PayloadConversionError, PayloadConverter, RawValue, SerializationContext, SerializationContextData,
    TemporalDeserializable, TemporalSerializable, WorkflowSerializationContext,
};
use temporalio_common::protos::temporal::api::common::v1::{Payload, Payloads};
use temporalio_workflow::workflows::{
    UpdateDefinitionDescriptor, WorkflowDefinitionDescriptor, WorkflowError, WorkflowImplementation,
};
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

/// The arguments of a run.
pub(crate) enum Input<W: Definition> {
    /// Of the run that begins: once for its code, once more for its `#[init]` if that wants them.
    Decoded { args: W::Args, for_init: Option<W::Args> },
    /// Of the run that continues this one, which may be of another workflow.
    Encoded(RawValue),
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
        Ok(Input::Decoded { args: W::Args::decode(context, payloads)?, for_init })
    }
}

impl<W: Definition> TemporalSerializable for Input<W> {
    fn to_payloads(&self, context: &SerializationContext<'_>) -> Result<Vec<Payload>, PayloadConversionError> {
        match self {
            Input::Decoded { args, .. } => args.encode(context),
            Input::Encoded(raw) => Ok(raw.payloads.clone()),
        }
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
            signals: W::MESSAGES.signals.iter().map(ToString::to_string).collect(),
            queries: W::MESSAGES.queries.iter().map(ToString::to_string).collect(),
            updates: W::MESSAGES.updates.iter().map(|(name, has_validator)| update(name, *has_validator)).collect(),
        }
    }

    fn init(_: WorkflowContextView, input: Option<Input<W>>) -> Self {
        let Some(Input::Decoded { args, for_init }) = input else {
            unreachable!("the worker passes what INIT_TAKES_INPUT asks for, and it comes from payloads")
        };
        let state = catch_unwind(AssertUnwindSafe(|| W::init(for_init)));
        let state = state.map_err(|panic| format!("the workflow's init panicked: {}", message(&*panic)));
        Host { state, args: Some(args) }
    }

    fn run(
        context: WorkflowContext<Self>,
        _: Option<Input<W>>,
    ) -> LocalBoxFuture<'static, Result<Output, WorkflowTermination>> {
        let operations: Rc<dyn Operations> = Rc::new(context.clone());
        let (args, broken) = context.state_mut(|host| (host.args.take(), host.state.as_ref().err().cloned()));
        if let Some(why) = broken {
            operations.fail_task(why);
            return pending().boxed_local();
        }
        let args = args.expect("a run is started once");
        let code = W::run(This::new(context), args);
        Driven::new(operations, code)
            .map(|outcome| match outcome {
                Ok(output) => Ok(Box::new(output) as Output),
                Err(error) => Err(error.into_termination()),
            })
            .boxed_local()
    }

    fn decode_signal_input(
        name: &str,
        payloads: Payloads,
        converter: &PayloadConverter,
    ) -> Result<Option<Box<dyn Any>>, WorkflowError> {
        let found = W::signal(name, received(payloads.payloads, converter));
        decoded(found.or_else(|| Some(Ok(SignalHandler::nobody(name)))))
    }

    fn dispatch_signal(
        context: WorkflowContext<Self>,
        _: &str,
        input: Box<dyn Any>,
    ) -> LocalBoxFuture<'static, Result<(), WorkflowError>> {
        let handler: SignalHandler<W> = handler(input);
        let operations: Rc<dyn Operations> = Rc::new(context.clone());
        match begin(&operations, || handler.run(This::new(context))) {
            Some(code) => Driven::new(operations, code).map(Ok).boxed_local(),
            None => pending().boxed_local(),
        }
    }

    fn decode_query_input(
        name: &str,
        payloads: &Payloads,
        converter: &PayloadConverter,
    ) -> Result<Option<Box<dyn Any>>, WorkflowError> {
        decoded(W::query(name, received(payloads.payloads.clone(), converter)))
    }

    fn dispatch_query(&self, _: WorkflowContextView, _: &str, input: Box<dyn Any>) -> Result<Output, WorkflowError> {
        let handler: QueryHandler<W> = handler(input);
        let answer = catch_unwind(AssertUnwindSafe(|| guard::poll(|| handler.run(self.state()))));
        match answer {
            Ok(Ok(answer)) => answer.map_err(failed),
            Ok(Err(trespass)) => Err(failed(Error::new(trespass))),
            // Whoever asks is told; the run does not depend on it.
            Err(panic) => Err(failed(Error::new(format!("the query's handler panicked: {}", message(&*panic))))),
        }
    }

    fn decode_update_input(
        name: &str,
        payloads: Payloads,
        converter: &PayloadConverter,
    ) -> Result<Option<Box<dyn Any>>, WorkflowError> {
        decoded(W::update(name, received(payloads.payloads, converter)))
    }

    fn dispatch_update(
        context: WorkflowContext<Self>,
        _: &str,
        input: Box<dyn Any>,
    ) -> LocalBoxFuture<'static, Result<Output, WorkflowError>> {
        let handler: UpdateHandler<W> = handler(input);
        let operations: Rc<dyn Operations> = Rc::new(context.clone());
        match begin(&operations, || handler.run(This::new(context))) {
            Some(code) => Driven::new(operations, code).map(|answer| answer.map_err(failed)).boxed_local(),
            None => pending().boxed_local(),
        }
    }

    fn validate_update(&self, _: WorkflowContextView, _: &str, input: Box<dyn Any>) -> Result<(), WorkflowError> {
        let handler: UpdateHandler<W> = handler(input);
        let verdict = guard::poll(|| handler.check(self.state())).unwrap_or_else(|trespass| Err(Error::new(trespass)));
        verdict.map_err(failed)
    }
}

fn update(name: &str, has_validator: bool) -> UpdateDefinitionDescriptor {
    UpdateDefinitionDescriptor { name: name.to_owned(), has_validator }
}

fn received(payloads: Vec<Payload>, converter: &PayloadConverter) -> Received {
    let context = SerializationContextData::Workflow(WorkflowSerializationContext::new());
    Received(Undecoded::new(payloads, converter.clone(), context))
}

/// A handler on its way through the official worker, which knows it as anything.
fn decoded<H: 'static>(
    found: Option<Result<H, PayloadConversionError>>,
) -> Result<Option<Box<dyn Any>>, WorkflowError> {
    match found {
        Some(Ok(handler)) => Ok(Some(Box::new(handler))),
        Some(Err(error)) => Err(WorkflowError::PayloadConversion(error)),
        None => Ok(None),
    }
}

/// The handler again.
fn handler<H: 'static>(input: Box<dyn Any>) -> H {
    *input.downcast().expect("the worker returns what it was given for this name")
}

fn failed(error: Error) -> WorkflowError {
    WorkflowError::Execution(error.into_handler_error())
}

/// The part of a handler that runs at once, under the same watch as the rest.
fn begin<R>(operations: &Rc<dyn Operations>, code: impl FnOnce() -> R) -> Option<R> {
    let _current = Current::new(operations.clone()).enter();
    let run = Arc::new(operations.run());
    match guard::poll(|| watchdog::noted(&run, code)) {
        Ok(begun) => Some(begun),
        Err(trespass) => {
            operations.fail_task(trespass);
            None
        }
    }
}

/// Workflow code, polled with its run at hand and the world out of reach.
struct Driven<T> {
    operations: Rc<dyn Operations>,
    run: Arc<Run>,
    /// Whether the log says already that something outside woke it.
    named: Arc<AtomicBool>,
    code: LocalBoxFuture<'static, T>,
}

impl<T> Driven<T> {
    fn new(operations: Rc<dyn Operations>, code: LocalBoxFuture<'static, T>) -> Self {
        Driven { run: Arc::new(operations.run()), named: Arc::default(), operations, code }
    }
}

impl<T> Future for Driven<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let _current = Current::new(self.operations.clone()).enter();
        let this = &mut *self;
        let waker = outside::watched(cx.waker(), &this.run, &this.named);
        let cx = &mut Context::from_waker(&waker);
        guard::poll(|| watchdog::noted(&this.run, || this.code.as_mut().poll(cx))).unwrap_or_else(|trespass| {
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
