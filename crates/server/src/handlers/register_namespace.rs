//! RegisterNamespace.

use crate::namespaces::NewNamespace;
use crate::{Error, Service, validate};
use api::workflowservice::v1::{RegisterNamespaceRequest as Request, RegisterNamespaceResponse as Response};
use std::time::Duration;
use tradewind_core::limits::Limits;

/// The reference keeps its own workers there; here it only must not be taken by a user.
const SYSTEM_NAMESPACE: &str = "temporal-system";

pub async fn handle(service: &Service, request: Request) -> Result<Response, Error> {
    let new = parse(request, &service.limits)?;
    let namespace = service.namespaces.register(service.entropy.uuid(), new).await?;
    tracing::info!(namespace = namespace.name, id = %namespace.id, "namespace registered");
    Ok(Response::default())
}

fn parse(request: Request, limits: &Limits) -> Result<NewNamespace, Error> {
    if request.namespace.is_empty() {
        return Err(Error::invalid("Namespace not set on request."));
    }
    if request.namespace.len() > limits.id_length_max {
        return Err(Error::invalid(format!(
            "Namespace length exceeds limit. ({}/{})",
            request.namespace.len(),
            limits.id_length_max
        )));
    }
    if request.is_global_namespace {
        return Err(Error::invalid("Cannot register global namespace when not enabled"));
    }
    let retention = retention(request.workflow_execution_retention_period.as_ref(), limits)?;
    if request.namespace == SYSTEM_NAMESPACE {
        return Err(Error::NamespaceAlreadyExists { namespace: request.namespace });
    }
    Ok(NewNamespace {
        name: request.namespace,
        description: request.description,
        owner_email: request.owner_email,
        data: request.data,
        retention,
    })
}

/// How long closed runs are to be kept. Too short a time is refused, so that nobody loses a run before
/// having looked at it.
pub(super) fn retention(wire: Option<&prost_types::Duration>, limits: &Limits) -> Result<Duration, Error> {
    let refused = || Error::invalid("A valid retention period is not set on request.");
    let retention = validate::duration("retention", wire).map_err(|_| refused())?;
    if retention < limits.namespace_retention_min { Err(refused()) } else { Ok(retention) }
}
