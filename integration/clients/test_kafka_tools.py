"""Kafka's command line tools against the broker and its files."""

import json
import re

import pytest

from harness import admin
from harness.paths import kafka_tool
from harness.process import run, until
from harness.records import Batch


def tool(broker, name, *arguments, check=True):
    done = run([kafka_tool(name), "--bootstrap-server", broker.bootstrap, *arguments], check=check)
    return done.stdout + ("" if check else done.stderr)


def fill(broker, topic, batches, size=10, partition=0):
    with broker.connect() as connection:
        for number in range(batches):
            batch = Batch([b"value %d" % n for n in range(size)], base_timestamp=1_700_000_000_000 + number)
            assert admin.produce(connection, topic, batch.encode(), partition)[0] == 0


def test_kafka_topics(broker, name):
    topic = name("tools")
    tool(broker, "kafka-topics", "--create", "--topic", topic, "--partitions", "2", "--replication-factor", "1", "--config", "retention.ms=1000000")
    assert topic in tool(broker, "kafka-topics", "--list").split()
    described = tool(broker, "kafka-topics", "--describe", "--topic", topic)
    assert "PartitionCount: 2" in described and "retention.ms=1000000" in described and described.count("Leader: 0") == 2
    assert re.search(r"TopicId: [\w-]{22}\b", described)
    again = tool(broker, "kafka-topics", "--create", "--topic", topic, check=False)
    assert f"Topic '{topic}' already exists" in again
    tool(broker, "kafka-topics", "--alter", "--topic", topic, "--partitions", "4")
    assert "PartitionCount: 4" in tool(broker, "kafka-topics", "--describe", "--topic", topic)
    tool(broker, "kafka-topics", "--delete", "--topic", topic)
    assert topic not in tool(broker, "kafka-topics", "--list").split()


def test_kafka_topics_with_assignment_and_bad_config(broker, name):
    topic = name("tools")
    refused = tool(broker, "kafka-topics", "--create", "--topic", topic, "--config", "retention.ms=soon", check=False)
    assert "Invalid value soon for configuration retention.ms" in refused
    refused = tool(broker, "kafka-topics", "--create", "--topic", topic, "--replication-factor", "3", check=False)
    assert "InvalidReplicationFactorException" in refused
    tool(broker, "kafka-topics", "--create", "--topic", topic, "--replica-assignment", "0,0")
    assert "PartitionCount: 2" in tool(broker, "kafka-topics", "--describe", "--topic", topic)


def test_kafka_configs_of_a_topic(broker, topic):
    entity = ("--entity-type", "topics", "--entity-name", topic)
    tool(broker, "kafka-configs", *entity, "--alter", "--add-config", "retention.ms=5000000,cleanup.policy=[compact,delete]")
    described = tool(broker, "kafka-configs", *entity, "--describe")
    assert re.search(r"retention\.ms=5000000 sensitive=false synonyms=\{DYNAMIC_TOPIC_CONFIG:retention\.ms=5000000\}", described)
    assert "cleanup.policy=compact,delete" in described
    tool(broker, "kafka-configs", *entity, "--alter", "--delete-config", "retention.ms")
    assert "retention.ms" not in tool(broker, "kafka-configs", *entity, "--describe")
    everything = tool(broker, "kafka-configs", *entity, "--describe", "--all")
    assert re.search(r"segment\.bytes=67108864 .*STATIC_BROKER_CONFIG:log\.segment\.bytes=67108864, DEFAULT_CONFIG:log\.segment\.bytes=1073741824", everything)


def test_kafka_configs_of_the_broker(broker, name):
    """A dynamic default takes effect for a topic that has no value of its own, without a restart."""
    topic = broker.create_topic(name("dynamic"))
    default = ("--entity-type", "brokers", "--entity-default")
    tool(broker, "kafka-configs", *default, "--alter", "--add-config", "log.retention.ms=7654321")
    try:
        assert "log.retention.ms=7654321" in tool(broker, "kafka-configs", *default, "--describe")
        shown = tool(broker, "kafka-configs", "--entity-type", "topics", "--entity-name", topic, "--describe", "--all")
        assert re.search(r"retention\.ms=7654321 .*DYNAMIC_DEFAULT_BROKER_CONFIG:log\.retention\.ms=7654321", shown)
    finally:
        tool(broker, "kafka-configs", *default, "--alter", "--delete-config", "log.retention.ms")
    refused = tool(broker, "kafka-configs", "--entity-type", "brokers", "--entity-name", "0", "--alter", "--add-config", "broker.id=7", check=False)
    assert "Cannot update these configs dynamically" in refused


