//! Operator ListSearchAttributes.

use crate::namespaces::Namespace;
use crate::{Error, Service, validate};
use api::operatorservice::v1::{ListSearchAttributesRequest as Request, ListSearchAttributesResponse as Response};
use std::sync::Arc;
use tradewind_core::search_attributes::built_in_all;

pub async fn handle(service: &Service, request: Request) -> Result<Response, Error> {
    let namespace = namespace(service, &request.namespace)?;
    Ok(Response {
        custom_attributes: namespace
            .search_attributes
            .iter()
            .map(|(name, kind)| (name.clone(), *kind as i32))
            .collect(),
        system_attributes: built_in_all().into_iter().map(|(name, kind)| (name, kind as i32)).collect(),
        ..Response::default()
    })
}

/// The namespace of a request about search attributes, which has a text of its own when none is named.
pub(super) fn namespace(service: &Service, name: &str) -> Result<Arc<Namespace>, Error> {
    if name.is_empty() {
        return Err(Error::invalid("Namespace is not set on request."));
    }
    validate::namespace(&service.namespaces, name)
}
