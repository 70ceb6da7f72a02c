//! What a store promises, on real files and in memory.

mod commits;
mod crashes;
mod directory;
mod events;
mod filters;
mod lists;
mod model;
mod scans;
mod testkit;
