//! The sending half of a connection: answers in the order of their requests, many small
//! ones in one write, and records straight from the page cache by sendfile.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use disk::{DiskFile, RealDisk};
use rustix::io::Errno;
use tokio::io::Interest;
use tokio::net::TcpStream;
use tokio::net::tcp::OwnedWriteHalf;

use super::queue::Outgoing;
use crate::broker::Inner;
use crate::log::LogSlice;

/// How long a client may refuse to take what it asked for.
const STALL_MAX: Duration = Duration::from_secs(60);
/// Answers are gathered up to this many bytes before they are sent.
const GATHER: usize = 64 * 1024;
/// Records up to this size are copied beside their answer: cheaper than a call of their own.
const COPY_MAX: u32 = 16 * 1024;
/// Records are sent in pieces of this size: what is cold of one is read off the threads
/// that serve sockets.
const PIECE: u64 = 1024 * 1024;

/// What sends the answers of one connection.
pub(super) struct Writer {
    broker: Arc<Inner>,
    socket: OwnedWriteHalf,
    gathered: Vec<u8>,
}

impl Writer {
    pub(super) fn new(broker: Arc<Inner>, socket: OwnedWriteHalf) -> Self {
        Self {
            broker,
            socket,
            gathered: Vec::new(),
        }
    }

    /// Whether a [`Writer::flush`] would send something.
    pub(super) fn has_gathered(&self) -> bool {
        !self.gathered.is_empty()
    }

    /// Gives back the memory of what was gathered and sent.
    pub(super) fn rest(&mut self) {
        if self.gathered.is_empty() {
            self.gathered = Vec::new();
        }
    }

    /// Sends an answer, or gathers a small one for the next [`Writer::flush`].
    pub(super) async fn send(&mut self, outgoing: Outgoing) -> io::Result<()> {
        let bytes = &outgoing.encoded.bytes;
        let mut sent = 0;
        for piece in &outgoing.encoded.pieces {
            self.gathered.extend_from_slice(&bytes[sent..piece.at]);
            sent = piece.at;
            let slice = &outgoing.slices[piece.token as usize];
            if slice.len() <= COPY_MAX && slice.is_cached() {
                self.copy(slice)?;
            } else {
                self.flush_more().await?;
                self.send_file(slice).await?;
            }
        }
        self.gathered.extend_from_slice(&bytes[sent..]);
        if self.gathered.len() >= GATHER {
            self.flush().await?;
        }
        Ok(())
    }

    fn copy(&mut self, slice: &LogSlice<RealDisk>) -> io::Result<()> {
        let at = self.gathered.len();
        self.gathered.resize(at + slice.len() as usize, 0);
        let room = &mut self.gathered[at..];
        slice.file().read_exact_at(room, slice.position())
    }

    /// Sends what is gathered.
    pub(super) async fn flush(&mut self) -> io::Result<()> {
        self.write(rustix::net::SendFlags::NOSIGNAL).await
    }

    /// Sends what is gathered, and tells the kernel that more follows at once.
    async fn flush_more(&mut self) -> io::Result<()> {
        self.write(rustix::net::SendFlags::NOSIGNAL | rustix::net::SendFlags::MORE)
            .await
    }

    async fn write(&mut self, flags: rustix::net::SendFlags) -> io::Result<()> {
        let socket = self.socket.as_ref();
        let mut rest = self.gathered.as_slice();
        while !rest.is_empty() {
            let count =
                when_writable(socket, || Ok(rustix::net::send(socket, rest, flags)?)).await?;
            self.broker.metrics.bytes_out.add(count as u64);
            rest = &rest[count..];
        }
        self.gathered.clear();
        self.gathered.shrink_to(GATHER);
        Ok(())
    }

    /// Sends a part of a log. Its length was announced in the answer's head, so a failure
    /// here must end the connection.
    async fn send_file(&mut self, slice: &LogSlice<RealDisk>) -> io::Result<()> {
        let end = slice.position() + u64::from(slice.len());
        let mut position = slice.position();
        while position < end {
            let piece = (end - position).min(PIECE);
            if !slice.file().is_cached(position, piece) {
                warm(slice.clone(), position, piece as usize).await?;
            }
            let Some(fd) = slice.file().fd() else {
                return Err(io::ErrorKind::Unsupported.into());
            };
            let socket = self.socket.as_ref();
            let stop = position + piece;
            while position < stop {
                let count = when_writable(socket, || {
                    let left = (stop - position) as usize;
                    Ok(rustix::fs::sendfile(socket, fd, Some(&mut position), left)?)
                })
                .await?;
                if count == 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                self.broker.metrics.bytes_out.add(count as u64);
            }
        }
        Ok(())
    }
}

/// Reads a part of a log where it may wait for the disk, so that it is in the page cache when
/// it is sent. The bytes themselves are not kept, as a client may take them slowly.
async fn warm(slice: LogSlice<RealDisk>, position: u64, len: usize) -> io::Result<()> {
    let read = move || disk::read_range(slice.file(), position, len).map(|bytes| bytes.len());
    let found = tokio::task::spawn_blocking(read).await;
    if found.map_err(io::Error::other)?? < len {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(())
}

/// Does `send` as soon as the socket takes something; a client that takes nothing for
/// [`STALL_MAX`] is given up.
async fn when_writable(
    socket: &TcpStream,
    mut send: impl FnMut() -> Result<usize, io::Error>,
) -> io::Result<usize> {
    loop {
        match socket.try_io(Interest::WRITABLE, &mut send) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) if error.raw_os_error() == Some(Errno::INTR.raw_os_error()) => {}
            result => return result,
        }
        tokio::time::timeout(STALL_MAX, socket.writable())
            .await
            .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
    }
}
