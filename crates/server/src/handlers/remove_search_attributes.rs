//! Operator RemoveSearchAttributes. Runs keep the values they carry; nobody can search by them any more.

use crate::{Error, Service};
use api::operatorservice::v1::{RemoveSearchAttributesRequest as Request, RemoveSearchAttributesResponse as Response};
use tradewind_core::search_attributes::built_in;

pub async fn handle(service: &Service, request: Request) -> Result<Response, Error> {
    if request.search_attributes.is_empty() {
        return Err(Error::invalid("SearchAttributes are not set on request."));
    }
    if let Some(name) = request.search_attributes.iter().find(|name| built_in(name).is_some()) {
        return Err(Error::invalid(format!("Unable to remove non-custom search attributes: {name}.")));
    }
    let namespace = super::list_search_attributes::namespace(service, &request.namespace)?;
    let remove = |namespace: &mut crate::namespaces::Namespace| {
        namespace.search_attributes.retain(|name, _| !request.search_attributes.contains(name));
        Ok::<_, Error>(())
    };
    service.namespaces.change(namespace.key, remove).await?;
    Ok(Response::default())
}
