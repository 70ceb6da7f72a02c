//! The rows behind lists and counts, kept as runs change.
//!
//! Invariants
//! - A run has at most one row, and the values it can be searched by are those of that row.
//! - Per (namespace, status), the tally is the number of rows without a division, which is what pages count.

use crate::{
    apply::{Refusal, key_of},
    names::Names,
    row::{AttributeValue, VisibilityRow},
    schema::OPEN,
};
use rusqlite::{Connection, OptionalExtension, Statement, params};
use tradewind_core::{ids::RunKey, time::Timestamp};

/// The list of executions, ready to be changed.
pub(crate) struct Shelf<'c> {
    find: Statement<'c>,
    insert: Statement<'c>,
    update: Statement<'c>,
    delete: Statement<'c>,
    insert_attribute: Statement<'c>,
    delete_attributes: Statement<'c>,
    count: Statement<'c>,
    names: Names<'c>,
    /// What the group has changed so far. A handful of entries, so a search through all is the cheapest.
    counts: Vec<Count>,
}

struct Count {
    namespace: i64,
    status: i32,
    change: i64,
}

/// The part of a stored row that decides how it is replaced.
struct Stored {
    namespace: i64,
    status: i32,
    start_time: i64,
    workflow_type: i64,
    has_attributes: bool,
    /// What the rows of its attributes were made from is what the new ones would be made from.
    same_attributes: bool,
    division: Option<String>,
}

