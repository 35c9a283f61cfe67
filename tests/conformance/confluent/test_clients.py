"""confluent-kafka 2.16 (a new librdkafka): producer, consumer, groups and transactions."""

import threading
import time

import pytest
from confluent_kafka import (OFFSET_BEGINNING, OFFSET_END, TIMESTAMP_CREATE_TIME, TIMESTAMP_LOG_APPEND_TIME, Consumer,
                             KafkaError, KafkaException, Producer, TopicPartition)

from tools import START, until


@pytest.fixture
def produce(bootstrap):
    """`produce(topic, records, **config)` sends values or keyword dictionaries, and gives the delivered messages in order."""
    def send(topic, records, **config):
        producer = Producer({"bootstrap.servers": bootstrap, "linger.ms": 5} | config)
        delivered, errors = [], []

        def report(error, message):
            (errors if error else delivered).append(error or message)

        for record in records:
            fields = record if isinstance(record, dict) else {"value": record}
            while True:
                try:
                    producer.produce(topic, on_delivery=report, **fields)
                    break
                except BufferError:
                    producer.poll(0.1)
        assert producer.flush(30) == 0, "records were still on their way after 30 s"
        if errors:
            raise KafkaException(errors[0])
        return delivered
    return send


@pytest.fixture
def consumer(bootstrap, group):
    """`consumer(**config)` gives a consumer that starts at the beginning; all are closed afterwards."""
    made = []

    def create(**config):
        made.append(Consumer({"bootstrap.servers": bootstrap, "group.id": group, "auto.offset.reset": "earliest",
                              "heartbeat.interval.ms": 300} | config))
        return made[-1]

    yield create
    for c in made:
        c.close()


def read(consumer, count, seconds=20):
    records, deadline = [], time.monotonic() + seconds
    while len(records) < count:
        assert time.monotonic() < deadline, f"only {len(records)} of {count} records came"
        for m in consumer.consume(count - len(records), 0.2):
            assert not m.error(), m.error()
            records.append(m)
    return records


def test_an_idempotent_producer_is_told_each_offset_in_order(produce, topic):
    sent = produce(topic, [b"%d" % i for i in range(10_000)], **{"enable.idempotence": True, "batch.num.messages": 100})
    assert [m.offset() for m in sent] == list(range(10_000))
    assert [m.value() for m in sent] == [b"%d" % i for i in range(10_000)]


@pytest.mark.parametrize("codec", ["none", "gzip", "snappy", "lz4", "zstd"])
def test_keys_headers_timestamps_and_codecs_round_trip(produce, consumer, topic, codec):
    headers = [("a", b"1"), ("a", b"2"), ("null", None), ("empty", b"")]
    produce(topic, [{"key": f"ключ {i}", "value": f"värde {i} 日本語 🦀", "headers": headers, "timestamp": START + i}
                    for i in range(200)], **{"compression.type": codec})
    c = consumer()
    c.assign([TopicPartition(topic, 0, OFFSET_BEGINNING)])
    records = read(c, 200)
    assert [r.key().decode() for r in records] == [f"ключ {i}" for i in range(200)]
    assert [r.value().decode() for r in records] == [f"värde {i} 日本語 🦀" for i in range(200)]
    assert records[7].timestamp() == (TIMESTAMP_CREATE_TIME, START + 7)
    assert records[7].headers() == headers


def test_null_and_empty_keys_and_values_are_told_apart(produce, consumer, topic):
    produce(topic, [{"key": None, "value": None}, {"key": b"", "value": b""}])
    c = consumer()
    c.assign([TopicPartition(topic, 0, OFFSET_BEGINNING)])
    assert [(r.key(), r.value()) for r in read(c, 2)] == [(None, None), (b"", b"")]


def test_big_records_pass_up_to_the_limit_and_fail_past_it(produce, consumer, topic):
    # The default max.message.bytes is 1,048,588: a batch with all its headers.
    wide = {"message.max.bytes": 5_000_000}
    produce(topic, [b"x" * 1_048_500], **wide)
    with pytest.raises(KafkaException) as refused:
        produce(topic, [b"x" * 1_048_600], **wide)
    assert refused.value.args[0].code() == KafkaError.MSG_SIZE_TOO_LARGE
    c = consumer(**{"fetch.message.max.bytes": 1000, "message.max.bytes": 1000, "fetch.max.bytes": 1000})
    c.assign([TopicPartition(topic, 0, OFFSET_BEGINNING)])
    assert len(read(c, 1)[0].value()) == 1_048_500, "a record larger than what is asked for still comes"
    assert c.get_watermark_offsets(TopicPartition(topic, 0)) == (0, 1)


