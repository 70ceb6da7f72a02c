//! Queries that wait for a workflow task of their run, to be answered with it.
//!
//! Invariants
//! - No query waits here while its run has no workflow task.
//! - How many wait is limited; one whose asker has left does not count.

use super::Owner;
use crate::{
    Error,
    message::{Answer, Target},
    query::AttachedQuery,
};
use api::query::v1::WorkflowQueryResult;
use std::collections::BTreeMap;
use tradewind_core::ids::RunKey;

impl Owner {
    pub(super) fn on_attach_query(&mut self, target: &Target, query: AttachedQuery, answer: Answer<()>) {
        let outcome = self.resolve(target).and_then(|run| {
            let limit = self.shared.limits.buffered_queries_max;
            let entry = self.entry(run);
            entry.queries.retain(|query| !query.is_abandoned());
            if entry.queries.len() >= limit {
                return Err(Error::Exhausted(format!(
                    "consistent query buffer is full, this may be caused by too many queries and workflow not able to \
                     process query fast enough ({} waiting, limit {limit})",
                    entry.queries.len()
                )));
            }
            if entry.state.workflow_task().is_none() {
                // The task that the asker saw has ended meanwhile, and no step is due that would find the query.
                query.retry_directly();
            } else {
                entry.queries.push(query);
            }
            Ok(())
        });
        let _ = answer.send(outcome);
    }

    /// Takes the queries that a worker answered with its workflow task away from those that wait.
    pub(super) fn answered_queries(
        &mut self,
        run: RunKey,
        mut answers: BTreeMap<String, WorkflowQueryResult>,
    ) -> Vec<(AttachedQuery, WorkflowQueryResult)> {
        let entry = self.entry(run);
        let waiting = std::mem::take(&mut entry.queries);
        let mut answered = Vec::new();
        for query in waiting {
            match answers.remove(&query.id) {
                Some(result) => answered.push((query, result)),
                None => entry.queries.push(query),
            }
        }
        answered
    }
}
