"""Kafka 4.3.1's own command-line tools: the newest version of every API that they use."""

import json

import pytest

from tools import advertised_apis, until

LINES = [f"key {i}:value {i}" for i in range(100)]


def text(lines):
    return "".join(f"{line}\n" for line in lines).encode()


def events(output, name):
    """The JSON events of a verifiable client that carry this name."""
    return [e for line in output.splitlines() if line.startswith("{") and (e := json.loads(line))["name"] == name]


def row(output, *words):
    """The cells of the one line that starts with these words."""
    found = [cells for line in output.splitlines() if (cells := line.split())[:len(words)] == [str(w) for w in words]]
    assert len(found) == 1, f"one line with {words} in: {output}"
    return found[0]


@pytest.mark.parametrize("codec", ["none", "gzip", "snappy", "lz4", "zstd"])
def test_the_console_consumer_reads_what_the_console_producer_wrote(java, topic, codec):
    java("console-producer", "--topic", topic, "--compression-codec", codec, "--reader-property", "parse.key=true",
         "--reader-property", "key.separator=:", "--command-property", "linger.ms=20", input=text(LINES))
    said = java("console-consumer", "--topic", topic, "--partition", 0, "--offset", "earliest", "--max-messages", 100,
                "--formatter-property", "print.key=true", "--formatter-property", "key.separator=:")
    assert said.splitlines() == LINES


def test_the_console_consumer_reads_from_an_offset_and_in_a_group(java, kcat, topic, group):
    kcat("-P", "-t", topic, input=text(LINES[:10]))
    said = java("console-consumer", "--topic", topic, "--partition", 0, "--offset", 7, "--max-messages", 3)
    assert said.splitlines() == LINES[7:10]
    said = java("console-consumer", "--topic", topic, "--from-beginning", "--max-messages", 10, "--group", group)
    assert [line for line in said.splitlines() if line.startswith("key")] == LINES[:10]
    kcat("-P", "-t", topic, input=text(LINES[10:12]))
    said = java("console-consumer", "--topic", topic, "--max-messages", 2, "--group", group)
    assert [line for line in said.splitlines() if line.startswith("key")] == LINES[10:12], "it goes on from its commit"


def test_kafka_topics_creates_lists_describes_alters_and_deletes(java, name):
    java("topics", "--create", "--topic", name, "--partitions", 2, "--config", "retention.ms=1000000",
         "--config", "cleanup.policy=delete")
    described = java("topics", "--describe", "--topic", name)
    assert "PartitionCount: 2" in described and "ReplicationFactor: 1" in described and "retention.ms=1000000" in described
    assert described.count("Leader: ") == 2 and "Leader: none" not in described
    assert name in java("topics", "--list").split()
    java("topics", "--alter", "--topic", name, "--partitions", 4)
    assert "PartitionCount: 4" in java("topics", "--describe", "--topic", name)
    java("topics", "--delete", "--topic", name)
    until(lambda: name not in java("topics", "--list").split(), "the topic is gone")


@pytest.mark.parametrize("args, error", [
    (["--create", "--topic", "a b"], "InvalidTopicException"),
    (["--create", "--topic", "EXISTING"], "TopicExistsException"),
    (["--create", "--topic", "FRESH", "--config", "no.such=1"], "InvalidConfigurationException"),
    (["--create", "--topic", "FRESH", "--replication-factor", "9"], "InvalidReplicationFactorException"),
    (["--alter", "--topic", "EXISTING", "--partitions", "1"], "InvalidPartitionsException"),
    (["--describe", "--topic", "FRESH"], "does not exist as expected"),
    (["--delete", "--topic", "FRESH"], "does not exist as expected"),
], ids=["name", "exists", "config", "replication", "fewer partitions", "describe unknown", "delete unknown"])
def test_kafka_topics_is_told_what_is_wrong(java, topic, name, args, error):
    said = java.says("topics", *({"EXISTING": topic, "FRESH": name}.get(a, a) for a in args))
    assert error in said, said


def test_kafka_configs_describes_and_alters_topics(java, topic):
    which = ["--entity-type", "topics", "--entity-name", topic]
    java("configs", "--alter", *which, "--add-config", "retention.ms=5000000,segment.bytes=2000000")
    described = java("configs", "--describe", *which)
    assert "retention.ms=5000000 sensitive=false synonyms={DYNAMIC_TOPIC_CONFIG:retention.ms=5000000" in described
    assert "segment.bytes=2000000" in described
    java("configs", "--alter", *which, "--delete-config", "retention.ms")
    every = java("configs", "--describe", "--all", *which)
    assert "retention.ms=604800000" in every and "segment.bytes=2000000" in every
    refused = java.says("configs", "--alter", *which, "--add-config", "no.such=1")
    assert "InvalidConfigurationException" in refused, refused


def test_kafka_configs_describes_brokers_and_is_refused_what_cannot_change(java, admin):
    which = ["--entity-type", "brokers", "--entity-name", next(iter(admin.list_topics(timeout=10).brokers))]
    described = java("configs", "--describe", "--all", *which)
    assert "num.partitions=1 sensitive=false" in described and "auto.create.topics.enable=true" in described
    assert "DEFAULT_CONFIG" in described
    refused = java.says("configs", "--alter", *which, "--add-config", "log.dirs=/elsewhere")
    assert "InvalidRequestException" in refused, refused


