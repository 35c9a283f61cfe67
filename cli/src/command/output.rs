//! What is printed: tables, JSON, lines, and progress on a terminal.

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use comfy_table::{Table, presets};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::Value;

/// How results are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Output {
    /// Tables, and records as text.
    #[default]
    Text,
    /// JSON; records and list entries one a line.
    Json,
}

/// Prints rows as a table under `header`. Without rows, only the header.
pub fn table(header: &[&str], rows: Vec<Vec<String>>) -> io::Result<()> {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(header.iter().map(|h| h.to_uppercase()));
    for row in rows {
        table.add_row(row);
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    line(table.trim_fmt())
}

/// Prints one line.
pub fn line(text: impl std::fmt::Display) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{text}")
}

/// Prints each value as one line of JSON.
pub fn json_lines(values: impl IntoIterator<Item = Value>) -> io::Result<()> {
    let mut out = io::stdout().lock();
    for value in values {
        writeln!(out, "{value}")?;
    }
    out.flush()
}

/// A count that moves on standard error, if that is a terminal and nothing else writes to it.
pub fn progress(what: &str) -> ProgressBar {
    let own = io::stderr().is_terminal() && !io::stdout().is_terminal();
    let target = if own {
        ProgressDrawTarget::stderr()
    } else {
        ProgressDrawTarget::hidden()
    };
    let bar = ProgressBar::with_draw_target(None, target);
    let template = format!("{{spinner}} {{human_pos}} {what} ({{per_sec}})");
    if let Ok(style) = ProgressStyle::with_template(&template) {
        bar.set_style(style);
    }
    if own {
        bar.enable_steady_tick(Duration::from_millis(200));
    }
    bar
}
