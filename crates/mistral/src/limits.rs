//! The platform's own limits; those of runs and payloads are the engine's.

/// Of an execution id.
pub const EXECUTION_ID_LENGTH_MAX: usize = 256;
/// Of the names of workflows and deployments.
pub const NAME_LENGTH_MAX: usize = 128;
/// Search keys that one execution may have.
pub const SEARCH_KEYS_MAX: usize = 20;
pub const SEARCH_KEY_LENGTH_MAX: usize = 256;
pub const SEARCH_VALUE_LENGTH_MAX: usize = 8_192;
/// Executions in one request.
pub const BATCH_MAX: usize = 100;

/// Names that workflows cannot have, because paths use them.
pub const RESERVED_NAMES: &[&str] =
    &["executions", "schedules", "definitions", "internal", "webhooks", "archive", "unarchive"];
