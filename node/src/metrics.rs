//! The metrics as Prometheus reads them (OpenMetrics text), taken from the broker's counts
//! and a fresh look at its logs and groups.

use std::fmt;

use broker::{LATENCY_BOUNDS_US, Latency, Metrics, Observation, Observer, PartitionObservation};
use coord::Handle;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::{Registry, Unit};

use crate::VERSION;

/// The type of what [`text`] gives.
pub(crate) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Everything that is measured, now.
pub(crate) fn text(observer: &Observer, coord: &Handle) -> String {
    let (znodes, znode_bytes) = coord.size();
    let mut registry = Registry::with_prefix("milena");
    registry.register_collector(Box::new(Look {
        observer: observer.clone(),
        observed: observer.observe(),
        znodes,
        znode_bytes,
    }));
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry)
        .expect("writing to a String does not fail");
    text
}

struct Look {
    observer: Observer,
    observed: Observation,
    znodes: usize,
    znode_bytes: usize,
}

impl fmt::Debug for Look {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Look")
    }
}

type Pair<'a> = (&'static str, &'a str);

impl Collector for Look {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        self.counts(&mut encoder, self.observer.metrics())?;
        self.state(&mut encoder)?;
        self.logs(&mut encoder)?;
        self.groups(&mut encoder)
    }
}

impl Look {
    fn counts(&self, encoder: &mut DescriptorEncoder<'_>, metrics: &Metrics) -> fmt::Result {
        let mut latency = encoder.encode_descriptor(
            "request_duration",
            "How long requests took, from the frame's arrival to the answer",
            Some(&Unit::Seconds),
            MetricType::Histogram,
        )?;
        for (api, of) in metrics.requests.all() {
            let buckets = buckets(of);
            let count = buckets.iter().map(|(_, count)| count).sum();
            if count == 0 {
                continue;
            }
            latency
                .encode_family(&[("api", api)])?
                .encode_histogram::<NoLabelSet>(of.sum_us() as f64 / 1e6, count, &buckets, None)?;
        }
        for (name, help, unit, counter) in [
            (
                "received",
                "Bytes of requests",
                Some(Unit::Bytes),
                &metrics.bytes_in,
            ),
            (
                "sent",
                "Bytes of answers",
                Some(Unit::Bytes),
                &metrics.bytes_out,
            ),
            (
                "records_received",
                "Records appended",
                None,
                &metrics.records_in,
            ),
            (
                "connections_hostile",
                "Connections closed for what they sent",
                None,
                &metrics.hostile,
            ),
            (
                "connections_refused",
                "Connections refused by a limit",
                None,
                &metrics.refused,
            ),
        ] {
            encoder
                .encode_descriptor(name, help, unit.as_ref(), MetricType::Counter)?
                .encode_counter::<NoLabelSet, _, u64>(&counter.get(), None)?;
        }
        Ok(())
    }

    fn state(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        encoder
            .encode_descriptor("build", "The running version", None, MetricType::Info)?
            .encode_info(&[("version", VERSION)])?;
        let observed = &self.observed;
        for (name, help, value) in [
            (
                "connections",
                "Connections of Kafka clients",
                observed.connections,
            ),
            (
                "fetch_sessions",
                "Incremental fetch sessions kept",
                observed.fetch_sessions,
            ),
            ("topics", "Topics", observed.topics),
            ("coord_znodes", "Znodes in the tree", self.znodes),
            (
                "coord_znode_bytes",
                "Bytes of data in the tree",
                self.znode_bytes,
            ),
            (
                "storage_failed",
                "1 once the disk has failed for good",
                usize::from(self.observer.storage_failure().is_some()),
            ),
        ] {
            encoder
                .encode_descriptor(name, help, None, MetricType::Gauge)?
                .encode_gauge(&(value as i64))?;
        }
        Ok(())
    }

    fn logs(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        type Of = fn(&PartitionObservation) -> i64;
        const LOGS: [(&str, &str, Option<Unit>, Of); 5] = [
            (
                "log_size",
                "Bytes of the log's records",
                Some(Unit::Bytes),
                |p| p.size_bytes,
            ),
            ("log_start_offset", "First offset that is kept", None, |p| {
                p.log_start
            }),
            ("log_end_offset", "Offset of the next record", None, |p| {
                p.log_end
            }),
            (
                "log_high_watermark",
                "Offset up to which consumers read",
                None,
                |p| p.high_watermark,
            ),
            (
                "log_online",
                "1 if the log serves, 0 if it could not be opened or failed",
                None,
                |p| i64::from(p.online),
            ),
        ];
        for (name, help, unit, of) in LOGS {
            let mut gauge =
                encoder.encode_descriptor(name, help, unit.as_ref(), MetricType::Gauge)?;
            for partition in &self.observed.partitions {
                let index = partition.index.to_string();
                let labels: [Pair; 2] = [("topic", &partition.topic), ("partition", &index)];
                gauge.encode_family(&labels)?.encode_gauge(&of(partition))?;
            }
        }
        Ok(())
    }

    fn groups(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let mut members = encoder.encode_descriptor(
            "group_members",
            "Members of the consumer group",
            None,
            MetricType::Gauge,
        )?;
        for group in &self.observed.groups {
            members
                .encode_family(&[("group", &*group.group)])?
                .encode_gauge(&(group.members as i64))?;
        }
        let mut lag = encoder.encode_descriptor(
            "group_lag",
            "Records between the group's committed offset and the high watermark",
            None,
            MetricType::Gauge,
        )?;
        for group in &self.observed.groups {
            for offset in &group.offsets {
                let index = offset.partition.to_string();
                let labels: [Pair; 3] = [
                    ("group", &group.group),
                    ("topic", &offset.topic),
                    ("partition", &index),
                ];
                lag.encode_family(&labels)?.encode_gauge(&offset.lag)?;
            }
        }
        Ok(())
    }
}

/// Upper bounds in seconds and how many fell under each alone; the last has no bound.
fn buckets(latency: &Latency) -> Vec<(f64, u64)> {
    let bounds = LATENCY_BOUNDS_US.iter().map(|&us| us as f64 / 1e6);
    bounds
        .chain([f64::INFINITY])
        .zip(latency.buckets())
        .collect()
}
