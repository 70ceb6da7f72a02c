//! DeprecateNamespace: what runs goes on, nothing new starts.

use crate::{Error, Service, validate};
use api::enums::v1::NamespaceState;
use api::workflowservice::v1::{DeprecateNamespaceRequest as Request, DeprecateNamespaceResponse as Response};

pub async fn handle(service: &Service, request: Request) -> Result<Response, Error> {
    if request.namespace.is_empty() {
        return Err(Error::invalid("Namespace not set on request."));
    }
    let namespace = validate::namespace(&service.namespaces, &request.namespace)?;
    let deprecate = |namespace: &mut crate::namespaces::Namespace| {
        namespace.state = NamespaceState::Deprecated;
        Ok::<_, Error>(())
    };
    service.namespaces.change(namespace.key, deprecate).await?;
    Ok(Response::default())
}
