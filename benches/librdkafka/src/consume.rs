//! Consuming from the page cache as fast as librdkafka goes.

use crate::Common;
use crate::produce;
use anyhow::{Context, Result, ensure};
use benches::meter::Meter;
use benches::report::{self, Figures};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::{Message, Offset, TopicPartitionList};
use std::time::{Duration, Instant};

pub(crate) fn run(common: &Common, fill_mb: u64) -> Result<Figures> {
    ensure!(
        common.partitions == 1,
        "one partition is read from its start again and again"
    );
    let total = fill_mb * 1_000_000 / common.record_size as u64;
    produce::fill(common, total)?;
    let mut config = common.client();
    config
        .set("group.id", "bench")
        .set("enable.auto.commit", "false")
        .set("enable.partition.eof", "false");
    let consumer: BaseConsumer = config.create()?;
    let start = |offset| {
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(&common.topic, 0, offset)
            .map(|()| list)
    };
    consumer.assign(&start(Offset::Beginning)?)?;

    // A pass after the other: what is between them is the consumer's own, and not counted.
    let warm = Instant::now() + common.warm_up();
    let mut records = 0_u64;
    let mut expected = 0;
    let mut meter = None;
    let mut seconds = 0.0;
    let (mut cpu_seconds, mut client_cpu_seconds) = (0.0, 0.0);
    let mut peak = benches::meter::Memory::default();
    while seconds < common.seconds {
        if expected == total as i64 {
            if let Some(meter) = meter.take() {
                let pass: benches::meter::Measured = Meter::finish(meter)?;
                seconds += pass.seconds;
                cpu_seconds += pass.cpu_seconds;
                client_cpu_seconds += pass.client_cpu_seconds;
                peak.resident = peak.resident.max(pass.peak.resident);
                peak.anonymous = peak.anonymous.max(pass.peak.anonymous);
                records += total - 1;
            }
            consumer.assign(&start(Offset::Beginning)?)?;
            expected = 0;
        }
        let message = match consumer
            .poll(Duration::from_secs(30))
            .context("no record for 30 s")?
        {
            Ok(message) => message,
            Err(KafkaError::PartitionEOF(_)) => continue,
            Err(error) => return Err(error.into()),
        };
        ensure!(
            message.offset() == expected,
            "offset {} where {expected} was due",
            message.offset()
        );
        expected += 1;
        // The first record of a pass ends the wait for the first fetch.
        if expected == 1 && Instant::now() >= warm {
            meter = Some(Meter::start(&common.pids)?);
        }
    }
    let measured = benches::meter::Measured {
        seconds,
        cpu_seconds,
        client_cpu_seconds,
        peak,
    };
    let mut figures = report::figures("librdkafka-consume");
    report::add_costs(
        &mut figures,
        &measured,
        records * common.record_size as u64,
        records,
    );
    report::put(&mut figures, "records_s", records as f64 / seconds);
    Ok(figures)
}
