//! The rules of one workflow run, as a pure, synchronous state machine.
//!
//! [`step::step`] takes a run's state and one input and says everything that follows: events, tasks for the
//! queues, work for other runs, the next deadline, a reply. There is no IO, no clock and no randomness in
//! here; time and a seed arrive in [`step::Env`].
//!
//! Each concept has a file: its state is in [`state`], its deciders and its rules are with the concept.
//! [`draft`] holds what every decider goes through, [`fold`] how events change what is recorded.

// Fields that the protocol has deprecated are still sent by SDKs in use and must come through.
#![allow(deprecated)]

pub mod activity;
mod cancel;
mod child;
mod close;
pub mod completion;
mod continue_as_new;
pub mod cron;
pub mod draft;
mod external;
pub mod fold;
mod history_limits;
pub mod ids;
pub mod limits;
pub mod properties;
pub mod proto;
pub mod retry;
pub mod search_attributes;
mod signal;
pub mod start;
pub mod state;
pub mod step;
pub mod stored;
mod terminate;
#[cfg(test)]
mod testkit;
pub mod time;
mod timer;
pub mod transfer;
pub mod update;
mod wake;
pub mod workflow_task;
