//! Durable workflows in Rust.
