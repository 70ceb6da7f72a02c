//! The SDK against a server, over the wire: one in this process, or the one that `TRADEWIND_TEST_ADDRESS` names.

mod activities;
mod attempts;
mod attributes;
mod basics;
mod client;
#[cfg(feature = "embedded")]
mod earlier;
mod embedded;
mod elsewhere;
#[cfg(feature = "embedded")]
mod environment;
mod macros;
mod messages;
mod orchestration;
mod payloads;
#[cfg(feature = "embedded")]
mod replay;
mod support;
mod telemetry;
mod trespass;
mod stopping;
