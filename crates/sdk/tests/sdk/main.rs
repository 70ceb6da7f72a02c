//! The SDK against a server, over the wire: one in this process, or the one that `TRADEWIND_TEST_ADDRESS` names.

mod activities;
mod attempts;
mod attributes;
mod basics;
mod client;
mod declared;
#[cfg(feature = "embedded")]
mod earlier;
mod elsewhere;
mod embedded;
#[cfg(feature = "embedded")]
mod environment;
mod failures;
mod kills;
mod limits;
mod locals;
mod macros;
mod messages;
mod options;
mod orchestration;
mod payloads;
#[cfg(feature = "embedded")]
mod replay;
mod schedules;
mod stopping;
mod support;
mod telemetry;
mod trespass;
