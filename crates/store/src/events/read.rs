//! Reads of the event log.
//!
//! A filter names runs by what people know of them. Those runs are looked up first; then one index is walked in the
//! order of sequences: that of the run if it is one, that of the chain if they belong together, else the log itself.
//! What the index cannot tell is checked row by row, a bounded number at a time.

use crate::{
    error::Error,
    read::{bytes, uuid},
    row::{EventFilter, EventPage, EventRange, EventRow, EventSource, EventSummary, FollowedRow, Follower},
};
use rusqlite::{Connection, OptionalExtension, Row, ToSql, params, params_from_iter};
use std::{collections::HashMap, sync::Arc};
use tradewind_core::{
    ids::{NamespaceKey, RunKey},
    time::Timestamp,
};
use uuid::Uuid;

/// Rows that one read looks at, whether they match or not.
const ROWS_MAX: usize = 4_000;

type Sources = HashMap<RunKey, Arc<EventSource>>;

const COLUMNS: &str = "sequence, run, kind, task, task_name, received, bytes";

pub(crate) fn page(connection: &Connection, filter: &EventFilter, range: EventRange) -> Result<EventPage, Error> {
    let mut walk = Walk { connection, filter, range, sources: Sources::new() };
    if !names_runs(filter) {
        return walk.along("", None);
    }
    walk.sources = sources(connection, filter)?;
    let mut chains: Vec<Uuid> = walk.sources.values().map(|source| source.chain_run_id).collect();
    chains.sort_unstable();
    chains.dedup();
    match (walk.sources.len(), &chains[..]) {
        (0, _) => Ok(EventPage { events: Vec::new(), looked_until: range.until }),
        (1, _) => {
            let run = walk.sources.keys().next().expect("there is one").0;
            walk.along("run = ? AND", Some(&run))
        }
        (_, [chain]) => walk.along("chain = ? AND", Some(&crate::apply::key_of(chain))),
        // Starts of one workflow id one after the other, or parents with children in many trees: each chain's page
        // is cut where the shortest of them ended.
        (_, chains) => {
            let mut pages = Vec::with_capacity(chains.len());
            for chain in chains {
                pages.push(walk.along("chain = ? AND", Some(&crate::apply::key_of(chain)))?);
            }
            Ok(merged(pages, range))
        }
    }
}

/// Whether the filter says more of the runs than the index of sequences can use.
fn names_runs(filter: &EventFilter) -> bool {
    filter.workflow_id.is_some()
        || filter.run_id.is_some()
        || filter.root_workflow_id.is_some()
        || filter.parent_workflow_id.is_some()
}

struct Walk<'a> {
    connection: &'a Connection,
    filter: &'a EventFilter,
    range: EventRange,
    sources: Sources,
}

impl Walk<'_> {
    fn along(&mut self, index: &str, key: Option<&dyn ToSql>) -> Result<EventPage, Error> {
        let EventRange { after, until, events_max, bytes_max } = self.range;
        let mut find = self.connection.prepare_cached(&format!(
            "SELECT {COLUMNS} FROM event WHERE {index} sequence > ? AND sequence <= ? ORDER BY sequence LIMIT ?"
        ))?;
        let rows_max = ROWS_MAX as i64;
        let range: [&dyn ToSql; 3] = [&after, &until, &rows_max];
        let mut rows = find.query(params_from_iter(key.into_iter().chain(range)))?;
        let mut page = EventPage { events: Vec::new(), looked_until: after };
        let (mut looked_at, mut taken) = (0, 0);
        while let Some(row) = rows.next()? {
            let sequence = row.get(0)?;
            looked_at += 1;
            if let Some(source) = self.source(RunKey(row.get(1)?))?
                && let Some(event) = self.matching(row, source)?
            {
                let full = page.events.len() >= events_max || taken + event.bytes.len() > bytes_max;
                if full && !page.events.is_empty() {
                    return Ok(page);
                }
                taken += event.bytes.len();
                page.events.push(event);
            }
            page.looked_until = sequence;
        }
        if looked_at < ROWS_MAX {
            page.looked_until = until;
        }
        Ok(page)
    }

    fn matching(&self, row: &Row<'_>, source: Arc<EventSource>) -> Result<Option<EventRow>, Error> {
        let text = |column| -> Result<Option<&str>, Error> {
            row.get_ref(column)?.as_str_or_null().map_err(|_| Error::Damaged("event"))
        };
        if !self.filter.matches_facts(row.get(2)?, text(3)?, text(4)?) {
            return Ok(None);
        }
        Ok(Some(EventRow {
            sequence: row.get(0)?,
            source,
            kind: row.get(2)?,
            task: row.get(3)?,
            task_name: row.get(4)?,
            received: Timestamp::from_nanos(row.get(5)?),
            bytes: bytes(row, 6)?,
        }))
    }

    /// The run's source, if the filter wants it.
    fn source(&mut self, run: RunKey) -> Result<Option<Arc<EventSource>>, Error> {
        if let Some(source) = self.sources.get(&run) {
            return Ok(Some(source.clone()));
        }
        if names_runs(self.filter) {
            // All that it names were looked up at the start.
            return Ok(None);
        }
        let source = Arc::new(source(self.connection, run)?.ok_or(Error::Damaged("event source"))?);
        if !self.filter.matches_source(&source) {
            return Ok(None);
        }
        self.sources.insert(run, source.clone());
        Ok(Some(source))
    }
}

