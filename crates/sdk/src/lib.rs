//! Durable workflows in Rust.

pub mod payload;