def test_kafka_delete_records_and_get_offsets(broker, topic, folder):
    fill(broker, topic, 3)
    offsets = folder / "offsets.json"
    offsets.write_text(json.dumps({"version": 1, "partitions": [{"topic": topic, "partition": 0, "offset": 12}]}))
    deleted = tool(broker, "kafka-delete-records", "--offset-json-file", offsets)
    assert re.search(rf"{topic}-0\s+low_watermark: 12", deleted)
    asked = lambda time: tool(broker, "kafka-get-offsets", "--topic", topic, "--time", time).strip()
    assert (asked("earliest"), asked("latest"), asked("max-timestamp")) == (f"{topic}:0:12", f"{topic}:0:30", f"{topic}:0:20")


def test_kafka_log_dirs(broker, topic):
    fill(broker, topic, 5)
    shown = tool(broker, "kafka-log-dirs", "--describe", "--topic-list", topic)
    [node] = json.loads(next(line for line in shown.splitlines() if line.startswith("{")))["brokers"]
    [directory] = node["logDirs"]
    [partition] = directory["partitions"]
    size = (broker.data / f"{topic}-0" / f"{0:020}.log").stat().st_size
    assert directory["logDir"] == str(broker.data) and directory["error"] is None
    assert partition == {"partition": f"{topic}-0", "size": size, "offsetLag": 0, "isFuture": False}


def test_kafka_broker_api_versions(broker):
    shown = tool(broker, "kafka-broker-api-versions")
    assert f"127.0.0.1:{broker.port} (id: 0 rack: null)" in shown
    offered = dict(re.findall(r"\t(\w+)\(\d+\): (\d+ to \d+|\d+)", shown))
    newest = {api: int(versions.split()[-1]) for api, versions in offered.items()}
    wanted = {"Produce": 11, "Fetch": 17, "ListOffsets": 9, "Metadata": 12, "ApiVersions": 4, "CreateTopics": 7, "DeleteTopics": 6,
              "DeleteRecords": 2, "InitProducerId": 5, "OffsetForLeaderEpoch": 4, "DescribeConfigs": 4, "AlterConfigs": 2,
              "DescribeLogDirs": 4, "CreatePartitions": 3, "ElectLeaders": 2, "IncrementalAlterConfigs": 1, "DescribeCluster": 1,
              "DescribeProducers": 0}
    assert {api: newest.get(api, -1) for api in wanted} == wanted


@pytest.mark.parametrize("codec", [0, 4], ids=["plain", "zstd"])
def test_kafka_dump_log(broker, name, codec):
    """Deep iteration over a segment, and the sanity check of its indexes."""
    topic = broker.create_topic(name("dump"), index_interval_bytes="100")
    with broker.connect() as connection:
        for n in range(20):
            batch = Batch([b"value %d" % n] * 10, codec=codec, base_timestamp=1_700_000_000_000 + n).encode()
            assert admin.produce(connection, topic, batch)[0] == 0
    partition = broker.data / f"{topic}-0"
    index = partition / f"{0:020}.index"
    until(10, lambda: index.stat().st_size, "the index of the open segment is written with the checkpoints")
    dump = lambda file, *options: run([kafka_tool("kafka-dump-log"), "--files", partition / f"{0:020}.{file}", *options]).stdout
    deep = dump("log", "--deep-iteration", "--print-data-log")
    assert deep.count("isvalid: true") == 20 and deep.count("payload: value") == 200
    assert "Mismatch" not in deep and "CRC" not in deep
    assert "passed sanity check" in dump("index", "--index-sanity-check")
    assert "Found" not in dump("timeindex", "--verify-index-only")
