//! What is compared, and what is to be reached: a table of data.

use super::table::Side;

/// One comparison.
#[derive(Debug)]
pub struct Scenario {
    /// By this it is chosen on the command line.
    pub name: &'static str,
    /// One line for people.
    pub about: &'static str,
    pub(super) work: Work,
    pub(super) beside: Beside,
    pub(super) lines: &'static [Line],
}

/// What a run does.
#[derive(Debug, Clone, Copy)]
pub(super) enum Work {
    /// `raw` with these arguments.
    Raw(&'static [&'static str]),
    /// The librdkafka client with these arguments.
    Librdkafka(&'static [&'static str]),
    Start,
    Resident,
    ManyTopics,
}

impl Work {
    /// Whether our node of this scenario is not the one that serves the others.
    pub(super) fn starts_its_own(self) -> bool {
        !matches!(self, Self::Raw(_) | Self::Librdkafka(_))
    }

    /// Whether once is enough.
    pub(super) fn is_long(self) -> bool {
        matches!(self, Self::Resident | Self::ManyTopics)
    }
}

/// What the machine gives at best for the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Beside {
    Nothing,
    /// `floor serve` under the same load.
    Serve {
        files: usize,
    },
    Sendfile {
        connections: usize,
    },
}

/// One line of a table.
#[derive(Debug)]
pub(super) struct Line {
    /// For people.
    pub(super) name: &'static str,
    /// In the JSON.
    pub(super) figure: &'static str,
    pub(super) targets: &'static [Target],
}

