//! The bridge from our definitions to the official worker.

use super::Definition;
use super::context::{self, Attempt};
use crate::error::Result;
use crate::payload::{self, Pipeline};
use crate::value::{self, Undecoded};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use std::marker::PhantomData;
use std::sync::Arc;
use temporalio_common::data_converters::{ActivitySerializationContext, RawValue, SerializationContextData};
use temporalio_common::{ActivityDefinition, ActivityError};
use temporalio_sdk::WorkerOptions;
use temporalio_sdk::activities::{ActivityContext, ActivityDefinitions, ActivityImplementer, ExecutableActivity};

/// An activity of ours as the official worker knows it.
pub(crate) struct Hosted<A>(PhantomData<fn() -> A>);

/// What runs the calls of one activity on one worker.
pub(crate) struct Host<A: Definition> {
    run: Run<A>,
    /// What a result goes through before the wire, if it is ours.
    pipeline: Option<Pipeline>,
}

/// What a call of the activity does: its function, or what a test put in its place.
pub(crate) type Run<A> =
    Arc<dyn Fn(<A as Definition>::Args) -> BoxFuture<'static, Result<<A as Definition>::Output>> + Send + Sync>;

impl<A: Definition> Host<A> {
    pub(crate) fn register(options: &mut WorkerOptions, state: Arc<A::State>, pipeline: Option<Pipeline>) {
        Host::<A>::register_with(options, Arc::new(move |args| A::run(state.clone(), args)), pipeline);
    }

    pub(crate) fn register_with(options: &mut WorkerOptions, run: Run<A>, pipeline: Option<Pipeline>) {
        options.register_activity::<Hosted<A>>(Arc::new(Host { run, pipeline }));
    }

    async fn attempt(self: Arc<Self>, context: ActivityContext, input: Undecoded) -> Result<RawValue, ActivityError> {
        let wire = SerializationContextData::Activity(ActivitySerializationContext::new());
        let converter = input.converter().clone();
        let args = input.arguments::<A::Args>().map_err(|error| crate::Error::from(error).into_activity_error())?;
        let work = (self.run)(args);
        let outcome = context::within(Arc::new(Attempt { context }), work).await;
        let output = outcome.map_err(|error| error.into_activity_error())?;
        let result = value::encode(&output, &converter, &wire).map_err(payload::unsendable);
        let result = match (result, &self.pipeline) {
            // Here and not on the way out, where every failure counts as one that a retry may cure.
            (Ok(result), Some(pipeline)) => {
                pipeline.finish(&wire, result.payloads).await.map(RawValue::new).map_err(payload::unsendable)
            }
            (result, _) => result,
        };
        result.map_err(|error| error.into_activity_error())
    }
}

impl<A: Definition> ActivityDefinition for Hosted<A> {
    type Input = Undecoded;
    type Output = RawValue;

    fn name(&self) -> &str {
        A::NAME
    }
}

impl<A: Definition> ActivityImplementer for Host<A> {
    fn register_all(self: Arc<Self>, definitions: &mut ActivityDefinitions) {
        definitions.register_activity::<Hosted<A>>(self);
    }
}

impl<A: Definition> ExecutableActivity for Hosted<A> {
    type Implementer = Host<A>;
    const REQUIRES_INSTANCE: bool = true;

    fn definition() -> Self {
        Hosted(PhantomData)
    }

    fn execute(
        receiver: Option<Arc<Host<A>>>,
        context: ActivityContext,
        input: Undecoded,
    ) -> BoxFuture<'static, Result<RawValue, ActivityError>> {
        let host = receiver.expect("an activity is registered with its host");
        host.attempt(context, input).boxed()
    }
}
