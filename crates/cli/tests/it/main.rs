//! The binary from outside, and the rule of who may use whom.

mod bad_input;
mod binary;
mod dependencies;
