//! A thousand topics of ten partitions: how fast they come, what each partition costs, and how long a restart with them takes.

use super::Lab;
use super::lives;
use super::systems::{Ours, START_MAX};
use super::table::Side;
use crate::meter;
use crate::report::{self, Figures};
use crate::wire;
use crate::{first_ack, topics};
use anyhow::{Context, Result};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant};

const TOPICS: usize = 1000;
const PARTITIONS: u32 = 10;
/// Topics in one request.
const TOPICS_IN_REQUEST: usize = 100;

pub(super) fn run(lab: &mut Lab, side: Side, prefix: &str) -> Result<Figures> {
    let names: Vec<String> = (0..TOPICS)
        .map(|number| format!("{prefix}-{number}"))
        .collect();
    let mut figures = report::figures("topics-1000");
    if side == Side::Kafka {
        let kafka = lab.kafka.as_ref().context("Kafka is not running")?;
        report::put(&mut figures, "create_s", create(&kafka.address(), &names)?);
        let started = kafka.kill_and_restart()?;
        report::put(
            &mut figures,
            "killed_s",
            served(&kafka.address(), &names, started)?,
        );
        topics::delete(&mut wire::connect(&kafka.address())?, &names)?;
        return Ok(figures);
    }
    let mut ours = lives::fresh(lab)?;
    ours.start_fresh()?;
    let empty = Cost::of(&ours)?;
    report::put(&mut figures, "create_s", create(&ours.address(), &names)?);
    Cost::of(&ours)?.put_since(&empty, &mut figures, "idle");

    let started = Instant::now();
    let mut connection = wire::connect(&ours.address())?;
    for name in &names {
        first_ack::write_each(&mut connection, name, PARTITIONS)?;
    }
    report::put(&mut figures, "write_s", started.elapsed().as_secs_f64());
    Cost::of(&ours)?.put_since(&empty, &mut figures, "written");

    ours.stop()?;
    let started = ours.start()?;
    ours.wait(started, &names[0], false)?;
    report::put(
        &mut figures,
        "clean_s",
        served(&ours.address(), &names, started)?,
    );
    ours.kill()?;
    let started = ours.start()?;
    ours.wait(started, &names[0], false)?;
    report::put(
        &mut figures,
        "killed_s",
        served(&ours.address(), &names, started)?,
    );
    Ok(figures)
}

/// Seconds until all topics are there and serve.
fn create(broker: &str, names: &[String]) -> Result<f64> {
    let mut connection = wire::connect(broker)?;
    let started = Instant::now();
    for names in names.chunks(TOPICS_IN_REQUEST) {
        topics::create(&mut connection, names, PARTITIONS, &[])?;
    }
    topics::wait(&mut connection, names, PARTITIONS)?;
    Ok(started.elapsed().as_secs_f64())
}

/// Seconds from `started` until every partition serves.
fn served(broker: &str, names: &[String], started: Instant) -> Result<f64> {
    first_ack::wait(broker, &names[0], false, started, START_MAX)?;
    topics::wait(&mut wire::connect(broker)?, names, PARTITIONS)?;
    Ok(started.elapsed().as_secs_f64())
}

/// What a node holds at a moment.
struct Cost {
    resident: u64,
    descriptors: u64,
    maps: u64,
    disk: u64,
}

impl Cost {
    fn of(ours: &Ours) -> Result<Self> {
        // What was under way when the last answer left is done soon after.
        std::thread::sleep(Duration::from_secs(1));
        let pid = ours.pid()?;
        Ok(Self {
            resident: meter::memory(&[pid])?.resident,
            descriptors: meter::descriptors(pid)?,
            maps: meter::maps(pid)?,
            disk: disk_bytes(&ours.data())?,
        })
    }

    fn put_since(&self, before: &Self, figures: &mut Figures, when: &str) {
        let each = |now: u64, before: u64| {
            (now as f64 - before as f64) / (TOPICS as f64 * f64::from(PARTITIONS))
        };
        report::put(
            figures,
            &format!("{when}_bytes"),
            each(self.resident, before.resident),
        );
        report::put(
            figures,
            &format!("{when}_descriptors"),
            each(self.descriptors, before.descriptors),
        );
        report::put(
            figures,
            &format!("{when}_maps"),
            each(self.maps, before.maps),
        );
        report::put(
            figures,
            &format!("{when}_disk"),
            each(self.disk, before.disk),
        );
    }
}

/// Bytes of the blocks that a folder takes on the disk, folders themselves included.
fn disk_bytes(dir: &Path) -> Result<u64> {
    let mut sum = fs::metadata(dir)?.blocks() * 512;
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        sum += if entry.file_type()?.is_dir() {
            disk_bytes(&entry.path())?
        } else {
            entry.metadata()?.blocks() * 512
        };
    }
    Ok(sum)
}
