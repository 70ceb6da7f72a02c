//! Changes of rows, carried out on the writer's connection.
//!
//! Statements are prepared once and held for the life of the writer: looking them up by their text for
//! every row was a measurable part of a write.
//!
//! Invariants
//! - Everything runs inside the transaction of the caller, who rolls back when anything here fails.
//! - A run, task or transfer id is reserved on disk in the transaction that first uses it.

use crate::{
    events::Events,
    names::{Names, QueueNames},
    row::{Change, ItemKey, RunRow, TaskRow, TransferRow},
    schema::Meta,
    shelf::Shelf,
    telemetry::Telemetry,
};
use rusqlite::{
    Connection, OptionalExtension, Statement, ToSql,
    types::{ToSqlOutput, ValueRef},
};
use tradewind_core::{
    ids::{NamespaceKey, RunKey, Slot},
    time::Timestamp,
};
use uuid::Uuid;

/// How far the reservation of ids runs ahead of their use.
const RESERVED_AHEAD: i64 = 4096;

/// Why a change cannot be carried out.
pub(crate) enum Refusal {
    /// It contradicts the rows.
    Conflict(String),
    Database(rusqlite::Error),
}

impl From<rusqlite::Error> for Refusal {
    fn from(error: rusqlite::Error) -> Refusal {
        match error {
            rusqlite::Error::SqliteFailure(code, message) if code.code == rusqlite::ErrorCode::ConstraintViolation => {
                Refusal::Conflict(message.unwrap_or_else(|| code.to_string()))
            }
            error => Refusal::Database(error),
        }
    }
}

/// The tables that runs, their tasks and their work live in, ready to be changed.
pub(crate) struct Tables<'c> {
    insert_run: Statement<'c>,
    insert_state: Statement<'c>,
    insert_execution: Statement<'c>,
    delete_execution: Statement<'c>,
    update_state: Statement<'c>,
    set_current: Statement<'c>,
    unset_current: Statement<'c>,
    append_history: Statement<'c>,
    put_item: Statement<'c>,
    delete_item: Statement<'c>,
    delete_items: Statement<'c>,
    put_task: Statement<'c>,
    delete_task: Statement<'c>,
    put_transfer: Statement<'c>,
    delete_transfer: Statement<'c>,
    set_wake: Statement<'c>,
    unset_wake: Statement<'c>,
    put_registry: Statement<'c>,
    put_document: Statement<'c>,
    delete_registry: Statement<'c>,
    put_token: Statement<'c>,
    put_search_key: Statement<'c>,
    delete_search_key: Statement<'c>,
    run_name: Statement<'c>,
    delete_rows_of_run: [Statement<'c>; 8],
    update_meta: Statement<'c>,
    queues: QueueNames<'c>,
    shelf: Shelf<'c>,
    pub(crate) events: Events<'c>,
    telemetry: Telemetry<'c>,
    pub(crate) ids: Ids,
}

