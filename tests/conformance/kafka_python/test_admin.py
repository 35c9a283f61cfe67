"""kafka-python 3: the admin client."""

import pytest
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType, NewPartitions, NewTopic, OffsetSpec
from kafka.errors import (InvalidConfigurationError, InvalidPartitionsError, InvalidReplicationFactorError, InvalidTopicError,
                          OffsetOutOfRangeError, TopicAlreadyExistsError, UnknownTopicOrPartitionError)
from kafka.structs import OffsetAndMetadata

from tools import START, until


@pytest.fixture(scope="module")
def cluster(bootstrap):
    made = KafkaAdminClient(bootstrap_servers=bootstrap)
    yield made
    made.close()


@pytest.fixture
def filled(bootstrap, topic):
    """A topic of one partition with ten records, a second of time apart."""
    producer = KafkaProducer(bootstrap_servers=bootstrap)
    for i in range(10):
        producer.send(topic, b"%d" % i, timestamp_ms=START + 1000 * i)
    producer.flush(10)
    producer.close(5)
    return topic


def topic_configs(cluster, topic, which="all"):
    return cluster.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)], config_filter=which)["topic"][topic]


def test_a_topic_is_created_listed_described_and_deleted(cluster, name):
    cluster.create_topics([NewTopic(name, 3, 1)])
    assert name in cluster.list_topics()
    described = cluster.describe_topics([name])[0]
    assert len(described["partitions"]) == 3 and described["error_code"] == 0
    cluster.delete_topics([name])
    until(lambda: name not in cluster.list_topics(), "the topic is gone")


@pytest.mark.parametrize("wrong, error", [
    (lambda n: NewTopic(n + " !", 1, 1), InvalidTopicError),
    (lambda n: NewTopic("x" * 250, 1, 1), InvalidTopicError),
    (lambda n: NewTopic(n, 0, 1), InvalidPartitionsError),
    (lambda n: NewTopic(n, 1, 9), InvalidReplicationFactorError),
    (lambda n: NewTopic(n, 1, 1, topic_configs={"no.such.config": "1"}), InvalidConfigurationError),
    (lambda n: NewTopic(n, 1, 1, topic_configs={"retention.ms": "soon"}), InvalidConfigurationError),
    (lambda n: NewTopic(n, 1, 1, topic_configs={"cleanup.policy": "shred"}), InvalidConfigurationError),
], ids=["name", "long name", "partitions", "replication", "unknown config", "config value", "policy"])
def test_an_impossible_topic_is_refused_as_kafka_does(cluster, name, wrong, error):
    with pytest.raises(error):
        cluster.create_topics([wrong(name)])
    assert name not in cluster.list_topics()


def test_a_topic_cannot_be_created_twice_nor_deleted_when_unknown(cluster, topic, name):
    with pytest.raises(TopicAlreadyExistsError):
        cluster.create_topics([NewTopic(topic, 1, 1)])
    with pytest.raises(UnknownTopicOrPartitionError):
        cluster.delete_topics([name])


def test_validating_creates_nothing(cluster, name):
    cluster.create_topics([NewTopic(name, 1, 1)], validate_only=True)
    assert name not in cluster.list_topics()


def test_defaults_are_described_with_type_and_source(cluster, topic):
    retention = topic_configs(cluster, topic)["retention.ms"]
    assert (retention["value"], retention["config_source"], retention["config_type"]) == ("604800000", "DEFAULT_CONFIG", "LONG")
    assert not retention["read_only"] and not retention["is_sensitive"]


@pytest.mark.parametrize("incremental", [True, False])
def test_configs_are_altered(cluster, topic, incremental):
    change = {"retention.ms": "3600000", "max.message.bytes": "2000"}
    cluster.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, configs=change)], incremental=incremental)
    until(lambda: {k: topic_configs(cluster, topic)[k]["value"] for k in change} == change, "the new values", 5)
    now = topic_configs(cluster, topic)
    assert now["retention.ms"]["config_source"] == "DYNAMIC_TOPIC_CONFIG"


