//! `milena coord`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use node::{ZooCfg, zookeeper};

use super::{common, coord_import};

/// Be a ZooKeeper: the coordination service alone, for ZooKeeper's own clients
///
/// It reads ZooKeeper's configuration file, and says which of its keys it does not know. MILENA_LOG says what is
/// logged [default: info].
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct Coord {
    /// ZooKeeper's configuration file
    #[arg(value_name = "ZOO.CFG", required = true)]
    file: Option<PathBuf>,

    #[command(subcommand)]
    command: Option<CoordCommand>,
}

/// What is done beside running one.
#[derive(Debug, Subcommand)]
enum CoordCommand {
    Import(coord_import::Import),
}

impl Coord {
    /// Runs until it is told to stop, or imports.
    pub fn run(self) -> anyhow::Result<()> {
        if let Some(CoordCommand::Import(import)) = self.command {
            return import.run();
        }
        common::log("info");
        let file = self.file.expect("clap requires it without a subcommand");
        let cfg = ZooCfg::read(&file)?;
        Ok(zookeeper::run(&cfg, |_| ())?)
    }
}
