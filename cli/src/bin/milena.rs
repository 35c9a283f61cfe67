//! The program `milena`.

use std::process::ExitCode;

use clap::Parser;
use milena_cli::command::{Cli, common, failure};

fn main() -> ExitCode {
    let cli = Cli::parse();
    common::log("warn");
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return failure::exit("milena", Err(error.into())),
    };
    let result = runtime.block_on(cli.command.run());
    // A thread that waits for standard input is not waited for.
    runtime.shutdown_background();
    failure::exit("milena", result)
}
