//! The program `milena`.

use std::process::ExitCode;

use clap::Parser;
use milena_cli::command::{Cli, Command, Program, common, failure};

fn main() -> ExitCode {
    let result = match Cli::parse().program {
        Program::Serve(serve) => serve.run(),
        Program::Dev(dev) => dev.run(),
        Program::Coord(coord) => coord.run(),
        Program::Command(command) => run(command),
    };
    failure::exit("milena", result)
}

fn run(command: Command) -> anyhow::Result<()> {
    common::log("warn");
    let runtime = tokio::runtime::Runtime::new()?;
    let result = runtime.block_on(command.run());
    // A thread that waits for standard input is not waited for.
    runtime.shutdown_background();
    result
}
