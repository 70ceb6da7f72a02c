//! Operator AddSearchAttributes: usable in the very next call.

use crate::{Error, Service};
use api::enums::v1::IndexedValueType;
use api::operatorservice::v1::{AddSearchAttributesRequest as Request, AddSearchAttributesResponse as Response};
use std::collections::BTreeMap;
use tradewind_core::limits::Limits;
use tradewind_core::search_attributes::{is_reserved, type_name};

pub async fn handle(service: &Service, request: Request) -> Result<Response, Error> {
    let wanted = parse(&request, &service.limits)?;
    let namespace = super::list_search_attributes::namespace(service, &request.namespace)?;
    let max = service.limits.search_attributes_per_type_max;
    let add = |namespace: &mut crate::namespaces::Namespace| {
        // A name that exists keeps its type, whatever the request says: the reference does the same, and
        // runs that carry the attribute stay readable.
        for (name, kind) in wanted {
            namespace.search_attributes.entry(name).or_insert(kind);
        }
        check_counts(&namespace.search_attributes, max)
    };
    service.namespaces.change(namespace.key, add).await?;
    Ok(Response::default())
}

fn parse(request: &Request, limits: &Limits) -> Result<BTreeMap<String, IndexedValueType>, Error> {
    if request.search_attributes.is_empty() {
        return Err(Error::invalid("SearchAttributes are not set on request."));
    }
    let mut wanted = BTreeMap::new();
    for (name, kind) in &request.search_attributes {
        if is_reserved(name) {
            return Err(Error::invalid(format!("Search attribute {name} is reserved by system.")));
        }
        if name.is_empty() || name.len() > limits.id_length_max {
            return Err(Error::invalid(format!(
                "search attribute name must have 1 to {} bytes, not {}",
                limits.id_length_max,
                name.len()
            )));
        }
        let kind = IndexedValueType::try_from(*kind).ok().filter(|kind| *kind != IndexedValueType::Unspecified);
        let kind = kind.ok_or_else(|| {
            Error::invalid(format!("Unknown search attribute type: {}.", request.search_attributes[name]))
        })?;
        wanted.insert(name.clone(), kind);
    }
    Ok(wanted)
}

fn check_counts(attributes: &BTreeMap<String, IndexedValueType>, max: usize) -> Result<(), Error> {
    let mut counts = BTreeMap::new();
    for kind in attributes.values() {
        *counts.entry(*kind).or_insert(0_usize) += 1;
    }
    match counts.into_iter().find(|(_, count)| *count > max) {
        None => Ok(()),
        Some((kind, _)) => Err(Error::invalid(format!(
            "Unable to create search attributes: cannot have more than {max} search attribute of type {}.",
            type_name(kind)
        ))),
    }
}
