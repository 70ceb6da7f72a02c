//! GetSearchAttributes: deprecated, and about all namespaces at once.
//!
//! Where two namespaces give one name different types, the namespace that was registered first decides.

use crate::{Error, Service};
use api::workflowservice::v1::{GetSearchAttributesRequest as Request, GetSearchAttributesResponse as Response};
use tradewind_core::search_attributes::built_in_all;

pub async fn handle(service: &Service, _: Request) -> Result<Response, Error> {
    let mut keys = built_in_all();
    for namespace in service.namespaces.all() {
        for (name, kind) in &namespace.search_attributes {
            keys.entry(name.clone()).or_insert(*kind);
        }
    }
    Ok(Response { keys: keys.into_iter().map(|(name, kind)| (name, kind as i32)).collect() })
}
