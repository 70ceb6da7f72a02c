//! ListNamespaces, in the order they were registered.

use super::describe_namespace::described;
use crate::{Error, Service};
use api::enums::v1::NamespaceState;
use api::workflowservice::v1::{ListNamespacesRequest as Request, ListNamespacesResponse as Response};
use bytes::Bytes;
use tradewind_core::ids::NamespaceKey;

const PAGE_SIZE_DEFAULT: usize = 100;

pub async fn handle(service: &Service, request: Request) -> Result<Response, Error> {
    let after = parse_token(&request.next_page_token)?;
    let page_size = match usize::try_from(request.page_size) {
        Ok(0) => PAGE_SIZE_DEFAULT,
        Ok(size) => size,
        Err(_) => return Err(Error::invalid("Invalid PageSize.")),
    };
    let include_deleted = request.namespace_filter.is_some_and(|filter| filter.include_deleted);

    let all = service.namespaces.all();
    let mut listed = all
        .iter()
        .filter(|namespace| namespace.key > after)
        .filter(|namespace| include_deleted || namespace.state != NamespaceState::Deleted);
    let page: Vec<_> = listed.by_ref().take(page_size).collect();
    let next_page_token = match (listed.next(), page.last()) {
        (Some(_), Some(last)) => token(last.key),
        _ => Bytes::new(),
    };
    Ok(Response {
        namespaces: page.into_iter().map(|namespace| described(service, namespace)).collect(),
        next_page_token,
    })
}

/// The token is the key of the last namespace on the page, 8 bytes big-endian.
fn token(key: NamespaceKey) -> Bytes {
    Bytes::copy_from_slice(&key.0.to_be_bytes())
}

fn parse_token(token: &[u8]) -> Result<NamespaceKey, Error> {
    if token.is_empty() {
        return Ok(NamespaceKey(i64::MIN));
    }
    let bytes = token.try_into().map_err(|_| Error::invalid("Invalid NextPageToken."))?;
    Ok(NamespaceKey(i64::from_be_bytes(bytes)))
}
