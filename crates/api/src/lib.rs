//! Wire types and service stubs of the Temporal API.
//!
//! Everything here is generated from the descriptor set of the `temporalio-protos` crate; there is no
//! logic. Modules follow the protocol's packages: `api::workflowservice::v1` is
//! `temporal.api.workflowservice.v1`. A service method that the server does not override answers
//! UNIMPLEMENTED.
#![allow(clippy::all, clippy::disallowed_methods, rustdoc::all, missing_docs)]

mod generated {
    include!(concat!(env!("OUT_DIR"), "/api.rs"));
}

pub use generated::google;
pub use generated::temporal::api::*;

/// The compiled descriptor set, for gRPC reflection and for JSON forms of messages.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
