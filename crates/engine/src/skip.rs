//! When a skipping clock jumps: as soon as somebody waits for time to pass and nothing but time can change anything.
//!
//! Whether something can still happen is known in two places. The doors know the requests that are at work; the
//! loops know what their runs have handed out, what waits for the disk and what is owed to other runs. So one
//! decision asks both, and holds only if nothing moved while it was made.
//!
//! Invariants
//! - Time does not jump while a worker has a task, or one waits for a worker that is there.
//! - It jumps to the next deadline and no further; what is due there happens before it jumps again.
//! - Where nobody waits for time, it goes at the machine's pace: a test that thinks is not run over.

use crate::{Handle, ambient::Skipping};
use std::{sync::Arc, time::Duration};
use tradewind_core::time::Timestamp;

/// How long an activity may lie in a queue that nobody polls before time goes on without it: a worker that is
/// starting or busy comes back sooner, and one that never comes is what the timeouts are for.
const UNATTENDED_MAX: Duration = Duration::from_secs(3);

/// How a loop stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rest {
    /// Something will happen without time passing.
    Busy,
    Still {
        /// When something happens if nobody does anything.
        next: Option<Timestamp>,
        /// Activities lie in queues that nobody polls.
        unattended: bool,
    },
}

enum Decision {
    /// Time has gone on; look again.
    Jumped,
    /// Only activities that nobody asks for hold time back, and have since this count of moves.
    Unattended(u64),
    NotNow,
}

/// Makes the clock skip, for as long as the engine runs.
pub(crate) async fn run(handle: Handle, clock: Arc<Skipping>) {
    loop {
        clock.stirred().await;
        loop {
            match decide(&handle, &clock, false).await {
                Decision::Jumped => {}
                Decision::NotNow => break,
                Decision::Unattended(moves) => wait_for_a_worker(&handle, &clock, moves).await,
            }
        }
    }
}

async fn wait_for_a_worker(handle: &Handle, clock: &Skipping, moves: u64) {
    let patience = tokio::time::sleep(UNATTENDED_MAX);
    tokio::pin!(patience);
    loop {
        tokio::select! {
            () = clock.stirred() => {
                if clock.moves() != moves {
                    return clock.stir();
                }
            }
            () = &mut patience => {
                if clock.moves() == moves {
                    decide(handle, clock, true).await;
                }
                return;
            }
        }
    }
}

async fn decide(handle: &Handle, clock: &Skipping, without_attendance: bool) -> Decision {
    if !clock.may_skip() {
        return Decision::NotNow;
    }
    let moves = clock.moves();
    let Ok(Rest::Still { next, unattended }) = handle.rest().await else { return Decision::NotNow };
    if !clock.may_skip() || clock.moves() != moves {
        // What moved stirs the clock when it is done.
        return Decision::NotNow;
    }
    if unattended && !without_attendance {
        return Decision::Unattended(moves);
    }
    let sleepers = clock.wake_sleepers();
    if sleepers.woken {
        return Decision::Jumped;
    }
    match [next, sleepers.next].into_iter().flatten().min() {
        Some(target) => {
            clock.skip(target - clock.now());
            Decision::Jumped
        }
        None => Decision::NotNow,
    }
}
