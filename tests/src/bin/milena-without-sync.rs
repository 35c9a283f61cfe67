//! Runs a program for which every sync succeeds and does nothing, as if a build had left them
//! out: the power-loss test must fail with it.

use std::os::unix::process::CommandExt;
use std::process::Command;

use anyhow::{Context, Result, bail};
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter};

/// x86-64's numbers of msync, fsync, fdatasync, sync, sync_file_range and syncfs.
#[cfg(target_arch = "x86_64")]
const SYNCS: [i64; 6] = [26, 74, 75, 162, 277, 306];
/// arm64's, of the same.
#[cfg(target_arch = "aarch64")]
const SYNCS: [i64; 6] = [227, 82, 83, 81, 84, 267];

fn main() -> Result<()> {
    let mut arguments = std::env::args_os().skip(1);
    let Some(program) = arguments.next() else {
        bail!("usage: milena-without-sync PROGRAM [ARGUMENT...]");
    };
    let rules = SYNCS.iter().map(|call| (*call, Vec::new())).collect();
    let filter = SeccompFilter::new(
        rules,
        SeccompAction::Allow,
        // An error of 0 is success.
        SeccompAction::Errno(0),
        std::env::consts::ARCH.try_into()?,
    )?;
    let filter: BpfProgram = filter.try_into()?;
    seccompiler::apply_filter(&filter).context("the filter is not taken")?;
    let error = Command::new(&program).args(arguments).exec();
    Err(error).with_context(|| program.to_string_lossy().into_owned())
}
