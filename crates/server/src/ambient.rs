//! The machine's clock and randomness, which the engine is handed at start-up.
pub use engine::ambient::*;
