//! The front doors: gRPC, HTTP, metrics, configuration, start-up and shutdown.
//!
//! A handler ([`handlers`]) converts a request, calls, and converts the answer; it decides nothing. What
//! several handlers check alike is in [`validate`]. Every error becomes a gRPC status in one function
//! ([`status`]); nothing below this crate knows a status code. [`Server`] puts it all together: it opens
//! the store, serves both ports, and takes them down again in an order that loses nothing.
//!
//! Invariants
//! - A method that is not built answers UNIMPLEMENTED. A capability is announced only once it works.
//! - Nothing is acknowledged before it is durable.
//! - Nothing of a request is looked at before [`auth`] has let its caller in.
//! - Only [`ambient`] reads the machine's clock or randomness.

// Fields that the protocol has deprecated are still sent by SDKs in use and must come through.
#![allow(deprecated)]

pub mod ambient;
mod annex;
pub mod auth;
pub mod config;
mod error;
pub mod grpc;
pub mod handlers;
mod health;
pub mod http;
mod in_process;
mod interior;
pub mod metrics;
pub mod namespaces;
mod server;
mod service;
mod status;
mod sweep;
pub mod validate;
pub mod workers;

pub use annex::{Annex, Opened};
pub use config::Settings;
pub use error::Error;
pub use in_process::{Door, InProcess};
pub use interior::ensure_namespace;
pub use server::{Server, StartError};
pub use service::{Announced, Cluster, Service};
