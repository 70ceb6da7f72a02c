//! Every limit and default number of the engine, in one place.
//!
//! The defaults are the reference server's, so that a program that runs there runs here. Each is
//! configuration: the field names below are the keys of the `[limits]` table of the configuration file.
//! Past a limit the caller gets an error with the number and the limit in it; nothing is cut silently.
//!
//! Sizes are bytes, counts are plain numbers, durations read `"10s"` or `"30min"` in the file.

use serde::{Deserialize, Serialize};
use std::time::Duration;

/// See the module's header. One field is one key of the configuration file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    // Sizes of what callers send.
    /// One payload collection: an input, a result, heartbeat details, a failure.
    pub blob_size_bytes_max: usize,
    /// A run's memo, all keys together.
    pub memo_size_bytes_max: usize,
    /// One gRPC message on its way in.
    pub message_bytes_max: usize,
    /// Workflow ids, activity ids, timer ids, names of types, queues and signals, request ids, identities.
    pub id_length_max: usize,
    pub build_id_length_max: usize,
    pub user_metadata_summary_bytes_max: usize,
    pub user_metadata_details_bytes_max: usize,
    pub links_per_request_max: usize,
    pub link_bytes_max: usize,
    pub callbacks_per_workflow_max: usize,
    pub callback_url_length_max: usize,
    pub callback_header_bytes_max: usize,
    pub fairness_key_length_max: usize,

    // Search attributes.
    /// Attributes on one run.
    pub search_attribute_keys_max: usize,
    pub search_attribute_value_bytes_max: usize,
    pub search_attributes_total_bytes_max: usize,
    /// Custom attributes that one namespace may define of one type. The reference server has 3 to 10
    /// columns of each type; nothing here depends on the number, so it only guards against accidents.
    pub search_attributes_per_type_max: usize,

    // History.
    pub history_events_max: i64,
    pub history_size_bytes_max: i64,
    pub history_events_suggest_continue_as_new: i64,
    pub history_size_bytes_suggest_continue_as_new: i64,
    /// Events in one page of GetWorkflowExecutionHistory, default and maximum.
    pub history_page_events_max: usize,
    /// Executions in one page of a list.
    pub visibility_page_max: usize,

    // What one run may have open.
    pub pending_activities_max: usize,
    pub pending_children_max: usize,
    pub pending_signals_max: usize,
    pub pending_cancels_max: usize,
    pub signals_per_run_max: i64,
    pub buffered_events_max: usize,
    pub buffered_bytes_max: usize,
    pub buffered_queries_max: usize,
    pub auto_reset_points_max: usize,
    /// The failure kept of a retrying activity's last attempt; longer ones are trimmed.
    pub retained_activity_failure_bytes_max: usize,

    // Updates.
    pub updates_in_flight_max: usize,
    pub updates_total_max: i64,
    pub update_in_flight_payload_bytes_max: usize,
    /// The share of `updates_total_max` from which continue-as-new is suggested.
    pub updates_suggest_continue_as_new: f64,

    // Workflow tasks.
    #[serde(with = "humantime_serde")]
    pub workflow_task_timeout_default: Duration,
    #[serde(with = "humantime_serde")]
    pub workflow_task_timeout_max: Duration,
    /// The most that the growing timeout of a task that keeps failing adds.
    #[serde(with = "humantime_serde")]
    pub workflow_task_retry_interval_max: Duration,
    /// How long a worker may keep one workflow task alive by heartbeats.
    #[serde(with = "humantime_serde")]
    pub workflow_task_heartbeat_total_max: Duration,
    /// After this many failed attempts in a row the run is marked with `TemporalReportedProblems`. 0: never.
    pub workflow_task_attempts_reported: i32,
    /// From this attempt on, queries and updates of a run whose task keeps failing are refused.
    pub workflow_task_attempts_refuse_query: i32,
    /// A speculative workflow task that nobody picks up for this long becomes a normal one.
    #[serde(with = "humantime_serde")]
    pub speculative_schedule_to_start_timeout: Duration,

    // Retry policies: the values that fill what a policy leaves open.
    pub activity_retry_policy: RetryPolicyDefaults,
    pub workflow_retry_policy: RetryPolicyDefaults,

    // Long polls.
    /// GetWorkflowExecutionHistory with `wait_new_event`.
    #[serde(with = "humantime_serde")]
    pub history_long_poll: Duration,
    /// Waiting for an update's stage.
    #[serde(with = "humantime_serde")]
    pub update_long_poll: Duration,
    /// Waiting for a workflow, activity or query task.
    #[serde(with = "humantime_serde")]
    pub task_long_poll: Duration,
    /// How long before the caller's own deadline an empty reply leaves.
    #[serde(with = "humantime_serde")]
    pub long_poll_margin: Duration,
    /// A long poll with less time than this left on its deadline is refused.
    #[serde(with = "humantime_serde")]
    pub long_poll_deadline_min: Duration,

    // Task queues.
    /// A sticky queue that nobody polled for this long is skipped.
    #[serde(with = "humantime_serde")]
    pub sticky_poller_window: Duration,
    /// A query is refused early if nobody polled the queue for this long.
    #[serde(with = "humantime_serde")]
    pub query_poller_window: Duration,
    /// How long DescribeTaskQueue remembers a poller.
    #[serde(with = "humantime_serde")]
    pub poller_history: Duration,
    /// How long a worker that stopped its heartbeats stays in the list of workers.
    #[serde(with = "humantime_serde")]
    pub worker_registry_ttl: Duration,
    /// Workers remembered in all; the longest silent ones go first.
    pub worker_registry_max: usize,

    // Namespaces.
    #[serde(with = "humantime_serde")]
    pub namespace_retention_default: Duration,
    #[serde(with = "humantime_serde")]
    pub namespace_retention_min: Duration,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            blob_size_bytes_max: 2 * MIB,
            memo_size_bytes_max: 2 * MIB,
            message_bytes_max: 4 * MIB,
            id_length_max: 1_000,
            build_id_length_max: 255,
            user_metadata_summary_bytes_max: 400,
            user_metadata_details_bytes_max: 20_000,
            links_per_request_max: 10,
            link_bytes_max: 4_000,
            callbacks_per_workflow_max: 32,
            callback_url_length_max: 1_000,
            callback_header_bytes_max: 8 * KIB,
            fairness_key_length_max: 64,

            search_attribute_keys_max: 100,
            search_attribute_value_bytes_max: 2 * KIB,
            search_attributes_total_bytes_max: 40 * KIB,
            search_attributes_per_type_max: 200,

            history_events_max: 51_200,
            history_size_bytes_max: 50 * MIB as i64,
            history_events_suggest_continue_as_new: 4_096,
            history_size_bytes_suggest_continue_as_new: 4 * MIB as i64,
            history_page_events_max: 256,
            visibility_page_max: 1_000,

            pending_activities_max: 2_000,
            pending_children_max: 2_000,
            pending_signals_max: 2_000,
            pending_cancels_max: 2_000,
            signals_per_run_max: 10_000,
            buffered_events_max: 100,
            buffered_bytes_max: 2 * MIB,
            buffered_queries_max: 1,
            auto_reset_points_max: 20,
            retained_activity_failure_bytes_max: 4 * KIB,

            updates_in_flight_max: 10,
            updates_total_max: 2_000,
            update_in_flight_payload_bytes_max: 20 * MIB,
            updates_suggest_continue_as_new: 0.9,

            workflow_task_timeout_default: secs(10),
            workflow_task_timeout_max: secs(120),
            workflow_task_retry_interval_max: mins(10),
            workflow_task_heartbeat_total_max: mins(30),
            workflow_task_attempts_reported: 5,
            workflow_task_attempts_refuse_query: 3,
            speculative_schedule_to_start_timeout: secs(5),

            activity_retry_policy: RetryPolicyDefaults::default(),
            workflow_retry_policy: RetryPolicyDefaults::default(),

            history_long_poll: secs(20),
            update_long_poll: secs(20),
            task_long_poll: secs(60),
            long_poll_margin: secs(1),
            long_poll_deadline_min: secs(2),

            sticky_poller_window: secs(10),
            query_poller_window: secs(20),
            poller_history: mins(5),
            worker_registry_ttl: mins(5),
            worker_registry_max: 100_000,

            namespace_retention_default: secs(24 * 60 * 60),
            namespace_retention_min: secs(60 * 60),
        }
    }
}

/// What fills the unset fields of a retry policy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RetryPolicyDefaults {
    #[serde(with = "humantime_serde")]
    pub initial_interval: Duration,
    pub backoff_coefficient: f64,
    /// The maximum interval is this many times the initial one.
    pub maximum_interval_coefficient: f64,
    /// 0: unlimited.
    pub maximum_attempts: i32,
}

impl Default for RetryPolicyDefaults {
    fn default() -> RetryPolicyDefaults {
        RetryPolicyDefaults {
            initial_interval: secs(1),
            backoff_coefficient: 2.0,
            maximum_interval_coefficient: 100.0,
            maximum_attempts: 0,
        }
    }
}

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

const fn mins(mins: u64) -> Duration {
    Duration::from_secs(60 * mins)
}
