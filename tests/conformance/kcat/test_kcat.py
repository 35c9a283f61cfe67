"""kcat 1.7.1 with Debian's librdkafka 2.0.2: an old client, below the flexible versions."""

import json
import subprocess
import time

import pytest

from tools import until

LINES = [f"line {i} with some padding that compresses well" for i in range(500)]


def text(lines):
    return "".join(f"{line}\n" for line in lines).encode()


def test_keys_values_and_headers_come_back_as_sent(kcat, topic):
    kcat("-P", "-t", topic, "-K:", "-H", "a=1", "-H", "a=2", "-H", "empty=", input=b"k1:v1\nk2:v2\n")
    records = kcat.records("-t", topic, "-o", "beginning", "-e")
    assert [(r["key"], r["payload"], r["offset"]) for r in records] == [("k1", "v1", 0), ("k2", "v2", 1)]
    assert records[0]["headers"] == ["a", "1", "a", "2", "empty", ""], "duplicate headers keep their order"


@pytest.mark.parametrize("codec", ["none", "gzip", "snappy", "lz4", "zstd"])
def test_compressed_batches_round_trip(kcat, topic, codec):
    kcat("-P", "-t", topic, "-z", codec, "-X", "linger.ms=50", input=text(LINES))
    assert kcat.lines("-C", "-q", "-t", topic, "-o", "beginning", "-e") == LINES


@pytest.mark.parametrize("acks", ["0", "1", "all"])
def test_every_kind_of_acks_delivers(kcat, topic, acks):
    kcat("-P", "-t", topic, "-X", f"acks={acks}", input=text(LINES))
    # With acks=0 nobody tells the producer when the record has arrived.
    until(lambda: len(kcat.lines("-C", "-q", "-t", topic, "-o", "beginning", "-e")) == 500, "500 records", 10)


def test_an_idempotent_producer_keeps_order_and_count(kcat, topic):
    lines = [str(i) for i in range(20_000)]
    kcat("-P", "-t", topic, "-X", "enable.idempotence=true", "-X", "batch.num.messages=100", "-X", "linger.ms=1",
         input=text(lines))
    assert kcat.lines("-C", "-q", "-t", topic, "-o", "beginning", "-e") == lines


def test_tombstones_and_binary_values_survive(kcat, topic):
    kcat("-P", "-t", topic, "-Z", "-K:", input=b"gone:\n")
    kcat("-P", "-t", topic, "-D", "|END|", input=b"\x00\xff\n\x01|END|")
    assert kcat.records("-t", topic, "-o", "0", "-c", "1")[0]["payload"] is None
    assert kcat("-C", "-q", "-t", topic, "-o", "1", "-c", "1", "-D", "") == b"\x00\xff\n\x01"


def test_consuming_starts_where_it_is_told(kcat, topic):
    kcat("-P", "-t", topic, input=text(LINES[:20]))
    read = lambda *where: kcat.lines("-C", "-q", "-t", topic, "-e", *where)
    assert read("-o", "15") == LINES[15:20]
    assert read("-o", "-3") == LINES[17:20]
    assert read("-o", "end") == []
    assert read("-o", "beginning", "-c", "4") == LINES[:4]


def test_timestamps_find_offsets_and_bound_a_read(kcat, topic):
    kcat("-P", "-t", topic, input=text(LINES[:5]))
    time.sleep(0.05)
    middle = int(time.time() * 1000)
    kcat("-P", "-t", topic, input=text(LINES[5:9]))
    later = int(time.time() * 1000) + 60_000
    assert kcat("-Q", "-t", f"{topic}:0:{middle}").split() == f"{topic} [0] offset 5".encode().split()
    assert kcat("-Q", "-t", f"{topic}:0:0").split()[-1] == b"0"
    assert kcat("-Q", "-t", f"{topic}:0:{later}").split()[-1] in (b"9", b"-1"), "past the end"
    assert kcat.lines("-C", "-q", "-t", topic, "-o", f"s@{middle}", "-e") == LINES[5:9]
    assert kcat.lines("-C", "-q", "-t", topic, "-o", "s@0", "-o", f"e@{middle}", "-e") == LINES[:5]


