//! `milena coord`.

use std::path::PathBuf;

use clap::Args;
use node::{ZooCfg, zookeeper};

use super::common;

/// Be a ZooKeeper: the coordination service alone, for ZooKeeper's own clients
///
/// It reads ZooKeeper's configuration file, and says which of its keys it does not know. MILENA_LOG says what is
/// logged [default: info].
#[derive(Debug, Args)]
pub struct Coord {
    /// ZooKeeper's configuration file
    #[arg(value_name = "ZOO.CFG")]
    file: PathBuf,
}

impl Coord {
    /// Runs until it is told to stop.
    pub fn run(self) -> anyhow::Result<()> {
        common::log("info");
        let cfg = ZooCfg::read(&self.file)?;
        Ok(zookeeper::run(&cfg, |_| ())?)
    }
}
