//! Talking to a run: signals, queries, updates.

use super::{Client, ClientError, Untyped, WorkflowHandle};
use crate::value::{self, Arguments, Encode, Value};
use crate::workflow;
use std::marker::PhantomData;
use temporalio_client::{
    RpcOptions, UntypedQuery, UntypedSignal, UntypedUpdate, WorkflowExecuteUpdateOptions, WorkflowQueryOptions,
    WorkflowSignalOptions, WorkflowStartUpdateOptions, WorkflowUpdateHandle,
};
use temporalio_common::data_converters::{
    PayloadConverter, RawValue, SerializationContextData, WorkflowSerializationContext,
};

impl<W: workflow::Definition> WorkflowHandle<W> {
    /// Sends a signal: `handle.signal(Order::approve("ann".into())).await?`.
    pub async fn signal(&self, signal: workflow::Signal<W>) -> Result<(), ClientError> {
        let (name, args) = signal.into_parts();
        self.send_signal(name, self.encode(&*args)?).await
    }

    /// Asks a query: `handle.query(Order::status()).await?`.
    pub async fn query<T: Value>(&self, query: workflow::Query<W, T>) -> Result<T, ClientError> {
        let (name, args) = query.into_parts();
        self.send_query(name, self.encode(&*args)?).await
    }

    /// Sends an update and waits for its answer: `handle.update(Order::add(item)).await?`.
    pub async fn update<T: Value>(&self, update: workflow::Update<W, T>) -> Result<T, ClientError> {
        let (name, args) = update.into_parts();
        self.send_update(name, self.encode(&*args)?).await
    }

    /// Sends an update, and waits until it is accepted: from then on it is as sure to be answered as the run is to go
    /// on, and [`UpdateHandle::result`] waits for the answer.
    pub async fn start_update<T: Value>(&self, update: workflow::Update<W, T>) -> Result<UpdateHandle<T>, ClientError> {
        let (name, args) = update.into_parts();
        self.begin_update(name, self.encode(&*args)?).await
    }
}

/// By name, for programs that learn only as they run what they talk to. Where the workflow is known, even if it is written
/// in another language, [declare it](macro@crate::workflow) and the compiler checks what is sent.
impl WorkflowHandle<Untyped> {
    /// Sends a signal. The arguments are a tuple: `handle.signal("approve", ("ann".to_owned(),)).await?`.
    pub async fn signal(&self, name: &str, args: impl Arguments) -> Result<(), ClientError> {
        self.send_signal(name, self.encode(&args)?).await
    }

    /// Asks a query, and reads the answer as this type: `handle.query::<u32>("total", ()).await?`.
    pub async fn query<T: Value>(&self, name: &str, args: impl Arguments) -> Result<T, ClientError> {
        self.send_query(name, self.encode(&args)?).await
    }

    /// Sends an update, waits for its answer, and reads it as this type.
    pub async fn update<T: Value>(&self, name: &str, args: impl Arguments) -> Result<T, ClientError> {
        self.send_update(name, self.encode(&args)?).await
    }

    /// Sends an update, and waits until it is accepted.
    pub async fn start_update<T: Value>(
        &self,
        name: &str,
        args: impl Arguments,
    ) -> Result<UpdateHandle<T>, ClientError> {
        self.begin_update(name, self.encode(&args)?).await
    }
}

impl<W> WorkflowHandle<W> {
    async fn send_signal(&self, name: &str, args: RawValue) -> Result<(), ClientError> {
        Ok(self.inner.signal(UntypedSignal::new(name), args, WorkflowSignalOptions::default()).await?)
    }

    async fn send_query<T: Value>(&self, name: &str, args: RawValue) -> Result<T, ClientError> {
        let answer = self.inner.query(UntypedQuery::new(name), args, WorkflowQueryOptions::default()).await?;
        Ok(value::decode(answer, self.converter(), &context())?)
    }

    async fn send_update<T: Value>(&self, name: &str, args: RawValue) -> Result<T, ClientError> {
        let options = WorkflowExecuteUpdateOptions::default();
        let answer = self.inner.execute_update(UntypedUpdate::new(name), args, options).await;
        let data_converter = &self.client.inner().options().data_converter;
        match answer {
            Ok(answer) => Ok(value::decode(answer, self.converter(), &context())?),
            Err(error) => Err(ClientError::update(error, data_converter).await),
        }
    }

    async fn begin_update<T: Value>(&self, name: &str, args: RawValue) -> Result<UpdateHandle<T>, ClientError> {
        let options = WorkflowStartUpdateOptions::default();
        match self.inner.start_update(UntypedUpdate::new(name), args, options).await {
            Ok(inner) => Ok(UpdateHandle { client: self.client.clone(), inner, answer: PhantomData }),
            Err(error) => Err(ClientError::update(error, &self.client.inner().options().data_converter).await),
        }
    }

    fn encode(&self, args: &dyn Encode) -> Result<RawValue, ClientError> {
        Ok(args.payloads(self.converter(), &context())?)
    }

    fn converter(&self) -> &PayloadConverter {
        self.client.inner().options().data_converter.payload_converter()
    }
}

/// An update that was accepted.
pub struct UpdateHandle<T> {
    client: Client,
    inner: WorkflowUpdateHandle<temporalio_client::Client, RawValue>,
    answer: PhantomData<fn() -> T>,
}

impl<T: Value> UpdateHandle<T> {
    /// Its id.
    pub fn id(&self) -> &str {
        self.inner.id()
    }

    /// Waits for the answer.
    pub async fn result(&self) -> Result<T, ClientError> {
        let converter = &self.client.inner().options().data_converter;
        match self.inner.get_result(RpcOptions::default()).await {
            Ok(answer) => Ok(value::decode(answer, converter.payload_converter(), &context())?),
            Err(error) => Err(ClientError::update(error, converter).await),
        }
    }
}

fn context() -> SerializationContextData {
    SerializationContextData::Workflow(WorkflowSerializationContext::new())
}
