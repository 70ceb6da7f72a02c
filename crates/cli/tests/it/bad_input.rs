//! Anything may come in through the doors: the server answers with an error, and goes on.
//!
//! Noise on the sockets ([`noise`]), wrong bytes to every method that there is ([`methods`]), and messages that
//! are almost right ([`mutations`], changed as [`wire_format`] knows how). Each test has a server of the real
//! binary to itself and ends by asking whether it still answers and has nothing bad in its log.

mod methods;
mod mutations;
mod noise;
mod server;
mod wire_format;
