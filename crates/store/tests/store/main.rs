//! What a store promises, on real files and in memory.

mod commits;
mod filters;
mod lists;
mod model;
mod testkit;
