//! The floor: the smallest loop that does what a durable broker cannot avoid.
//!
//! It receives Produce frames, checks the CRC of their batch, writes the batch into a preallocated file and answers after a sync of that
//! file, which runs beside the loop and serves all that was written before it. It knows no offsets, no metadata and no errors: whatever
//! a broker costs above this is its own doing. One thread receives; a few sync, so that files are synced side by side.

use crate::peek::Peek;
use anyhow::{Context, Result, bail, ensure};
use protocol::records;
use rustix::event::epoll;
use rustix::fs::FallocateFlags;
use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex};

/// Files are preallocated to this size, and followed by a new one when full, as segments are.
const FILE_LEN: u64 = 256 << 20;
const LISTENER: u64 = u64::MAX;
/// First read of a frame; what is left of a longer one is then read exactly.
const READ_LEN: usize = 64 * 1024;

struct Peer {
    stream: Arc<TcpStream>,
    input: Vec<u8>,
    filled: usize,
}

struct Pending {
    stream: Arc<TcpStream>,
    answer: Vec<u8>,
}

struct Target {
    path: PathBuf,
    file: Arc<File>,
    position: u64,
    pending: Vec<Pending>,
    /// In the queue of the sync threads, or in the hands of one.
    queued: bool,
}

struct Shared {
    targets: Vec<Mutex<Target>>,
    dirty: Mutex<VecDeque<usize>>,
    wake: Condvar,
}

/// Serves for ever. `files` is the number of partitions, whose files are made in `dir`.
pub fn serve(listener: TcpListener, dir: &Path, files: usize, sync_threads: usize) -> Result<()> {
    let mut targets = Vec::new();
    for number in 0..files {
        let path = dir.join(format!("floor-{number}"));
        let file = Arc::new(preallocated(&path)?);
        targets.push(Mutex::new(Target {
            path,
            file,
            position: 0,
            pending: Vec::new(),
            queued: false,
        }));
    }
    let shared = Arc::new(Shared {
        targets,
        dirty: Mutex::default(),
        wake: Condvar::new(),
    });
    for _ in 0..sync_threads {
        let shared = Arc::clone(&shared);
        std::thread::spawn(move || {
            if let Err(error) = shared.sync_for_ever() {
                eprintln!("floor: {error:#}");
                std::process::exit(1);
            }
        });
    }
    receive_for_ever(&listener, &shared)
}

fn preallocated(path: &Path) -> Result<File> {
    // Made anew: bytes of a file are written once, as in a log.
    let _ = fs::remove_file(path);
    let file = OpenOptions::new().create_new(true).write(true).open(path)?;
    rustix::fs::fallocate(&file, FallocateFlags::empty(), 0, FILE_LEN)
        .with_context(|| format!("preallocating {}", path.display()))?;
    file.sync_all()?;
    Ok(file)
}

fn receive_for_ever(listener: &TcpListener, shared: &Shared) -> Result<()> {
    let poll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    epoll::add(
        &poll,
        listener,
        epoll::EventData::new_u64(LISTENER),
        epoll::EventFlags::IN,
    )?;
    let mut peers: Vec<Option<Peer>> = Vec::new();
    let mut events = Vec::with_capacity(256);
    loop {
        events.clear();
        epoll::wait(&poll, rustix::buffer::spare_capacity(&mut events), None)?;
        for event in &events {
            let number = event.data.u64();
            if number == LISTENER {
                let (stream, _) = listener.accept()?;
                stream.set_nodelay(true)?;
                stream.set_nonblocking(true)?;
                let number = peers.len() as u64;
                epoll::add(
                    &poll,
                    &stream,
                    epoll::EventData::new_u64(number),
                    epoll::EventFlags::IN,
                )?;
                peers.push(Some(Peer {
                    stream: Arc::new(stream),
                    input: vec![0; READ_LEN],
                    filled: 0,
                }));
            } else if let Some(peer) = &mut peers[number as usize]
                && !peer.receive(shared)?
            {
                epoll::delete(&poll, &peer.stream)?;
                peers[number as usize] = None;
            }
        }
    }
}

impl Peer {
    /// Handles what has come; false once the client is gone.
    fn receive(&mut self, shared: &Shared) -> Result<bool> {
        let want = match self.input.first_chunk() {
            Some(len) if self.filled >= 4 => (4 + u32::from_be_bytes(*len) as usize).max(READ_LEN),
            _ => READ_LEN,
        };
        if self.input.len() < want {
            self.input.resize(want, 0);
        }
        match (&*self.stream).read(&mut self.input[self.filled..want]) {
            Ok(0) => return Ok(false),
            Ok(read) => self.filled += read,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(true),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => return Ok(false),
            Err(error) => return Err(error.into()),
        }
        let mut start = 0;
        while self.filled - start >= 4 {
            let len = Peek::new(&self.input[start..]).i32()? as usize;
            ensure!(len < 128 << 20, "a frame of {len} bytes");
            if self.filled - start < 4 + len {
                break;
            }
            shared.take(&self.stream, &self.input[start + 4..start + 4 + len])?;
            start += 4 + len;
        }
        self.input.copy_within(start..self.filled, 0);
        self.filled -= start;
        Ok(true)
    }
}

