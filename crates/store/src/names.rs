//! Long names written once: the integers that rows use for task queues, workflow types and attribute names.
//!
//! The writer alone hands out numbers. It keeps what it has seen lately in memory, bounded; readers ask the
//! tables in the statement that needs the number.
//!
//! Invariants
//! - A name has one number for as long as any row uses it.
//! - The number of a queue without tasks may be given to another queue: workers come and go with queues of
//!   their own, and their names must not pile up.

use rusqlite::{Connection, OptionalExtension, Statement};
use std::collections::HashMap;
use tradewind_core::ids::{QueueKey, TaskKind};

/// How many names of a kind are kept in memory.
const REMEMBERED: usize = 16 * 1024;

/// Task queues by number.
pub(crate) struct QueueNames<'c> {
    known: HashMap<QueueKey, i64>,
    find: Statement<'c>,
    insert: Statement<'c>,
    forget_unused: Statement<'c>,
}

impl<'c> QueueNames<'c> {
    pub(crate) fn new(connection: &'c Connection) -> rusqlite::Result<QueueNames<'c>> {
        let mut names = QueueNames {
            known: HashMap::new(),
            find: connection.prepare("SELECT id FROM task_queue WHERE namespace = ? AND kind = ? AND name = ?")?,
            insert: connection.prepare("INSERT INTO task_queue (namespace, kind, name) VALUES (?, ?, ?)")?,
            forget_unused: connection
                .prepare("DELETE FROM task_queue WHERE NOT EXISTS (SELECT 1 FROM task WHERE queue = task_queue.id)")?,
        };
        names.forget_unused()?;
        Ok(names)
    }

    /// The number of a queue that is about to get a task.
    pub(crate) fn number(&mut self, queue: &QueueKey) -> rusqlite::Result<i64> {
        if let Some(number) = self.number_if_any(queue)? {
            return Ok(number);
        }
        if self.known.len() >= REMEMBERED {
            self.forget_unused()?;
        }
        let number = self.insert.insert((queue.namespace.0, queue.kind as i64, &queue.name))?;
        self.known.insert(queue.clone(), number);
        Ok(number)
    }

    /// The number of a queue, unless it never had a task.
    pub(crate) fn number_if_any(&mut self, queue: &QueueKey) -> rusqlite::Result<Option<i64>> {
        if let Some(number) = self.known.get(queue) {
            return Ok(Some(*number));
        }
        let key = (queue.namespace.0, queue.kind as i64, &queue.name);
        let number = self.find.query_row(key, |row| row.get(0)).optional()?;
        if let Some(number) = number
            && self.known.len() < REMEMBERED
        {
            self.known.insert(queue.clone(), number);
        }
        Ok(number)
    }

    fn forget_unused(&mut self) -> rusqlite::Result<()> {
        self.forget_unused.execute([])?;
        self.known.clear();
        Ok(())
    }
}

/// The kind that a stored number stands for.
pub(crate) fn task_kind(number: i64) -> Option<TaskKind> {
    [TaskKind::Workflow, TaskKind::Activity].into_iter().find(|kind| *kind as i64 == number)
}

/// Names shown in lists and searched by, by number.
pub(crate) struct Names<'c> {
    known: HashMap<String, i64>,
    find: Statement<'c>,
    insert: Statement<'c>,
}

impl<'c> Names<'c> {
    pub(crate) fn new(connection: &'c Connection) -> rusqlite::Result<Names<'c>> {
        Ok(Names {
            known: HashMap::new(),
            find: connection.prepare("SELECT id FROM name WHERE text = ?")?,
            insert: connection.prepare("INSERT INTO name (text) VALUES (?)")?,
        })
    }

    pub(crate) fn number(&mut self, text: &str) -> rusqlite::Result<i64> {
        if let Some(number) = self.known.get(text) {
            return Ok(*number);
        }
        let number = match self.find.query_row([text], |row| row.get(0)).optional()? {
            Some(number) => number,
            None => self.insert.insert([text])?,
        };
        if self.known.len() >= REMEMBERED {
            self.known.clear();
        }
        self.known.insert(text.to_owned(), number);
        Ok(number)
    }
}
