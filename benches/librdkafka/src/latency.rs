//! The time from a call of produce to the consumer's poll, at a steady rate.

use crate::Common;
use crate::produce::{self, Context};
use anyhow::{Context as _, Result, ensure};
use benches::meter::{Measured, Meter};
use benches::report::{self, Figures};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::producer::{BaseProducer, Producer};
use rdkafka::{Message, Offset, TopicPartitionList};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Each record begins with its number and the microseconds from the run's start to its sending.
const STAMP_LEN: usize = 16;

pub(crate) fn run(common: &Common, rate: u64) -> Result<Figures> {
    ensure!(
        common.record_size >= STAMP_LEN,
        "a record holds its number and time, {STAMP_LEN} bytes"
    );
    ensure!(
        common.partitions == 1 && rate > 0,
        "one partition, and at least a record a second"
    );
    let origin = Instant::now();
    let total = (rate as f64 * (common.warm_up + common.seconds)) as u64;
    let first = (rate as f64 * common.warm_up) as u64;
    let failed = AtomicBool::new(false);
    let consumer = consumer(common)?;
    let (latencies, measured) = thread::scope(|scope| -> Result<_> {
        let sender = scope.spawn(|| {
            let sent = send(common, rate, total, first, origin);
            failed.store(sent.is_err(), Ordering::Relaxed);
            sent
        });
        let received = receive(&consumer, total, first, origin, &failed);
        let measured = sender.join().expect("the sender returns its errors")?;
        Ok((received?, measured))
    })?;
    let mut figures = report::figures("librdkafka-latency");
    figures.insert("rate".into(), rate.into());
    report::add_costs(
        &mut figures,
        &measured,
        (total - first) * common.record_size as u64,
        total - first,
    );
    report::add_latencies(&mut figures, &latencies);
    Ok(figures)
}

fn consumer(common: &Common) -> Result<BaseConsumer> {
    let mut config = common.client();
    config
        .set("group.id", "bench")
        .set("enable.auto.commit", "false");
    let consumer: BaseConsumer = config.create()?;
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(&common.topic, 0, Offset::Beginning)?;
    consumer.assign(&list)?;
    Ok(consumer)
}

/// Sends at the rate and measures the broker meanwhile, from the first record that counts.
fn send(common: &Common, rate: u64, total: u64, first: u64, origin: Instant) -> Result<Measured> {
    let context = Context::default();
    let producer: BaseProducer<Context> =
        common.producer("0").create_with_context(context.clone())?;
    let mut value = vec![b'x'; common.record_size];
    let mut meter = None;
    let started = Instant::now();
    for number in 0..total {
        let due = started + Duration::from_nanos(number * 1_000_000_000 / rate);
        let wait = due.saturating_duration_since(Instant::now());
        if !wait.is_zero() {
            thread::sleep(wait);
        }
        if number == first {
            meter = Some(Meter::start(&common.pids)?);
        }
        if let Some(meter) = &mut meter {
            meter.sample(Instant::now())?;
        }
        value[..8].copy_from_slice(&number.to_be_bytes());
        value[8..STAMP_LEN].copy_from_slice(&(origin.elapsed().as_micros() as u64).to_be_bytes());
        produce::queue(&producer, &common.topic, &value)?;
        producer.poll(Duration::ZERO);
    }
    let measured = meter
        .context("nothing was sent after the warm-up")?
        .finish()?;
    producer.flush(Duration::from_secs(60))?;
    context.0.check()?;
    ensure!(
        context.0.acked() == total,
        "{} of {total} records were acked",
        context.0.acked()
    );
    Ok(measured)
}

fn receive(
    consumer: &BaseConsumer,
    total: u64,
    first: u64,
    origin: Instant,
    failed: &AtomicBool,
) -> Result<hdrhistogram::Histogram<u64>> {
    let mut latencies = report::latencies();
    let mut last = Instant::now();
    let mut next = 0;
    while next < total {
        let Some(message) = consumer.poll(Duration::from_millis(500)) else {
            ensure!(!failed.load(Ordering::Relaxed), "the sender failed");
            ensure!(
                last.elapsed() < Duration::from_secs(30),
                "no record for 30 s; {next} of {total} came"
            );
            continue;
        };
        let message = message?;
        last = Instant::now();
        let now_us = origin.elapsed().as_micros() as u64;
        let stamp: &[u8; STAMP_LEN] = message
            .payload()
            .and_then(<[u8]>::first_chunk)
            .context("a record without its stamp")?;
        let (number, sent_us) = stamp.split_at(8);
        let number = u64::from_be_bytes(number.try_into()?);
        ensure!(number == next, "record {number} where {next} was due");
        next += 1;
        if number >= first {
            latencies.saturating_record(
                now_us
                    .saturating_sub(u64::from_be_bytes(sent_us.try_into()?))
                    .max(1),
            );
        }
    }
    Ok(latencies)
}