impl Shared {
    /// Checks and writes one frame's batch, and leaves its answer to the next sync of that file.
    fn take(&self, stream: &Arc<TcpStream>, frame: &[u8]) -> Result<()> {
        let request = Request::parse(frame)?;
        let crc = request
            .batch
            .get(records::CRC..records::ATTRIBUTES)
            .context("a batch without a header")?;
        ensure!(
            crc32c::crc32c(&request.batch[records::ATTRIBUTES..]).to_be_bytes() == crc,
            "a batch with a wrong CRC"
        );
        let mut target = self
            .targets
            .get(request.partition)
            .context("more partitions than files")?
            .lock()
            .expect("no thread panics");
        if target.position + request.batch.len() as u64 > FILE_LEN {
            target.file.sync_data()?;
            target.file = Arc::new(preallocated(&target.path)?);
            target.position = 0;
        }
        target.file.write_all_at(request.batch, target.position)?;
        let answer = request.answer(target.position as i64);
        target.position += request.batch.len() as u64;
        target.pending.push(Pending {
            stream: Arc::clone(stream),
            answer,
        });
        if !target.queued {
            target.queued = true;
            self.dirty
                .lock()
                .expect("no thread panics")
                .push_back(request.partition);
            self.wake.notify_one();
        }
        Ok(())
    }

    fn sync_for_ever(&self) -> Result<()> {
        let mut dirty = self.dirty.lock().expect("no thread panics");
        loop {
            let Some(number) = dirty.pop_front() else {
                dirty = self.wake.wait(dirty).expect("no thread panics");
                continue;
            };
            drop(dirty);
            let (file, pending) = {
                let mut target = self.targets[number].lock().expect("no thread panics");
                (
                    Arc::clone(&target.file),
                    std::mem::take(&mut target.pending),
                )
            };
            rustix::fs::fdatasync(&file)?;
            answer(pending)?;
            let again = {
                let mut target = self.targets[number].lock().expect("no thread panics");
                target.queued = !target.pending.is_empty();
                target.queued
            };
            dirty = self.dirty.lock().expect("no thread panics");
            if again {
                dirty.push_back(number);
            }
        }
    }
}

/// Writes the answers, those that follow one another on one connection by one call.
fn answer(pending: Vec<Pending>) -> Result<()> {
    let mut pending = pending.into_iter().peekable();
    while let Some(Pending {
        stream,
        answer: mut bytes,
    }) = pending.next()
    {
        while let Some(next) = pending.next_if(|next| Arc::ptr_eq(&next.stream, &stream)) {
            bytes.extend_from_slice(&next.answer);
        }
        match (&*stream).write(&bytes) {
            Ok(written) if written == bytes.len() => {}
            Ok(_) => bail!("a client does not read its answers"),
            Err(error)
                if matches!(
                    error.kind(),
                    ErrorKind::BrokenPipe | ErrorKind::ConnectionReset
                ) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// A Produce request of version 9 for one partition, as the raw client sends it.
struct Request<'a> {
    correlation: i32,
    topic: &'a [u8],
    partition: usize,
    batch: &'a [u8],
}

impl<'a> Request<'a> {
    fn parse(frame: &'a [u8]) -> Result<Self> {
        let mut peek = Peek::new(frame);
        let (key, version) = (peek.i16()?, peek.i16()?);
        ensure!(
            (key, version) == (0, 9),
            "API {key} version {version}: the floor takes nothing but Produce version 9"
        );
        let correlation = peek.i32()?;
        let client_id = peek.i16()?.max(0);
        peek.take(client_id as usize)?;
        ensure!(peek.varint()? == 0, "a tagged field in the header");
        let transactional_id = peek.compact_len()?;
        peek.take(transactional_id)?;
        peek.take(2 + 4)?; // acks, time-out
        ensure!(
            peek.compact_len()? == 1,
            "the floor takes one topic a request"
        );
        let topic = peek.compact_len()?;
        let topic = peek.take(topic)?;
        ensure!(
            peek.compact_len()? == 1,
            "the floor takes one partition a request"
        );
        let partition = usize::try_from(peek.i32()?)?;
        let len = peek.compact_len()?;
        Ok(Self {
            correlation,
            topic,
            partition,
            batch: peek.take(len)?,
        })
    }

    fn answer(&self, base_offset: i64) -> Vec<u8> {
        let mut body = Vec::with_capacity(64 + self.topic.len());
        body.extend([0; 4]);
        body.extend(self.correlation.to_be_bytes());
        body.extend([0, 2, self.topic.len() as u8 + 1]);
        body.extend(self.topic);
        body.push(2);
        body.extend((self.partition as i32).to_be_bytes());
        body.extend(0_i16.to_be_bytes());
        body.extend(base_offset.to_be_bytes());
        body.extend((-1_i64).to_be_bytes()); // log append time
        body.extend(0_i64.to_be_bytes()); // log start offset
        body.extend([1, 0, 0, 0]); // no record errors, no message, tags of partition and topic
        body.extend([0; 5]); // throttle time, tags
        let len = body.len() as u32 - 4;
        body[..4].copy_from_slice(&len.to_be_bytes());
        body
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{frames, produce};
    use std::time::Duration;

    #[test]
    fn the_raw_client_gets_an_ack_for_all_that_the_floor_wrote() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
        let broker = listener.local_addr().expect("its address").to_string();
        let path = dir.path().to_owned();
        std::thread::spawn(move || serve(listener, &path, 2, 2));
        let load = produce::Load {
            broker,
            topic: "floor".into(),
            partitions: 2,
            connections: 3,
            in_flight: 5,
            acks: -1,
            batch: frames::batch(50, 1000),
            records: 50,
            warm_up: Duration::ZERO,
            duration: Duration::from_secs(60),
            requests_max: 100,
            pids: Vec::new(),
        };
        let figures = produce::run(&load).expect("every answer is an ack");
        assert!(figures["requests"].as_u64() >= Some(100));
        let written = fs::read(dir.path().join("floor-1")).expect("the second partition's file");
        assert_eq!(written[..load.batch.len()], load.batch);
    }
}
