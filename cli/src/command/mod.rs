//! The program `milena`: one module for each command, which has its arguments and runs it.
//!
//! [`position`], [`format`] and [`input`] are pure; [`output`] and [`failure`] are what all commands print
//! and end with.

pub mod common;
pub mod completion;
pub mod consume;
pub mod coord;
pub mod coord_import;
pub mod dev;
pub mod failure;
pub mod format;
pub mod group;
pub mod input;
pub mod last;
pub mod output;
pub mod position;
pub mod produce;
pub mod reset;
pub mod serve;
pub mod stage;
pub mod topic;

use clap::{Parser, Subcommand};

/// Milena: a log broker that speaks Kafka's protocol, and the tools to work with it.
#[derive(Debug, Parser)]
#[command(
    name = "milena",
    version,
    propagate_version = true,
    arg_required_else_help = true
)]
pub struct Cli {
    #[command(subcommand)]
    pub program: Program,
}

/// What to be: a node, with a runtime and a log of its own, or a command to one.
#[derive(Debug, Subcommand)]
pub enum Program {
    Serve(serve::Serve),
    Dev(dev::Dev),
    Coord(coord::Coord),
    #[command(flatten)]
    Command(Command),
}

/// What talks to a cluster.
#[derive(Debug, Subcommand)]
pub enum Command {
    Topic(topic::TopicCommand),
    Produce(produce::Produce),
    Consume(consume::Consume),
    Group(group::GroupCommand),
    Stage(Box<stage::StageCommand>),
    Completion(completion::Completion),
}

impl Command {
    /// Runs the command to its end.
    pub async fn run(self) -> anyhow::Result<()> {
        match self {
            Self::Topic(command) => command.run().await,
            Self::Produce(command) => command.run().await,
            Self::Consume(command) => command.run().await,
            Self::Group(command) => command.run().await,
            Self::Stage(command) => command.run().await,
            Self::Completion(command) => command.run(),
        }
    }
}
