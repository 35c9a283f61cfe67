"""Kafka's dump tool on the segments, indexes and producer snapshots that our node leaves behind."""

import random
import re

from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic

from tools import Java, Kcat


def test_kafkas_dump_tool_reads_what_a_clean_stop_leaves(own_node):
    java, node = Java(), own_node()
    kcat = Kcat(node.bootstrap)
    admin = AdminClient({"bootstrap.servers": node.bootstrap})
    created = admin.create_topics([NewTopic("dumped", 1, 1, config={"segment.bytes": "1048576"})])
    created["dumped"].result(10)
    noise = random.Random(3)
    for codec in ["none", "gzip", "snappy", "lz4", "zstd"]:
        producer = Producer({"bootstrap.servers": node.bootstrap, "enable.idempotence": True, "linger.ms": 5,
                             "compression.type": codec, "batch.size": 20_000})
        for i in range(1500):
            # Hexadecimal digits compress to half, so that every codec works and fills segments.
            producer.produce("dumped", key=f"{codec} {i}", value=noise.randbytes(450).hex())
            producer.poll(0)
        assert producer.flush(20) == 0
    assert len(kcat("-C", "-q", "-t", "dumped", "-o", "beginning", "-e", "-f", "%o\n").split()) == 7500
    code, _ = node.stop()
    assert code == 0, node.tail()

    folder = next(p for p in node.data.rglob("dumped-0") if p.is_dir())
    logs = sorted(folder.glob("*.log"))
    assert len(logs) > 2, "the topic fills several segments"
    said = java("dump-log", "--deep-iteration", "--print-data-log", "--files", ",".join(map(str, logs)))
    assert [int(o) for o in re.findall(r"^\| offset: (\d+) ", said, re.M)] == list(range(7500))
    assert "isvalid: false" not in said and "Found" not in said, "Kafka finds nothing wrong"
    assert set(re.findall(r"compresscodec: (\w+)", said)) == {"none", "gzip", "snappy", "lz4", "zstd"}
    for log in logs:
        base = int(re.search(rf"Dumping {re.escape(str(log))}\nLog starting offset: (\d+)", said)[1])
        assert base == int(log.stem)

    indexes = [*folder.glob("*.index"), *folder.glob("*.timeindex")]
    assert len(indexes) >= 2 * (len(logs) - 1)
    said = java("dump-log", "--files", ",".join(map(str, indexes)))
    assert "ismatch" not in said and "ould not" not in said and "orrupt" not in said, said[-3000:]
    assert re.search(r"^offset: \d+ position: \d+", said, re.M) and re.search(r"^timestamp: \d+ offset: \d+", said, re.M)
    sane = java("dump-log", "--index-sanity-check", "--files", ",".join(map(str, indexes)))
    assert sane.count("passed sanity check") == len(indexes), sane[-3000:]

    snapshot = max(folder.glob("*.snapshot"), key=lambda p: int(p.stem))
    assert int(snapshot.stem) == 7500, "a clean stop leaves the producers as they are at the end"
    producers = java("dump-log", "--files", snapshot)
    # Kafka keeps the last batch of each producer there, we the last five; whoever reads it takes the last line of each.
    last = dict(re.findall(r"producerId: (\d+) producerEpoch: 0 .* lastSequence: (\d+)", producers))
    assert len(last) == 5 and set(last.values()) == {"1499"}, producers
    assert (folder / "partition.metadata").read_text().startswith("version: 0\ntopic_id: ")
