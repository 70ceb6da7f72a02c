//! Deployments that the platform builds from a repository and runs: the vendor's machines do that.

use crate::error::Error;

pub async fn absent() -> Error {
    Error::not_available("managed deployments, which the platform builds and runs by itself, are")
}
