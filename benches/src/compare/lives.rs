//! A node's life: how soon it serves after each kind of end, and how much memory it takes.

use super::Lab;
use super::systems::{Ours, START_MAX};
use super::table::Side;
use crate::report::{self, Figures};
use crate::{first_ack, meter};
use anyhow::{Context, Result, bail};
use std::time::{Duration, Instant};

/// Memory is read after so long without a request.
const IDLE: Duration = Duration::from_secs(3);

/// From the start of the process to the first ack: on an empty folder, after a clean stop, and after kill -9 under load.
pub(super) fn start(lab: &mut Lab, side: Side, topic: &str) -> Result<Figures> {
    let mut figures = report::figures("start");
    let mut put =
        |name: &str, took: Duration| report::put(&mut figures, name, took.as_secs_f64() * 1e3);
    if side == Side::Kafka {
        // Its script cannot tell the start of the process from its own preparations, but for a restart.
        let kafka = lab.kafka.as_ref().context("Kafka is not running")?;
        let made = Instant::now();
        first_ack::wait(&kafka.address(), topic, true, made, START_MAX)?;
        let started = kafka.kill_and_restart()?;
        put(
            "killed_ms",
            first_ack::wait(&kafka.address(), topic, false, started, START_MAX)?,
        );
        return Ok(figures);
    }
    let mut ours = fresh(lab)?;
    let started = ours.start()?;
    put("fresh_ms", ours.wait(started, topic, true)?);
    put("stop_ms", ours.stop()?);
    let started = ours.start()?;
    put("clean_ms", ours.wait(started, topic, false)?);
    std::mem::swap(&mut lab.ours, &mut ours);
    let took = after_a_kill_under_load(lab, topic);
    std::mem::swap(&mut lab.ours, &mut ours);
    put("killed_ms", took?);
    Ok(figures)
}

/// The producer fails, as it should.
fn after_a_kill_under_load(lab: &mut Lab, topic: &str) -> Result<Duration> {
    let mut command = lab.program("raw");
    command.args(["produce", "--connections", "4", "--partitions", "4"]);
    command.args(["--broker", &lab.ours.address(), "--topic", "load"]);
    let mut load = command
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()?;
    std::thread::sleep(Duration::from_secs(2));
    lab.ours.kill()?;
    load.wait()?;
    let started = lab.ours.start()?;
    lab.ours.wait(started, topic, false)
}

/// Resident memory when idle, and the most of it under loads of large and of small requests and of fetches.
pub(super) fn resident(lab: &mut Lab, side: Side, topic: &str) -> Result<Figures> {
    let mut figures = report::figures("resident");
    let mut ours = fresh(lab)?;
    let pids = match (side, &lab.kafka) {
        (Side::Ours, _) => {
            ours.start_fresh()?;
            vec![ours.pid()?]
        }
        (Side::Kafka, Some(kafka)) => {
            // As fresh as ours: its heap has seen the other scenarios.
            let made = Instant::now();
            first_ack::wait(&kafka.address(), topic, true, made, START_MAX)?;
            let started = kafka.kill_and_restart()?;
            first_ack::wait(&kafka.address(), topic, false, started, START_MAX)?;
            kafka.pids()?
        }
        _ => bail!("{side} is not running"),
    };
    std::thread::sleep(IDLE);
    let idle = meter::memory(&pids)?;
    report::put(&mut figures, "idle_mb", idle.resident as f64 / 1e6);
    std::mem::swap(&mut lab.ours, &mut ours);
    let peak = under_load(lab, side, topic);
    std::mem::swap(&mut lab.ours, &mut ours);
    let (resident, anonymous) = peak?;
    report::put(&mut figures, "load_mb", resident);
    report::put(&mut figures, "load_anon_mb", anonymous);
    Ok(figures)
}

fn under_load(lab: &mut Lab, side: Side, topic: &str) -> Result<(f64, f64)> {
    let loads: [&[&str]; 3] = [
        &["produce", "--connections", "4", "--partitions", "4"],
        &[
            "produce",
            "--connections",
            "64",
            "--partitions",
            "64",
            "--record-size",
            "100",
            "--batch-bytes",
            "1",
        ],
        &["fetch", "--connections", "4", "--partitions", "4"],
    ];
    let (mut resident, mut anonymous) = (0.0_f64, 0.0_f64);
    for (number, args) in loads.iter().enumerate() {
        let seen = lab.client("raw", args, side, &format!("{topic}-{number}"))?;
        let figure = |name: &str| {
            seen.get(name)
                .and_then(serde_json::Value::as_f64)
                .unwrap_or(f64::NAN)
        };
        resident = resident.max(figure("rss_mb"));
        anonymous = anonymous.max(figure("anon_mb"));
    }
    Ok((resident, anonymous))
}

/// A node of ours beside the one that serves the other scenarios, not started yet, on an empty folder.
pub(super) fn fresh(lab: &Lab) -> Result<Ours> {
    let dir = lab.options.dir.join("life");
    if dir.exists() {
        std::fs::remove_dir_all(&dir)?;
    }
    Ok(Ours::new(
        &lab.options.programs,
        &dir,
        &lab.options.serve_args,
    ))
}
