//! The bridge from our definitions to the official worker.

use super::Definition;
use super::context::Attempt;
use super::pool::Pool;
use crate::error::Error;
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

/// What a worker runs its activities with.
#[derive(Clone)]
pub(crate) struct Means {
    pub(crate) pool: Arc<Pool>,
    /// What a result goes through before the wire, if it is ours.
    pub(crate) pipeline: Option<Pipeline>,
}

/// What runs the calls of one activity on one worker.
pub(crate) struct Host<A: Definition> {
    run: Run<A>,
    blocking: bool,
    means: Means,
}

/// What a call of the activity does: its function, or what a test put in its place.
pub(crate) type Run<A> =
    Arc<dyn Fn(<A as Definition>::Args) -> BoxFuture<'static, Result<<A as Definition>::Output, Error>> + Send + Sync>;

impl<A: Definition> Host<A> {
    pub(crate) fn register(options: &mut WorkerOptions, state: Arc<A::State>, means: Means) {
        let run: Run<A> = Arc::new(move |args| A::run(state.clone(), args));
        options.register_activity::<Hosted<A>>(Arc::new(Host { run, blocking: A::BLOCKING, means }));
    }

    /// With something async in the place of the activity's function.
    pub(crate) fn register_with(options: &mut WorkerOptions, run: Run<A>, means: Means) {
        options.register_activity::<Hosted<A>>(Arc::new(Host { run, blocking: false, means }));
    }

    async fn attempt(self: Arc<Self>, context: ActivityContext, input: Undecoded) -> Result<RawValue, Error> {
        let attempt = Arc::new(Attempt::new(context, input.converter().clone(), self.means.pool.clone()));
        let outcome = match self.result(&attempt, input).await {
            Ok(result) => {
                attempt.succeed();
                Ok(result)
            }
            Err(error) => Err(attempt.fail(error)),
        };
        attempt.flushed().await;
        outcome
    }

    /// What the activity returned, as it goes onto the wire.
    async fn result(&self, attempt: &Arc<Attempt>, input: Undecoded) -> Result<RawValue, Error> {
        let Means { pool, pipeline } = &self.means;
        let wire = SerializationContextData::Activity(ActivitySerializationContext::new());
        let converter = input.converter().clone();
        let args = input.arguments::<A::Args>()?;
        let output = pool.run(attempt.clone(), (self.run)(args), self.blocking).await?;
        let result = value::encode(&output, &converter, &wire).map_err(payload::unsendable)?;
        match pipeline {
            // Here and not on the way out, where every failure counts as one that a retry may cure.
            Some(pipeline) => {
                let finished = pipeline.finish(&wire, result.payloads).await;
                finished.map(RawValue::new).map_err(payload::unsendable)
            }
            None => Ok(result),
        }
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
        host.attempt(context, input).map(|outcome| outcome.map_err(Error::into_activity_error)).boxed()
    }
}
