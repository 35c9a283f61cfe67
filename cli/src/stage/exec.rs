//! A child process as a step: a line in, a line out.
//!
//! The child reads lines from its standard input and answers each with one line on its standard output,
//! flushed; an empty line means "nothing". When it dies or does not answer in time, it is started again and
//! given the line again, so it sees a line at least once. Its standard error is passed through.

use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

/// A child that fails this often on one line will not do better.
const TRIES: u32 = 3;
/// The longest answer.
const LINE: u64 = 10 << 20;
/// The first pause before another start; it doubles.
const PAUSE: Duration = Duration::from_millis(100);

/// Why a line could not be answered.
#[derive(Debug, thiserror::Error)]
pub enum ExecError {
    #[error("cannot start {command:?}: {source}")]
    Start {
        command: String,
        source: std::io::Error,
    },
    #[error("{command:?} failed {TRIES} times on this record; the last time: {what}")]
    Failed { command: String, what: String },
    #[error("the shell cannot run {command:?} ({what})")]
    NoCommand { command: String, what: String },
    #[error("the value has line breaks, which cannot be given to {0:?} as one line")]
    LineBreak(String),
}

#[derive(Debug)]
struct Running {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

/// The child's own children go with it: a shell would leave them behind.
impl Drop for Running {
    fn drop(&mut self) {
        let pid = self
            .child
            .id()
            .and_then(|id| rustix::process::Pid::from_raw(id.cast_signed()));
        if let Some(pid) = pid {
            let _ = rustix::process::kill_process_group(pid, rustix::process::Signal::KILL);
        }
    }
}

/// The child, started when the first line comes.
#[derive(Debug)]
pub struct Exec {
    command: String,
    timeout: Duration,
    running: Option<Running>,
    /// It has answered before, so the command is there.
    answered: bool,
    /// How often it was started again.
    pub restarts: u64,
}

impl Exec {
    /// `command` is run by `sh -c`. An answer that takes longer than `timeout` counts as a failure.
    pub fn new(command: &str, timeout: Duration) -> Self {
        Self {
            command: command.to_owned(),
            timeout,
            running: None,
            answered: false,
            restarts: 0,
        }
    }

    /// Gives the child `line` and returns its answer; none for an empty one.
    pub async fn answer(&mut self, line: &[u8]) -> Result<Option<Bytes>, ExecError> {
        if line.contains(&b'\n') {
            return Err(ExecError::LineBreak(self.command.clone()));
        }
        let mut what = String::new();
        for attempt in 0..TRIES {
            if attempt > 0 {
                tokio::time::sleep(PAUSE * 2u32.pow(attempt - 1)).await;
                self.restarts += 1;
            }
            let mut running = match self.running.take() {
                Some(running) => running,
                None => self.start()?,
            };
            match tokio::time::timeout(self.timeout, exchange(&mut running, line)).await {
                Ok(Ok(answer)) => {
                    (self.running, self.answered) = (Some(running), true);
                    return Ok((!answer.is_empty()).then(|| Bytes::from(answer)));
                }
                Ok(Err(error)) => {
                    let status = ended(&mut running.child).await;
                    what = status.map_or_else(|| error.to_string(), |s| format!("it ended ({s})"));
                    // What a shell says of commands that are not there, or are none.
                    let code = status.and_then(|s| s.code());
                    if !self.answered && matches!(code, Some(126 | 127)) {
                        let command = self.command.clone();
                        return Err(ExecError::NoCommand { command, what });
                    }
                }
                Err(_) => what = format!("no answer within {:?}", self.timeout),
            }
            tracing::warn!("{:?}: {what}; starting it again", self.command);
        }
        Err(ExecError::Failed {
            command: self.command.clone(),
            what,
        })
    }

