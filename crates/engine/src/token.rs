//! Task tokens and page tokens: opaque to clients, small, and checked when they come back.

use prost::Message;
use tradewind_core::{
    ids::{EventId, NamespaceKey, RunKey, Slot},
    step::{ActivityRef, TaskToken},
    time::Timestamp,
};

/// What a task token says. Tags are part of the protocol between versions and never reused.
#[derive(Clone, PartialEq, Message)]
pub struct Token {
    #[prost(int32, tag = "1")]
    pub kind: i32,
    #[prost(int64, tag = "2")]
    pub namespace: i64,
    #[prost(int64, tag = "3")]
    pub run: i64,
    #[prost(uint32, tag = "4")]
    pub slot: u32,
    #[prost(int64, tag = "5")]
    pub scheduled: EventId,
    #[prost(int64, tag = "6")]
    pub started: EventId,
    #[prost(int32, tag = "7")]
    pub attempt: i32,
    #[prost(int64, tag = "8")]
    pub started_at: i64,
    #[prost(uint64, tag = "9")]
    pub query: u64,
}

pub const WORKFLOW: i32 = 1;
pub const ACTIVITY: i32 = 2;
pub const QUERY: i32 = 3;

impl Token {
    /// Reads a token of one kind back; `None` if it is not one of ours.
    pub fn decode_as(kind: i32, bytes: &[u8]) -> Option<Token> {
        let token = Token::decode(bytes).ok()?;
        (token.kind == kind && u16::try_from(token.slot).is_ok()).then_some(token)
    }

    pub fn namespace(&self) -> NamespaceKey {
        NamespaceKey(self.namespace)
    }

    pub fn run(&self) -> RunKey {
        RunKey(self.run)
    }

    pub fn slot(&self) -> Slot {
        Slot(self.slot as u16)
    }

    pub fn workflow_task(&self) -> TaskToken {
        TaskToken {
            run: self.run(),
            scheduled: self.scheduled,
            started: self.started,
            attempt: self.attempt,
            started_at: Timestamp::from_nanos(self.started_at),
        }
    }

    pub fn activity(&self) -> ActivityRef {
        ActivityRef::Token { scheduled: self.scheduled, attempt: self.attempt }
    }
}
