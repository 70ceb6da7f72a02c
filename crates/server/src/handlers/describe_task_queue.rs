//! DescribeTaskQueue, in both of its modes: who polls a queue, and what waits in it.
//!
//! A queue has no partitions, no versions and no limit but the one that its pollers set, so fields about
//! those are left out rather than filled with the reference's numbers.

use crate::{Error, Service, validate};
use api::enums::v1::{BuildIdTaskReachability, DescribeTaskQueueMode, RateLimitSource, TaskQueueKind, TaskQueueType};
use api::taskqueue::v1::{
    PollerInfo, TaskQueueStats, TaskQueueStatus, TaskQueueTypeInfo, TaskQueueVersionInfo, TaskQueueVersioningInfo,
};
use api::workflowservice::v1::{
    DescribeTaskQueueRequest as Request, DescribeTaskQueueResponse as Response,
    describe_task_queue_response::EffectiveRateLimit,
};
use engine::matching::{Backlog, Statistics};
use std::collections::BTreeMap;
use tradewind_core::ids::{NamespaceKey, QueueKey, TaskKind};
use tradewind_core::state::PRIORITY_DEFAULT;
use tradewind_core::time::{self, Timestamp};

/// What the API calls the version of workers that have none.
const UNVERSIONED: &str = "__unversioned__";

pub async fn handle(service: &Service, request: Request) -> Result<Response, Error> {
    let namespace = validate::namespace(&service.namespaces, &request.namespace)?;
    let queue = request.task_queue.clone().ok_or_else(|| Error::invalid("taskQueue is not set"))?;
    validate::task_queue_name(&queue.name, &service.limits)?;
    let named = Named { service, namespace: namespace.key, queue: &queue.name };
    if request.api_mode() == DescribeTaskQueueMode::Enhanced {
        if queue.kind() == TaskQueueKind::Sticky {
            return Err(Error::invalid(
                "Enhanced DescribeTaskQueue is not valid for a sticky queue, use api_mode=UNSPECIFIED or a normal queue.",
            ));
        }
        return Ok(enhanced(&named, &request));
    }
    Ok(plain(&named, &request))
}

/// The queue that is asked about, of any kind of task.
struct Named<'a> {
    service: &'a Service,
    namespace: NamespaceKey,
    queue: &'a str,
}

impl Named<'_> {
    fn statistics(&self, kind: TaskQueueType) -> Statistics {
        let kind = match kind {
            TaskQueueType::Unspecified | TaskQueueType::Workflow => TaskKind::Workflow,
            TaskQueueType::Activity => TaskKind::Activity,
            // Nothing is ever put in such a queue.
            TaskQueueType::Nexus => return Statistics::default(),
        };
        let key = QueueKey { namespace: self.namespace, kind, name: self.queue.to_owned() };
        self.service.engine.queue_statistics(&key)
    }
}

fn plain(named: &Named<'_>, request: &Request) -> Response {
    let now = named.service.clock.now();
    let statistics = named.statistics(request.task_queue_type());
    Response {
        pollers: pollers(&statistics),
        stats: request.report_stats.then(|| stats(&statistics, now)),
        stats_by_priority_key: if request.report_stats { by_priority(&statistics, now) } else { BTreeMap::new() },
        versioning_info: Some(TaskQueueVersioningInfo {
            current_version: UNVERSIONED.into(),
            ..TaskQueueVersioningInfo::default()
        }),
        effective_rate_limit: statistics.limit_per_second.map(|limit| EffectiveRateLimit {
            requests_per_second: limit as f32,
            rate_limit_source: RateLimitSource::Worker as i32,
        }),
        task_queue_status: request.include_task_queue_status.then(|| TaskQueueStatus {
            backlog_count_hint: backlog(&statistics),
            rate_per_second: statistics.limit_per_second.unwrap_or_default(),
            ..TaskQueueStatus::default()
        }),
        ..Response::default()
    }
}

/// By build id. All workers count as unversioned, so the others have nothing and reach nothing.
fn enhanced(named: &Named<'_>, request: &Request) -> Response {
    let asked = request.versions.clone().unwrap_or_default();
    let unversioned = asked.unversioned || asked.all_active || asked.build_ids.is_empty();
    let versions = asked.build_ids.into_iter().filter(|id| !id.is_empty()).map(|id| (id, false));
    let versions = versions.chain(unversioned.then(|| (String::new(), true)));
    let mut types: Vec<_> = request.task_queue_types().collect();
    if types.is_empty() {
        types = vec![TaskQueueType::Workflow, TaskQueueType::Activity];
    }
    let now = named.service.clock.now();
    let type_info = |kind, unversioned| {
        let statistics = if unversioned { named.statistics(kind) } else { Statistics::default() };
        TaskQueueTypeInfo {
            pollers: if request.report_pollers { pollers(&statistics) } else { Vec::new() },
            stats: request.report_stats.then(|| stats(&statistics, now)),
        }
    };
    let reachability = |unversioned| match (request.report_task_reachability, unversioned) {
        (false, _) => BuildIdTaskReachability::Unspecified,
        (true, true) => BuildIdTaskReachability::Reachable,
        (true, false) => BuildIdTaskReachability::Unreachable,
    };
    let version_info = |unversioned| TaskQueueVersionInfo {
        types_info: types.iter().map(|kind| (*kind as i32, type_info(*kind, unversioned))).collect(),
        task_reachability: reachability(unversioned) as i32,
    };
    Response {
        versions_info: versions.map(|(id, unversioned)| (id, version_info(unversioned))).collect(),
        ..Response::default()
    }
}

fn pollers(statistics: &Statistics) -> Vec<PollerInfo> {
    let mut seen: Vec<_> = statistics.pollers.iter().collect();
    seen.sort_by_key(|(_, seen)| std::cmp::Reverse(seen.at));
    seen.into_iter()
        .map(|(identity, seen)| PollerInfo {
            last_access_time: Some(seen.at.into()),
            identity: identity.clone(),
            rate_per_second: seen.rate_per_second,
            ..PollerInfo::default()
        })
        .collect()
}

fn stats(statistics: &Statistics, now: Timestamp) -> TaskQueueStats {
    let oldest = statistics.backlog.values().map(|it| it.oldest).min();
    TaskQueueStats {
        approximate_backlog_count: backlog(statistics),
        approximate_backlog_age: time::wire(oldest.map_or_else(Default::default, |oldest| now - oldest)),
        tasks_add_rate: statistics.added_per_second as f32,
        tasks_dispatch_rate: statistics.dispatched_per_second as f32,
        ..TaskQueueStats::default()
    }
}

/// The default priority is always there, as clients expect of a queue.
fn by_priority(statistics: &Statistics, now: Timestamp) -> BTreeMap<i32, TaskQueueStats> {
    let of = |waiting: Option<&Backlog>| TaskQueueStats {
        approximate_backlog_count: waiting.map_or(0, |it| it.tasks as i64),
        approximate_backlog_age: time::wire(waiting.map_or_else(Default::default, |it| now - it.oldest)),
        ..TaskQueueStats::default()
    };
    let mut by_priority = BTreeMap::from([(PRIORITY_DEFAULT, of(None))]);
    by_priority.extend(statistics.backlog.iter().map(|(key, waiting)| (*key, of(Some(waiting)))));
    by_priority
}

fn backlog(statistics: &Statistics) -> i64 {
    statistics.backlog.values().map(|it| it.tasks as i64).sum()
}
