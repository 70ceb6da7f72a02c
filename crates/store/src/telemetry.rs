//! Spans and log records of workers.
//!
//! Kept as they arrive, found by trace, execution or deployment, forgotten by age. Nothing else depends on them.
//!
//! Invariants
//! - Rows of a table are numbered in the order of arrival, so the oldest are the first.

use crate::{
    apply::Refusal,
    error::Error,
    read::bytes,
    row::{LogOrder, LogOwner, LogRange, LogRow, SpansRow, TraceId},
};
use bytes::Bytes;
use rusqlite::{Connection, Row, Statement, ToSql, params, params_from_iter};
use tradewind_core::time::Timestamp;

/// The two tables, ready to be changed.
pub(crate) struct Telemetry<'c> {
    put_spans: Statement<'c>,
    put_log: Statement<'c>,
    delete_spans: Statement<'c>,
    delete_log: Statement<'c>,
}

impl<'c> Telemetry<'c> {
    pub(crate) fn new(connection: &'c Connection) -> rusqlite::Result<Telemetry<'c>> {
        Ok(Telemetry {
            put_spans: connection.prepare("INSERT INTO spans (trace, received, bytes) VALUES (?, ?, ?)")?,
            put_log: connection.prepare(
                "INSERT INTO log (time, received, workflow_id, run_id, activity_id, workflow_type, deployment, worker,
                   bytes) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            )?,
            delete_spans: connection.prepare("DELETE FROM spans WHERE id <= ?")?,
            delete_log: connection.prepare("DELETE FROM log WHERE id <= ?")?,
        })
    }

    pub(crate) fn put_spans(&mut self, row: &SpansRow) -> Result<(), Refusal> {
        self.put_spans.execute((&row.trace[..], row.received.as_nanos(), &row.bytes[..]))?;
        Ok(())
    }

    pub(crate) fn put_log(&mut self, row: &LogRow) -> Result<(), Refusal> {
        self.put_log.execute(params![
            row.time.as_nanos(),
            row.received.as_nanos(),
            row.workflow_id,
            row.run_id,
            row.activity_id,
            row.workflow_type,
            row.deployment,
            row.worker,
            &row.bytes[..],
        ])?;
        Ok(())
    }

    pub(crate) fn delete(&mut self, spans_until: i64, logs_until: i64) -> Result<(), Refusal> {
        self.delete_spans.execute([spans_until])?;
        self.delete_log.execute([logs_until])?;
        Ok(())
    }
}

/// Everything there is of a trace, up to `bytes_max`: an encoded `TracesData`, and whether something was left out.
pub(crate) fn spans(connection: &Connection, trace: &TraceId, bytes_max: usize) -> Result<(Bytes, bool), Error> {
    let mut find = connection.prepare_cached("SELECT bytes FROM spans WHERE trace = ? ORDER BY id")?;
    let mut rows = find.query([&trace[..]])?;
    let mut all = Vec::new();
    while let Some(row) = rows.next()? {
        let blob = row.get_ref(0)?.as_blob().map_err(|_| Error::Damaged("spans"))?;
        if !all.is_empty() && all.len() + blob.len() > bytes_max {
            return Ok((all.into(), true));
        }
        all.extend_from_slice(blob);
    }
    Ok((all.into(), false))
}

pub(crate) fn has_spans(connection: &Connection, trace: &TraceId) -> Result<bool, Error> {
    let mut find = connection.prepare_cached("SELECT EXISTS (SELECT 1 FROM spans WHERE trace = ?)")?;
    Ok(find.query_row([&trace[..]], |row| row.get(0))?)
}

/// Log records in the order of their times.
pub(crate) fn logs(connection: &Connection, owner: &LogOwner, range: &LogRange) -> Result<Vec<LogRow>, Error> {
    let (whose, name, more) = match owner {
        LogOwner::Execution { workflow_id, run_id, activity_id } => {
            ("workflow_id = ?", workflow_id, [("run_id = ?", run_id), ("activity_id = ?", activity_id)])
        }
        LogOwner::Deployment { name, worker, workflow_type } => {
            ("deployment = ?", name, [("worker = ?", worker), ("workflow_type = ?", workflow_type)])
        }
    };
    let mut conditions = vec![whose];
    let mut values: Vec<&dyn ToSql> = vec![name];
    for (condition, value) in more {
        conditions.extend(value.is_some().then_some(condition));
        values.extend(value.iter().map(|value| value as &dyn ToSql));
    }
    let window = (range.from.map_or(i64::MIN, Timestamp::as_nanos), range.before.map_or(i64::MAX, Timestamp::as_nanos));
    conditions.push("time >= ? AND time < ?");
    values.extend([&window.0 as &dyn ToSql, &window.1]);
    let after = range.after.map(|(time, id)| (time.as_nanos(), id));
    if let Some((time, id)) = &after {
        match range.order {
            LogOrder::OldestFirst => conditions.push("(time, id) > (?, ?)"),
            LogOrder::NewestFirst => conditions.push("(time, id) < (?, ?)"),
            LogOrder::Arrival => conditions.push("id > ?"),
        }
        values.extend((range.order != LogOrder::Arrival).then_some(time as &dyn ToSql));
        values.push(id);
    }
    let limit = range.limit as i64;
    values.push(&limit);
    let order = match range.order {
        LogOrder::OldestFirst => "time, id",
        LogOrder::NewestFirst => "time DESC, id DESC",
        LogOrder::Arrival => "id",
    };
    let conditions = conditions.join(" AND ");
    let mut find = connection.prepare_cached(&format!(
        "SELECT id, time, received, workflow_id, run_id, activity_id, workflow_type, deployment, worker, bytes
         FROM log WHERE {conditions} ORDER BY {order} LIMIT ?"
    ))?;
    let rows = find.query_map(params_from_iter(values), log)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn log(row: &Row<'_>) -> rusqlite::Result<LogRow> {
    Ok(LogRow {
        id: row.get(0)?,
        time: Timestamp::from_nanos(row.get(1)?),
        received: Timestamp::from_nanos(row.get(2)?),
        workflow_id: row.get(3)?,
        run_id: row.get(4)?,
        activity_id: row.get(5)?,
        workflow_type: row.get(6)?,
        deployment: row.get(7)?,
        worker: row.get(8)?,
        bytes: bytes(row, 9)?,
    })
}

/// The ends of the oldest `limit` spans rows and log records received before `before`; 0 where there are none.
pub(crate) fn expired_telemetry(
    connection: &Connection,
    before: Timestamp,
    limit: usize,
) -> Result<Option<(i64, i64)>, Error> {
    let spans = expired(connection, "spans", "id", before, limit)?;
    let logs = expired(connection, "log", "id", before, limit)?;
    Ok((spans.is_some() || logs.is_some()).then(|| (spans.unwrap_or(0), logs.unwrap_or(0))))
}

/// The end of the oldest `limit` rows of a table that were received before `before`. Looks at no more than those:
/// rows arrive in the order of their numbers, near enough.
pub(crate) fn expired(
    connection: &Connection,
    table: &str,
    number: &str,
    before: Timestamp,
    limit: usize,
) -> Result<Option<i64>, Error> {
    let mut find = connection.prepare_cached(&format!(
        "SELECT max({number}) FROM (SELECT {number}, received FROM {table} ORDER BY {number} LIMIT ?)
         WHERE received < ?"
    ))?;
    Ok(find.query_row((limit as i64, before.as_nanos()), |row| row.get(0))?)
}
