"""kafka-python 3: producer, consumer and groups."""

import threading
import time

import pytest
from kafka import KafkaConsumer, KafkaProducer, OffsetAndMetadata, TopicPartition
from kafka.errors import FencedInstanceIdError, MessageSizeTooLargeError

from tools import START, until


@pytest.fixture
def producer(bootstrap):
    made = KafkaProducer(bootstrap_servers=bootstrap)
    yield made
    made.close(5)


@pytest.fixture
def consumer(bootstrap):
    """`consumer(topic…, **config)` gives a consumer that starts at the beginning; all are closed afterwards."""
    made = []

    def create(*topics, **config):
        made.append(KafkaConsumer(*topics, bootstrap_servers=bootstrap,
                                  **{"auto_offset_reset": "earliest", "heartbeat_interval_ms": 300} | config))
        return made[-1]

    yield create
    for c in made:
        c.close(timeout_ms=5000)


def read(consumer, count, seconds=20):
    """The next `count` records."""
    records, deadline = [], time.monotonic() + seconds
    while len(records) < count:
        assert time.monotonic() < deadline, f"only {len(records)} of {count} records came"
        for batch in consumer.poll(timeout_ms=200).values():
            records += batch
    return records


def test_a_delivered_record_knows_its_place(producer, new_topic):
    topic = new_topic(2)
    first = producer.send(topic, b"a", partition=1, timestamp_ms=START + 123).get(10)
    second = producer.send(topic, b"b", partition=1).get(10)
    assert (first.partition, first.offset, first.timestamp) == (1, 0, START + 123)
    assert second.offset == 1


@pytest.mark.parametrize("codec", [None, "gzip", "snappy", "lz4", "zstd"])
def test_records_round_trip_with_every_codec(bootstrap, topic, consumer, codec):
    producer = KafkaProducer(bootstrap_servers=bootstrap, compression_type=codec, linger_ms=20)
    headers = [("h", b"1"), ("h", b""), ("n", b"\x00\xff")]
    for i in range(300):
        producer.send(topic, b"value %d" % i, key=b"key %d" % i, headers=headers)
    producer.flush(10)
    producer.close(5)
    records = read(consumer(topic), 300)
    assert [(r.offset, r.key, r.value) for r in records] == [(i, b"key %d" % i, b"value %d" % i) for i in range(300)]
    assert list(records[0].headers) == headers


def test_an_idempotent_producer_delivers_each_record_once(bootstrap, topic, consumer):
    producer = KafkaProducer(bootstrap_servers=bootstrap, enable_idempotence=True, batch_size=512, linger_ms=1)
    sent = [producer.send(topic, b"%d" % i) for i in range(2000)]
    assert [s.get(20).offset for s in sent] == list(range(2000))
    producer.close(5)
    assert [r.value for r in read(consumer(topic), 2000)] == [b"%d" % i for i in range(2000)]


def test_seeking_by_offset_and_by_time(producer, topic, consumer):
    for i in range(10):
        producer.send(topic, b"%d" % i, timestamp_ms=START + 1000 * i)
    producer.flush(10)
    at = TopicPartition(topic, 0)
    c = consumer()
    c.assign([at])
    found = c.offsets_for_times({at: START + 3500})[at]
    assert (found.offset, found.timestamp) == (4, START + 4000)
    assert c.offsets_for_times({at: START + 10**9})[at] is None
    assert c.beginning_offsets([at]) == {at: 0} and c.end_offsets([at]) == {at: 10}
    c.seek(at, 7)
    assert [r.value for r in read(c, 3)] == [b"7", b"8", b"9"]
    c.seek_to_beginning(at)
    assert read(c, 1)[0].offset == 0


def test_a_waiting_fetch_answers_as_soon_as_a_record_arrives(producer, topic, consumer):
    c = consumer(topic, fetch_max_wait_ms=8000)
    assert not c.poll(timeout_ms=500)
    threading.Timer(0.5, lambda: producer.send(topic, b"late").get(10)).start()
    began = time.monotonic()
    assert read(c, 1)[0].value == b"late"
    assert time.monotonic() - began < 4


