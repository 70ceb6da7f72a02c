//! The event log, as it is written. [`read`] reads it.
//!
//! Invariants
//! - Sequences are given in the order of commits, without gaps inside a group, and are never used again: the last
//!   one stands in `meta`, in the transaction that uses it, and outlives the events.
//! - An event id of a run is kept once, for as long as that event is kept.
//! - A run has a row in `event_source` from its first event on, until it is gone and its last event too.

pub(crate) mod read;

use crate::{
    apply::{Refusal, key_of},
    row::{EventMeaning, EventSource, Follower, NewEvent},
    schema::Meta,
};
use rusqlite::{
    Connection, Statement, ToSql, params,
    types::{ToSqlOutput, ValueRef},
};
use tradewind_core::ids::{EventId, RunKey};
use uuid::Uuid;

/// The log, ready to be changed.
pub(crate) struct Events<'c> {
    insert_source: Statement<'c>,
    mark_ended: Statement<'c>,
    mark_gone: Statement<'c>,
    delete_source: Statement<'c>,
    insert: Statement<'c>,
    open_task: Statement<'c>,
    close_task: Statement<'c>,
    delete: Statement<'c>,
    delete_of_run: Statement<'c>,
    delete_open_tasks: Statement<'c>,
    put_followed: Statement<'c>,
    delete_followed: Statement<'c>,
    update_meta: Statement<'c>,
    /// Given last, and what stands on disk.
    last: i64,
    stored: i64,
    last_followed: i64,
}

impl<'c> Events<'c> {
    pub(crate) fn new(connection: &'c Connection) -> rusqlite::Result<Events<'c>> {
        let last =
            connection
                .query_row("SELECT value FROM meta WHERE number = ?", [Meta::LastEvent as i64], |row| row.get(0))?;
        // Followers begin again with the process, so these need only grow while it lives.
        let last_followed = connection.query_row("SELECT coalesce(max(id), 0) FROM followed", [], |row| row.get(0))?;
        Ok(Events {
            insert_source: connection.prepare(
                "INSERT OR IGNORE INTO event_source VALUES
                   (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, NULL, NOT EXISTS (SELECT 1 FROM run WHERE id = ?1))",
            )?,
            mark_ended: connection.prepare("UPDATE event_source SET ended = ?2 WHERE run = ?1")?,
            mark_gone: connection.prepare("UPDATE event_source SET gone = 1 WHERE run = ?")?,
            delete_source: connection.prepare(
                "DELETE FROM event_source WHERE run = ?1 AND NOT EXISTS (SELECT 1 FROM event WHERE run = ?1)",
            )?,
            insert: connection.prepare("INSERT OR IGNORE INTO event VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)")?,
            open_task: connection.prepare("INSERT OR IGNORE INTO open_task VALUES (?, ?, ?, ?)")?,
            close_task: connection.prepare("DELETE FROM open_task WHERE run = ? AND task = ?")?,
            delete: connection.prepare("DELETE FROM event WHERE sequence <= ?")?,
            delete_of_run: connection.prepare("DELETE FROM event WHERE run = ? AND sequence <= ?")?,
            delete_open_tasks: connection.prepare("DELETE FROM open_task WHERE run = ?")?,
            put_followed: connection.prepare("INSERT INTO followed VALUES (?, ?, ?, ?)")?,
            delete_followed: connection.prepare("DELETE FROM followed WHERE id = ?")?,
            update_meta: connection.prepare("UPDATE meta SET value = ?2 WHERE number = ?1")?,
            last,
            stored: last,
            last_followed,
        })
    }

    pub(crate) fn append(&mut self, source: &EventSource, events: &[NewEvent]) -> Result<(), Refusal> {
        let run = source.run.0;
        self.insert_source.execute(params![
            run,
            source.namespace.0,
            source.workflow_id,
            key_of(&source.run_id),
            source.workflow_type,
            (source.root_workflow_id != source.workflow_id).then_some(&source.root_workflow_id),
            source.parent_workflow_id,
            key_of(&source.chain_run_id),
        ])?;
        for event in events {
            let NewEvent { event_id, kind, task, task_name, meaning, received, bytes } = event;
            let sequence = self.last + 1;
            let row = params![
                sequence,
                run,
                key_of(&source.chain_run_id),
                EventIdKey::of(event_id),
                kind,
                task,
                task_name,
                received.as_nanos(),
                &bytes[..],
            ];
            if self.insert.execute(row)? == 0 {
                continue;
            }
            self.last = sequence;
            let task = task.as_deref().unwrap_or_default();
            match meaning {
                EventMeaning::Plain => 0,
                EventMeaning::OpensTask => {
                    self.open_task.execute((run, task, sequence, task_name.as_deref().unwrap_or_default()))?
                }
                EventMeaning::ClosesTask => self.close_task.execute((run, task))?,
                EventMeaning::EndsRun => self.mark_ended.execute((run, kind))?,
            };
        }
        Ok(())
    }

    pub(crate) fn delete(&mut self, until: i64) -> Result<(), Refusal> {
        self.delete.execute([until])?;
        Ok(())
    }

    pub(crate) fn delete_of_run(&mut self, run: RunKey, until: i64) -> Result<(), Refusal> {
        self.delete_of_run.execute((run.0, until))?;
        if self.delete_source.execute([run.0])? > 0 {
            self.delete_open_tasks.execute([run.0])?;
        }
        Ok(())
    }

    /// The run is deleted; its events will be.
    pub(crate) fn mark_gone(&mut self, run: RunKey) -> Result<(), Refusal> {
        self.mark_gone.execute([run.0])?;
        Ok(())
    }

    pub(crate) fn put_followed(&mut self, follower: Follower, run: RunKey, first: EventId) -> Result<(), Refusal> {
        self.last_followed += 1;
        self.put_followed.execute((self.last_followed, follower.0, run.0, first))?;
        Ok(())
    }

    pub(crate) fn delete_followed(&mut self, id: i64) -> Result<(), Refusal> {
        self.delete_followed.execute([id])?;
        Ok(())
    }

    /// Part of the group's transaction, after its last write.
    pub(crate) fn finish_group(&mut self) -> Result<(), Refusal> {
        if self.stored != self.last {
            self.stored = self.last;
            self.update_meta.execute((Meta::LastEvent as i64, self.last))?;
        }
        Ok(())
    }

    /// The sequence of the newest event. Once the group is committed, all up to it can be read.
    pub(crate) fn last(&self) -> i64 {
        self.last
    }

    pub(crate) fn last_followed(&self) -> i64 {
        self.last_followed
    }
}

/// An event id as it is stored. Nearly all are UUIDs, which as text would be a quarter of their index's cost more.
enum EventIdKey<'a> {
    Uuid(Uuid),
    Text(&'a str),
}

impl EventIdKey<'_> {
    fn of(text: &str) -> EventIdKey<'_> {
        match Uuid::try_parse(text) {
            // Only the one form that is written back as it was, so that two ids never become one.
            Ok(uuid) if uuid.as_hyphenated().to_string() == text => EventIdKey::Uuid(uuid),
            _ => EventIdKey::Text(text),
        }
    }
}

impl ToSql for EventIdKey<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            EventIdKey::Uuid(uuid) => ValueRef::Blob(key_of(uuid)),
            EventIdKey::Text(text) => ValueRef::Text(text.as_bytes()),
        }))
    }
}