impl<'c> Shelf<'c> {
    pub(crate) fn new(connection: &'c Connection, names: Names<'c>) -> rusqlite::Result<Shelf<'c>> {
        Ok(Shelf {
            find: connection.prepare(
                "SELECT namespace, status, start_time, workflow_type, attributes,
                   search_attributes = ?2 AND ?2 <> x'', division
                 FROM visibility WHERE run = ?1",
            )?,
            insert: connection.prepare(
                "INSERT INTO visibility (run, namespace, status, close_time, start_time, execution_time,
                   workflow_type, task_queue, attributes, division, history_length, history_size_bytes,
                   state_transitions, workflow_id, run_id, first_run_id, root_workflow_id, root_run_id,
                   parent_workflow_id, parent_run_id, memo, search_attributes)
                 VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            )?,
            // Leaves out the columns that never change, so that their indexes are left alone.
            update: connection.prepare(
                "UPDATE visibility SET status = ?2, close_time = ?3, execution_time = ?4, task_queue = ?5,
                   attributes = ?6, history_length = ?7, history_size_bytes = ?8, state_transitions = ?9,
                   memo = ?10, search_attributes = ?11
                 WHERE run = ?1",
            )?,
            delete: connection.prepare("DELETE FROM visibility WHERE run = ?")?,
            insert_attribute: connection.prepare("INSERT OR IGNORE INTO attribute VALUES (?, ?, ?, ?)")?,
            delete_attributes: connection.prepare("DELETE FROM attribute WHERE run = ?")?,
            count: connection.prepare(
                "INSERT INTO tally VALUES (?, ?, ?)
                 ON CONFLICT DO UPDATE SET n = n + excluded.n",
            )?,
            names,
            counts: Vec::new(),
        })
    }

    /// Puts a run's row. `fresh`: the run is known to have none.
    pub(crate) fn put(&mut self, row: &VisibilityRow, fresh: bool) -> Result<(), Refusal> {
        let workflow_type = self.names.number(&row.workflow_type)?;
        let task_queue = self.names.number(&row.task_queue)?;
        let stored = if fresh { None } else { self.find(row.run, &row.search_attributes)? };
        let same_attributes = stored.as_ref().is_some_and(|it| it.same_attributes);
        match stored {
            Some(stored) => {
                let same_place = stored.namespace == row.namespace.0
                    && stored.start_time == row.start_time.as_nanos()
                    && stored.workflow_type == workflow_type
                    && stored.division == row.division;
                if same_place && stored.status == row.status {
                    self.update(row, task_queue)?;
                } else if same_place {
                    self.count(stored.namespace, &stored.division, stored.status, -1);
                    self.update(row, task_queue)?;
                    self.count(row.namespace.0, &row.division, row.status, 1);
                } else {
                    self.delete.execute([row.run.0])?;
                    self.count(stored.namespace, &stored.division, stored.status, -1);
                    self.insert(row, workflow_type, task_queue)?;
                }
                if stored.has_attributes && !same_attributes {
                    self.delete_attributes.execute([row.run.0])?;
                }
            }
            None => self.insert(row, workflow_type, task_queue)?,
        }
        if same_attributes {
            return Ok(());
        }
        for (name, value) in &row.attributes {
            self.insert_attribute(row.run, name, value)?;
        }
        Ok(())
    }

    pub(crate) fn delete(&mut self, run: RunKey) -> Result<(), Refusal> {
        if let Some(stored) = self.find(run, &[])? {
            self.delete.execute([run.0])?;
            self.count(stored.namespace, &stored.division, stored.status, -1);
            if stored.has_attributes {
                self.delete_attributes.execute([run.0])?;
            }
        }
        Ok(())
    }

    /// Writes what the group did to the tally.
    pub(crate) fn finish_group(&mut self) -> Result<(), Refusal> {
        for Count { namespace, status, change } in self.counts.drain(..) {
            if change != 0 {
                self.count.execute((namespace, status, change))?;
            }
        }
        Ok(())
    }

    fn find(&mut self, run: RunKey, search_attributes: &[u8]) -> Result<Option<Stored>, Refusal> {
        let stored = self.find.query_row((run.0, search_attributes), |row| {
            Ok(Stored {
                namespace: row.get(0)?,
                status: row.get(1)?,
                start_time: row.get(2)?,
                workflow_type: row.get(3)?,
                has_attributes: row.get(4)?,
                same_attributes: row.get(5)?,
                division: row.get(6)?,
            })
        });
        Ok(stored.optional()?)
    }

    fn insert(&mut self, row: &VisibilityRow, workflow_type: i64, task_queue: i64) -> Result<(), Refusal> {
        let parent = row.parent.as_ref();
        let is_root = row.root.0 == row.workflow_id && row.root.1 == row.run_id;
        let root = (!is_root).then_some(&row.root);
        self.insert.execute(params![
            row.run.0,
            row.namespace.0,
            row.status,
            row.close_time.map_or(OPEN, Timestamp::as_nanos),
            row.start_time.as_nanos(),
            row.execution_time.as_nanos(),
            workflow_type,
            task_queue,
            !row.attributes.is_empty(),
            row.division,
            row.history_length,
            row.history_size_bytes,
            row.state_transitions,
            row.workflow_id,
            key_of(&row.run_id),
            (row.first_run_id != row.run_id).then(|| key_of(&row.first_run_id)),
            root.map(|(workflow_id, _)| workflow_id),
            root.map(|(_, run_id)| key_of(run_id)),
            parent.map(|(workflow_id, _)| workflow_id),
            parent.map(|(_, run_id)| key_of(run_id)),
            &row.memo[..],
            &row.search_attributes[..],
        ])?;
        self.count(row.namespace.0, &row.division, row.status, 1);
        Ok(())
    }

    fn update(&mut self, row: &VisibilityRow, task_queue: i64) -> Result<(), Refusal> {
        self.update.execute(params![
            row.run.0,
            row.status,
            row.close_time.map_or(OPEN, Timestamp::as_nanos),
            row.execution_time.as_nanos(),
            task_queue,
            !row.attributes.is_empty(),
            row.history_length,
            row.history_size_bytes,
            row.state_transitions,
            &row.memo[..],
            &row.search_attributes[..],
        ])?;
        Ok(())
    }

    fn insert_attribute(&mut self, run: RunKey, name: &str, value: &AttributeValue) -> Result<(), Refusal> {
        let key = (run.0, self.names.number(name)?, kind_number(value));
        let insert = &mut self.insert_attribute;
        match value {
            AttributeValue::Keyword(text) => insert.execute((key.0, key.1, key.2, text))?,
            AttributeValue::Int(number) => insert.execute((key.0, key.1, key.2, number))?,
            AttributeValue::Double(number) => insert.execute((key.0, key.1, key.2, number))?,
            AttributeValue::Bool(flag) => insert.execute((key.0, key.1, key.2, flag))?,
            AttributeValue::Datetime(instant) => insert.execute((key.0, key.1, key.2, instant.as_nanos()))?,
            AttributeValue::KeywordList(texts) => {
                for text in texts {
                    insert.execute((key.0, key.1, key.2, text))?;
                }
                texts.len()
            }
            AttributeValue::Text(text) => {
                for token in tokens(text) {
                    insert.execute((key.0, key.1, key.2, token))?;
                }
                1
            }
        };
        Ok(())
    }

    fn count(&mut self, namespace: i64, division: &Option<String>, status: i32, change: i64) {
        if division.is_some() {
            return;
        }
        match self.counts.iter_mut().find(|count| count.namespace == namespace && count.status == status) {
            Some(count) => count.change += change,
            None => self.counts.push(Count { namespace, status, change }),
        }
    }
}

/// A value's type as it is stored, part of the key: an attribute that was removed and added again with another
/// type must not find the values it had before. These are the numbers of
/// `temporal.api.enums.v1.IndexedValueType`.
pub(crate) fn kind_number(value: &AttributeValue) -> i64 {
    match value {
        AttributeValue::Text(_) => 1,
        AttributeValue::Keyword(_) => 2,
        AttributeValue::Int(_) => 3,
        AttributeValue::Double(_) => 4,
        AttributeValue::Bool(_) => 5,
        AttributeValue::Datetime(_) => 6,
        AttributeValue::KeywordList(_) => 7,
    }
}

/// The words of a text, lower-cased: what a search for a word compares.
pub(crate) fn tokens(text: &str) -> impl Iterator<Item = String> + '_ {
    text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).map(str::to_lowercase)
}