def test_log_append_time_is_the_brokers_clock(producer, new_topic, consumer):
    topic = new_topic(message_timestamp_type="LogAppendTime")
    told = producer.send(topic, b"x", timestamp_ms=1_600_000_000_000).get(10)
    record = read(consumer(topic), 1)[0]
    assert record.timestamp_type == 1
    assert abs(record.timestamp - time.time() * 1000) < 60_000
    assert told.timestamp == record.timestamp


def test_a_record_past_the_limit_is_refused(bootstrap, new_topic):
    topic = new_topic(max_message_bytes=2000)
    producer = KafkaProducer(bootstrap_servers=bootstrap, max_request_size=10_000_000, enable_idempotence=False)
    with pytest.raises(MessageSizeTooLargeError):
        producer.send(topic, b"x" * 3000).get(10)
    assert producer.send(topic, b"x" * 1000).get(10).offset == 0
    producer.close(5)


def test_committed_offsets_and_their_metadata_come_back_as_sent(topic, group, consumer, producer):
    producer.send(topic, b"x").get(10)
    at = TopicPartition(topic, 0)
    c = consumer(group_id=group, enable_auto_commit=False)
    c.assign([at])
    assert c.committed(at) is None, "nothing committed is not offset 0"
    c.commit({at: OffsetAndMetadata(1, "how far: ⛰ ☃", -1)})
    assert c.committed(at, metadata=True)[:2] == (1, "how far: ⛰ ☃")


class Member(threading.Thread):
    """A consumer that polls in a thread of its own, as members of one group wait for each other."""

    def __init__(self, consumer):
        super().__init__(daemon=True)
        self.consumer, self.leaving, self.error = consumer, False, None
        self.start()

    def run(self):
        try:
            while not self.leaving:
                self.consumer.poll(timeout_ms=200)
            self.consumer.close(timeout_ms=5000)
        except Exception as error:
            self.error = error

    def partitions(self):
        return {p.partition for p in self.consumer.assignment()}

    def leave(self):
        self.leaving = True
        self.join(20)


@pytest.fixture
def member(bootstrap, group):
    """`member(topic, **config)` joins the group; all leave afterwards."""
    made = []

    def create(topic, **config):
        made.append(Member(KafkaConsumer(topic, bootstrap_servers=bootstrap, group_id=group,
                                         **{"auto_offset_reset": "earliest", "heartbeat_interval_ms": 300} | config)))
        return made[-1]

    yield create
    for m in made:
        m.leaving = True
    for m in made:
        m.join(20)


def shared(one, two):
    """Whether two members hold two of four partitions each."""
    return len(one.partitions()) == len(two.partitions()) == 2 and one.partitions() | two.partitions() == {0, 1, 2, 3}


def test_a_group_rebalances_when_members_come_and_go(new_topic, member):
    topic = new_topic(4)
    first = member(topic)
    until(lambda: first.partitions() == {0, 1, 2, 3}, "one member holds all")
    second = member(topic)
    until(lambda: shared(first, second), "two members share")
    first.leave()
    until(lambda: second.partitions() == {0, 1, 2, 3}, "the other took over")


def test_a_group_goes_on_from_its_commits(producer, topic, group, consumer):
    for i in range(20):
        producer.send(topic, b"%d" % i)
    producer.flush(10)
    first = consumer(topic, group_id=group, enable_auto_commit=False, max_poll_records=8)
    assert len(read(first, 8)) == 8
    first.commit()
    first.close(timeout_ms=5000)
    assert [r.offset for r in read(consumer(topic, group_id=group), 12)] == list(range(8, 20))


def test_a_static_member_comes_back_without_a_rebalance(new_topic, member):
    topic = new_topic(4)
    one, two = (member(topic, group_instance_id=i) for i in ("one", "two"))
    until(lambda: shared(one, two), "two members share", 30)
    before, generation = two.partitions(), two.consumer.group_metadata().generation_id
    two.leave()
    again = member(topic, group_instance_id="two")
    until(lambda: again.partitions() == before, "the same partitions as before")
    assert again.consumer.group_metadata().generation_id == one.consumer.group_metadata().generation_id == generation


def test_a_second_holder_of_a_static_name_fences_the_first(topic, member):
    first = member(topic, group_instance_id="same")
    until(lambda: first.partitions() == {0}, "the first joined")
    second = member(topic, group_instance_id="same")
    until(lambda: second.partitions() == {0}, "the second joined")
    assert isinstance(until(lambda: first.error, "the first was told"), FencedInstanceIdError)
