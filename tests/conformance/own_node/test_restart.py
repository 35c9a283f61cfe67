"""What a client sees when the node is killed or stopped, and started again on its folder."""

import time

import pytest
from confluent_kafka import OFFSET_BEGINNING, Consumer, ConsumerGroupTopicPartitions, Producer, TopicCollection, TopicPartition
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, NewTopic

from tools import Kcat


def ended(node, how):
    """Ends the node by `kill` (-9) or `stop` (SIGTERM) and starts it again."""
    if how == "stop":
        code, seconds = node.stop()
        assert code == 0, node.tail()
        # It promises 2 seconds; the rest is for a busy machine.
        assert seconds < 5, f"leaving took {seconds:.1f} s"
    else:
        node.kill()
    node.start()


def read(node, topic, partition=0):
    return Kcat(node.bootstrap)("-C", "-q", "-t", topic, "-p", partition, "-o", "beginning", "-e").decode().splitlines()


def offset_of(admin, group, topic):
    offsets = admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(group, [TopicPartition(topic, 0)])])
    return offsets[group].result(10).topic_partitions[0].offset


@pytest.mark.parametrize("how", ["kill", "stop"])
def test_everything_acknowledged_is_there_after_a_restart(own_node, how):
    node = own_node()
    admin = AdminClient({"bootstrap.servers": node.bootstrap})
    for f in admin.create_topics([NewTopic("kept", 3, 1, config={"retention.ms": "123456789", "segment.bytes": "1048576"}),
                                  NewTopic("gone", 1, 1), NewTopic("cut", 1, 1)]).values():
        f.result(10)
    acked = []
    producer = Producer({"bootstrap.servers": node.bootstrap, "enable.idempotence": True, "linger.ms": 1})

    def note(error, m):
        if not error:
            acked.append((m.partition(), m.offset(), m.value().decode()))

    for i in range(3000):
        producer.produce("kept", f"{i} {'x' * 500}", partition=i % 3, on_delivery=note)
        producer.produce("cut", str(i))
        producer.poll(0)
    assert producer.flush(20) == 0
    cut = TopicPartition("cut", 0, 1234)
    admin.delete_records([cut])[cut].result(10)
    consumer = Consumer({"bootstrap.servers": node.bootstrap, "group.id": "g", "enable.auto.commit": False})
    consumer.commit(offsets=[TopicPartition("kept", 0, 77)], asynchronous=False)
    admin.delete_topics(["gone"])["gone"].result(10)
    topic_id = str(admin.describe_topics(TopicCollection(["kept"]))["kept"].result(10).topic_id)
    cluster_id = admin.describe_cluster().result(10).cluster_id

    ended(node, how)

    admin = AdminClient({"bootstrap.servers": node.bootstrap})
    assert len(acked) == 3000
    for p in range(3):
        wanted = [v for _, _, v in sorted(a for a in acked if a[0] == p)]
        assert read(node, "kept", p) == wanted, f"partition {p}"
    assert read(node, "cut")[0] == "1234", "deleted records stay deleted"
    assert offset_of(admin, "g", "kept") == 77
    assert "gone" not in admin.list_topics(timeout=10).topics
    resource = ConfigResource(ConfigResource.Type.TOPIC, "kept")
    assert admin.describe_configs([resource])[resource].result(10)["retention.ms"].value == "123456789"
    assert str(admin.describe_topics(TopicCollection(["kept"]))["kept"].result(10).topic_id) == topic_id
    assert admin.describe_cluster().result(10).cluster_id == cluster_id


