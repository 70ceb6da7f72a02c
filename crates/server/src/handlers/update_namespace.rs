//! UpdateNamespace: what is set on the request changes, the rest stays. Data maps are merged.

use super::describe_namespace::{config, info, replication_config};
use super::register_namespace::retention;
use crate::namespaces::Namespace;
use crate::{Error, Service};
use api::enums::v1::NamespaceState;
use api::workflowservice::v1::{UpdateNamespaceRequest as Request, UpdateNamespaceResponse as Response};
use tradewind_core::limits::Limits;

pub async fn handle(service: &Service, request: Request) -> Result<Response, Error> {
    if request.namespace.is_empty() {
        return Err(Error::invalid("Namespace not set on request."));
    }
    let namespace =
        service.namespaces.named(&request.namespace).ok_or_else(|| Error::namespace_not_found(&request.namespace))?;
    let changed = service.namespaces.change(namespace.key, |namespace| {
        apply(namespace, request, &service.limits)?;
        Ok::<_, Error>(namespace.clone())
    });
    let changed = changed.await?;
    Ok(Response {
        namespace_info: Some(info(service, &changed)),
        config: Some(config(&changed)),
        replication_config: Some(replication_config()),
        ..Response::default()
    })
}

fn apply(namespace: &mut Namespace, request: Request, limits: &Limits) -> Result<(), Error> {
    if request.promote_namespace {
        return Err(Error::invalid(format!(
            "global namespace is not enabled on this cluster, cannot update global namespace or promote local \
             namespace: {}",
            namespace.name
        )));
    }
    if !request.delete_bad_binary.is_empty() {
        return Err(Error::invalid(format!("Bad binary checksum {} doesn't exists.", request.delete_bad_binary)));
    }
    if let Some(info) = request.update_info {
        if !info.description.is_empty() {
            namespace.description = info.description.clone();
        }
        if !info.owner_email.is_empty() {
            namespace.owner_email = info.owner_email.clone();
        }
        change_state(namespace, info.state())?;
        namespace.data.extend(info.data);
    }
    if let Some(config) = request.config {
        if config.workflow_execution_retention_ttl.is_some() {
            namespace.retention = retention(config.workflow_execution_retention_ttl.as_ref(), limits)?;
        }
        if config.bad_binaries.is_some_and(|bad| !bad.binaries.is_empty()) {
            return Err(Error::Unimplemented("bad binaries are not supported".into()));
        }
    }
    Ok(())
}

/// A namespace only ever goes down: registered, deprecated, deleted.
fn change_state(namespace: &mut Namespace, to: NamespaceState) -> Result<(), Error> {
    use NamespaceState::{Deleted, Deprecated, Registered, Unspecified};
    match (namespace.state, to) {
        (_, Unspecified) => {}
        (from, to) if from == to => {}
        (Registered, Deprecated | Deleted) | (Deprecated, Deleted) => namespace.state = to,
        _ => return Err(Error::invalid("Invalid namespace state update.")),
    }
    Ok(())
}
