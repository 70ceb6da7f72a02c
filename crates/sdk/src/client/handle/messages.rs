//! Talking to a run: signals, queries, updates.

use super::{Client, ClientError, WorkflowHandle};
use crate::value::{self, Value};
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
        let args = args.payloads(self.converter(), &context())?;
        Ok(self.inner.signal(UntypedSignal::new(name), args, WorkflowSignalOptions::default()).await?)
    }

    /// Asks a query: `handle.query(Order::status()).await?`.
    pub async fn query<T: Value>(&self, query: workflow::Query<W, T>) -> Result<T, ClientError> {
        let (name, args) = query.into_parts();
        let args = args.payloads(self.converter(), &context())?;
        let answer = self.inner.query(UntypedQuery::new(name), args, WorkflowQueryOptions::default()).await?;
        Ok(value::decode(answer, self.converter(), &context())?)
    }

    /// Sends an update and waits for its answer: `handle.update(Order::add(item)).await?`.
    pub async fn update<T: Value>(&self, update: workflow::Update<W, T>) -> Result<T, ClientError> {
        let (name, args) = update.into_parts();
        let args = args.payloads(self.converter(), &context())?;
        let options = WorkflowExecuteUpdateOptions::default();
        let answer = self.inner.execute_update(UntypedUpdate::new(name), args, options).await;
        let data_converter = &self.client.inner().options().data_converter;
        match answer {
            Ok(answer) => Ok(value::decode(answer, self.converter(), &context())?),
            Err(error) => Err(ClientError::update(error, data_converter).await),
        }
    }

    /// Sends an update, and waits until it is accepted: from then on it is as sure to be answered as the run is to go
    /// on, and [`UpdateHandle::result`] waits for the answer.
    pub async fn start_update<T: Value>(&self, update: workflow::Update<W, T>) -> Result<UpdateHandle<T>, ClientError> {
        let (name, args) = update.into_parts();
        let args = args.payloads(self.converter(), &context())?;
        let options = WorkflowStartUpdateOptions::default();
        match self.inner.start_update(UntypedUpdate::new(name), args, options).await {
            Ok(inner) => Ok(UpdateHandle { client: self.client.clone(), inner, answer: PhantomData }),
            Err(error) => Err(ClientError::update(error, &self.client.inner().options().data_converter).await),
        }
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
