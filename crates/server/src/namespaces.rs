//! The namespaces of this server live with the engine; handlers use them under this name.
pub use engine::namespaces::*;
