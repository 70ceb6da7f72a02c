//! The SDK against a server, over the wire: one in this process, or the one that `TRADEWIND_TEST_ADDRESS` names.

mod basics;
mod support;
