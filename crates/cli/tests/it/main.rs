//! The binary from outside, and the rule of who may use whom.

mod binary;
mod dependencies;