def test_an_idempotent_producer_works_through_a_crash(own_node):
    node = own_node()
    delivered, errors = [], []
    producer = Producer({"bootstrap.servers": node.bootstrap, "enable.idempotence": True, "linger.ms": 1,
                         "batch.num.messages": 20, "retry.backoff.ms": 50, "reconnect.backoff.max.ms": 200})

    def report(error, message):
        errors.append(error) if error else delivered.append((message.offset(), message.value().decode()))

    for i in range(6000):
        producer.produce("t", str(i), on_delivery=report)
        producer.poll(0)
        if i in (2000, 4000):
            # Whatever is on its way now is neither acknowledged nor refused.
            producer.poll(0.02)
            node.kill()
            node.start()
    assert producer.flush(40) == 0 and not errors, errors[:3]
    assert [v for _, v in sorted(delivered)] == [str(i) for i in range(6000)]
    assert read(node, "t") == [str(i) for i in range(6000)], "each record once, in order"


def test_a_group_goes_on_through_a_crash(own_node):
    node = own_node()
    producer = Producer({"bootstrap.servers": node.bootstrap, "reconnect.backoff.max.ms": 200})
    consumer = Consumer({"bootstrap.servers": node.bootstrap, "group.id": "g", "auto.offset.reset": "earliest",
                         "reconnect.backoff.max.ms": 200, "heartbeat.interval.ms": 300, "topic.metadata.refresh.interval.ms": 500})

    def produce_and_read(values):
        for v in values:
            producer.produce("t", v)
        assert producer.flush(20) == 0
        got, deadline = [], time.monotonic() + 20
        while len(got) < len(values):
            assert time.monotonic() < deadline, f"{len(got)} of {len(values)}"
            m = consumer.poll(0.2)
            if m and not m.error():
                got.append(m.value().decode())
        return got

    first, second = [f"a{i}" for i in range(100)], [f"b{i}" for i in range(100)]
    producer.produce("t", "first")
    assert producer.flush(10) == 0
    consumer.subscribe(["t"])
    assert produce_and_read(first)[0] == "first"
    while (m := consumer.poll(1)) is not None:
        assert m.error() or m.value()
    consumer.commit(asynchronous=False)
    ended(node, "kill")
    assert produce_and_read(second) == second, "nothing is read twice, nothing is missed"
    consumer.close()


def test_a_created_topic_is_there_before_its_creation_is_answered(own_node):
    node = own_node()
    admin = AdminClient({"bootstrap.servers": node.bootstrap})
    producer = Producer({"bootstrap.servers": node.bootstrap})
    for i in range(30):
        topic = f"at-once-{i}"
        admin.create_topics([NewTopic(topic, 2, 1)])[topic].result(10)
        assert len(admin.list_topics(timeout=10).topics[topic].partitions) == 2
        outcome = []
        producer.produce(topic, b"x", partition=1, on_delivery=lambda e, m: outcome.append(e))
        assert producer.flush(10) == 0 and outcome == [None]


def test_retention_lets_old_records_go(own_node):
    node = own_node(**{"log.retention.check.interval.ms": 200})
    admin = AdminClient({"bootstrap.servers": node.bootstrap})
    admin.create_topics([NewTopic("short", 1, 1, config={"segment.bytes": "1048576", "retention.bytes": "2097152"})])["short"].result(10)
    producer = Producer({"bootstrap.servers": node.bootstrap})
    for _ in range(6000):
        producer.produce("short", b"x" * 1000)
        producer.poll(0)
    assert producer.flush(20) == 0
    consumer = Consumer({"bootstrap.servers": node.bootstrap, "group.id": "r", "auto.offset.reset": "earliest"})
    at, deadline = TopicPartition("short", 0, OFFSET_BEGINNING), time.monotonic() + 20
    while consumer.get_watermark_offsets(at, 10)[0] == 0:
        assert time.monotonic() < deadline, "old segments stay"
        time.sleep(0.1)
    low, high = consumer.get_watermark_offsets(at, 10)
    assert high == 6000 and 2000 < high - low < 4500
    alter = ConfigResource(ConfigResource.Type.TOPIC, "short", incremental_configs=[
        ConfigEntry("retention.bytes", None, incremental_operation=AlterConfigOpType.DELETE)])
    admin.incremental_alter_configs([alter])[alter].result(10)
    consumer.assign([at])
    assert consumer.poll(10).offset() >= low
    consumer.close()