    fn start(&self) -> Result<Running, ExecError> {
        let start = |source| ExecError::Start {
            command: self.command.clone(),
            source,
        };
        let mut child = Command::new("sh")
            .args(["-c", &self.command])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // A Ctrl-C is for the stage, which ends the child once its last line is answered.
            .process_group(0)
            .spawn()
            .map_err(start)?;
        let input = child.stdin.take().expect("it was asked for");
        let output = BufReader::new(child.stdout.take().expect("it was asked for"));
        Ok(Running {
            child,
            input,
            output,
        })
    }
}

async fn exchange(running: &mut Running, line: &[u8]) -> std::io::Result<Vec<u8>> {
    if !running.output.buffer().is_empty() {
        // It would be taken for the answer to this line, and so on with all that follow.
        return Err(std::io::Error::other(
            "it answered the line before with more than one line",
        ));
    }
    let Running { input, output, .. } = running;
    let write = async {
        input.write_all(line).await?;
        input.write_all(b"\n").await?;
        input.flush().await
    };
    let mut answer = Vec::new();
    let mut limited = output.take(LINE);
    // At once: a child that answers while it reads waits for us when its pipe is full.
    tokio::try_join!(write, limited.read_until(b'\n', &mut answer))?;
    if answer.pop() != Some(b'\n') {
        let what = if answer.len() as u64 + 1 >= LINE {
            "an answer over 10 MiB"
        } else {
            "its output ended"
        };
        return Err(std::io::Error::other(what));
    }
    if answer.last() == Some(&b'\r') {
        answer.pop();
    }
    Ok(answer)
}

/// How the child ended, if it did.
async fn ended(child: &mut Child) -> Option<ExitStatus> {
    let ended = tokio::time::timeout(Duration::from_millis(200), child.wait()).await;
    ended.ok()?.ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exec(command: &str) -> Exec {
        Exec::new(command, Duration::from_secs(20))
    }

    #[tokio::test]
    async fn each_line_is_answered_by_a_line() {
        let mut exec = exec(r#"while read -r line; do echo "<$line>"; done"#);
        for line in ["a", "b c", "\\x"] {
            let answer = exec.answer(line.as_bytes()).await.unwrap().unwrap();
            assert_eq!(answer, format!("<{line}>"));
        }
        assert!(exec.answer(b"a\nb").await.is_err());
    }

    #[tokio::test]
    async fn an_empty_answer_drops_the_record() {
        let mut exec = exec(
            r#"while read -r line; do case "$line" in x*) echo;; *) echo "$line";; esac; done"#,
        );
        assert_eq!(exec.answer(b"x1").await.unwrap(), None);
        assert_eq!(exec.answer(b"y").await.unwrap().unwrap(), "y");
    }

    #[tokio::test]
    async fn a_child_that_dies_is_started_again_and_given_the_line_again() {
        let dir = tempfile::tempdir().unwrap();
        let marker = dir.path().join("died");
        let script = format!(
            r#"while read -r line; do
                 if [ "$line" = two ] && [ ! -e {0} ]; then touch {0}; exit 3; fi
                 echo "$line"
               done"#,
            marker.display()
        );
        let mut exec = exec(&script);
        for line in ["one", "two", "three"] {
            assert_eq!(exec.answer(line.as_bytes()).await.unwrap().unwrap(), line);
        }
        assert_eq!(exec.restarts, 1);
    }

    #[tokio::test]
    async fn a_long_line_passes_a_child_that_answers_while_it_reads() {
        let line = vec![b'x'; 1 << 20];
        let answer = exec("cat").answer(&line).await.unwrap().unwrap();
        assert_eq!(answer, line);
    }

    #[tokio::test]
    async fn a_line_too_many_is_not_the_answer_to_the_next() {
        let mut exec = exec(
            r#"while read -r line; do
                 case "$line" in two*) printf '%s\nmore\n' "$line";; *) echo "$line";; esac
               done"#,
        );
        for line in ["one", "two", "three", "four"] {
            assert_eq!(exec.answer(line.as_bytes()).await.unwrap().unwrap(), line);
        }
    }

    #[tokio::test]
    async fn a_command_that_is_not_there_is_no_fault_of_the_record() {
        let error = exec("no-such-command-here").answer(b"x").await.unwrap_err();
        assert!(matches!(error, ExecError::NoCommand { .. }), "{error}");
    }

    #[tokio::test]
    async fn a_child_that_always_dies_or_hangs_is_an_error_of_the_record() {
        let error = exec("read -r line; exit 3").answer(b"x").await.unwrap_err();
        assert!(error.to_string().contains("exit status: 3"), "{error}");
        let mut hanging = Exec::new("read -r line; sleep 1000", Duration::from_millis(50));
        let error = hanging.answer(b"x").await.unwrap_err();
        assert!(
            error.to_string().contains("no answer within 50ms"),
            "{error}"
        );
    }
}
