//! What a store promises, on real files and in memory.

mod commits;
mod testkit;