fn merged(pages: Vec<EventPage>, range: EventRange) -> EventPage {
    let mut looked_until = pages.iter().map(|page| page.looked_until).min().unwrap_or(range.until);
    let mut events: Vec<EventRow> = pages.into_iter().flat_map(|page| page.events).collect();
    events.retain(|event| event.sequence <= looked_until);
    events.sort_by_key(|event| event.sequence);
    let mut taken = 0;
    let fits = events.iter().take_while(|event| {
        let first = taken == 0;
        taken += event.bytes.len().max(1);
        first || taken <= range.bytes_max
    });
    let fitting = fits.count().min(range.events_max.max(1));
    if fitting < events.len() {
        events.truncate(fitting);
        looked_until = events.last().map_or(range.after, |event| event.sequence);
    }
    EventPage { events, looked_until }
}

const SOURCE_COLUMNS: &str =
    "run, namespace, workflow_id, run_id, workflow_type, root_workflow_id, parent_workflow_id, chain";

fn sources(connection: &Connection, filter: &EventFilter) -> Result<Sources, Error> {
    let EventFilter { namespace, workflow_id, run_id, root_workflow_id, parent_workflow_id, .. } = filter;
    let mut found = Sources::new();
    let mut take = |condition: &str, key: &str| -> Result<(), Error> {
        let mut find = connection.prepare_cached(&format!(
            "SELECT {SOURCE_COLUMNS} FROM event_source WHERE namespace = ? AND {condition}"
        ))?;
        let mut rows = find.query(params![namespace.0, key])?;
        while let Some(row) = rows.next()? {
            let source = read_source(row)?;
            if filter.matches_source(&source) {
                found.insert(source.run, Arc::new(source));
            }
        }
        Ok(())
    };
    if let Some(workflow_id) = workflow_id {
        take("workflow_id = ?", workflow_id)?;
    } else if let Some(parent) = parent_workflow_id {
        take("parent_workflow_id = ?", parent)?;
    } else if let Some(root) = root_workflow_id {
        // A root's own row does not repeat its name.
        take("root_workflow_id = ?", root)?;
        take("root_workflow_id IS NULL AND workflow_id = ?", root)?;
    } else if let Some(run_id) = run_id {
        let run = run_with_id(connection, *run_id)?;
        if let Some(source) = run.map(|run| source(connection, run)).transpose()?.flatten()
            && filter.matches_source(&source)
        {
            found.insert(source.run, Arc::new(source));
        }
    }
    Ok(found)
}

/// Only runs that are still there: their ids have an index, those of deleted ones have none.
fn run_with_id(connection: &Connection, run_id: Uuid) -> Result<Option<RunKey>, Error> {
    let mut find = connection.prepare_cached("SELECT id FROM run WHERE run_id = ?")?;
    Ok(find.query_row([crate::apply::key_of(&run_id)], |row| row.get(0).map(RunKey)).optional()?)
}

fn source(connection: &Connection, run: RunKey) -> Result<Option<EventSource>, Error> {
    let mut find = connection.prepare_cached(&format!("SELECT {SOURCE_COLUMNS} FROM event_source WHERE run = ?"))?;
    Ok(find.query_row([run.0], read_source).optional()?)
}

fn read_source(row: &Row<'_>) -> rusqlite::Result<EventSource> {
    let workflow_id: String = row.get(2)?;
    let root: Option<String> = row.get(5)?;
    Ok(EventSource {
        run: RunKey(row.get(0)?),
        namespace: NamespaceKey(row.get(1)?),
        run_id: uuid(row, 3)?,
        workflow_type: row.get(4)?,
        root_workflow_id: root.unwrap_or_else(|| workflow_id.clone()),
        workflow_id,
        parent_workflow_id: row.get(6)?,
        chain_run_id: uuid(row, 7)?,
    })
}

pub(crate) fn summary(connection: &Connection, run: RunKey) -> Result<EventSummary, Error> {
    let mut find = connection.prepare_cached("SELECT ended FROM event_source WHERE run = ?")?;
    let ended = find.query_row([run.0], |row| row.get(0)).optional()?.flatten();
    let mut find = connection.prepare_cached("SELECT task, name FROM open_task WHERE run = ? ORDER BY sequence")?;
    let open_tasks = find.query_map([run.0], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(EventSummary { ended, open_tasks: open_tasks.collect::<Result<_, _>>()? })
}

pub(crate) fn followed(
    connection: &Connection,
    follower: Follower,
    after: i64,
    limit: usize,
) -> Result<Vec<FollowedRow>, Error> {
    let mut find = connection.prepare_cached(
        "SELECT id, run, first_event_id FROM followed WHERE id > ? AND follower = ? ORDER BY id LIMIT ?",
    )?;
    let rows = find.query_map((after, follower.0, limit as i64), |row| {
        Ok(FollowedRow { id: row.get(0)?, run: RunKey(row.get(1)?), first_event_id: row.get(2)? })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// The end of the oldest `limit` events that were received before `before`, if there are any.
pub(crate) fn expired(connection: &Connection, before: Timestamp, limit: usize) -> Result<Option<i64>, Error> {
    crate::telemetry::expired(connection, "event", "sequence", before, limit)
}

/// A run that is gone, and the end of the oldest `limit` of its events.
pub(crate) fn gone(connection: &Connection, limit: usize) -> Result<Option<(RunKey, i64)>, Error> {
    let mut find = connection.prepare_cached("SELECT run FROM event_source WHERE gone LIMIT 1")?;
    let Some(run) = find.query_row([], |row| row.get::<_, i64>(0)).optional()? else { return Ok(None) };
    let mut find = connection.prepare_cached(
        "SELECT coalesce(max(sequence), 0) FROM (SELECT sequence FROM event WHERE run = ? ORDER BY sequence LIMIT ?)",
    )?;
    let until = find.query_row((run, limit as i64), |row| row.get(0))?;
    Ok(Some((RunKey(run), until)))
}
