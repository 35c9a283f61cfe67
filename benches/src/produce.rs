//! The raw producer: prebuilt frames down pipelined connections, from one thread.
//!
//! It shares the machine with the broker that it measures, so it copies nothing, decodes nothing but the error code of each answer, and
//! writes all that is due on a connection by one system call. Every answer is counted and checked; one that is refused ends the run.

use crate::frames::{AckLayout, HEAD_LEN, Template};
use crate::meter::{Measured, Meter};
use crate::report::{self, Figures};
use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use hdrhistogram::Histogram;
use rustix::event::{Timespec, epoll};
use std::collections::VecDeque;
use std::io::{ErrorKind, IoSlice, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// What to produce, and for how long.
#[derive(Debug)]
pub struct Load {
    /// The broker's address, `HOST:PORT`.
    pub broker: String,
    /// A topic that exists.
    pub topic: String,
    /// Its partitions; each connection takes those whose number is its own modulo the connections, or one if there are fewer.
    pub partitions: u32,
    /// How many connections.
    pub connections: u32,
    /// Requests under way on each connection.
    pub in_flight: usize,
    /// 1 or -1.
    pub acks: i16,
    /// The batch that every request carries.
    pub batch: Bytes,
    /// Records in the batch.
    pub records: u32,
    /// Time before the measuring starts, which waits for a few writes to every partition, too.
    pub warm_up: Duration,
    /// Time measured.
    pub duration: Duration,
    /// Ends the run earlier, once so many requests are answered.
    pub requests_max: u64,
    /// The broker's processes.
    pub pids: Vec<u32>,
}

/// A broker that answers nothing for so long has failed.
const SILENCE_MAX: Duration = Duration::from_secs(30);
/// Each partition is written so often before the measuring starts: files and indexes are made by the first writes.
const WARM_UP_WRITES: u64 = 4;
/// Writing to every partition may take long, but not so long.
const WARM_UP_MAX: Duration = Duration::from_secs(180);
/// Slices handed to one writev: two to a frame.
const SLICES_MAX: usize = 64;

struct Sent {
    correlation: i32,
    at: Instant,
}

struct Connection {
    stream: TcpStream,
    templates: Vec<Template>,
    /// Which template is next.
    turn: usize,
    correlation: i32,
    /// Heads of frames not wholly written yet, with the template of each.
    outgoing: VecDeque<([u8; HEAD_LEN], usize)>,
    /// Bytes of the first of them that are written.
    written: usize,
    unanswered: VecDeque<Sent>,
    input: Vec<u8>,
    filled: usize,
    waits_for_room: bool,
}

#[derive(Default)]
struct Counted {
    requests: u64,
    latencies: Option<Histogram<u64>>,
}

/// Runs the load; the figures hold rates, latencies of acks and the broker's costs.
pub fn run(load: &Load) -> Result<Figures> {
    ensure!(
        load.acks == 1 || load.acks == -1,
        "acks must be 1 or -1: without answers there is nothing to count"
    );
    ensure!(
        load.connections > 0 && load.partitions > 0 && load.in_flight > 0,
        "connections, partitions and in-flight start at 1"
    );
    let poll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    let layout = AckLayout::new(&load.topic);
    let mut connections = Vec::new();
    for number in 0..load.connections {
        let connection = Connection::open(load, number)?;
        epoll::add(
            &poll,
            &connection.stream,
            epoll::EventData::new_u64(number.into()),
            epoll::EventFlags::IN,
        )?;
        connections.push(connection);
    }

    let mut now = Instant::now();
    let warm = now + load.warm_up;
    let mut end = now + WARM_UP_MAX;
    let mut last_answer = now;
    let mut counted = Counted::default();
    let mut meter = None;
    for (number, connection) in connections.iter_mut().enumerate() {
        connection.fill(load.in_flight, now);
        connection.send(&poll, number)?;
    }
    let mut events = Vec::with_capacity(256);
    while now < end && counted.requests < load.requests_max {
        events.clear();
        let tick = Timespec {
            tv_sec: 0,
            tv_nsec: 50_000_000,
        };
        epoll::wait(
            &poll,
            rustix::buffer::spare_capacity(&mut events),
            Some(&tick),
        )?;
        now = Instant::now();
        if meter.is_none()
            && now >= warm
            && counted.requests >= WARM_UP_WRITES * u64::from(load.partitions)
        {
            end = now + load.duration;
            meter = Some(Meter::start(&load.pids)?);
            counted = Counted {
                requests: 0,
                latencies: Some(report::latencies()),
            };
        }
        if let Some(meter) = &mut meter {
            meter.sample(now)?;
        }
        for event in &events {
            let number = event.data.u64() as usize;
            let connection = &mut connections[number];
            now = Instant::now();
            if connection.receive(&layout, now, &mut counted)? {
                last_answer = now;
            }
            connection.fill(load.in_flight, now);
            connection.send(&poll, number)?;
        }
        ensure!(
            now - last_answer < SILENCE_MAX,
            "no answer for {} s",
            SILENCE_MAX.as_secs()
        );
    }
    let measured = meter
        .context("not every partition could be written in the time for warming up")?
        .finish()?;
    let requests = counted.requests;
    for connection in &mut connections {
        connection.drain(&layout, &mut counted)?;
    }
    Ok(figures(load, &measured, requests, &counted))
}

fn figures(load: &Load, measured: &Measured, requests: u64, counted: &Counted) -> Figures {
    let mut figures = report::figures("raw-produce");
    for (name, value) in [
        ("connections", u64::from(load.connections)),
        ("partitions", load.partitions.into()),
        ("in_flight", load.in_flight as u64),
        ("batch_bytes", load.batch.len() as u64),
        ("requests", requests),
    ] {
        figures.insert(name.into(), value.into());
    }
    report::add_costs(
        &mut figures,
        measured,
        requests * load.batch.len() as u64,
        requests,
    );
    report::put(
        &mut figures,
        "records_s",
        (requests * u64::from(load.records)) as f64 / measured.seconds,
    );
    if let Some(latencies) = &counted.latencies {
        report::add_latencies(&mut figures, latencies);
    }
    figures
}

impl Connection {
    fn open(load: &Load, number: u32) -> Result<Self> {
        let stream = TcpStream::connect(&load.broker)
            .with_context(|| format!("cannot connect to {}", load.broker))?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        let first = number % load.partitions;
        let templates = (first..load.partitions)
            .step_by(load.connections as usize)
            .map(|partition| {
                Template::produce(&load.topic, partition as i32, load.acks, &load.batch)
            })
            .collect::<Result<_>>()?;
        Ok(Self {
            stream,
            templates,
            turn: 0,
            correlation: 0,
            outgoing: VecDeque::new(),
            written: 0,
            unanswered: VecDeque::new(),
            input: vec![0; 64 * 1024],
            filled: 0,
            waits_for_room: false,
        })
    }

    /// Puts requests into the queue until `in_flight` are under way.
    fn fill(&mut self, in_flight: usize, now: Instant) {
        while self.unanswered.len() < in_flight {
            self.correlation = self.correlation.wrapping_add(1);
            self.outgoing
                .push_back((self.templates[self.turn].head(self.correlation), self.turn));
            self.unanswered.push_back(Sent {
                correlation: self.correlation,
                at: now,
            });
            self.turn = (self.turn + 1) % self.templates.len();
        }
    }

    /// Writes what the socket takes, and asks to be woken when it takes more only if something is left.
    fn send(&mut self, poll: impl rustix::fd::AsFd, number: usize) -> Result<()> {
        while !self.outgoing.is_empty() {
            let mut slices = [IoSlice::new(&[]); SLICES_MAX];
            let mut used = 0;
            let mut skip = self.written;
            for (head, template) in self.outgoing.iter().take(SLICES_MAX / 2) {
                for part in [&head[..], self.templates[*template].rest()] {
                    let skipped = skip.min(part.len());
                    skip -= skipped;
                    slices[used] = IoSlice::new(&part[skipped..]);
                    used += 1;
                }
            }
            match self.stream.write_vectored(&slices[..used]) {
                Ok(written) => self.written += written,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error).context("writing to the broker"),
            }
            while let Some((_, template)) = self.outgoing.front() {
                let len = HEAD_LEN + self.templates[*template].rest().len();
                if self.written < len {
                    break;
                }
                self.written -= len;
                self.outgoing.pop_front();
            }
        }
        if self.waits_for_room == self.outgoing.is_empty() {
            self.waits_for_room = !self.waits_for_room;
            let mut flags = epoll::EventFlags::IN;
            flags.set(epoll::EventFlags::OUT, self.waits_for_room);
            epoll::modify(
                poll,
                &self.stream,
                epoll::EventData::new_u64(number as u64),
                flags,
            )?;
        }
        Ok(())
    }

    /// Reads and counts the answers that have come; true if there was one.
    fn receive(&mut self, layout: &AckLayout, now: Instant, counted: &mut Counted) -> Result<bool> {
        match self.stream.read(&mut self.input[self.filled..]) {
            Ok(0) => bail!("the broker closed the connection"),
            Ok(read) => self.filled += read,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
            Err(error) => return Err(error).context("reading from the broker"),
        }
        let mut start = 0;
        while let Some(len) = self.input[start..self.filled].first_chunk() {
            let len = u32::from_be_bytes(*len) as usize;
            ensure!(
                len + 4 <= self.input.len(),
                "an answer of {len} bytes to a Produce request"
            );
            if start + 4 + len > self.filled {
                break;
            }
            let sent = self
                .unanswered
                .pop_front()
                .context("an answer to nothing")?;
            layout.check(&self.input[start + 4..start + 4 + len], sent.correlation)?;
            counted.requests += 1;
            if let Some(latencies) = &mut counted.latencies {
                latencies.saturating_record((now - sent.at).as_micros() as u64);
            }
            start += 4 + len;
        }
        self.input.copy_within(start..self.filled, 0);
        self.filled -= start;
        Ok(start > 0)
    }

    /// Waits for the answers to all that was sent, as an ack that never comes is a fault, too. Half a frame is finished first.
    fn drain(&mut self, layout: &AckLayout, counted: &mut Counted) -> Result<()> {
        self.stream.set_nonblocking(false)?;
        self.stream.set_read_timeout(Some(SILENCE_MAX))?;
        self.stream.set_write_timeout(Some(SILENCE_MAX))?;
        let unsent = self.outgoing.len() - usize::from(self.written > 0);
        self.unanswered.truncate(self.unanswered.len() - unsent);
        if self.written > 0 {
            let (head, template) = self.outgoing[0];
            let frame = [&head[..], self.templates[template].rest()].concat();
            self.stream.write_all(&frame[self.written..])?;
        }
        let started = Instant::now();
        while !self.unanswered.is_empty() {
            ensure!(
                started.elapsed() < SILENCE_MAX,
                "{} acks are missing",
                self.unanswered.len()
            );
            self.receive(layout, Instant::now(), counted)?;
        }
        Ok(())
    }
}