def test_log_append_time(produce, consumer, new_topic):
    topic = new_topic(message_timestamp_type="LogAppendTime")
    produce(topic, [{"value": b"x", "timestamp": 1}] * 3, **{"compression.type": "zstd"})
    c = consumer()
    c.assign([TopicPartition(topic, 0, OFFSET_BEGINNING)])
    for record in read(c, 3):
        kind, at = record.timestamp()
        assert kind == TIMESTAMP_LOG_APPEND_TIME and abs(at - time.time() * 1000) < 60_000


def test_a_timestamp_too_far_ahead_is_refused(produce, topic):
    with pytest.raises(KafkaException) as refused:
        produce(topic, [{"value": b"x", "timestamp": int(time.time() * 1000) + 24 * 3600 * 1000}])
    assert refused.value.args[0].code() == KafkaError.INVALID_TIMESTAMP


def test_offsets_for_times_and_watermarks(produce, consumer, topic):
    produce(topic, [{"value": b"x", "timestamp": START + 1000 * i} for i in range(10)])
    c = consumer()
    asked = lambda ts: c.offsets_for_times([TopicPartition(topic, 0, ts)], 10)[0].offset
    assert asked(START + 2500) == 3
    assert asked(0) == 0
    assert asked(START + 10**9) == OFFSET_END
    assert c.get_watermark_offsets(TopicPartition(topic, 0), 10) == (0, 10)


def test_an_offset_past_the_end_resets_or_tells(produce, consumer, topic):
    produce(topic, [b"x"] * 5)
    resets = consumer()
    resets.assign([TopicPartition(topic, 0, 100)])
    assert read(resets, 1)[0].offset() == 0
    tells = consumer(**{"auto.offset.reset": "error"})
    tells.assign([TopicPartition(topic, 0, 100)])
    told = until(lambda: tells.poll(0.2), "an error")
    assert told.error().code() == KafkaError._AUTO_OFFSET_RESET


def test_a_waiting_fetch_answers_as_soon_as_a_record_arrives(produce, consumer, topic):
    c = consumer(**{"fetch.wait.max.ms": 8000})
    c.assign([TopicPartition(topic, 0, OFFSET_BEGINNING)])
    assert c.poll(0.5) is None
    threading.Timer(0.5, produce, (topic, [b"late"])).start()
    began = time.monotonic()
    assert read(c, 1)[0].value() == b"late"
    assert time.monotonic() - began < 4


class Member(threading.Thread):
    """A consumer that polls in a thread of its own, and notes what it reads."""

    def __init__(self, config, topic, seen):
        super().__init__(daemon=True)
        self.consumer, self.seen, self.leaving, self.held = Consumer(config), seen, False, set()
        self.consumer.subscribe([topic])
        self.start()

    def run(self):
        while not self.leaving:
            m = self.consumer.poll(0.1)
            self.held = {p.partition for p in self.consumer.assignment()}
            if m and not m.error():
                self.seen.add((m.partition(), m.offset()))
        self.consumer.close()

    def leave(self):
        self.leaving = True
        self.join(20)


@pytest.mark.parametrize("strategy", ["range", "roundrobin", "cooperative-sticky"])
def test_a_group_shares_partitions_and_takes_over(bootstrap, new_topic, group, produce, strategy):
    topic = new_topic(6)
    produce(topic, [{"value": b"%d" % i, "partition": i % 6} for i in range(60)])
    seen, everything, members = set(), set(range(6)), []
    config = {"bootstrap.servers": bootstrap, "group.id": group, "auto.offset.reset": "earliest",
              "heartbeat.interval.ms": 300, "partition.assignment.strategy": strategy}
    try:
        members.append(Member(config, topic, seen))
        until(lambda: members[0].held == everything, "one member holds all")
        members.append(Member(config, topic, seen))
        until(lambda: [len(m.held) for m in members] == [3, 3] and members[0].held | members[1].held == everything,
              "two members share")
        members[0].leave()
        until(lambda: members[1].held == everything, "the other took over")
        until(lambda: seen == {(p, o) for p in range(6) for o in range(10)}, "all records were read")
    finally:
        for m in members:
            m.leave()


