//! Starts alone: nobody polls, so every run keeps its first workflow task waiting.

use super::{Load, Rig, Target};
use crate::{
    load::{Sample, drive},
    probe::Probe,
    programs::{SIGNALS, SignalsInput},
    report::Report,
};
use std::time::Instant;

pub async fn run(target: &Target, load: &Load) -> anyhow::Result<Report> {
    let rig = Rig::new(target, "starts")?;
    let one = |phase: &'static str| {
        let rig = rig.clone();
        move |index| {
            let rig = rig.clone();
            async move {
                let begun = Instant::now();
                rig.start(format!("{}-{phase}{index}", rig.name), SIGNALS, &SignalsInput { wanted: 1 }).await?;
                Ok(Sample { client: Some(begun.elapsed().as_micros() as u32), worker: None })
            }
        }
    };
    drive(load.in_flight, load.warmup(), one("w")).await;
    let probe = Probe::begin(&target.watched).await?;
    let driven = drive(load.in_flight, load.limit(2000), one("r")).await;
    let cost = probe.end().await?;
    let mut report = Report::new("starts", "start", load.in_flight).with(&driven, &cost);
    report.retries = rig.retries();
    Ok(report)
}
