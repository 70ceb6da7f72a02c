//! Where the world comes in: the one place of this crate that reads what differs between two runs.

/// The time that watchdogs measure with. Never part of what a workflow sees.
#[expect(clippy::disallowed_methods, reason = "this is the entry point")]
pub(crate) fn now() -> std::time::Instant {
    std::time::Instant::now()
}

/// The time of day: for what activities tell each other. Never part of what a workflow sees.
#[expect(clippy::disallowed_methods, reason = "this is the entry point")]
pub(crate) fn system_now() -> std::time::SystemTime {
    std::time::SystemTime::now()
}

/// A name nobody else uses: for workflow ids that the caller left out.
#[expect(clippy::disallowed_methods, reason = "this is the entry point")]
pub(crate) fn unique() -> String {
    uuid::Uuid::new_v4().to_string()
}

/// Process and host, as the official SDKs write them: `4711@worker-3`.
pub(crate) fn identity() -> String {
    format!("{}@{}", std::process::id(), gethostname::gethostname().to_string_lossy())
}
