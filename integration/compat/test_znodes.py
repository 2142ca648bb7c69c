"""The same operations on Apache Kafka 3.9 and on the broker under test leave the same znodes, but for ids and times."""

import json
import re

from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, NewPartitions, NewTopic, ResourceType

from harness import admin as raw
from harness.process import until
from harness.records import Batch

VARIABLE = {"topic_id", "id", "timestamp", "port", "endpoints", "jmx_port"}


def operate(broker):
    """One of each operation that writes to ZooKeeper."""
    admin = AdminClient({"bootstrap.servers": broker.bootstrap})

    def done(futures):
        for future in futures.values():
            future.result(20)

    def configure(kind, name, key, value):
        entry = ConfigEntry(key, value, incremental_operation=AlterConfigOpType.SET)
        done(admin.incremental_alter_configs([ConfigResource(kind, name, incremental_configs=[entry])]))

    done(admin.create_topics([NewTopic("pageviews", 3, 1, config={"retention.ms": "86400000", "cleanup.policy": "compact,delete"})]))
    done(admin.create_topics([NewTopic("assigned", num_partitions=2, replica_assignment=[[0], [0]])]))
    done(admin.create_topics([NewTopic("doomed", 2, 1)]))
    done(admin.create_partitions([NewPartitions("assigned", 4)]))
    configure(ResourceType.TOPIC, "pageviews", "retention.ms", "7200000")
    configure(ResourceType.BROKER, "0", "log.cleaner.threads", "2")
    done(admin.delete_topics(["doomed"]))
    with broker.connect() as connection:
        raw.metadata(connection, ["automatic"])
        until(20, lambda: raw.leaders(connection, "automatic") == [0], "auto-creation")
        producer = raw.producer_id(connection)
        assert raw.produce(connection, "pageviews", Batch([b"v"], producer=(*producer, 0)).encode()) == (0, 0)


def settled(zookeeper, root):
    """The tree once the deletion has finished."""
    until(20, lambda: not any("doomed" in path for path in zookeeper.tree(root)), "the deleted topic leaves ZooKeeper")
    return {path[len(root) :]: picture(*entry) for path, entry in zookeeper.tree(root).items()}


def picture(data, _version, ephemeral):
    text = data.decode() if data else ""
    try:
        value = json.loads(text)
    except ValueError:
        value = text
    if isinstance(value, dict):
        value = {key: f"<{type(inner).__name__}>" if key in VARIABLE else inner for key, inner in value.items()}
    return value, ephemeral


def test_the_same_znodes(brokers, kind, zookeeper):
    trees = {}
    for which, root in [("kafka", "/of-kafka"), (kind, "/of-ours")]:
        broker = brokers(which, f"{zookeeper.address}{root}", {"auto.create.topics.enable": "true"}).start()
        operate(broker)
        trees[root] = settled(zookeeper, root)
        broker.stop()
    expected, ours = trees.values()
    assert sorted(ours) == sorted(expected)
    assert ours == expected


def test_registration_leaves_with_a_clean_stop(brokers, kind, zookeeper):
    broker = brokers(zookeeper=zookeeper).start()
    before = zookeeper.tree("/")
    owner = json.loads(before["/controller"][0])
    assert owner["brokerid"] == 0 and before["/controller"][2] and before["/brokers/ids/0"][2]
    assert int(before["/controller_epoch"][0]) == 1
    assert re.fullmatch(r"[\w-]{22}", json.loads(before["/cluster/id"][0])["id"])
    broker.stop()
    after = zookeeper.tree("/")
    assert "/controller" not in after and "/brokers/ids/0" not in after
    broker.start()
    assert int(zookeeper.tree("/")["/controller_epoch"][0]) == 2


def test_what_kafkas_tools_write_to_zookeeper_is_noticed(brokers, zookeeper):
    """A topic config changed directly in ZooKeeper with a notification, as the 3.9 tools with --zookeeper did."""
    broker = brokers(zookeeper=zookeeper).start()
    broker.create_topic("watched")
    client = zookeeper.client()
    client.ensure_path("/config/topics/watched")
    client.set("/config/topics/watched", b'{"version":1,"config":{"max.message.bytes":"500"}}')
    client.create("/config/changes/config_change_", b'{"version":2,"entity_path":"topics/watched"}', sequence=True)
    large = Batch([b"x" * 2000]).encode()
    with broker.connect() as connection:
        until(20, lambda: raw.produce(connection, "watched", large)[0] == 10, "the new max.message.bytes holds")

    state = b'{"partitions":{"0":[0]},"topic_id":"AAAAAAAAAAAAAAAAAAAAAQ","adding_replicas":{},"removing_replicas":{},"version":3}'
    client.create("/config/topics/by-hand", b'{"version":1,"config":{}}')
    client.create("/brokers/topics/by-hand", state)
    with broker.connect() as connection:
        until(20, lambda: "by-hand" in (topics := raw.metadata(connection)[2]) and topics["by-hand"] == (0, {0: 0}), "the new topic is led")
    client.create("/admin/delete_topics/by-hand", b"")
    with broker.connect() as connection:
        until(20, lambda: "by-hand" not in raw.metadata(connection)[2], "the deleted topic goes")
    client.stop()
