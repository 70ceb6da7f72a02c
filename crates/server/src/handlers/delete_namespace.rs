//! Operator DeleteNamespace: the name is free at once, the runs go in the background.
//!
//! The namespace is renamed and marked deleted in one durable write; [`sweep`] clears it.

use super::describe_namespace::find;
use crate::{Error, Service, sweep};
use api::enums::v1::NamespaceState;
use api::operatorservice::v1::{DeleteNamespaceRequest as Request, DeleteNamespaceResponse as Response};

pub async fn handle(service: &Service, request: Request) -> Result<Response, Error> {
    let namespace = find(service, &request.namespace, &request.namespace_id)?;
    let changed = service.namespaces.change(namespace.key, |namespace| {
        let is_first = namespace.state != NamespaceState::Deleted;
        if is_first {
            namespace.state = NamespaceState::Deleted;
            namespace.name = sweep::deleted_name(namespace);
        }
        Ok::<_, Error>((is_first, namespace.clone()))
    });
    let (is_first, deleted) = changed.await?;
    let deleted_namespace = deleted.name.clone();
    if is_first {
        tracing::info!(namespace = namespace.name, id = %namespace.id, "namespace deleted");
        sweep::begin(service, deleted.into());
    }
    Ok(Response { deleted_namespace })
}