def test_broker_configs_are_described(cluster):
    broker = cluster.describe_cluster()["brokers"][0]["broker_id"]
    configs = cluster.describe_configs([ConfigResource(ConfigResourceType.BROKER, broker)], config_filter="all")
    configs = configs["broker"][str(broker)]
    assert configs["num.partitions"]["value"] == "1"
    assert configs["auto.create.topics.enable"]["value"] == "true"
    assert "log.retention.ms" in configs or "log.retention.hours" in configs


def test_partitions_are_added_but_never_taken_away(cluster, topic):
    cluster.create_partitions({topic: NewPartitions(3)})
    until(lambda: len(cluster.describe_topics([topic])[0]["partitions"]) == 3, "three partitions")
    with pytest.raises(InvalidPartitionsError):
        cluster.create_partitions({topic: NewPartitions(2)})


def test_records_are_deleted_up_to_an_offset(cluster, bootstrap, filled):
    at = TopicPartition(filled, 0)
    assert cluster.delete_records({at: 6})[at]["low_watermark"] == 6
    with pytest.raises(OffsetOutOfRangeError):
        cluster.delete_records({at: 100})
    consumer = KafkaConsumer(bootstrap_servers=bootstrap, auto_offset_reset="earliest")
    consumer.assign([at])
    assert consumer.beginning_offsets([at]) == {at: 6}
    consumer.seek(at, 2)
    records = until(lambda: consumer.poll(timeout_ms=500).get(at), "records after the new start")
    assert records[0].offset == 6, "an offset below the start resets to the earliest"
    consumer.close()


def test_partition_offsets_are_listed(cluster, filled):
    at = TopicPartition(filled, 0)
    offset = lambda spec: cluster.list_partition_offsets({at: spec})[at].offset
    assert offset(OffsetSpec.EARLIEST) == 0 and offset(OffsetSpec.LATEST) == 10
    assert offset(OffsetSpec.MAX_TIMESTAMP) == 9


def test_a_group_is_listed_described_reset_and_deleted(cluster, bootstrap, filled, group):
    at = TopicPartition(filled, 0)
    consumer = KafkaConsumer(filled, bootstrap_servers=bootstrap, group_id=group, auto_offset_reset="earliest")
    until(lambda: consumer.poll(timeout_ms=200), "records")
    described = cluster.describe_groups([group])[group]
    assert described["group_state"] == "Stable" and len(described["members"]) == 1
    assert described["members"][0]["member_metadata"]["topics"] == [filled]
    assert cluster.delete_groups([group])[group] == "NonEmptyGroupError"
    consumer.close()
    until(lambda: cluster.describe_groups([group])[group]["group_state"] == "Empty", "the group is empty")
    assert group in {g["group_id"] for g in cluster.list_groups()}
    assert cluster.list_group_offsets(group)[group][at].offset == 10
    cluster.alter_group_offsets(group, {at: OffsetAndMetadata(4, "by hand", -1)})
    assert cluster.list_group_offsets(group)[group][at][:2] == (4, "by hand")
    cluster.delete_group_offsets(group, [at])
    assert at not in cluster.list_group_offsets(group)[group]
    assert cluster.delete_groups([group])[group] in ("OK", "GroupIdNotFoundError"), "a group without offsets may go by itself"
    assert group not in {g["group_id"] for g in cluster.list_groups()}


def test_log_dirs_tell_sizes(cluster, filled):
    dirs = [d for broker in cluster.describe_log_dirs() for d in broker["log_dirs"]]
    assert all(d["error_code"] == 0 and d["total_bytes"] > 0 and d["usable_bytes"] > 0 for d in dirs)
    sizes = [p["partition_size"] for d in dirs for t in d["topics"] if t["name"] == filled for p in t["partitions"]]
    assert len(sizes) == 1 and sizes[0] > 0


def test_the_cluster_describes_itself(cluster):
    described = cluster.describe_cluster()
    assert described["cluster_id"] and described["controller_id"] == described["brokers"][0]["broker_id"]
