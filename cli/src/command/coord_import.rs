//! `milena coord import`.

use std::path::PathBuf;

use clap::Args;
use node::zookeeper;

use super::common;

/// Take over a ZooKeeper's data: its znodes, their numbers and access control lists, and its sessions
///
/// Stop that ZooKeeper first; its files are only read. In an ensemble, take the data of the member with the newest
/// transaction. `milena coord ZOO.CFG` then goes on where it stopped, and its clients reconnect with the sessions that
/// they have.
#[derive(Debug, Args)]
pub struct Import {
    /// ZooKeeper's dataDir, or the version-2 in it
    #[arg(value_name = "DIR")]
    from: PathBuf,

    /// ZooKeeper's dataLogDir, where its zoo.cfg has one
    #[arg(long, value_name = "DIR")]
    logs: Option<PathBuf>,

    /// The dataDir that `milena coord ZOO.CFG` will have, which may be ZooKeeper's own; the folder `milena` is made in it
    #[arg(long, value_name = "DIR")]
    into: PathBuf,
}

impl Import {
    /// Reads, writes, and says what has been taken over.
    pub fn run(self) -> anyhow::Result<()> {
        common::log("warn");
        let imported = zookeeper::import(&self.from, self.logs.as_deref(), &self.into)?;
        if let Some((path, position)) = &imported.torn {
            eprintln!(
                "milena: {} cannot be read from byte {position} on, where nothing whole follows: a write that a crash has torn, which is left out",
                path.display()
            );
        }
        println!(
            "{} znodes, {} of them ephemeral, and {} sessions, up to transaction {}",
            imported.znodes, imported.ephemerals, imported.sessions, imported.zxid
        );
        match imported.snapshot {
            Some(snapshot) => println!(
                "from snapshot {snapshot} and {} transactions of the log after it",
                imported.txns
            ),
            None => println!("from {} transactions of the log", imported.txns),
        }
        Ok(())
    }
}
