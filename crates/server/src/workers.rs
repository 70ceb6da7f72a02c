//! The workers that send heartbeats: who they are, what they poll, how busy they are.
//!
//! Kept in memory only. A worker reports every minute, so after a restart the list is whole again within
//! one; what it shows is never needed to run a workflow.
//!
//! Invariants
//! - A worker that says it has shut down is gone at once; a silent one is gone after a while.
//! - There are never more than `worker_registry_max` entries.

mod query;

use crate::Error;
use api::enums::v1::WorkerStatus;
use api::worker::v1::WorkerHeartbeat;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::time::Duration;
use tradewind_core::ids::NamespaceKey;
use tradewind_core::limits::Limits;
use tradewind_core::time::Timestamp;

/// All workers of all namespaces.
pub struct Workers {
    ttl: Duration,
    entries_max: usize,
    entries: Mutex<BTreeMap<(NamespaceKey, String), Entry>>,
}

struct Entry {
    heartbeat: WorkerHeartbeat,
    seen: Timestamp,
}

impl Workers {
    pub fn new(limits: &Limits) -> Workers {
        Workers { ttl: limits.worker_registry_ttl, entries_max: limits.worker_registry_max, entries: Mutex::default() }
    }

    /// Takes in what workers report of themselves.
    pub fn record(&self, namespace: NamespaceKey, heartbeats: Vec<WorkerHeartbeat>, now: Timestamp) {
        let mut entries = self.entries.lock();
        for heartbeat in heartbeats {
            let key = (namespace, heartbeat.worker_instance_key.clone());
            if heartbeat.status() == WorkerStatus::Shutdown {
                entries.remove(&key);
            } else {
                entries.insert(key, Entry { heartbeat, seen: now });
            }
        }
        if entries.len() > self.entries_max {
            entries.retain(|_, entry| now.since(entry.seen) <= self.ttl);
        }
        while entries.len() > self.entries_max {
            let silent_longest = entries.iter().min_by_key(|(_, entry)| entry.seen).map(|(key, _)| key.clone());
            silent_longest.and_then(|key| entries.remove(&key));
        }
    }

    /// Workers whose heartbeat matches, ordered by their instance keys.
    pub fn list(&self, namespace: NamespaceKey, query: &str, now: Timestamp) -> Result<Vec<WorkerHeartbeat>, Error> {
        let query = query::parse(query)?;
        let entries = self.entries.lock();
        Ok(entries
            .range((namespace, String::new())..)
            .take_while(|((owner, _), _)| *owner == namespace)
            .filter(|(_, entry)| now.since(entry.seen) <= self.ttl)
            .filter(|(_, entry)| query.as_ref().is_none_or(|query| query.matches(&entry.heartbeat)))
            .map(|(_, entry)| entry.heartbeat.clone())
            .collect())
    }

    pub fn find(&self, namespace: NamespaceKey, instance_key: &str, now: Timestamp) -> Option<WorkerHeartbeat> {
        let entries = self.entries.lock();
        let entry = entries.get(&(namespace, instance_key.to_owned()))?;
        (now.since(entry.seen) <= self.ttl).then(|| entry.heartbeat.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMESPACE: NamespaceKey = NamespaceKey(1);
    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn a_silent_worker_disappears() {
        let workers = Workers::new(&Limits::default());
        workers.record(NAMESPACE, vec![worker("a", "q")], Timestamp::ZERO);

        assert_eq!(keys(&workers, "", Timestamp::ZERO + 5 * MINUTE), ["a"]);
        assert_eq!(keys(&workers, "", Timestamp::ZERO + 6 * MINUTE), [""; 0]);
        assert_eq!(workers.find(NAMESPACE, "a", Timestamp::ZERO + 6 * MINUTE), None);
    }

    #[test]
    fn a_worker_that_shut_down_is_gone_at_once() {
        let workers = Workers::new(&Limits::default());
        workers.record(NAMESPACE, vec![worker("a", "q"), worker("b", "q")], Timestamp::ZERO);
        let gone = WorkerHeartbeat { status: WorkerStatus::Shutdown as i32, ..worker("a", "q") };
        workers.record(NAMESPACE, vec![gone], Timestamp::ZERO);

        assert_eq!(keys(&workers, "", Timestamp::ZERO), ["b"]);
    }

    #[test]
    fn namespaces_do_not_see_each_other() {
        let workers = Workers::new(&Limits::default());
        workers.record(NamespaceKey(2), vec![worker("a", "q")], Timestamp::ZERO);

        assert_eq!(keys(&workers, "", Timestamp::ZERO), [""; 0]);
    }

    #[test]
    fn the_longest_silent_go_first_when_there_are_too_many() {
        let workers = Workers::new(&Limits { worker_registry_max: 2, ..Limits::default() });
        for (second, key) in ["a", "b", "c"].into_iter().enumerate() {
            workers.record(NAMESPACE, vec![worker(key, "q")], Timestamp::from_secs(second as i64));
        }

        assert_eq!(keys(&workers, "", Timestamp::ZERO), ["b", "c"]);
    }

    #[test]
    fn a_query_picks_by_any_field() {
        let workers = Workers::new(&Limits::default());
        workers.record(
            NAMESPACE,
            vec![worker("a", "red"), worker("b", "blue"), worker("c", "redder")],
            Timestamp::ZERO,
        );
        let keys = |query| keys(&workers, query, Timestamp::ZERO);

        assert_eq!(keys("TaskQueue = 'red'"), ["a"]);
        assert_eq!(keys(r#"TaskQueue STARTS_WITH "red" AND WorkerInstanceKey != "a""#), ["c"]);
        assert_eq!(keys("TaskQueue='blue' OR (TaskQueue = 'red' AND WorkerInstanceKey = 'a')"), ["a", "b"]);
        assert_eq!(keys("StartTime > '1970-01-01T00:00:00Z'"), [""; 0]);
        assert_eq!(keys("StartTime IS NULL AND HostName IS NULL"), ["a", "b", "c"]);
        assert_eq!(keys("NOT (TaskQueue = 'red')"), ["b", "c"]);
    }

    #[test]
    fn a_query_that_makes_no_sense_is_refused() {
        let workers = Workers::new(&Limits::default());
        for query in
            ["Nope = 'a'", "TaskQueue", "TaskQueue = 'a", "TaskQueue = 'a' AND", "TaskQueue > 'a'", "( TaskQueue = 'a'"]
        {
            let refused = workers.list(NAMESPACE, query, Timestamp::ZERO);
            assert!(matches!(refused, Err(Error::InvalidArgument(_))), "{query}");
        }
    }

    fn worker(key: &str, queue: &str) -> WorkerHeartbeat {
        WorkerHeartbeat {
            worker_instance_key: key.into(),
            task_queue: queue.into(),
            status: WorkerStatus::Running as i32,
            ..WorkerHeartbeat::default()
        }
    }

    #[track_caller]
    fn keys(workers: &Workers, query: &str, now: Timestamp) -> Vec<String> {
        let found = workers.list(NAMESPACE, query, now).expect("the query parses");
        found.into_iter().map(|worker| worker.worker_instance_key).collect()
    }
}