def test_commits_come_back_and_survive_a_new_member(produce, consumer, topic):
    produce(topic, [b"%d" % i for i in range(10)])
    at = TopicPartition(topic, 0)
    c = consumer(**{"enable.auto.commit": False})
    assert c.committed([at], 10)[0].offset < 0, "nothing committed is not offset 0"
    c.subscribe([topic])
    read(c, 4)
    c.commit(offsets=[TopicPartition(topic, 0, 4, "где я ☃")], asynchronous=False)
    back = c.committed([at], 10)[0]
    assert (back.offset, back.metadata) == (4, "где я ☃")
    c.close()
    again = consumer()
    again.subscribe([topic])
    assert read(again, 6)[0].offset() == 4


def test_consuming_an_unknown_topic_says_so_and_creates_nothing(consumer, admin, name):
    c = consumer()
    c.subscribe([name])
    told = until(lambda: c.poll(0.2), "an error")
    assert told.error().code() == KafkaError.UNKNOWN_TOPIC_OR_PART
    assert name not in admin.list_topics(timeout=10).topics


def test_a_regex_subscription_finds_new_topics(consumer, produce, name):
    c = consumer(**{"topic.metadata.refresh.interval.ms": 500})
    c.subscribe([f"^{name}-.*"])
    c.poll(0.2)
    produce(f"{name}-a", [b"a"])
    produce(f"{name}-b", [b"b"])
    assert {m.value() for m in read(c, 2, 30)} == {b"a", b"b"}


def test_a_topic_deleted_while_it_is_read_is_gone_for_its_reader(consumer, produce, admin, topic):
    produce(topic, [b"x"] * 10)
    c = consumer(**{"topic.metadata.refresh.interval.ms": 300, "topic.metadata.propagation.max.ms": 500})
    c.subscribe([topic])
    read(c, 10)
    admin.delete_topics([topic])[topic].result(20)
    told = until(lambda: c.poll(0.2), "the reader is told")
    assert told.error().code() == KafkaError.UNKNOWN_TOPIC_OR_PART


def test_a_recreated_topic_starts_empty(produce, consumer, admin, topic):
    from confluent_kafka.admin import NewTopic
    produce(topic, [b"old"] * 10)
    admin.delete_topics([topic])[topic].result(20)

    def created():
        try:
            admin.create_topics([NewTopic(topic, 1, 1)])[topic].result(20)
            return True
        except KafkaException as e:
            assert e.args[0].code() == KafkaError.TOPIC_ALREADY_EXISTS
    until(created, "created again")
    assert produce(topic, [b"new"])[0].offset() == 0
    c = consumer()
    c.assign([TopicPartition(topic, 0, OFFSET_BEGINNING)])
    assert read(c, 1)[0].value() == b"new"


def test_a_transaction_commits_and_aborts(transactions, bootstrap, topic, consumer):
    producer = Producer({"bootstrap.servers": bootstrap, "transactional.id": topic})
    producer.init_transactions(20)
    for value, end in ((b"aborted", producer.abort_transaction), (b"committed", producer.commit_transaction)):
        producer.begin_transaction()
        producer.produce(topic, value)
        producer.flush(10)
        end(20)
    c = consumer(**{"isolation.level": "read_committed"})
    c.assign([TopicPartition(topic, 0, OFFSET_BEGINNING)])
    assert read(c, 1)[0].value() == b"committed"


def test_a_transactional_producer_is_refused_at_once(no_transactions, bootstrap, topic):
    producer = Producer({"bootstrap.servers": bootstrap, "transactional.id": topic})
    began = time.monotonic()
    with pytest.raises(KafkaException) as refused:
        producer.init_transactions(30)
    assert time.monotonic() - began < 10 and refused.value.args[0].code() != KafkaError._TIMED_OUT, refused.value
