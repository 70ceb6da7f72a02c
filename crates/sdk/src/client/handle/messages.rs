//! Talking to a run: signals, queries, updates.

use super::{ClientError, WorkflowHandle};
use crate::value::{self, Value};
use crate::workflow;
use temporalio_client::{
    UntypedQuery, UntypedSignal, UntypedUpdate, WorkflowExecuteUpdateOptions, WorkflowQueryOptions,
    WorkflowSignalOptions,
};
use temporalio_common::data_converters::{PayloadConverter, SerializationContextData, WorkflowSerializationContext};

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
        let answer = answer.map_err(|error| ClientError::update(error, data_converter))?;
        Ok(value::decode(answer, self.converter(), &context())?)
    }

    fn converter(&self) -> &PayloadConverter {
        self.client.inner().options().data_converter.payload_converter()
    }
}

fn context() -> SerializationContextData {
    SerializationContextData::Workflow(WorkflowSerializationContext::new())
}
