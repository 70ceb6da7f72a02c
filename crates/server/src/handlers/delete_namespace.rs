//! Operator DeleteNamespace: the name is free at once, the runs go in the background.
//!
//! The namespace is renamed and marked deleted in one durable write. Sweeping its runs, and then forgetting
//! its record, is the engine's retention work.

use super::describe_namespace::find;
use crate::{Error, Service};
use api::enums::v1::NamespaceState;
use api::operatorservice::v1::{DeleteNamespaceRequest as Request, DeleteNamespaceResponse as Response};

pub async fn handle(service: &Service, request: Request) -> Result<Response, Error> {
    let namespace = find(service, &request.namespace, &request.namespace_id)?;
    let deleted = service.namespaces.change(namespace.key, |namespace| {
        if namespace.state != NamespaceState::Deleted {
            namespace.state = NamespaceState::Deleted;
            // The whole id, so that the name cannot meet one that a user chose.
            namespace.name = format!("{}-deleted-{}", namespace.name, namespace.id);
        }
        Ok::<_, Error>(namespace.name.clone())
    });
    let deleted_namespace = deleted.await?;
    tracing::info!(namespace = namespace.name, id = %namespace.id, "namespace deleted");
    Ok(Response { deleted_namespace })
}
