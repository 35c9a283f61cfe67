//! Producing as fast as librdkafka goes.

use crate::Common;
use anyhow::{Result, ensure};
use benches::meter::Meter;
use benches::report::{self, Figures};
use rdkafka::client::ClientContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer, ProducerContext};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Counts what the broker acked.
#[derive(Default)]
pub(crate) struct Deliveries {
    acked: AtomicU64,
    failed: AtomicU64,
}

impl Deliveries {
    pub(crate) fn acked(&self) -> u64 {
        self.acked.load(Ordering::Relaxed)
    }

    /// Fails if any record was not delivered.
    pub(crate) fn check(&self) -> Result<()> {
        let failed = self.failed.load(Ordering::Relaxed);
        ensure!(failed == 0, "{failed} records were not delivered");
        Ok(())
    }
}

#[derive(Clone, Default)]
pub(crate) struct Context(pub(crate) Arc<Deliveries>);

impl ClientContext for Context {}

impl ProducerContext for Context {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        let count = if result.is_ok() {
            &self.0.acked
        } else {
            &self.0.failed
        };
        count.fetch_add(1, Ordering::Relaxed);
    }
}

/// Queues one record, waiting for room by serving deliveries.
pub(crate) fn queue(producer: &BaseProducer<Context>, topic: &str, value: &[u8]) -> Result<()> {
    let mut record = BaseRecord::<(), [u8]>::to(topic).payload(value);
    loop {
        match producer.send(record) {
            Ok(()) => return Ok(()),
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), again)) => {
                producer.poll(Duration::from_millis(10));
                record = again;
            }
            Err((error, _)) => return Err(error.into()),
        }
    }
}

/// Writes `records` records and waits for the acks.
pub(crate) fn fill(common: &Common, records: u64) -> Result<()> {
    let context = Context::default();
    let producer: BaseProducer<Context> =
        common.producer("5").create_with_context(context.clone())?;
    let value = vec![b'x'; common.record_size];
    for number in 0..records {
        queue(&producer, &common.topic, &value)?;
        if number % 1000 == 0 {
            producer.poll(Duration::ZERO);
        }
    }
    producer.flush(Duration::from_secs(60))?;
    context.0.check()
}

pub(crate) fn run(common: &Common) -> Result<Figures> {
    let context = Context::default();
    let deliveries = &context.0;
    let producer: BaseProducer<Context> =
        common.producer("5").create_with_context(context.clone())?;
    let stop = AtomicBool::new(false);
    let (measured, records) = thread::scope(|scope| -> Result<_> {
        let feeder = scope.spawn(|| -> Result<()> {
            let value = vec![b'x'; common.record_size];
            while !stop.load(Ordering::Relaxed) {
                for _ in 0..1000 {
                    queue(&producer, &common.topic, &value)?;
                }
                producer.poll(Duration::ZERO);
            }
            Ok(())
        });
        thread::sleep(common.warm_up());
        let mut meter = Meter::start(&common.pids)?;
        let (started, before) = (Instant::now(), deliveries.acked());
        while started.elapsed() < common.duration() && !feeder.is_finished() {
            thread::sleep(
                Duration::from_millis(100).min(common.duration().saturating_sub(started.elapsed())),
            );
            meter.sample(Instant::now())?;
        }
        let records = deliveries.acked() - before;
        let measured = meter.finish()?;
        stop.store(true, Ordering::Relaxed);
        feeder.join().expect("the feeder returns its errors")?;
        Ok((measured, records))
    })?;
    producer.flush(Duration::from_secs(60))?;
    deliveries.check()?;
    let mut figures = report::figures("librdkafka-produce");
    report::add_costs(
        &mut figures,
        &measured,
        records * common.record_size as u64,
        records,
    );
    report::put(&mut figures, "records_s", records as f64 / measured.seconds);
    Ok(figures)
}
