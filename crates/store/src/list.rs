//! Lists and counts of executions.
//!
//! Invariants
//! - Open executions come first by start, then closed ones by close; latest first, ties by run, latest first. Other
//!   orders are its reverse, and the order of starting, which is that of the runs' keys and needs no index.
//! - A page begins after the last row of the one before, by that row's place in the order and not by its number:
//!   executions that are added or leave in between neither shift nor repeat the others.

use crate::{
    condition::Sql,
    error::Error,
    filter::{Column, Expression, Query, Source, Value, status_name},
    plan,
    read::{bytes, uuid},
    row::VisibilityRow,
    schema::OPEN,
};
use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension, Row, params_from_iter, types::ValueRef};
use tradewind_core::{
    ids::{NamespaceKey, RunKey},
    time::Timestamp,
};

/// Up to how many rows it is cheaper to sort what an index finds than to walk in order.
const FEW_FOR_A_PAGE: usize = 1_000;
/// The same for counting, where there is nothing to sort and everything to visit.
const FEW_FOR_A_COUNT: usize = 100_000;

/// How many executions match.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Counted {
    pub total: u64,
    /// Per group its values, one for each field grouped by, and its size. A state is given by its short name; none
    /// stands for executions without the attribute. Empty unless the query groups.
    pub groups: Vec<(Vec<Option<Value>>, u64)>,
}

/// In which order a list is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Order {
    pub by: By,
    pub ascending: bool,
}

/// What a list is sorted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum By {
    /// Open executions are later than all that have ended.
    #[default]
    End,
    Start,
}

const COLUMNS: &str = "v.run, v.namespace, v.workflow_id, v.run_id,
  (SELECT text FROM name WHERE id = v.workflow_type), v.status, (SELECT text FROM name WHERE id = v.task_queue),
  v.start_time, v.execution_time, v.close_time, v.history_length, v.history_size_bytes, v.state_transitions,
  v.parent_workflow_id, v.parent_run_id, coalesce(v.root_workflow_id, v.workflow_id), coalesce(v.root_run_id, v.run_id),
  coalesce(v.first_run_id, v.run_id), v.division, v.memo, v.search_attributes";

pub(crate) fn page(
    connection: &Connection,
    namespace: NamespaceKey,
    query: &Query,
    order: Order,
    page_size: usize,
    after: Option<&[u8]>,
) -> Result<(Vec<VisibilityRow>, Option<Bytes>), Error> {
    let mut sql = Sql::default();
    sql.push("SELECT ").push(COLUMNS).append(plan::matching(connection, namespace, query, order, FEW_FOR_A_PAGE)?);
    let (beyond, direction) = if order.ascending { (" > ", " ASC") } else { (" < ", " DESC") };
    if let Some(token) = after {
        let place = Place::decode(token).ok_or(Error::PageToken)?;
        match order.by {
            By::End => {
                sql.push(" AND (v.close_time, v.start_time, v.run)").push(beyond);
                sql.bind_all([place.close_time.into(), place.start_time.into(), place.run.into()]);
            }
            By::Start => {
                sql.push(" AND v.run").push(beyond).bind(place.run);
            }
        }
    }
    sql.push(" ORDER BY ");
    if order.by == By::End {
        sql.push("v.close_time").push(direction).push(", v.start_time").push(direction).push(", ");
    }
    sql.push("v.run").push(direction).push(" LIMIT ");
    sql.bind(page_size.saturating_add(1) as i64);
    let mut find = connection.prepare_cached(&sql.text)?;
    let mut rows = find.query_map(params_from_iter(sql.bound.iter()), decode)?.collect::<Result<Vec<_>, _>>()?;
    let more = rows.len() > page_size;
    rows.truncate(page_size);
    let next = rows.last().filter(|_| more).map(|row| Place::of(row).encode());
    Ok((rows, next))
}

pub(crate) fn one(connection: &Connection, run: RunKey) -> Result<Option<VisibilityRow>, Error> {
    let mut find = connection.prepare_cached(&format!("SELECT {COLUMNS} FROM visibility AS v WHERE v.run = ?"))?;
    Ok(find.query_row([run.0], decode).optional()?)
}

