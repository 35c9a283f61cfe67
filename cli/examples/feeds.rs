//! Reads RSS and Atom files and prints each article as a line for `milena produce --input json`: the first
//! stage of examples/articles.

use std::fs::File;
use std::io::{BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use feed_rs::model::Entry;
use serde_json::{Value, json};

fn main() -> ExitCode {
    let files: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    if files.is_empty() {
        eprintln!("usage: feeds FILE...   (RSS or Atom)");
        return ExitCode::from(2);
    }
    for file in files {
        let printed = articles(&file).and_then(|articles| {
            let mut out = std::io::stdout().lock();
            for article in articles {
                writeln!(out, "{article}").map_err(|error| error.to_string())?;
            }
            Ok(())
        });
        if let Err(error) = printed {
            eprintln!("feeds: {}: {error}", file.display());
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

/// The articles of a feed, as they stand there: `{"key": ID, "timestamp": MS, "value": {…}}`.
pub(crate) fn articles(file: &Path) -> Result<Vec<Value>, String> {
    let input = File::open(file).map_err(|error| error.to_string())?;
    let feed = feed_rs::parser::parse(BufReader::new(input)).map_err(|error| error.to_string())?;
    let source = feed.title.map(|title| title.content);
    Ok(feed
        .entries
        .into_iter()
        .map(|entry| article(entry, source.as_deref()))
        .collect())
}

fn article(entry: Entry, source: Option<&str>) -> Value {
    let published = entry.published.or(entry.updated);
    let topics: Vec<&str> = entry.categories.iter().map(|c| c.term.as_str()).collect();
    json!({
        "key": entry.id,
        "timestamp": published.map(|time| time.timestamp_millis()),
        "value": {
            "id": entry.id,
            "title": entry.title.map(|title| title.content).unwrap_or_default(),
            "url": entry.links.first().map(|link| link.href.as_str()).unwrap_or_default(),
            "summary": entry.summary.map(|summary| summary.content),
            "source": source,
            "topics": topics,
            "published": published.map(|time| time.to_rfc3339()),
        },
    })
}