def test_kafka_consumer_groups_lists_describes_resets_and_deletes(java, topic, group):
    java("verifiable-producer", "--topic", topic, "--max-messages", 20)
    said = java("verifiable-consumer", "--topic", topic, "--group-id", group, "--max-messages", 8, "--reset-policy", "earliest")
    assert events(said, "offsets_committed")[-1]["offsets"] == [{"topic": topic, "partition": 0, "offset": 8}]

    groups = lambda *args: java("consumer-groups", *args)
    assert row(groups("--describe", "--group", group), group, topic)[2:6] == ["0", "8", "20", "12"]
    assert "Empty" in row(groups("--describe", "--group", group, "--state"), group)
    assert row(groups("--list", "--state"), group) == [group, "Empty"]
    reset = ["--reset-offsets", "--group", group, "--topic", topic, "--execute"]
    for to, offset in [(["--to-earliest"], 0), (["--shift-by", 5], 5), (["--to-latest"], 20), (["--to-offset", 3], 3),
                       (["--to-datetime", "2020-01-01T00:00:00.000"], 0)]:
        assert row(groups(*reset, *to), group, topic)[3] == str(offset), to
    assert "Successful" in groups("--delete-offsets", "--group", group, "--topic", topic)
    assert "was successful" in groups("--delete", "--group", group)
    assert group not in groups("--list").split()


def test_an_unknown_group_is_not_found(java, group):
    assert "GroupIdNotFoundException" in java.says("consumer-groups", "--describe", "--group", group)
    assert "GroupIdNotFoundException" in java.says("consumer-groups", "--delete", "--group", group)


def test_the_performance_tools_count_what_they_move(java, topic):
    said = java("producer-perf", "--topic", topic, "--num-records", 50_000, "--record-size", 200, "--throughput", -1,
                "--command-property", "compression.type=lz4")
    assert "50000 records sent" in said
    said = java("consumer-perf", "--topic", topic, "--num-records", 50_000)
    assert said.splitlines()[-1].split(", ")[4] == "50000"


def test_the_verifiable_clients_agree(java, topic, group):
    said = java("verifiable-producer", "--topic", topic, "--max-messages", 500, "--acks", -1)
    acked = events(said, "producer_send_success")
    assert [e["offset"] for e in acked] == list(range(500))
    assert events(said, "tool_data")[0]["acked"] == 500
    said = java("verifiable-consumer", "--topic", topic, "--group-id", group, "--max-messages", 500, "--verbose",
                "--reset-policy", "earliest", "--group-instance-id", "static")
    assert [e["value"] for e in events(said, "record_data")] == [e["value"] for e in acked]


def test_offsets_are_listed_and_records_deleted(java, topic, tmp_path):
    java("verifiable-producer", "--topic", topic, "--max-messages", 10)
    offset = lambda time: java("get-offsets", "--topic", topic, "--time", time).split(":")[-1].strip()
    assert (offset("latest"), offset("earliest")) == ("10", "0") and 0 <= int(offset("max-timestamp")) < 10
    wanted = tmp_path / "delete.json"
    wanted.write_text(json.dumps({"version": 1, "partitions": [{"topic": topic, "partition": 0, "offset": 6}]}))
    assert "low_watermark: 6" in java("delete-records", "--offset-json-file", wanted)
    assert offset("earliest") == "6"


def test_log_dirs_tell_the_size_of_each_partition(java, topic):
    java("producer-perf", "--topic", topic, "--num-records", 100, "--record-size", 1000, "--throughput", -1)
    said = java("log-dirs", "--describe", "--topic-list", topic)
    dirs = json.loads(next(line for line in said.splitlines() if line.startswith("{")))["brokers"][0]["logDirs"]
    sizes = [p["size"] for d in dirs for p in d["partitions"] if p["partition"] == f"{topic}-0"]
    assert all(d["error"] is None for d in dirs) and len(sizes) == 1 and 100_000 < sizes[0] < 200_000


def test_every_api_that_a_current_client_needs_is_usable(java, bootstrap):
    said = java("broker-api-versions")
    for api in ["Produce(0): 0 to 13 [usable: 13]", "Fetch(1)", "ListOffsets(2)", "Metadata(3)", "OffsetCommit(8)",
                "OffsetFetch(9)", "FindCoordinator(10)", "JoinGroup(11)", "ApiVersions(18)", "CreateTopics(19)",
                "InitProducerId(22)", "IncrementalAlterConfigs(44)", "DescribeCluster(60)", "DescribeTopicPartitions(75)"]:
        assert api in said, said
        assert f"{api}: UNSUPPORTED" not in said
    assert 0 in advertised_apis(bootstrap)[0], "Produce from version 0, or librdkafka turns compression off (KAFKA-18659)"


def test_features_cluster_id_and_groups_answer(java, admin):
    java("features", "describe")
    assert admin.describe_cluster().result(10).cluster_id in java("cluster", "cluster-id")
    java("groups", "--list")
