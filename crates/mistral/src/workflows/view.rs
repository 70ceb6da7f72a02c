//! Workflows and registrations in the shapes of the clients.

use crate::Platform;
use crate::catalogue::{Definition, Handler, Registration, Workflow};
use crate::schema::Schema;
use serde::Serialize;
use serde_json::value::RawValue;
use uuid::Uuid;

#[derive(Serialize)]
pub struct WorkflowView {
    id: Uuid,
    name: String,
    display_name: String,
    #[serde(rename = "type")]
    kind: &'static str,
    customer_id: Uuid,
    workspace_id: Uuid,
    description: Option<String>,
    /// Nothing is shared between workspaces: there is one.
    shared_namespace: Option<String>,
    available_in_chat_assistant: bool,
    is_technical: bool,
    archived: bool,
    tags: Vec<String>,
}

pub fn workflow(platform: &Platform, workflow: &Workflow) -> WorkflowView {
    WorkflowView {
        id: workflow.id,
        name: workflow.name.clone(),
        display_name: workflow.display_name.clone(),
        kind: "code",
        customer_id: platform.workspace_id(),
        workspace_id: platform.workspace_id(),
        description: workflow.description.clone(),
        shared_namespace: None,
        available_in_chat_assistant: workflow.available_in_chat_assistant,
        is_technical: workflow.is_technical,
        archived: workflow.archived,
        tags: workflow.tags.clone(),
    }
}

/// With whether it can be started now.
#[derive(Serialize)]
pub struct WithStatus<T> {
    #[serde(flatten)]
    pub what: T,
    pub active: bool,
}

#[derive(Serialize)]
pub struct RegistrationView<'a> {
    id: Uuid,
    workflow_id: Uuid,
    definition: DefinitionView<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    workflow: Option<WorkflowView>,
    deployment_name: &'a str,
    deployment_id: Option<Uuid>,
    task_queue: &'a str,
    /// What makes a workflow fit for it is known to the vendor's assistant alone.
    compatible_with_chat_assistant: bool,
}

#[derive(Serialize)]
struct DefinitionView<'a> {
    input_schema: &'a Schema,
    output_schema: Option<&'a Schema>,
    signals: &'a [Handler],
    queries: &'a [Handler],
    updates: &'a [Handler],
    enforce_determinism: bool,
    on_behalf_of: bool,
    /// Seconds; workers write the same as a duration in ISO 8601.
    execution_timeout: f64,
    plugin_metadata: Option<&'a RawValue>,
}

pub fn registration<'a>(
    platform: &Platform,
    registration: &'a Registration,
    deployment_id: Option<Uuid>,
    of: Option<&Workflow>,
) -> RegistrationView<'a> {
    RegistrationView {
        id: registration.id,
        workflow_id: registration.workflow_id,
        definition: definition(&registration.definition),
        workflow: of.map(|of| workflow(platform, of)),
        deployment_name: &registration.deployment,
        deployment_id,
        task_queue: &registration.definition.task_queue,
        compatible_with_chat_assistant: false,
    }
}

fn definition(definition: &Definition) -> DefinitionView<'_> {
    DefinitionView {
        input_schema: &definition.input_schema,
        output_schema: definition.output_schema.as_ref(),
        signals: &definition.signals,
        queries: &definition.queries,
        updates: &definition.updates,
        enforce_determinism: definition.enforce_determinism,
        on_behalf_of: definition.on_behalf_of,
        execution_timeout: definition.execution_timeout.as_secs_f64(),
        plugin_metadata: definition.plugin_metadata.as_deref(),
    }
}
