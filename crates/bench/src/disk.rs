//! What one flush costs: 4 KiB writes, each followed by fdatasync, into a growing and into a pre-written file.
//!
//! Measured in the same run as the latencies it is compared with, since disks of shared machines change by the hour.

use crate::report::Latency;
use anyhow::Context;
use serde::Serialize;
use std::{
    fs::File,
    io::{Seek, SeekFrom, Write},
    path::Path,
    time::Instant,
};

const BLOCK: usize = 4096;

/// Flush times of one disk.
#[derive(Debug, Clone, Serialize)]
pub struct DiskReport {
    /// The file grows with every write, so each flush also writes the file's new size.
    pub append: Latency,
    /// The file was written in full before, so a flush writes data only.
    pub preallocated: Latency,
}

/// Flush times, still as samples, so that measurements before and after a load can be put together.
#[derive(Debug, Clone, Default)]
pub struct DiskSamples {
    append: Vec<u32>,
    preallocated: Vec<u32>,
}

impl DiskSamples {
    /// Adds `count` flushes of each kind, into a file of its own in this directory. Blocks.
    pub fn measure(&mut self, directory: &Path, count: usize) -> anyhow::Result<()> {
        std::fs::create_dir_all(directory)?;
        let place = || format!("cannot measure the disk in {}", directory.display());
        let mut file = tempfile::tempfile_in(directory).with_context(place)?;
        flush_each(&mut file, count, &mut self.append).with_context(place)?;
        file.seek(SeekFrom::Start(0))?;
        file.sync_all()?;
        flush_each(&mut file, count, &mut self.preallocated).with_context(place)
    }

    pub fn report(&self) -> Option<DiskReport> {
        Some(DiskReport { append: Latency::of(&self.append)?, preallocated: Latency::of(&self.preallocated)? })
    }
}

fn flush_each(file: &mut File, count: usize, micros: &mut Vec<u32>) -> anyhow::Result<()> {
    let block = [0x5a; BLOCK];
    for _ in 0..count {
        let begun = Instant::now();
        file.write_all(&block)?;
        file.sync_data()?;
        micros.push(begun.elapsed().as_micros() as u32);
    }
    Ok(())
}
