//! Dynamic-config values in the reference server's notation: `limit.blobSize.error=10240`.
//!
//! Test suites and scripts pass them to `server start-dev`. Those that name a limit of ours are translated
//! to it; those that switch on what is always on here are accepted; the rest is reported to the caller,
//! who warns.

use super::set;
use toml::{Table, Value};

/// What became of a value.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// It is in the table now, under our key.
    Set {
        key: &'static str,
    },
    /// It asks for what this server does anyway.
    AlreadySo,
    /// Nothing here corresponds to it.
    Unknown,
    Bad {
        reason: String,
    },
}

enum Kind {
    Number,
    Real,
    Duration,
}
use Kind::{Duration, Number, Real};

const LIMITS: &[(&str, &str, Kind)] = &[
    ("limit.blobSize.error", "limits.blob_size_bytes_max", Number),
    ("limit.memoSize.error", "limits.memo_size_bytes_max", Number),
    ("limit.historySize.error", "limits.history_size_bytes_max", Number),
    ("limit.historySize.suggestContinueAsNew", "limits.history_size_bytes_suggest_continue_as_new", Number),
    ("limit.historyCount.error", "limits.history_events_max", Number),
    ("limit.historyCount.suggestContinueAsNew", "limits.history_events_suggest_continue_as_new", Number),
    ("limit.mutableStateActivityFailureSize.error", "limits.retained_activity_failure_bytes_max", Number),
    ("limit.numPendingActivities.error", "limits.pending_activities_max", Number),
    ("limit.numPendingChildExecutions.error", "limits.pending_children_max", Number),
    ("limit.numPendingSignals.error", "limits.pending_signals_max", Number),
    ("limit.numPendingCancelRequests.error", "limits.pending_cancels_max", Number),
    ("limit.maxIDLength", "limits.id_length_max", Number),
    ("limit.workerBuildIdSize", "limits.build_id_length_max", Number),
    ("limit.userMetadataSummarySize", "limits.user_metadata_summary_bytes_max", Number),
    ("limit.userMetadataDetailsSize", "limits.user_metadata_details_bytes_max", Number),
    ("frontend.searchAttributesNumberOfKeysLimit", "limits.search_attribute_keys_max", Number),
    ("frontend.searchAttributesSizeOfValueLimit", "limits.search_attribute_value_bytes_max", Number),
    ("frontend.searchAttributesTotalSizeLimit", "limits.search_attributes_total_bytes_max", Number),
    ("frontend.historyMaxPageSize", "limits.history_page_events_max", Number),
    ("frontend.visibilityMaxPageSize", "limits.visibility_page_max", Number),
    ("frontend.maxlinksPerRequest", "limits.links_per_request_max", Number),
    ("frontend.linkMaxSize", "limits.link_bytes_max", Number),
    ("frontend.callbackURLMaxLength", "limits.callback_url_length_max", Number),
    ("frontend.callbackHeaderMaxLength", "limits.callback_header_bytes_max", Number),
    ("system.maxCallbacksPerWorkflow", "limits.callbacks_per_workflow_max", Number),
    ("system.namespaceMinRetentionLocal", "limits.namespace_retention_min", Duration),
    (
        "system.numConsecutiveWorkflowTaskProblemsToTriggerSearchAttribute",
        "limits.workflow_task_attempts_reported",
        Number,
    ),
    ("history.defaultWorkflowTaskTimeout", "limits.workflow_task_timeout_default", Duration),
    ("history.workflowTaskHeartbeatTimeout", "limits.workflow_task_heartbeat_total_max", Duration),
    ("history.workflowTaskRetryMaxInterval", "limits.workflow_task_retry_interval_max", Duration),
    ("history.longPollExpirationInterval", "limits.history_long_poll", Duration),
    ("history.MaxBufferedQueryCount", "limits.buffered_queries_max", Number),
    ("history.maximumBufferedEventsBatch", "limits.buffered_events_max", Number),
    ("history.maximumBufferedEventsSizeInBytes", "limits.buffered_bytes_max", Number),
    ("history.maximumSignalsPerExecution", "limits.signals_per_run_max", Number),
    ("history.maxInFlightUpdates", "limits.updates_in_flight_max", Number),
    ("history.maxInFlightUpdatePayloads", "limits.update_in_flight_payload_bytes_max", Number),
    ("history.maxTotalUpdates", "limits.updates_total_max", Number),
    ("history.maxTotalUpdates.suggestContinueAsNewThreshold", "limits.updates_suggest_continue_as_new", Real),
    ("history.historyMaxAutoResetPoints", "limits.auto_reset_points_max", Number),
    ("matching.longPollExpirationInterval", "limits.task_long_poll", Duration),
    ("matching.queryPollerUnavailableWindow", "limits.query_poller_window", Duration),
    ("matching.PollerHistoryTTL", "limits.poller_history", Duration),
    ("matching.workerRegistryEntryTTL", "limits.worker_registry_ttl", Duration),
];

