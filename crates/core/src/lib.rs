//! The rules of one workflow run, as a pure, synchronous state machine.
pub mod ids;
pub mod time;
