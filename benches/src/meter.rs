//! What processes cost while a load runs: CPU, memory, descriptors and maps, read from `/proc`.

use anyhow::{Context, Result};
use std::fs;
use std::time::{Duration, Instant};

/// Memory of some processes together, in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Memory {
    /// All that is resident, mapped file pages included.
    pub resident: u64,
    /// The part that belongs to no file.
    pub anonymous: u64,
}

/// CPU seconds, user and system, that these processes have used since they started; of all their threads, ended ones included.
pub fn cpu_seconds(pids: &[u32]) -> Result<f64> {
    let mut ticks = 0;
    for pid in pids {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat"))
            .with_context(|| format!("process {pid} is gone"))?;
        ticks += cpu_ticks(&stat)
            .with_context(|| format!("/proc/{pid}/stat has another form: {stat}"))?;
    }
    Ok(ticks as f64 / rustix::param::clock_ticks_per_second() as f64)
}

/// Memory of these processes now.
pub fn memory(pids: &[u32]) -> Result<Memory> {
    let mut sum = Memory::default();
    for pid in pids {
        let status = fs::read_to_string(format!("/proc/{pid}/status"))
            .with_context(|| format!("process {pid} is gone"))?;
        sum.resident += status_bytes(&status, "VmRSS:");
        sum.anonymous += status_bytes(&status, "RssAnon:");
    }
    Ok(sum)
}

/// Open descriptors of a process.
pub fn descriptors(pid: u32) -> Result<u64> {
    Ok(fs::read_dir(format!("/proc/{pid}/fd"))?.count() as u64)
}

/// Mappings of a process (`vm.max_map_count` limits them).
pub fn maps(pid: u32) -> Result<u64> {
    Ok(fs::read_to_string(format!("/proc/{pid}/maps"))?
        .lines()
        .count() as u64)
}

/// utime + stime: the 14th and 15th field, counted after the program's name, which may hold spaces and brackets.
fn cpu_ticks(stat: &str) -> Option<u64> {
    let mut fields = stat[stat.rfind(')')? + 1..]
        .split_ascii_whitespace()
        .skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(user + system)
}

fn status_bytes(status: &str, field: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix(field));
    let kib: u64 = line
        .and_then(|rest| rest.trim().trim_end_matches(" kB").parse().ok())
        .unwrap_or(0);
    kib * 1024
}

/// Watches processes from [`Meter::start`] to [`Meter::finish`].
#[derive(Debug)]
pub struct Meter {
    pids: Vec<u32>,
    started: Instant,
    sampled: Instant,
    cpu: f64,
    client_cpu: f64,
    peak: Memory,
}

/// What a [`Meter`] saw.
#[derive(Debug, Clone, Copy)]
pub struct Measured {
    /// Length of the interval.
    pub seconds: f64,
    /// CPU seconds of the watched processes.
    pub cpu_seconds: f64,
    /// CPU seconds of this process, which is the client.
    pub client_cpu_seconds: f64,
    /// The most memory seen in a sample, each of the two by itself.
    pub peak: Memory,
}

impl Meter {
    /// Starts the interval; no pids is allowed, and then the costs come out as 0.
    pub fn start(pids: &[u32]) -> Result<Self> {
        let now = Instant::now();
        Ok(Self {
            cpu: cpu_seconds(pids)?,
            client_cpu: cpu_seconds(&[std::process::id()])?,
            peak: memory(pids)?,
            pids: pids.to_vec(),
            started: now,
            sampled: now,
        })
    }

    /// Looks at the memory if 100 ms have passed since the last look; made to be called often.
    pub fn sample(&mut self, now: Instant) -> Result<()> {
        if now.duration_since(self.sampled) >= Duration::from_millis(100) {
            self.sampled = now;
            let seen = memory(&self.pids)?;
            self.peak.resident = self.peak.resident.max(seen.resident);
            self.peak.anonymous = self.peak.anonymous.max(seen.anonymous);
        }
        Ok(())
    }

    /// Ends the interval.
    pub fn finish(mut self) -> Result<Measured> {
        let seconds = self.started.elapsed().as_secs_f64();
        let cpu_seconds = cpu_seconds(&self.pids)? - self.cpu;
        let client_cpu_seconds = self::cpu_seconds(&[std::process::id()])? - self.client_cpu;
        self.sample(self.sampled + Duration::from_secs(1))?;
        Ok(Measured {
            seconds,
            cpu_seconds,
            client_cpu_seconds,
            peak: self.peak,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_name_with_brackets_does_not_shift_the_fields() {
        let stat = "7 (a) b) S 1 7 7 0 -1 4194560 100 0 0 0 250 50 0 0 20 0 9 0 100 0 0";
        assert_eq!(cpu_ticks(stat), Some(300));
    }

    #[test]
    fn memory_is_read_in_bytes() {
        assert_eq!(
            status_bytes("Name:\tx\nVmRSS:\t  2048 kB\nRssAnon:\t 12 kB\n", "VmRSS:"),
            2048 * 1024
        );
    }
}
