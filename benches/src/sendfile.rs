//! What the kernel gives a fetch at best: a cached file sent over loopback by sendfile, thrown away at the other end.

use crate::meter::Meter;
use crate::report::{self, Figures};
use anyhow::{Result, ensure};
use rustix::fs::{FallocateFlags, fallocate};
use rustix::net::sockopt::set_socket_send_buffer_size;
use std::fs::OpenOptions;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Bytes of one sendfile, the size of the fetches it is compared with.
const PIECE: u64 = 4 << 20;
/// The sender's buffer, Kafka's default `socket.send.buffer.bytes`. Left to the kernel it grows to megabytes, which no longer stay in the
/// CPU's cache: 2.1 instead of 2.4 GB/s on one connection, 4 instead of 11 on four.
const SEND_BUFFER: usize = 100 * 1024;

/// Sends a file of `file_len` bytes in `dir` again and again for `duration` on each of `connections`, and counts what arrives.
/// Sender and receiver are threads of this process, so the CPU is that of both.
pub fn run(dir: &Path, file_len: u64, connections: usize, duration: Duration) -> Result<Figures> {
    ensure!(file_len >= PIECE, "the file must hold {PIECE} bytes");
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(true)
        .open(dir.join("sendfile"))?;
    fallocate(&file, FallocateFlags::empty(), 0, file_len)?;
    let chunk = vec![7; 1 << 20];
    for _ in 0..file_len >> 20 {
        file.write_all(&chunk)?;
    }
    file.sync_all()?;

    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    let received = AtomicU64::new(0);
    let stop = AtomicBool::new(false);
    let (measured, bytes) = thread::scope(|scope| -> Result<_> {
        for _ in 0..connections {
            let receiver = TcpStream::connect(listener.local_addr()?)?;
            let (sender, _) = listener.accept()?;
            set_socket_send_buffer_size(&sender, SEND_BUFFER)?;
            scope.spawn(|| send(sender, &file, file_len, &stop));
            scope.spawn(|| receive(receiver, &received));
        }
        thread::sleep(Duration::from_millis(300));
        let meter = Meter::start(&[])?;
        let (started, before) = (Instant::now(), received.load(Ordering::Relaxed));
        thread::sleep(duration.saturating_sub(started.elapsed()));
        let bytes = received.load(Ordering::Relaxed) - before;
        let measured = meter.finish()?;
        stop.store(true, Ordering::Relaxed);
        Ok((measured, bytes))
    })?;
    std::fs::remove_file(dir.join("sendfile"))?;
    let mut figures = report::figures("sendfile");
    report::put(&mut figures, "mb_s", bytes as f64 / 1e6 / measured.seconds);
    report::put(
        &mut figures,
        "client_cpu_s_per_gb",
        measured.client_cpu_seconds / (bytes as f64 / 1e9),
    );
    Ok(figures)
}

fn send(sender: TcpStream, file: &std::fs::File, file_len: u64, stop: &AtomicBool) {
    let mut position = 0;
    while !stop.load(Ordering::Relaxed) {
        if position + PIECE > file_len {
            position = 0;
        }
        let end = position + PIECE;
        while position < end {
            let left = (end - position) as usize;
            // The kernel moves `position` by what it sent.
            if rustix::fs::sendfile(&sender, file, Some(&mut position), left).is_err() {
                return;
            }
        }
    }
}

fn receive(mut receiver: TcpStream, received: &AtomicU64) {
    let mut scratch = vec![0; crate::fetch::SCRATCH_LEN];
    while let Ok(read @ 1..) = receiver.read(&mut scratch) {
        received.fetch_add(read as u64, Ordering::Relaxed);
    }
}
