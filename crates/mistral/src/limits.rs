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

/// Tags of one workflow, and the characters of one.
pub const TAGS_MAX: usize = 100;
pub const TAG_LENGTH_MAX: usize = 100;
/// Of what a person writes about a workflow.
pub const DESCRIPTION_LENGTH_MAX: usize = 10_000;

/// Names that workflows cannot have, because paths use them.
pub const RESERVED_NAMES: &[&str] =
    &["executions", "schedules", "definitions", "internal", "webhooks", "archive", "unarchive"];

/// The same of execution ids.
pub const RESERVED_EXECUTION_IDS: &[&str] = &["cancel", "register", "search_keys", "terminate"];