pub(crate) fn count(connection: &Connection, namespace: NamespaceKey, query: &Query) -> Result<Counted, Error> {
    let mut sql = Sql::default();
    sql.push("SELECT ");
    for field in &query.group_by {
        sql.push(group_column(&field.source)).push(", ");
    }
    if by_status_alone(query) {
        // Kept, not counted.
        sql.push("coalesce(sum(v.n), 0) FROM tally AS v WHERE v.namespace = ").bind(namespace.0);
        sql.push(" AND v.n > 0");
        if let Some(filter) = &query.filter {
            sql.push(" AND ");
            crate::condition::write(&mut sql, connection, filter)?;
        }
    } else {
        sql.push("count(*)").append(plan::matching(connection, namespace, query, Order::default(), FEW_FOR_A_COUNT)?);
    }
    for field in &query.group_by {
        sql.push(" GROUP BY ").push(group_column(&field.source)).push(" ORDER BY 1");
    }
    let mut find = connection.prepare_cached(&sql.text)?;
    let mut rows = find.query(params_from_iter(sql.bound.iter()))?;
    let mut counted = Counted::default();
    while let Some(row) = rows.next()? {
        let fields = query.group_by.len();
        let n = row.get::<_, i64>(fields)? as u64;
        counted.total += n;
        if fields > 0 {
            let values = query.group_by.iter().enumerate();
            let values = values.map(|(index, field)| group_value(row, index, &field.source));
            counted.groups.push((values.collect::<Result<_, _>>()?, n));
        }
    }
    Ok(counted)
}

/// Whether the tally knows the answer.
fn by_status_alone(query: &Query) -> bool {
    let is_status = |source: &Source| *source == Source::Column(Column::ExecutionStatus);
    fn every(expression: &Expression, test: &impl Fn(&Source) -> bool) -> bool {
        match expression {
            Expression::All(parts) | Expression::Any(parts) => parts.iter().all(|part| every(part, test)),
            Expression::Not(part) => every(part, test),
            Expression::SearchKey { .. } => false,
            Expression::Compare { field, .. }
            | Expression::In { field, .. }
            | Expression::Between { field, .. }
            | Expression::StartsWith { field, .. }
            | Expression::IsNull { field, .. } => test(&field.source),
        }
    }
    !query.names_division
        && query.filter.as_ref().is_none_or(|filter| every(filter, &is_status))
        && query.group_by.iter().all(|field| is_status(&field.source))
}

fn group_column(source: &Source) -> &'static str {
    match source {
        Source::Column(Column::ExecutionStatus) => "v.status",
        Source::Column(Column::Division) => "v.division",
        other => unreachable!("a query cannot group by {other:?}"),
    }
}

fn group_value(row: &Row<'_>, index: usize, source: &Source) -> rusqlite::Result<Option<Value>> {
    Ok(match (row.get_ref(index)?, source) {
        (ValueRef::Integer(status), Source::Column(Column::ExecutionStatus)) => {
            status_name(status).map(|name| Value::Text(name.to_owned()))
        }
        (ValueRef::Integer(number), _) => Some(Value::Int(number)),
        (ValueRef::Null, _) => None,
        (text, _) => Some(Value::Text(text.as_str()?.to_owned())),
    })
}

fn decode(row: &Row<'_>) -> rusqlite::Result<VisibilityRow> {
    let close_time: i64 = row.get(9)?;
    let parent_workflow_id: Option<String> = row.get(13)?;
    Ok(VisibilityRow {
        run: RunKey(row.get(0)?),
        namespace: NamespaceKey(row.get(1)?),
        workflow_id: row.get(2)?,
        run_id: uuid(row, 3)?,
        workflow_type: row.get(4)?,
        status: row.get(5)?,
        task_queue: row.get(6)?,
        start_time: Timestamp::from_nanos(row.get(7)?),
        execution_time: Timestamp::from_nanos(row.get(8)?),
        close_time: (close_time != OPEN).then(|| Timestamp::from_nanos(close_time)),
        history_length: row.get(10)?,
        history_size_bytes: row.get(11)?,
        state_transitions: row.get(12)?,
        parent: match parent_workflow_id {
            Some(workflow_id) => Some((workflow_id, uuid(row, 14)?)),
            None => None,
        },
        root: (row.get(15)?, uuid(row, 16)?),
        first_run_id: uuid(row, 17)?,
        division: row.get(18)?,
        memo: bytes(row, 19)?,
        search_attributes: bytes(row, 20)?,
        attributes: Vec::new(),
    })
}

/// A row's place in the order of lists.
///
/// As a token: version 1 · close_time i64 · start_time i64 · run i64, big-endian.
struct Place {
    close_time: i64,
    start_time: i64,
    run: i64,
}

const TOKEN_VERSION: u8 = 1;

impl Place {
    fn of(row: &VisibilityRow) -> Place {
        Place {
            close_time: row.close_time.map_or(OPEN, Timestamp::as_nanos),
            start_time: row.start_time.as_nanos(),
            run: row.run.0,
        }
    }

    fn encode(&self) -> Bytes {
        let numbers = [self.close_time, self.start_time, self.run].map(i64::to_be_bytes).concat();
        Bytes::from([&[TOKEN_VERSION][..], &numbers].concat())
    }

    fn decode(token: &[u8]) -> Option<Place> {
        let (version, numbers) = token.split_first()?;
        if *version != TOKEN_VERSION || numbers.len() != 24 {
            return None;
        }
        let number = |at: usize| numbers[at..at + 8].try_into().ok().map(i64::from_be_bytes);
        Some(Place { close_time: number(0)?, start_time: number(8)?, run: number(16)? })
    }
}
