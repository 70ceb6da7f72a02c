//! A server that is killed loses nothing that it acknowledged.
//!
//! The real binary runs on a real directory, with clients and workers over the wire. The kill test ends it with
//! SIGKILL at seeded random moments, while starting as well as under load, and afterwards holds what clients were
//! told ([`ledger`]) against what the histories say ([`check`]). The workflows are in [`program`]: their results
//! follow from their histories alone, so a wrong result is a wrong history.
//!
//! `TRADEWIND_CRASH_SEED` repeats the moments of a run, `TRADEWIND_CRASH_KILLS` changes their number.
#![allow(
    clippy::disallowed_methods,
    reason = "clients and workers live in real time, outside of the server under test"
)]

mod check;
mod drain;
mod events;
mod kill;
mod ledger;
mod program;
mod rig;
