//! Starts that bring a message, in one request: to the execution that is there, or else to a new one.

use super::{Client, ClientError, IdConflict, Start, WorkflowHandle};
use crate::value::{self, Value};
use crate::workflow::{self, Signal, Update};
use std::pin::Pin;
use temporalio_client::errors::WorkflowUpdateWithStartError;
use temporalio_client::{UntypedSignal, UntypedUpdate, WorkflowStartOptions, WorkflowUpdateWithStartOptions};
use temporalio_common::UntypedWorkflow;
use temporalio_common::data_converters::{RawValue, SerializationContextData, WorkflowSerializationContext};

/// A start that is ready for the wire.
pub(super) struct Described {
    pub(super) client: Client,
    pub(super) args: RawValue,
    pub(super) options: WorkflowStartOptions,
}

/// A signal to the execution that has the id, or else to a new one. Await it to send.
#[must_use = "nothing is sent until this is awaited"]
pub struct SignalWithStart<W> {
    start: Start<W>,
    signal: Signal<W>,
}

/// An update of the execution that has the id, or else of a new one. Await it to send; it gives the update's answer.
#[must_use = "nothing is sent until this is awaited"]
pub struct UpdateWithStart<W, T> {
    start: Start<W>,
    update: Update<W, T>,
}

impl<W: workflow::Definition> Start<W> {
    /// Brings a signal: to the execution that has the id, or else to a new one, before its first line runs.
    ///
    /// ```no_run
    /// # use tradewind::prelude::*;
    /// # struct Order(u32);
    /// # #[workflow]
    /// # impl Order {
    /// #     #[init] fn new(id: String) -> Self { Order(0) }
    /// #     #[entrypoint] async fn run(this: This<Self>, id: String) -> Result<()> { Ok(()) }
    /// #     #[signal] fn approve(&mut self, by: String) {}
    /// #     #[update] fn add(&mut self, price: u32) -> u32 { self.0 += price; self.0 }
    /// # }
    /// # async fn send(client: Client) -> Result<(), ClientError> {
    /// client.start(Order::run("42".into())).id("order-42").and_signal(Order::approve("ann".into())).await?;
    /// # Ok(()) }
    /// ```
    pub fn and_signal(self, signal: Signal<W>) -> SignalWithStart<W> {
        SignalWithStart { start: self, signal }
    }

    /// Brings an update: to the execution that has the id, or else to a new one. Waits for the answer.
    ///
    /// ```no_run
    /// # use tradewind::prelude::*;
    /// # struct Order(u32);
    /// # #[workflow]
    /// # impl Order {
    /// #     #[init] fn new(id: String) -> Self { Order(0) }
    /// #     #[entrypoint] async fn run(this: This<Self>, id: String) -> Result<()> { Ok(()) }
    /// #     #[signal] fn approve(&mut self, by: String) {}
    /// #     #[update] fn add(&mut self, price: u32) -> u32 { self.0 += price; self.0 }
    /// # }
    /// # async fn send(client: Client) -> Result<(), ClientError> {
    /// let total = client.start(Order::run("42".into())).id("order-42").and_update(Order::add(7)).await?;
    /// # Ok(()) }
    /// ```
    pub fn and_update<T: Value>(self, update: Update<W, T>) -> UpdateWithStart<W, T> {
        UpdateWithStart { start: self, update }
    }
}

impl<W: workflow::Definition> SignalWithStart<W> {
    async fn send(self) -> Result<WorkflowHandle<W>, ClientError> {
        let Described { client, args, options } = self.start.describe_at_once("signal")?;
        let (signal, signal_args) = self.signal.into_parts();
        let signal_args = signal_args.payloads(client.converter().payload_converter(), &context())?;
        let id = options.workflow_id.clone();
        let workflow = UntypedWorkflow::new(W::NAME);
        let sent = client.inner().signal_with_start_workflow(
            workflow,
            args,
            UntypedSignal::<UntypedWorkflow>::new(signal),
            signal_args,
            options,
        );
        let handle = sent.await.map_err(|error| ClientError::start(error, &id))?;
        Ok(WorkflowHandle::new(client, handle))
    }
}

impl<W: workflow::Definition, T: Value> UpdateWithStart<W, T> {
    async fn send(self) -> Result<T, ClientError> {
        let Described { client, args, options } = self.start.describe_at_once("update")?;
        if options.cron_schedule.is_some() {
            return Err(ClientError::Invalid("a start that brings an update has no cron schedule".to_owned()));
        }
        let (update, update_args) = self.update.into_parts();
        let update_args = update_args.payloads(client.converter().payload_converter(), &context())?;
        let id = options.workflow_id.clone();
        let workflow = UntypedWorkflow::new(W::NAME);
        let update = UntypedUpdate::<UntypedWorkflow>::new(update);
        let sent =
            client.inner().execute_update_with_start_workflow(workflow, args, update, update_args, with(options));
        match sent.await {
            Ok(answer) => Ok(value::decode(answer, client.converter().payload_converter(), &context())?),
            Err(WorkflowUpdateWithStartError::Start(error)) => Err(ClientError::start(error, &id)),
            Err(WorkflowUpdateWithStartError::Update(error)) => {
                Err(ClientError::update(error, client.converter()).await)
            }
            Err(WorkflowUpdateWithStartError::PayloadConversion(error)) => Err(error.into()),
            Err(WorkflowUpdateWithStartError::Rpc(status)) => Err(status.into()),
            Err(other) => Err(ClientError::Server(Box::new(other))),
        }
    }
}

/// The same options, of the kind that an update takes. An execution that runs is used, unless something else is said.
fn with(options: WorkflowStartOptions) -> WorkflowUpdateWithStartOptions {
    let conflict = match options.id_conflict_policy {
        IdConflict::Unspecified => IdConflict::UseExisting,
        said => said,
    };
    WorkflowUpdateWithStartOptions::new(options.task_queue, options.workflow_id, conflict)
        .id_reuse_policy(options.id_reuse_policy)
        .maybe_execution_timeout(options.execution_timeout)
        .maybe_run_timeout(options.run_timeout)
        .maybe_task_timeout(options.task_timeout)
        .maybe_search_attributes(options.search_attributes)
        .maybe_retry_policy(options.retry_policy)
        .priority(options.priority)
        .maybe_memo(options.memo)
        .maybe_static_summary(options.static_summary)
        .build()
}

fn context() -> SerializationContextData {
    SerializationContextData::Workflow(WorkflowSerializationContext::new())
}

impl<W: workflow::Definition> IntoFuture for SignalWithStart<W> {
    type Output = Result<WorkflowHandle<W>, ClientError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.send())
    }
}

impl<W: workflow::Definition, T: Value> IntoFuture for UpdateWithStart<W, T> {
    type Output = Result<T, ClientError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.send())
    }
}
