//! How long executions lived, added up.

use crate::{condition::Sql, error::Error, filter::Query, list::Order, plan, schema::OPEN};
use rusqlite::{Connection, params_from_iter};
use std::time::Duration;
use tradewind_core::{ids::NamespaceKey, time::Timestamp};

/// As in counts: there is nothing to sort and everything to visit.
const FEW: usize = 100_000;

/// The executions of one state that closed within one stretch of time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lifetimes {
    /// The number of the state, as in the API.
    pub status: i32,
    /// When the stretch begins; none stands for executions that are open.
    pub closed_from: Option<Timestamp>,
    pub executions: u64,
    /// From start to close, all of them together; zero for open ones.
    pub total: Duration,
}

/// Those that match, by state and by stretches of the length of `stretch`, earliest first and open ones before.
pub(crate) fn read(
    connection: &Connection,
    namespace: NamespaceKey,
    query: &Query,
    stretch: Duration,
) -> Result<Vec<Lifetimes>, Error> {
    let stretch = i64::try_from(stretch.as_nanos()).unwrap_or(i64::MAX).max(1);
    let mut sql = Sql::default();
    // Microseconds, so that a sum has room for 290,000 years.
    sql.push("SELECT v.status, nullif(v.close_time, ").bind(OPEN).push(") / ").bind(stretch);
    sql.push(" AS stretch, count(*), sum(iif(v.close_time = ").bind(OPEN);
    sql.push(", 0, v.close_time - v.start_time) / 1000)");
    sql.append(plan::matching(connection, namespace, query, Order::default(), FEW)?);
    sql.push(" GROUP BY 1, 2 ORDER BY 2, 1");
    let mut find = connection.prepare_cached(&sql.text)?;
    let rows = find.query_map(params_from_iter(sql.bound.iter()), |row| {
        let number: Option<i64> = row.get(1)?;
        let micros: i64 = row.get(3)?;
        Ok(Lifetimes {
            status: row.get(0)?,
            closed_from: number.map(|number| Timestamp::from_nanos(number.saturating_mul(stretch))),
            executions: row.get::<_, i64>(2)?.unsigned_abs(),
            total: Duration::from_micros(u64::try_from(micros).unwrap_or_default()),
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}