/// A bound on ours.
#[derive(Debug, Clone, Copy)]
pub(super) struct Target {
    pub(super) bound: Bound,
    pub(super) factor: f64,
    /// The factor is of this side's figure; without one it is the bound itself.
    pub(super) of: Option<Side>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bound {
    AtLeast,
    AtMost,
}

const fn at_least(factor: f64, of: Side) -> Target {
    Target {
        bound: Bound::AtLeast,
        factor,
        of: Some(of),
    }
}

const fn at_most(factor: f64, of: Side) -> Target {
    Target {
        bound: Bound::AtMost,
        factor,
        of: Some(of),
    }
}

const fn below(factor: f64) -> Target {
    Target {
        bound: Bound::AtMost,
        factor,
        of: None,
    }
}

const fn line(name: &'static str, figure: &'static str, targets: &'static [Target]) -> Line {
    Line {
        name,
        figure,
        targets,
    }
}

use Side::{Floor, Kafka};

const P50: Line = line("p50 ms", "p50_ms", &[]);
const P99: Line = line("p99 ms", "p99_ms", &[]);
const P999: Line = line("p99.9 ms", "p999_ms", &[]);
const GB_CPU: Line = line(
    "CPU s/GB",
    "cpu_s_per_gb",
    &[at_most(0.25, Kafka), at_most(2.0, Floor)],
);
const SMALL: [&str; 5] = ["produce", "--record-size", "100", "--batch-bytes", "1"];

/// Arguments of the pattern of one 100-byte record a request.
macro_rules! small {
    ($connections:literal, $partitions:literal) => {
        Work::Raw(&[
            SMALL[0],
            SMALL[1],
            SMALL[2],
            SMALL[3],
            SMALL[4],
            "--connections",
            $connections,
            "--partitions",
            $partitions,
        ])
    };
}

/// All of them, in the order in which they run: those that restart Kafka come last.
pub const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "raw-produce-1",
        about: "256 KiB batches of 1 KB records, acks=all, 5 under way, 1 connection",
        work: Work::Raw(&["produce"]),
        beside: Beside::Serve { files: 1 },
        lines: &[
            line("MB/s", "mb_s", &[at_least(3.0, Kafka)]),
            GB_CPU,
            P50,
            P99,
        ],
    },
    Scenario {
        name: "raw-produce-4",
        about: "the same on 4 connections, a partition each",
        work: Work::Raw(&["produce", "--connections", "4", "--partitions", "4"]),
        beside: Beside::Serve { files: 4 },
        lines: &[
            line("MB/s", "mb_s", &[at_least(2.0, Kafka)]),
            GB_CPU,
            P50,
            P99,
        ],
    },
    Scenario {
        name: "small-64x1",
        about: "one 100-byte record a request, 5 under way: 64 connections on 1 partition",
        work: small!("64", "1"),
        beside: Beside::Serve { files: 1 },
        lines: &[
            line("requests/s", "requests_s", &[at_least(4.0, Kafka)]),
            line(
                "CPU µs/request",
                "cpu_us_per_request",
                &[at_most(0.2, Kafka)],
            ),
            P50,
            P99,
        ],
    },
    Scenario {
        name: "small-8x8",
        about: "one 100-byte record a request, 5 under way: 8 connections on 8 partitions",
        work: small!("8", "8"),
        beside: Beside::Serve { files: 8 },
        lines: &[
            line("requests/s", "requests_s", &[at_least(2.5, Kafka)]),
            line(
                "CPU µs/request",
                "cpu_us_per_request",
                &[at_most(1.0 / 3.0, Kafka)],
            ),
            P50,
            P99,
        ],
    },
    Scenario {
        name: "small-64x64",
        about: "one 100-byte record a request, 5 under way: 64 connections on 64 partitions",
        work: small!("64", "64"),
        beside: Beside::Serve { files: 64 },
        lines: &[
            line("requests/s", "requests_s", &[at_least(2.0, Kafka)]),
            line(
                "CPU µs/request",
                "cpu_us_per_request",
                &[at_most(0.5, Kafka)],
            ),
            P50,
            P99,
        ],
    },
    Scenario {
        name: "small-1",
        about: "one 100-byte record a request, 5 under way: 1 connection",
        work: small!("1", "1"),
        beside: Beside::Serve { files: 1 },
        lines: &[
            line("requests/s", "requests_s", &[at_least(1.0, Kafka)]),
            line("CPU µs/request", "cpu_us_per_request", &[]),
            P50,
            P99,
        ],
    },
    Scenario {
        name: "partitions-1000",
        about: "16 KiB batches of 1 KB records to 1,000 partitions in turn, 8 connections",
        work: Work::Raw(&[
            "produce",
            "--connections",
            "8",
            "--partitions",
            "1000",
            "--batch-bytes",
            "16384",
        ]),
        beside: Beside::Nothing,
        lines: &[
            line("MB/s", "mb_s", &[at_least(1.0, Kafka)]),
            line("CPU s/GB", "cpu_s_per_gb", &[]),
            P50,
            P99,
            P999,
        ],
    },
    Scenario {
        name: "raw-fetch-1",
        about: "4 MiB fetches from the page cache, 1 connection",
        work: Work::Raw(&["fetch"]),
        beside: Beside::Sendfile { connections: 1 },
        lines: &[
            line(
                "MB/s",
                "mb_s",
                &[at_least(1.0, Kafka), at_least(0.8, Floor)],
            ),
            line("CPU s/GB", "cpu_s_per_gb", &[at_most(1.0, Kafka)]),
        ],
    },
    Scenario {
        name: "raw-fetch-4",
        about: "the same on 4 connections, a partition each",
        work: Work::Raw(&["fetch", "--connections", "4", "--partitions", "4"]),
        beside: Beside::Sendfile { connections: 4 },
        lines: &[
            line(
                "MB/s",
                "mb_s",
                &[at_least(1.0, Kafka), at_least(0.8, Floor)],
            ),
            line("CPU s/GB", "cpu_s_per_gb", &[at_most(1.0, Kafka)]),
        ],
    },
    Scenario {
        name: "librdkafka-produce-1k",
        about: "librdkafka, linger 5 ms, acks=all, 1 KB records",
        work: Work::Librdkafka(&["produce"]),
        beside: Beside::Nothing,
        lines: &[
            line("MB/s", "mb_s", &[at_least(1.3, Kafka)]),
            line("CPU s/GB", "cpu_s_per_gb", &[at_most(1.0 / 3.0, Kafka)]),
            line("client CPU s/s", "client_cpu_s_per_s", &[]),
        ],
    },
    Scenario {
        name: "librdkafka-produce-100",
        about: "the same with 100-byte records; the client is the limit",
        work: Work::Librdkafka(&["produce", "--record-size", "100"]),
        beside: Beside::Nothing,
        lines: &[
            line("records/s", "records_s", &[at_least(1.0, Kafka)]),
            line("CPU s/GB", "cpu_s_per_gb", &[at_most(1.0 / 3.0, Kafka)]),
            line("client CPU s/s", "client_cpu_s_per_s", &[]),
        ],
    },
    Scenario {
        name: "librdkafka-consume",
        about: "librdkafka, 1 KB records from the page cache; the client is the limit",
        work: Work::Librdkafka(&["consume"]),
        beside: Beside::Nothing,
        lines: &[
            line("MB/s", "mb_s", &[at_least(1.0, Kafka)]),
            line("CPU s/GB", "cpu_s_per_gb", &[at_most(1.0, Kafka)]),
            line("client CPU s/s", "client_cpu_s_per_s", &[]),
        ],
    },
    Scenario {
        name: "latency-1000",
        about: "librdkafka end to end, linger 0, acks=all, 1,000 records of 1 KB a second",
        work: Work::Librdkafka(&["latency", "--rate", "1000"]),
        beside: Beside::Nothing,
        lines: &[
            P50,
            line("p99 ms", "p99_ms", &[at_most(1.0, Kafka)]),
            P999,
            line("CPU s/s", "cpu_s_per_s", &[at_most(1.0 / 3.0, Kafka)]),
        ],
    },
    Scenario {
        name: "latency-10000",
        about: "librdkafka end to end, linger 0, acks=all, 10,000 records of 1 KB a second",
        work: Work::Librdkafka(&["latency", "--rate", "10000"]),
        beside: Beside::Nothing,
        lines: &[
            P50,
            line("p99 ms", "p99_ms", &[below(10.0), at_most(0.05, Kafka)]),
            P999,
            line("CPU s/s", "cpu_s_per_s", &[at_most(0.5, Kafka)]),
        ],
    },
    Scenario {
        name: "start",
        about: "from the start of the process to the first acked record",
        work: Work::Start,
        beside: Beside::Nothing,
        lines: &[
            line("fresh ms", "fresh_ms", &[below(100.0)]),
            line("after a clean stop ms", "clean_ms", &[below(100.0)]),
            line("after kill -9 under load ms", "killed_ms", &[below(100.0)]),
            line("clean stop took ms", "stop_ms", &[below(2000.0)]),
        ],
    },
    Scenario {
        name: "resident",
        about: "memory, mapped windows counted in",
        work: Work::Resident,
        beside: Beside::Nothing,
        lines: &[
            line("idle MB", "idle_mb", &[below(20.0)]),
            line("under load MB", "load_mb", &[below(200.0)]),
            line("of it anonymous MB", "load_anon_mb", &[below(150.0)]),
        ],
    },
    Scenario {
        name: "topics-1000",
        about: "1,000 topics of 10 partitions on one node",
        work: Work::ManyTopics,
        beside: Beside::Nothing,
        lines: &[
            line("created in s", "create_s", &[below(10.0)]),
            line("restart after a clean stop s", "clean_s", &[below(2.0)]),
            line("restart after kill -9 s", "killed_s", &[below(5.0)]),
            line("resident bytes/partition, idle", "idle_bytes", &[]),
            line("descriptors/partition, idle", "idle_descriptors", &[]),
            line("maps/partition, idle", "idle_maps", &[]),
            line("disk bytes/partition, idle", "idle_disk", &[]),
            line("resident bytes/partition, written", "written_bytes", &[]),
            line("descriptors/partition, written", "written_descriptors", &[]),
            line("maps/partition, written", "written_maps", &[]),
            line("disk bytes/partition, written", "written_disk", &[]),
            line("first write to all s", "write_s", &[]),
        ],
    },
];
