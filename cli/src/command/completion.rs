//! `milena completion`.

use std::io;

use clap::{Args, CommandFactory};
use clap_complete::Shell;

/// Print a completion script
#[derive(Debug, Args)]
#[command(
    after_help = "bash: source <(milena completion bash)\nzsh:  milena completion zsh > \"${fpath[1]}/_milena\"\nfish: milena completion fish > ~/.config/fish/completions/milena.fish"
)]
pub struct Completion {
    #[arg(value_enum)]
    shell: Shell,
}

impl Completion {
    pub fn run(self) -> anyhow::Result<()> {
        let mut script = Vec::new();
        clap_complete::generate(
            self.shell,
            &mut super::Cli::command(),
            "milena",
            &mut script,
        );
        io::Write::write_all(&mut io::stdout(), &script)?;
        Ok(())
    }
}