def test_metadata_lists_brokers_topics_and_partitions(kcat, new_topic):
    topic = new_topic(3)
    seen = json.loads(kcat("-L", "-J"))
    assert len(seen["brokers"]) >= 1 and seen["controllerid"] == seen["brokers"][0]["id"]
    partitions = next(t for t in seen["topics"] if t["topic"] == topic)["partitions"]
    assert [p["partition"] for p in partitions] == [0, 1, 2]
    broker = seen["brokers"][0]["id"]
    assert all(p["leader"] == broker and p["isrs"] == [{"id": broker}] == p["replicas"] for p in partitions)


def test_partitions_are_separate_logs(kcat, new_topic):
    topic = new_topic(3)
    for p in range(3):
        kcat("-P", "-t", topic, "-p", p, input=text([f"p{p}-{i}" for i in range(p + 1)]))
    for p in range(3):
        assert kcat.lines("-C", "-q", "-t", topic, "-p", p, "-o", "beginning", "-e", "-f", "%o %s\\n") == \
            [f"{i} p{p}-{i}" for i in range(p + 1)]


def test_producing_to_a_new_topic_creates_it(kcat, name):
    kcat("-P", "-t", name, input=b"first\n")
    assert kcat.lines("-C", "-q", "-t", name, "-o", "beginning", "-e") == ["first"]


def test_a_group_goes_on_where_it_stopped(kcat, topic, group):
    read = lambda: kcat.lines("-q", "-e", "-X", "auto.offset.reset=earliest", "-G", group, topic)
    kcat("-P", "-t", topic, input=text(LINES[:10]))
    assert read() == LINES[:10]
    kcat("-P", "-t", topic, input=text(LINES[10:15]))
    assert read() == LINES[10:15]


def test_two_members_of_a_group_share_the_partitions(kcat, new_topic, group):
    topic = new_topic(4)
    members = [subprocess.Popen(kcat.command("-u", "-f", "%p\\n", "-X", "auto.offset.reset=earliest",
                                             "-G", group, topic), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
               for _ in range(2)]
    try:
        # kcat tells each assignment on stderr; both hold two partitions once the group has settled.
        for m in members:
            for line in m.stderr:
                if line.count(f"{topic} [".encode()) == 2 and b"assigned" in line:
                    break
        for p in range(4):
            kcat("-P", "-t", topic, "-p", p, input=f"{p}\n".encode())
        seen = [{int(m.stdout.readline()), int(m.stdout.readline())} for m in members]
        assert seen[0] | seen[1] == {0, 1, 2, 3} and not seen[0] & seen[1]
    finally:
        for m in members:
            m.terminate()
            m.wait(10)


def test_an_unknown_partition_and_an_invalid_name_are_refused(kcat, topic):
    assert "Unknown partition" in kcat.fails("-P", "-t", topic, "-p", "99", input=b"x\n")
    said = kcat.fails("-P", "-t", "bad name!", "-X", "message.timeout.ms=3000", input=b"x\n")
    assert "Invalid topic" in said or "timed out" in said


def test_a_message_past_the_limit_is_refused_and_leaves_nothing(kcat, new_topic):
    topic = new_topic(max_message_bytes=1000)
    assert "Message size too large" in kcat.fails(
        "-P", "-t", topic, "-D", "|END|", input=b"x" * 2000, timeout=20)
    kcat("-P", "-t", topic, input=b"small\n")
    assert kcat.lines("-C", "-q", "-t", topic, "-o", "beginning", "-e", "-f", "%o %s\\n") == ["0 small"]


def test_a_transactional_producer_commits(transactions, kcat, topic):
    kcat("-P", "-t", topic, "-X", f"transactional.id={topic}", input=text(LINES[:10]))
    assert kcat.lines("-C", "-q", "-t", topic, "-X", "isolation.level=read_committed", "-o", "beginning", "-e") == LINES[:10]


def test_a_transactional_producer_is_refused_at_once(no_transactions, kcat, topic):
    began = time.monotonic()
    kcat.fails("-P", "-t", topic, "-X", f"transactional.id={topic}", input=b"x\n", timeout=20)
    assert time.monotonic() - began < 15
    assert kcat.lines("-C", "-q", "-t", topic, "-o", "beginning", "-e") == []