impl<'c> Tables<'c> {
    pub(crate) fn new(connection: &'c Connection) -> rusqlite::Result<Tables<'c>> {
        Ok(Tables {
            insert_run: connection
                .prepare("INSERT INTO run (id, namespace, slot, workflow_id, run_id) VALUES (?, ?, ?, ?, ?)")?,
            insert_state: connection.prepare("INSERT INTO run_state VALUES (?, ?)")?,
            insert_execution: connection.prepare("INSERT INTO execution VALUES (?, ?, ?, NULL)")?,
            delete_execution: connection
                .prepare("DELETE FROM execution WHERE namespace = ? AND workflow_id = ? AND run = ?")?,
            update_state: connection.prepare("UPDATE run_state SET bytes = ?2 WHERE run = ?1")?,
            set_current: connection.prepare("INSERT OR REPLACE INTO execution VALUES (?, ?, 0, ?)")?,
            unset_current: connection
                .prepare("DELETE FROM execution WHERE namespace = ? AND workflow_id = ? AND run = 0 AND current = ?")?,
            append_history: connection.prepare("INSERT INTO history VALUES (?, ?, ?)")?,
            put_item: connection.prepare("INSERT OR REPLACE INTO item VALUES (?, ?, ?, ?)")?,
            delete_item: connection.prepare("DELETE FROM item WHERE run = ? AND kind = ? AND key = ?")?,
            delete_items: connection.prepare("DELETE FROM item WHERE run = ? AND kind = ?")?,
            put_task: connection.prepare("INSERT OR REPLACE INTO task VALUES (?, ?, ?, ?, ?, ?)")?,
            delete_task: connection.prepare("DELETE FROM task WHERE queue = ? AND priority = ? AND id = ?")?,
            put_transfer: connection.prepare("INSERT OR REPLACE INTO transfer VALUES (?, ?, ?, ?)")?,
            delete_transfer: connection.prepare("DELETE FROM transfer WHERE id = ?")?,
            set_wake: connection.prepare("INSERT OR REPLACE INTO wake VALUES (?, ?, ?)")?,
            unset_wake: connection.prepare("DELETE FROM wake WHERE run = ?")?,
            put_registry: connection.prepare("INSERT OR REPLACE INTO registry VALUES (?, ?, ?)")?,
            put_document: connection.prepare("INSERT OR REPLACE INTO document VALUES (?, ?, ?)")?,
            delete_registry: connection.prepare("DELETE FROM registry WHERE kind = ? AND key = ?")?,
            // These come from outside the run's loop, which may have deleted the run meanwhile.
            put_token: connection.prepare("INSERT OR REPLACE INTO token SELECT id, ?2 FROM run WHERE id = ?1")?,
            put_search_key: connection
                .prepare("INSERT OR REPLACE INTO search_key SELECT id, ?2, ?3 FROM run WHERE id = ?1")?,
            delete_search_key: connection.prepare("DELETE FROM search_key WHERE run = ? AND key = ?")?,
            run_name: connection.prepare("SELECT namespace, workflow_id FROM run WHERE id = ?")?,
            delete_rows_of_run: [
                connection.prepare("DELETE FROM history WHERE run = ?")?,
                connection.prepare("DELETE FROM item WHERE run = ?")?,
                connection.prepare("DELETE FROM wake WHERE run = ?")?,
                connection.prepare("DELETE FROM transfer WHERE run = ?")?,
                connection.prepare("DELETE FROM token WHERE run = ?")?,
                connection.prepare("DELETE FROM search_key WHERE run = ?")?,
                connection.prepare("DELETE FROM run_state WHERE run = ?")?,
                connection.prepare("DELETE FROM run WHERE id = ?")?,
            ],
            update_meta: connection.prepare("UPDATE meta SET value = ?2 WHERE number = ?1")?,
            queues: QueueNames::new(connection)?,
            shelf: Shelf::new(connection, Names::new(connection)?)?,
            events: Events::new(connection)?,
            telemetry: Telemetry::new(connection)?,
            ids: Ids::load(connection)?,
        })
    }

    /// Carries out one write. After an error the transaction is good for nothing but a roll-back.
    pub(crate) fn apply(&mut self, changes: &[Change]) -> Result<(), Refusal> {
        // A run that this write inserts cannot have a row in the list yet, which saves looking for it.
        let mut inserted = None;
        for change in changes {
            match change {
                Change::InsertRun(row) => {
                    inserted = Some(row.run);
                    self.insert_run(row)?;
                }
                Change::UpdateRun { run, state } => self.update_run(*run, state)?,
                Change::SetCurrent { namespace, workflow_id, run } => {
                    self.set_current.execute((namespace.0, workflow_id, run.0))?;
                }
                Change::UnsetCurrent { namespace, workflow_id, run } => {
                    self.unset_current.execute((namespace.0, workflow_id, run.0))?;
                }
                Change::AppendHistory { run, first_event_id, bytes } => {
                    self.append_history.execute((run.0, *first_event_id, &bytes[..]))?;
                }
                Change::PutItem { run, kind, key, bytes } => {
                    self.put_item.execute((run.0, *kind, key, &bytes[..]))?;
                }
                Change::DeleteItem { run, kind, key } => {
                    self.delete_item.execute((run.0, *kind, key))?;
                }
                Change::DeleteItems { run, kinds } => {
                    for kind in kinds {
                        self.delete_items.execute((run.0, *kind))?;
                    }
                }
                Change::PutTask(task) => self.put_task(task)?,
                Change::DeleteTask { queue, priority, id } => {
                    if let Some(queue) = self.queues.number_if_any(queue)? {
                        self.delete_task.execute((queue, *priority, *id))?;
                    }
                }
                Change::PutTransfer(transfer) => self.put_transfer(transfer)?,
                Change::DeleteTransfer { id } => {
                    self.delete_transfer.execute([*id])?;
                }
                Change::SetWake { run, slot, due } => self.set_wake(*run, *slot, *due)?,
                Change::PutVisibility(row) => self.shelf.put(row, inserted == Some(row.run))?,
                Change::PutToken { run, hash } => {
                    self.put_token.execute((run.0, &hash[..]))?;
                }
                Change::PutSearchKey { run, key, value } => {
                    self.put_search_key.execute((run.0, key, value))?;
                }
                Change::DeleteSearchKey { run, key } => {
                    self.delete_search_key.execute((run.0, key))?;
                }
                Change::AppendEvents { source, events } => self.events.append(source, events)?,
                Change::DeleteEvents { until } => self.events.delete(*until)?,
                Change::DeleteEventsOfRun { run, until } => self.events.delete_of_run(*run, *until)?,
                Change::PutFollowed { follower, run, first_event_id } => {
                    self.events.put_followed(*follower, *run, *first_event_id)?;
                }
                Change::DeleteFollowed { id } => self.events.delete_followed(*id)?,
                Change::PutDocument { kind, key, bytes } => {
                    self.put_document.execute((*kind as i64, key, &bytes[..]))?;
                }
                Change::PutSpans(row) => self.telemetry.put_spans(row)?,
                Change::PutLog(row) => self.telemetry.put_log(row)?,
                Change::DeleteTelemetry { spans_until, logs_until } => {
                    self.telemetry.delete(*spans_until, *logs_until)?;
                }
                Change::DeleteRun { run } => self.delete_run(*run)?,
                Change::PutRegistry { kind, key, bytes } => {
                    self.put_registry.execute((*kind as i64, key, &bytes[..]))?;
                }
                Change::DeleteRegistry { kind, key } => {
                    self.delete_registry.execute((*kind as i64, key))?;
                }
            }
        }
        Ok(())
    }

    /// Writes what a whole group shares. Part of the group's transaction, after its last write.
    pub(crate) fn finish_group(&mut self) -> Result<(), Refusal> {
        self.shelf.finish_group()?;
        self.events.finish_group()?;
        for id in [&mut self.ids.run, &mut self.ids.task, &mut self.ids.transfer] {
            if id.highest > id.reserved {
                id.reserved = id.highest.saturating_add(RESERVED_AHEAD);
                self.update_meta.execute((id.meta as i64, id.reserved))?;
            }
        }
        Ok(())
    }

    /// Gives back what was reserved and not used, before a clean end.
    pub(crate) fn settle(&mut self) -> Result<(), Refusal> {
        for id in [&mut self.ids.run, &mut self.ids.task, &mut self.ids.transfer] {
            if id.reserved != id.highest {
                id.reserved = id.highest;
                self.update_meta.execute((id.meta as i64, id.reserved))?;
            }
        }
        Ok(())
    }

    fn insert_run(&mut self, row: &RunRow) -> Result<(), Refusal> {
        let RunRow { run, namespace, workflow_id, run_id, slot, state } = row;
        self.ids.run.use_up(run.0);
        self.insert_run.execute((run.0, namespace.0, slot.0, workflow_id, key_of(run_id)))?;
        self.insert_state.execute((run.0, &state[..]))?;
        self.insert_execution.execute((namespace.0, workflow_id, run.0))?;
        Ok(())
    }

    fn update_run(&mut self, run: RunKey, state: &[u8]) -> Result<(), Refusal> {
        match self.update_state.execute((run.0, state))? {
            1 => Ok(()),
            _ => Err(Refusal::Conflict(format!("run {} does not exist", run.0))),
        }
    }

    fn put_task(&mut self, task: &TaskRow) -> Result<(), Refusal> {
        let TaskRow { queue, priority, id, run, slot, bytes } = task;
        self.ids.task.use_up(*id);
        let queue = self.queues.number(queue)?;
        self.put_task.execute((queue, *priority, *id, run.0, slot.0, &bytes[..]))?;
        Ok(())
    }

    fn put_transfer(&mut self, transfer: &TransferRow) -> Result<(), Refusal> {
        let TransferRow { id, slot, run, bytes } = transfer;
        self.ids.transfer.use_up(*id);
        self.put_transfer.execute((*id, slot.0, run.0, &bytes[..]))?;
        Ok(())
    }

    fn set_wake(&mut self, run: RunKey, slot: Slot, due: Option<Timestamp>) -> Result<(), Refusal> {
        match due {
            Some(due) => self.set_wake.execute((run.0, slot.0, due.as_nanos()))?,
            None => self.unset_wake.execute([run.0])?,
        };
        Ok(())
    }

    fn delete_run(&mut self, run: RunKey) -> Result<(), Refusal> {
        let name = self
            .run_name
            .query_row([run.0], |row| Ok((NamespaceKey(row.get(0)?), row.get::<_, String>(1)?)))
            .optional()?;
        if let Some((namespace, workflow_id)) = name {
            self.unset_current.execute((namespace.0, &workflow_id, run.0))?;
            self.delete_execution.execute((namespace.0, &workflow_id, run.0))?;
        }
        for delete in &mut self.delete_rows_of_run {
            delete.execute([run.0])?;
        }
        self.shelf.delete(run)?;
        self.events.mark_gone(run)?;
        Ok(())
    }
}

/// The ids that were ever used.
pub(crate) struct Ids {
    pub(crate) run: Id,
    pub(crate) task: Id,
    pub(crate) transfer: Id,
}

pub(crate) struct Id {
    meta: Meta,
    /// The greatest one used. After an unclean end it starts at what was reserved.
    pub(crate) highest: i64,
    reserved: i64,
}

impl Ids {
    fn load(connection: &Connection) -> rusqlite::Result<Ids> {
        let id = |meta: Meta| -> rusqlite::Result<Id> {
            let reserved =
                connection.query_row("SELECT value FROM meta WHERE number = ?", [meta as i64], |row| row.get(0))?;
            Ok(Id { meta, highest: reserved, reserved })
        };
        Ok(Ids { run: id(Meta::RunsReserved)?, task: id(Meta::TasksReserved)?, transfer: id(Meta::TransfersReserved)? })
    }
}

impl Id {
    fn use_up(&mut self, id: i64) {
        self.highest = self.highest.max(id);
    }
}

/// A run id as it is stored.
pub(crate) fn key_of(run_id: &Uuid) -> &[u8] {
    &run_id.as_bytes()[..]
}

impl ToSql for ItemKey {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            ItemKey::Id(id) => ValueRef::Integer(*id),
            ItemKey::Name(name) => ValueRef::Text(name.as_bytes()),
        }))
    }
}
