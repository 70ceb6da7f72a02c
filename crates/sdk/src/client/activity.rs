//! Activities that end outside their function: the other side of [`activity::completes_later`](crate::activity::completes_later).

use super::{Client, ClientError, Untyped};
use crate::activity::{ActivityFn, Definition};
use crate::error::Error;
use crate::value::{self, Value};
use std::fmt;
use std::marker::PhantomData;
use temporalio_client::{ActivityIdentifier, AsyncActivityHandle, RpcOptions};
use temporalio_common::ActivityError;
use temporalio_common::data_converters::{ActivitySerializationContext, RawValue, SerializationContextData};

/// What the server answers to a heartbeat: whether the activity should stop.
pub use temporalio_client::ActivityHeartbeatResponse as HeartbeatResponse;

/// Which activity: one attempt by its token, or whatever attempt is under way by names.
///
/// A token (`Vec<u8>`) and a pair of workflow id and activity id convert into it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ActivityRef {
    /// The attempt that [`Info::task_token`](crate::activity::Info::task_token) names. Nobody is there any more once
    /// the attempt is over, for whatever reason.
    Attempt(Vec<u8>),
    /// The activity with this id, in whichever attempt.
    Named {
        /// The workflow id.
        workflow_id: String,
        /// The run. Without one, the current run.
        run_id: Option<String>,
        /// The activity's id: [`Info::activity_id`](crate::activity::Info::activity_id), or what
        /// [`Options::id`](crate::activity::Options::id) said.
        activity_id: String,
    },
}

impl From<Vec<u8>> for ActivityRef {
    fn from(task_token: Vec<u8>) -> Self {
        ActivityRef::Attempt(task_token)
    }
}

impl<W: Into<String>, A: Into<String>> From<(W, A)> for ActivityRef {
    fn from((workflow_id, activity_id): (W, A)) -> Self {
        ActivityRef::Named { workflow_id: workflow_id.into(), run_id: None, activity_id: activity_id.into() }
    }
}

impl From<ActivityRef> for ActivityIdentifier {
    fn from(which: ActivityRef) -> Self {
        match which {
            ActivityRef::Attempt(token) => ActivityIdentifier::from_task_token(token.into()),
            ActivityRef::Named { workflow_id, run_id, activity_id } => {
                ActivityIdentifier::by_id_workflow(workflow_id, run_id.unwrap_or_default(), activity_id)
            }
        }
    }
}

/// An activity that has returned [`completes_later`](crate::activity::completes_later): say how it went.
///
/// Its timeouts go on meanwhile, so give it a `start_to_close_timeout` of as long as the answer may take. A failure
/// is retried by its policy: the function runs again, and its new attempt has another token.
pub struct ActivityHandle<A> {
    client: Client,
    inner: AsyncActivityHandle<temporalio_client::Client>,
    activity: PhantomData<fn() -> A>,
}

impl Client {
    /// An activity that waits for its result from outside: `client.activity(ask, task_token)`, or
    /// `client.activity(ask, ("order-7", "approval"))` with a workflow id and an activity id.
    ///
    /// ```no_run
    /// use tradewind::prelude::*;
    ///
    /// #[activity(start_to_close_timeout = "7d")]
    /// async fn ask(question: String) -> Result<bool> {
    ///     let task_token = activity::info().map(|info| info.task_token);
    ///     println!("{question} Answer to {task_token:?}");                  // where somebody finds it
    ///     Err(activity::completes_later())
    /// }
    ///
    /// // Days later, in another program:
    /// # async fn answer(client: Client, task_token: Vec<u8>) -> Result<()> {
    /// client.activity(ask, task_token).complete(true).await?;
    /// # Ok(()) }
    /// ```
    pub fn activity<M, F: ActivityFn<M>>(
        &self,
        activity: F,
        which: impl Into<ActivityRef>,
    ) -> ActivityHandle<F::Definition> {
        let _ = activity;
        ActivityHandle::new(self, which.into())
    }

    /// An activity whose definition is not at hand, that waits for its result from outside.
    pub fn untyped_activity(&self, which: impl Into<ActivityRef>) -> ActivityHandle<Untyped> {
        ActivityHandle::new(self, which.into())
    }
}

impl<A> ActivityHandle<A> {
    fn new(client: &Client, which: ActivityRef) -> Self {
        let inner = client.inner().get_async_activity_handle(which.into());
        ActivityHandle { client: client.clone(), inner, activity: PhantomData }
    }

    /// It has failed, as if its function had returned this error: it is retried, unless the error or the policy say no.
    pub async fn fail(&self, error: impl Into<Error>) -> Result<(), ClientError> {
        match error.into().into_activity_error() {
            ActivityError::Application(failure) => {
                Ok(self.inner.fail(*failure, None::<RawValue>, RpcOptions::default()).await?)
            }
            ActivityError::Cancelled { .. } => self.report_cancelled().await,
            _ => Err(ClientError::Invalid("an activity that completes later has not failed".to_owned())),
        }
    }

    /// It lives, and has come this far: the next attempt finds that in
    /// [`heartbeat_details`](crate::activity::heartbeat_details). The answer says whether it should stop.
    pub async fn heartbeat<T: Value>(&self, details: &T) -> Result<HeartbeatResponse, ClientError> {
        let details = self.encode(details)?;
        Ok(self.inner.heartbeat(Some(details), RpcOptions::default()).await?)
    }

    /// It was asked to stop, and has stopped. Refused if nobody asked.
    pub async fn report_cancelled(&self) -> Result<(), ClientError> {
        Ok(self.inner.report_cancelation(None::<RawValue>, RpcOptions::default()).await?)
    }

    async fn complete_with<T: Value>(&self, output: &T) -> Result<(), ClientError> {
        let output = self.encode(output)?;
        Ok(self.inner.complete(Some(output), RpcOptions::default()).await?)
    }

    fn encode<T: Value>(&self, value: &T) -> Result<RawValue, ClientError> {
        let context = SerializationContextData::Activity(ActivitySerializationContext::new());
        Ok(value::encode(value, self.client.converter().payload_converter(), &context)?)
    }
}

impl<A: Definition> ActivityHandle<A> {
    /// It is done, and this is its result.
    pub async fn complete(&self, output: A::Output) -> Result<(), ClientError> {
        self.complete_with(&output).await
    }
}

impl ActivityHandle<Untyped> {
    /// It is done, and this is its result.
    pub async fn complete<T: Value>(&self, output: T) -> Result<(), ClientError> {
        self.complete_with(&output).await
    }
}

impl<A> fmt::Debug for ActivityHandle<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ActivityHandle").field("which", self.inner.identifier()).finish_non_exhaustive()
    }
}
