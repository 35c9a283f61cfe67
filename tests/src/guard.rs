//! Cleaning up also after a process that cannot: one that was killed.

use std::ffi::OsStr;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

/// A command that runs when this process is gone, however it ended; unless this is dropped before.
#[derive(Debug)]
pub struct Guard(Child);

impl Guard {
    /// Arms it. The command says nothing.
    pub fn new<S: AsRef<OsStr>>(command: impl IntoIterator<Item = S>) -> io::Result<Self> {
        // It waits until the pipe is closed, which the kernel does for a process that is gone. In
        // a group of its own, it outlives a signal to everybody.
        Command::new("sh")
            .args(["-c", "read -r _; exec \"$@\"", "guard"])
            .args(command)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .map(Self)
    }

    /// Runs the command now, to its end.
    pub fn fire(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