/// Switches, and the value that describes what this server does.
const ALREADY_SO: &[(&str, bool)] = &[
    ("frontend.enableServerVersionCheck", false),
    ("frontend.enableUpdateWorkflowExecution", true),
    ("frontend.enableUpdateWorkflowExecutionAsyncAccepted", true),
    ("frontend.enableExecuteMultiOperation", true),
    ("frontend.WorkerHeartbeatsEnabled", true),
    ("frontend.ListWorkersEnabled", true),
    ("system.enableActivityEagerExecution", true),
    ("system.enableEagerWorkflowStart", true),
    ("system.enableStickyQuery", true),
    ("system.forceSearchAttributesCacheRefreshOnRead", true),
    ("history.enableTransitionHistory", true),
    ("history.enableChasm", true),
];

/// Translates `key=value`, given as its two halves, into `table`.
pub fn translate(table: &mut Table, key: &str, value: &str) -> Outcome {
    if let Some((_, ours, kind)) = LIMITS.iter().find(|(theirs, ..)| theirs.eq_ignore_ascii_case(key)) {
        return match translated(value, kind) {
            Ok(value) => {
                set(table, ours, value);
                Outcome::Set { key: ours }
            }
            Err(reason) => Outcome::Bad { reason },
        };
    }
    let switch = ALREADY_SO.iter().find(|(theirs, _)| theirs.eq_ignore_ascii_case(key));
    match switch {
        Some((_, ours)) if value.trim_matches('"').eq_ignore_ascii_case(&ours.to_string()) => Outcome::AlreadySo,
        _ => Outcome::Unknown,
    }
}

fn translated(value: &str, kind: &Kind) -> Result<Value, String> {
    let text = value.trim().trim_matches('"');
    let bad = |what: &str| format!("{value:?} is not {what}");
    match kind {
        Number => text.parse().map(Value::Integer).map_err(|_| bad("a whole number")),
        Real => text.parse().map(Value::Float).map_err(|_| bad("a number")),
        // Go's notation for the durations in use is one that we read too; a bare number is nanoseconds.
        Duration if text.bytes().all(|byte| byte.is_ascii_digit()) => Ok(Value::String(format!("{text}ns"))),
        Duration => Ok(Value::String(text.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Settings;
    use tradewind_core::limits::Limits;

    #[test]
    fn limits_take_the_references_values() {
        let mut table = Table::new();
        for (key, value) in [
            ("limit.historyCount.suggestContinueAsNew", "50"),
            ("limit.blobSize.error", "10240"),
            ("matching.longPollExpirationInterval", "\"10s\""),
            ("history.longPollExpirationInterval", "1m30s"),
        ] {
            assert!(matches!(translate(&mut table, key, value), Outcome::Set { .. }), "{key}");
        }

        let limits = Settings::load(None, table).expect("translated values are valid").limits;
        assert_eq!(limits.history_events_suggest_continue_as_new, 50);
        assert_eq!(limits.blob_size_bytes_max, 10_240);
        assert_eq!(limits.task_long_poll.as_secs(), 10);
        assert_eq!(limits.history_long_poll.as_secs(), 90);
    }

    #[test]
    fn every_key_of_the_table_is_one_of_ours() {
        for (theirs, _, kind) in LIMITS {
            let mut table = Table::new();
            let value = match kind {
                Number => "7",
                Real => "0.5",
                Duration => "7s",
            };
            translate(&mut table, theirs, value);
            let limits = Settings::load(None, table).unwrap_or_else(|error| panic!("{theirs}: {error}")).limits;
            assert_ne!(limits, Limits::default(), "{theirs} changes nothing");
        }
    }

    #[test]
    fn what_is_always_on_is_accepted_and_the_rest_is_not() {
        let mut table = Table::new();
        assert_eq!(translate(&mut table, "system.enableEagerWorkflowStart", "true"), Outcome::AlreadySo);
        assert_eq!(translate(&mut table, "system.enableEagerWorkflowStart", "false"), Outcome::Unknown);
        assert_eq!(translate(&mut table, "nexusoperation.enableStandalone", "true"), Outcome::Unknown);
        assert!(table.is_empty());
    }
}
