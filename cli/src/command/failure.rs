//! How a program ends: the exit code, and the one sentence that says what failed, on what, and what to do.

use std::io;
use std::process::ExitCode;

use client::{ClientError, ConsumeError, ProduceError};
use protocol::ErrorCode;

/// Some of the work was not done, and each part of it has been told already.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Partly(pub String);

/// The command makes no sense as it was given; names the part that does not.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Usage(pub String);

impl Partly {
    /// `failed` of `all` things were not `done`; nothing to add when there was only one.
    pub fn of(failed: usize, all: usize, done: &str) -> Self {
        Self(match all {
            1 => String::new(),
            _ => format!("{failed} of {all} {done}"),
        })
    }
}

/// Prints what went wrong, if anything, and gives the exit code: 0 for success, also when whoever read our
/// output has gone, 1 for a failure, and 2, as clap, for wrong usage.
pub fn exit(program: &str, result: anyhow::Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            let text = sentence(&error);
            if !text.is_empty() {
                eprintln!("{program}: {text}");
            }
            if error.downcast_ref::<Usage>().is_some() {
                ExitCode::from(2)
            } else {
                ExitCode::FAILURE
            }
        }
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<io::Error>())
        .any(|cause| cause.kind() == io::ErrorKind::BrokenPipe)
}

/// The error, its causes and a remedy, in one sentence.
pub fn sentence(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain() {
        let cause_text = cause.to_string();
        // Errors that are made of one another repeat their causes.
        if text.is_empty() {
            text = cause_text;
        } else if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        // The client's errors say all in one sentence, whatever lies below them.
        if cause.is::<ClientError>() || cause.is::<ConsumeError>() || cause.is::<ProduceError>() {
            break;
        }
    }
    if let Some(hint) = error.chain().find_map(hint) {
        text.push_str("; ");
        text.push_str(hint);
    }
    text
}

fn hint(cause: &(dyn std::error::Error + 'static)) -> Option<&'static str> {
    if let Some(error) = cause.downcast_ref::<ProduceError>() {
        return match error {
            ProduceError::Topic(error) => client_hint(error),
            ProduceError::Refused { code, .. } => code_hint(*code),
            _ => None,
        };
    }
    if let Some(ConsumeError::Client(error)) = cause.downcast_ref() {
        return client_hint(error);
    }
    cause.downcast_ref::<ClientError>().and_then(client_hint)
}

fn client_hint(error: &ClientError) -> Option<&'static str> {
    match error {
        ClientError::Connection(_) | ClientError::NoBroker { .. } if error.retriable() => {
            Some("`milena dev` starts one, --brokers HOST:PORT or MILENA_BROKERS names another")
        }
        ClientError::Deadline { last, .. } => client_hint(last),
        ClientError::Refused { code, .. } => code_hint(*code),
        _ => None,
    }
}

fn code_hint(code: ErrorCode) -> Option<&'static str> {
    Some(match code {
        ErrorCode::UnknownTopicOrPartition => {
            "`milena topic list` shows what there is, `milena topic create` makes one"
        }
        ErrorCode::TopicAlreadyExists => "--if-not-exists takes that for success",
        ErrorCode::NonEmptyGroup => "stop the group's members first",
        ErrorCode::MessageTooLarge => {
            "`milena topic alter TOPIC -c max.message.bytes=N` lets the topic take larger ones"
        }
        ErrorCode::GroupIdNotFound => "`milena group list` shows what there is",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_that_has_gone_is_no_failure() {
        let pipe = io::Error::from(io::ErrorKind::BrokenPipe);
        assert!(is_broken_pipe(&anyhow::Error::new(pipe).context("writing")));
        assert!(!is_broken_pipe(&anyhow::anyhow!("other")));
    }

    #[test]
    fn sentences_name_cause_and_remedy() {
        let refused = ClientError::Refused {
            subject: "topic nosuch".to_owned(),
            code: ErrorCode::UnknownTopicOrPartition,
            detail: None,
        };
        let text = sentence(&anyhow::Error::new(refused).context("cannot describe it"));
        assert!(
            text.starts_with("cannot describe it: topic nosuch: "),
            "{text}"
        );
        assert!(text.ends_with("`milena topic create` makes one"), "{text}");
    }
}
