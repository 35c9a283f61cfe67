//! `milena coord`.

use std::io::{self, Write};
use std::path::PathBuf;

use clap::{Args, Subcommand};
use node::{ZooCfg, zookeeper};

use super::common;

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
    action: Option<Action>,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Read the data of a ZooKeeper 3.9 that has been stopped
    ///
    /// Its newest snapshot and the transaction logs after it become the data of a Milena that has none yet. Sessions
    /// and their ephemeral znodes are left out: their clients start new ones.
    Import {
        /// ZooKeeper's dataDir
        #[arg(value_name = "DIR")]
        from: PathBuf,

        /// ZooKeeper's dataLogDir, if it has one
        #[arg(long, value_name = "DIR")]
        logs: Option<PathBuf>,

        /// The dataDir that the zoo.cfg of `milena coord` names; it may be the same
        #[arg(long, value_name = "DIR")]
        into: PathBuf,
    },
}

impl Coord {
    /// Runs until it is told to stop, or has read what it is to read.
    pub fn run(self) -> anyhow::Result<()> {
        common::log("info");
        if let Some(Action::Import { from, logs, into }) = self.action {
            let imported = zookeeper::import(&from, logs.as_deref(), &into)?;
            let (znodes, ephemerals, zxid) = (imported.znodes, imported.ephemerals, imported.zxid);
            let text = format!(
                "{znodes} znodes up to transaction {zxid}; {ephemerals} ephemeral ones left out\n"
            );
            return Ok(io::stdout().write_all(text.as_bytes())?);
        }
        let cfg = ZooCfg::read(&self.file.unwrap_or_default())?;
        Ok(zookeeper::run(&cfg, |_| ())?)
    }
}
