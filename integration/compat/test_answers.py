"""The same requests to Apache Kafka 3.9 and to Dohle: equal answers, field by field, in every version of every API that both serve.

What may differ is named in MAY_DIFFER, with the reason."""

import re
import time

import pytest

from harness import admin, schema
from harness.broker import Broker
from harness.records import GZIP, LZ4, SNAPPY, Batch, message, messages, wrapped
from harness.zookeeper import ZooKeeper

PRODUCE, FETCH, LIST_OFFSETS, METADATA, SASL_HANDSHAKE, CREATE_TOPICS, DELETE_TOPICS = 0, 1, 2, 3, 17, 19, 20
DELETE_RECORDS, INIT_PRODUCER_ID, EPOCH_END, DESCRIBE_CONFIGS, ALTER_CONFIGS, DESCRIBE_LOG_DIRS = 21, 22, 23, 32, 33, 35
OFFSET_COMMIT, OFFSET_FETCH = 8, 9
SASL_AUTHENTICATE, CREATE_PARTITIONS, ELECT_LEADERS, INCREMENTAL, DESCRIBE_CLUSTER, DESCRIBE_PRODUCERS = 36, 37, 43, 44, 60, 61
API_VERSIONS = 18
TOPIC, BROKER = 2, 4
SET, DELETE, APPEND, SUBTRACT = 0, 1, 2, 3
LATEST, EARLIEST, MAX_TIMESTAMP, EARLIEST_LOCAL, LATEST_TIERED = -1, -2, -3, -4, -5
NO_TOPIC = bytes([9] * 16)
PROPERTIES = {"auto.create.topics.enable": "false", "log.segment.bytes": 64 << 20}

# Differ from start to start, whoever answers: left out.
OF_THE_RUN = {"ThrottleTimeMs", "TopicId", "ClusterId", "Port", "LogDir", "TotalBytes", "UsableBytes", "SessionId"}
# Sets on the wire: their order says nothing.
UNORDERED = {"Topics", "Results", "Configs", "Responses", "Partitions", "PartitionResponses", "ReplicaElectionResults", "PartitionResult"}


@pytest.fixture(scope="module")
def pair(session_folder):
    """Apache Kafka and Dohle, both with the same topics and records."""
    folder = session_folder / "answers"
    folder.mkdir()
    zookeeper = ZooKeeper(folder).start()
    pair = [Broker("kafka", folder / "kafka", zookeeper.address + "/kafka", PROPERTIES), Broker("dohle", folder / "dohle", None, PROPERTIES)]
    try:
        for broker in pair:
            broker.start()
            for name, partitions, configs in (("t", 2, {}), ("compact", 1, {"cleanup_policy": "compact"}),
                                              ("set", 1, {"retention_ms": 1000, "segment_bytes": 2_000_000}),
                                              ("stamped", 1, {"message_timestamp_type": "LogAppendTime"}), ("empty", 1, {}),
                                              ("old", 1, {}), ("old-stamped", 1, {"message_timestamp_type": "LogAppendTime"}), ("zstd", 1, {"compression_type": "zstd"}),
                                              ("new-only", 1, {"message_downconversion_enable": "false"})):
                broker.create_topic(name, partitions, **configs)
            with broker.connect() as connection:
                for number in range(5):
                    assert admin.produce(connection, "t", Batch([b"v"], base_timestamp=1_700_000_000_000 + 10 * number).encode()) == (0, number)
                assert admin.produce(connection, "t", Batch([b"v"], producer=(4711, 0, 0)).encode()) == (0, 5)
        yield pair
    finally:
        for process in (*pair, zookeeper):
            process.kill()


def listed(name, *partitions):
    return {"Name": name, "Partitions": [dict(zip(("PartitionIndex", "Timestamp"), partition)) for partition in partitions]}


def batch(**fields):
    return Batch(**fields).encode()


def produce(topic, *parts, acks=-1):
    data = [{"Index": index, "Records": records} for index, records in parts]
    return {"Acks": acks, "TimeoutMs": 5000, "TopicData": [{"Name": topic, "PartitionData": data}]}


def new_topic(name, partitions=1, factor=1, assignments=(), **configs):
    return {"Name": name, "NumPartitions": partitions, "ReplicationFactor": factor,
            "Assignments": [{"PartitionIndex": index, "BrokerIds": ids} for index, ids in assignments],
            "Configs": [{"Name": key.replace("_", "."), "Value": value} for key, value in configs.items()]}


def create(*topics, **options):
    return {"Topics": list(topics), "timeoutMs": 10_000, **options}


def alter(kind, name, *configs):
    fields = ("Name", "Value") if configs and len(configs[0]) == 2 else ("Name", "ConfigOperation", "Value")
    return {"Resources": [{"ResourceType": kind, "ResourceName": name, "Configs": [dict(zip(fields, config)) for config in configs]}]}


def describe(kind, name, *keys):
    return {"Resources": [{"ResourceType": kind, "ResourceName": name, "ConfigurationKeys": list(keys) or None}]}


def only(first, message, last=99):
    """A message for some versions only."""
    return range(first, last + 1), message


def fetch(topic, partition=0, offset=0, **fields):
    return {"MaxWaitMs": 0, "MinBytes": 0, "MaxBytes": 1 << 20, "Topics": [
        {"Topic": topic, "Partitions": [{"Partition": partition, "FetchOffset": offset, "PartitionMaxBytes": 1 << 20, **fields}]}]}


def numbers(name, *partitions):
    return {"Topics": [{"Name": name, "PartitionIndexes": list(partitions)}]}


# (API, message, or only(version, message)) one after the other, each in every version.
CASES = {
    "produce": [
        (PRODUCE, produce("empty", (0, batch()), (1, batch()), (-1, batch()))),
        (PRODUCE, produce("nowhere", (0, batch()))),
        (PRODUCE, produce("stamped", (0, batch(crc=1)))),
        (PRODUCE, produce("empty", (0, batch()), acks=5)),
        (PRODUCE, produce("empty", (0, batch()), acks=1)),
        (PRODUCE, produce("compact", (0, batch(key=None)))),
        (PRODUCE, produce("compact", (0, batch(values=[b"a", b"b"], key=None)))),
        (PRODUCE, produce("empty", (0, batch(values=[b"x" * 1_100_000])))),
        (PRODUCE, produce("empty", (0, batch(producer=(4711, 0, 7))))),
        (PRODUCE, produce("__consumer_offsets", (0, batch()))),
        (PRODUCE, produce("no topic!", (0, batch()))),
    ],
    "fetch": [
        (FETCH, only(4, fetch("t"), 12)), (FETCH, only(4, fetch("t", offset=3), 12)), (FETCH, only(4, fetch("t", offset=6), 12)),
        (FETCH, only(4, fetch("t", offset=7), 12)), (FETCH, only(4, fetch("t", offset=-1), 12)), (FETCH, only(4, fetch("t", 9), 12)),
        (FETCH, only(4, fetch("nowhere"), 12)), (FETCH, only(9, fetch("t", CurrentLeaderEpoch=5), 12)), (FETCH, only(4, {**fetch("t"), "IsolationLevel": 1}, 12)),
        (FETCH, only(4, {**fetch("t"), "MaxBytes": 1}, 12)), (FETCH, only(4, {**fetch("t"), "MaxBytes": 0}, 12)),
        (FETCH, only(4, fetch("empty", 3), 12)),
        (FETCH, only(13, {"MaxWaitMs": 0, "Topics": [{"TopicId": NO_TOPIC, "Partitions": [{"Partition": 0}]}]})),
        (FETCH, only(13, {"MaxWaitMs": 0, "Topics": [{"TopicId": bytes(16), "Partitions": [{"Partition": 0}]}]})),
        (FETCH, only(7, {"MaxWaitMs": 0, "SessionId": 5, "SessionEpoch": 3})),
        (FETCH, only(7, {"MaxWaitMs": 0, "SessionId": 0, "SessionEpoch": 3})),
        (FETCH, only(7, {"MaxWaitMs": 0, "SessionId": 5, "SessionEpoch": -1})),
    ],
    "old produce": [
        (PRODUCE, only(0, produce(topic, (0, records)), 2)) for topic, records in (
            ("empty", message(b"v", magic=0)), ("empty", message(b"v") + message(b"w", timestamp=-1)), ("empty", b""),
            ("empty", message(b"v") + message(b"w")[:-1]), ("empty", message(b"v", crc=1)), ("empty", message(b"v") + message(b"w", crc=1)),
            ("empty", message(b"v", magic=0) + message(b"w", magic=1)), ("empty", message(b"v") + batch()), ("empty", batch() + message(b"v")),
            ("empty", wrapped(GZIP, message(b"a"), message(b"b", offset=1))), ("empty", wrapped(GZIP, message(b"a", magic=0), magic=0)),
            ("empty", wrapped(SNAPPY, message(b"a"), message(b"b", offset=1))), ("empty", wrapped(LZ4, message(b"a"))),
            ("empty", wrapped(GZIP, message(b"a")) + message(b"b")), ("empty", wrapped(GZIP, message(b"a")) * 2),
            ("empty", wrapped(GZIP, wrapped(GZIP, message(b"a")))), ("empty", wrapped(GZIP, message(b"a", magic=0))), ("empty", wrapped(GZIP)),
            ("empty", wrapped(GZIP, message(b"a", crc=1))), ("empty", wrapped(GZIP, message(b"a"), message(b"b", offset=5), offset=3)),
            ("empty", wrapped(GZIP, message(b"a"), message(b"b"), offset=0)), ("empty", message(b"v", attributes=8)),
            ("empty", wrapped(GZIP, message(b"a"), attributes=8)), ("stamped", message(b"v", attributes=8)), ("compact", message(b"v", None)),
            ("compact", message(b"v", magic=0) + message(b"w", None, magic=0)), ("compact", wrapped(GZIP, message(b"a", None))),
            ("empty", message(b"x" * 1_100_000)), ("empty", message(b"x" * 600_000) * 2), ("zstd", message(b"v")), ("nowhere", message(b"v")))
    ],
    "old fetch": [
        (FETCH, only(0, {"MaxWaitMs": 0, "MinBytes": 0, "Topics": [{"Topic": topic, "Partitions": [
            {"Partition": partition, "FetchOffset": offset, "PartitionMaxBytes": 1 << 20}]}]}, 3))
        for topic, partition, offset in (("t", 0, 99), ("t", 0, -1), ("t", 9, 0), ("nowhere", 0, 0), ("zstd", 0, 0), ("new-only", 0, 0), ("empty", 3, 0))
    ] + [(FETCH, only(4, fetch("zstd"), 10)), (FETCH, only(4, fetch("new-only"), 12))],
    "oldest list offsets": [
        (LIST_OFFSETS, only(0, {"ReplicaId": -1, "Topics": [{"Name": topic, "Partitions": [
            {"PartitionIndex": partition, "Timestamp": at, "MaxNumOffsets": most}]}]}, 0))
        for topic, partition, at, most in (("t", 0, LATEST, 1), ("t", 0, LATEST, 9), ("t", 0, EARLIEST, 9), ("t", 0, 0, 9), ("t", 0, 1 << 62, 9), ("t", 0, -99, 9),
                                           ("t", 0, LATEST, 0), ("t", 9, LATEST, 1), ("nowhere", 0, LATEST, 1), ("set", 0, LATEST, 9), ("set", 0, EARLIEST, 9))
    ],
    "offsets in ZooKeeper": [
        (OFFSET_COMMIT, only(0, {"GroupId": group, "Topics": [{"Name": topic, "Partitions": [
            {"PartitionIndex": partition, "CommittedOffset": offset, "CommittedMetadata": metadata}]}]}, 0))
        for group, topic, partition, offset, metadata in (
            ("elders", "t", 0, 3, ""), ("elders", "t", 0, 4, "m"), ("elders", "t", 1, -7, None), ("elders", "t", 9, 1, ""), ("elders", "nowhere", 0, 1, ""),
            ("elders", "t", 0, 5, "x" * 5000))
    ] + [
        (OFFSET_FETCH, only(0, {"GroupId": group, "Topics": [{"Name": topic, "PartitionIndexes": partitions}]}, 0))
        for group, topic, partitions in (("elders", "t", [0, 1, 9]), ("elders", "empty", [0]), ("elders", "nowhere", [0]), ("strangers", "t", [0]))
    ],
    "list offsets": [
        (LIST_OFFSETS, only(1, {"ReplicaId": -1, "Topics": [listed("t", (0, at), (1, at), (7, at))]})) for at in
        (LATEST, EARLIEST, MAX_TIMESTAMP, EARLIEST_LOCAL, LATEST_TIERED, -6, -99, 0, 1_700_000_000_000, 1_700_000_000_015, 1_700_000_000_041, 1 << 62)
    ] + [
        (LIST_OFFSETS, only(1, {"ReplicaId": -1, "Topics": [listed("nowhere", (0, LATEST)), listed("empty", (0, MAX_TIMESTAMP), (0, LATEST))]})),
        (LIST_OFFSETS, only(1, {"ReplicaId": -1, "Topics": [listed("nowhere", (0, -99)), listed("a/b", (0, LATEST))]})),
    ] + [
        (LIST_OFFSETS, only(4, {"ReplicaId": -1, "Topics": [
            {"Name": "t", "Partitions": [{"PartitionIndex": 0, "CurrentLeaderEpoch": epoch, "Timestamp": at}]}]}))
        for epoch in (0, 5) for at in (LATEST, 1_700_000_000_015)
    ] + [
        (LIST_OFFSETS, only(2, {"ReplicaId": -1, "IsolationLevel": 1, "Topics": [listed("t", (0, LATEST))]})),
    ],
    "metadata": [
        (METADATA, {"Topics": [{"Name": name} for name in ("t", "nowhere", "a/b", "", ".", "x" * 250)]}),
        (METADATA, only(1, {"Topics": None})), (METADATA, only(1, {"Topics": []})),
        (METADATA, only(4, {"Topics": [{"Name": "nowhere"}], "AllowAutoTopicCreation": False})),
        (METADATA, only(8, {"Topics": [{"Name": "t"}, {"Name": "nowhere"}], "IncludeTopicAuthorizedOperations": True})),
        (METADATA, only(8, {"Topics": [], "IncludeClusterAuthorizedOperations": True}, 10)),
        (METADATA, only(10, {"Topics": [{"Name": None, "TopicId": NO_TOPIC}]})),
        (METADATA, only(10, {"Topics": [{"Name": None, "TopicId": bytes(16)}]}, 11)),
        (METADATA, only(10, {"Topics": [{"Name": "t", "TopicId": NO_TOPIC}]})),
        (METADATA, {"Topics": [{"Name": "t"}, {"Name": "t"}]}),
    ],
    "create topics": [
        (CREATE_TOPICS, create(new_topic("t"))), (CREATE_TOPICS, create(new_topic("a/b"), new_topic(""), new_topic("..") , new_topic("x" * 250))),
        (CREATE_TOPICS, create(new_topic("many", factor=3), new_topic("zero", 0), new_topic("none", factor=0), new_topic("minus", -2), new_topic("less", factor=-2))),
        (CREATE_TOPICS, create(new_topic("bad", no_such_key="1"), new_topic("bad2", retention_ms="x"), new_topic("bad3", cleanup_policy="no"),
                               new_topic("bad4", min_insync_replicas="0"), new_topic("bad5", retention_ms=None))),
        (CREATE_TOPICS, create(new_topic("double"), new_topic("double"))),
        (CREATE_TOPICS, only(1, create(new_topic("checked", 3, 1, retention_ms="5"), validateOnly=True))),
        (CREATE_TOPICS, only(1, create(new_topic("checked", -1, -1), validateOnly=True))),
        (CREATE_TOPICS, only(1, create(new_topic("checked", -1, -1, [(0, [0]), (1, [0])]), validateOnly=True))),
        (CREATE_TOPICS, create(new_topic("placed", 1, 1, [(0, [0])]), new_topic("gap", -1, -1, [(0, [0]), (2, [0])]), new_topic("twice", -1, -1, [(0, [0, 0])]))),
        (CREATE_TOPICS, only(0, create(new_topic("made", 2)), 0)), (METADATA, only(1, {"Topics": [{"Name": "made"}]}, 1)),
    ],
    "delete topics": [
        (DELETE_TOPICS, only(0, {"TopicNames": ["nowhere", "a/b"], "TimeoutMs": 5000}, 5)),
        (DELETE_TOPICS, only(0, {"TopicNames": [], "TimeoutMs": 5000}, 5)),
        (DELETE_TOPICS, only(6, {"Topics": [{"Name": "nowhere"}, {"Name": None, "TopicId": NO_TOPIC}], "TimeoutMs": 5000})),
        (DELETE_TOPICS, only(6, {"Topics": [{"Name": "t", "TopicId": NO_TOPIC}], "TimeoutMs": 5000})),
    ],
    "delete records": [
        (DELETE_RECORDS, {"TimeoutMs": 5000, "Topics": [{"Name": name, "Partitions": [{"PartitionIndex": index, "Offset": offset}]}]})
        for name, index, offset in (("t", 0, 0), ("t", 0, 99), ("t", 0, -2), ("t", 9, 0), ("t", 1, -1), ("nowhere", 0, 0), ("compact", 0, 0), ("a/b", 0, 0))
    ],
    "producer id": [
        (INIT_PRODUCER_ID, {"TransactionalId": "", "TransactionTimeoutMs": 1000}),
    ],
    "end of a leader epoch": [
        (EPOCH_END, {"Topics": [{"Topic": topic, "Partitions": [{"Partition": partition, "LeaderEpoch": epoch}]}]})
        for topic, partition, epoch in (("t", 0, 0), ("t", 0, 7), ("t", 0, -1), ("t", 9, 0), ("nowhere", 0, 0), ("empty", 0, 0), ("t", 1, 0))
    ] + [
        (EPOCH_END, only(2, {"Topics": [{"Topic": "t", "Partitions": [{"Partition": 0, "CurrentLeaderEpoch": 5, "LeaderEpoch": 0}]}]})),
    ],
    "describe configs": [
        (DESCRIBE_CONFIGS, describe(TOPIC, "t")), (DESCRIBE_CONFIGS, describe(TOPIC, "set")), (DESCRIBE_CONFIGS, describe(TOPIC, "set", "retention.ms", "no.such.key")),
        (DESCRIBE_CONFIGS, only(1, {**describe(TOPIC, "set"), "IncludeSynonyms": True})),
        (DESCRIBE_CONFIGS, describe(TOPIC, "nowhere")), (DESCRIBE_CONFIGS, describe(TOPIC, "a/b")), (DESCRIBE_CONFIGS, describe(TOPIC, "")),
        (DESCRIBE_CONFIGS, describe(BROKER, "0", "log.retention.ms", "log.segment.bytes", "min.insync.replicas", "num.network.threads", "advertised.listeners", "log.retention.hours",
                                    "auto.create.topics.enable", "compression.type", "broker.rack", "ssl.keystore.password")),
        (DESCRIBE_CONFIGS, only(1, {**describe(BROKER, "0", "log.retention.ms", "log.segment.bytes", "min.insync.replicas", "log.flush.interval.ms", "log.roll.ms"), "IncludeSynonyms": True})),
        (DESCRIBE_CONFIGS, describe(BROKER, "")), (DESCRIBE_CONFIGS, describe(BROKER, "7")), (DESCRIBE_CONFIGS, describe(BROKER, "x")),
        (DESCRIBE_CONFIGS, describe(99, "0")),
    ],
    "alter configs": [
        (ALTER_CONFIGS, alter(TOPIC, "empty", ("retention.ms", "5000"))), (DESCRIBE_CONFIGS, describe(TOPIC, "empty", "retention.ms", "segment.ms")),
        (ALTER_CONFIGS, alter(TOPIC, "empty", ("segment.ms", "70000"))), (DESCRIBE_CONFIGS, describe(TOPIC, "empty", "retention.ms", "segment.ms")),
        (ALTER_CONFIGS, alter(TOPIC, "empty")), (DESCRIBE_CONFIGS, describe(TOPIC, "empty", "retention.ms", "segment.ms")),
        (ALTER_CONFIGS, alter(TOPIC, "empty", ("retention.ms", "x"))), (ALTER_CONFIGS, alter(TOPIC, "empty", ("no.such", "x"))), (ALTER_CONFIGS, alter(TOPIC, "empty", ("retention.ms", None))),
        (ALTER_CONFIGS, alter(TOPIC, "nowhere", ("retention.ms", "5"))), (ALTER_CONFIGS, alter(TOPIC, "a/b", ("retention.ms", "5"))),
        (ALTER_CONFIGS, alter(BROKER, "7", ("log.retention.ms", "5"))), (ALTER_CONFIGS, alter(BROKER, "x", ("log.retention.ms", "5"))),
        (ALTER_CONFIGS, alter(BROKER, "0", ("broker.id", "5"))), (ALTER_CONFIGS, alter(BROKER, "0", ("log.retention.ms", "x"))),
        (ALTER_CONFIGS, alter(BROKER, "", ("log.retention.ms", "700000"))), (DESCRIBE_CONFIGS, only(1, {**describe(BROKER, "0", "log.retention.ms"), "IncludeSynonyms": True})),
        (DESCRIBE_CONFIGS, describe(BROKER, "")), (ALTER_CONFIGS, alter(BROKER, "")),
        (ALTER_CONFIGS, alter(99, "x", ("a", "b"))),
    ],
    "change single configs": [
        (INCREMENTAL, alter(TOPIC, "empty", *changes)) for changes in (
            [("retention.ms", SET, "5000")], [("cleanup.policy", APPEND, "compact")], [("cleanup.policy", APPEND, "compact")], [("cleanup.policy", SUBTRACT, "delete")],
            [("cleanup.policy", SUBTRACT, "nothing")], [("retention.ms", APPEND, "5")], [("retention.ms", SUBTRACT, "5")], [("retention.ms", SET, None)],
            [("retention.ms", SET, "1"), ("retention.ms", SET, "2")], [("no.such.key", SET, "1")], [("no.such.key", DELETE, None)], [("retention.ms", SET, "x")], [("cleanup.policy", APPEND, "x")],
            [("follower.replication.throttled.replicas", APPEND, "0:1")], [("follower.replication.throttled.replicas", SUBTRACT, "0:1")], [("retention.ms", SET, " 77 ")], [])
    ] + [
        (DESCRIBE_CONFIGS, describe(TOPIC, "empty", "retention.ms", "cleanup.policy", "follower.replication.throttled.replicas")),
        (INCREMENTAL, alter(TOPIC, "empty", ("retention.ms", DELETE, None), ("cleanup.policy", DELETE, None), ("follower.replication.throttled.replicas", DELETE, None))),
        (DESCRIBE_CONFIGS, describe(TOPIC, "empty", "retention.ms", "cleanup.policy", "follower.replication.throttled.replicas")),
        (INCREMENTAL, alter(TOPIC, "nowhere", ("retention.ms", SET, "5"))), (INCREMENTAL, alter(99, "x", ("a", SET, "b"))),
        (INCREMENTAL, alter(BROKER, "7", ("log.retention.ms", SET, "5"))), (INCREMENTAL, alter(BROKER, "0", ("log.retention.ms", SET, "60000"))),
        (DESCRIBE_CONFIGS, only(1, {**describe(BROKER, "0", "log.retention.ms"), "IncludeSynonyms": True})), (DESCRIBE_CONFIGS, only(1, {**describe(TOPIC, "t", "retention.ms"), "IncludeSynonyms": True})),
        (INCREMENTAL, alter(BROKER, "0", ("log.retention.ms", DELETE, None))), (INCREMENTAL, alter(BROKER, "0", ("log.cleanup.policy", APPEND, "compact"))),
        (INCREMENTAL, alter(BROKER, "0", ("log.cleanup.policy", DELETE, None))), (INCREMENTAL, alter(BROKER, "0", ("broker.id", SET, "3"))),
        (INCREMENTAL, {"ValidateOnly": True, **alter(TOPIC, "empty", ("retention.ms", SET, "5000"))}), (DESCRIBE_CONFIGS, describe(TOPIC, "empty", "retention.ms")),
        (INCREMENTAL, {"Resources": 2 * alter(TOPIC, "empty", ("retention.ms", SET, "5000"))["Resources"]}),
    ],
    "describe log dirs": [
        (DESCRIBE_LOG_DIRS, {"Topics": [{"Topic": "t", "Partitions": [0, 1, 9]}, {"Topic": "nowhere", "Partitions": [0]}]}),
        (DESCRIBE_LOG_DIRS, {"Topics": []}),
    ],
    "create partitions": [
        (CREATE_PARTITIONS, {"TimeoutMs": 5000, "ValidateOnly": check, "Topics": [{"Name": name, "Count": count, "Assignments": assigned and [{"BrokerIds": ids} for ids in assigned]}]})
        for check, name, count, assigned in (
            (False, "t", 2, None), (False, "t", 1, None), (False, "t", 0, None), (False, "t", -1, None), (False, "nowhere", 2, None), (False, "a/b", 2, None), (True, "t", 3, None), (True, "t", 4, [[0]]),
            (True, "t", 3, [[0]]), (True, "t", 3, [[7]]), (True, "t", 3, [[0, 0]]), (True, "t", 3, [[]]), (True, "t", 2, [[0]]), (True, "t", 3, [[0, 1]]), (True, "t", 3, []))
    ] + [(CREATE_PARTITIONS, {"TimeoutMs": 5000, "Topics": 2 * [{"Name": "t", "Count": 3, "Assignments": None}], "ValidateOnly": True})],
    "elect leaders": [
        (ELECT_LEADERS, {"TopicPartitions": [{"Topic": "t", "Partitions": [0, 9]}, {"Topic": "nowhere", "Partitions": [0]}]}), (ELECT_LEADERS, {"TopicPartitions": None}),
        (ELECT_LEADERS, only(1, {"ElectionType": 1, "TopicPartitions": [{"Topic": "t", "Partitions": [0, 9]}]})), (ELECT_LEADERS, {"TopicPartitions": []}),
        (ELECT_LEADERS, only(1, {"ElectionType": 1, "TopicPartitions": None})),
    ],
    "cluster": [
        (DESCRIBE_CLUSTER, {}), (DESCRIBE_CLUSTER, {"IncludeClusterAuthorizedOperations": True}), (DESCRIBE_CLUSTER, only(1, {"EndpointType": 2})), (DESCRIBE_CLUSTER, only(1, {"EndpointType": 9})),
    ],
    "producers": [(DESCRIBE_PRODUCERS, numbers("t", 0, 1, 9)), (DESCRIBE_PRODUCERS, numbers("nowhere", 0)), (DESCRIBE_PRODUCERS, numbers("a/b", 0))],
    "SASL": [(SASL_HANDSHAKE, {"Mechanism": "PLAIN"}), (SASL_AUTHENTICATE, {"AuthBytes": b"\0a\0b"})],
}

# What Dohle may answer otherwise: (case, path within the answer, why). Not asked here at all: what only followers send; settings
# of loggers; broker settings that nobody knows and replicas on no broker at all, which Kafka takes and Dohle refuses; a null or unknown field that Kafka answers
# with UNKNOWN_SERVER_ERROR.
MAY_DIFFER = [
    (".*", r".*\.(ErrorMessage|BatchIndexErrorMessage)", "words for a person; the code beside them is the same"),
    ("produce", r".*\.LogStartOffset", "of a batch that was refused"),
    ("old fetch", r".*\.(AbortedTransactions|Records)", "of what is refused: null or empty"),
    ("fetch", r".*\.AbortedTransactions", "where there are none: null or empty"),
    (".*configs", r".*\.IsDefault", "Kafka 3.9 says false in version 0, whatever the source"),
    ("describe configs|create topics", r".*\.\[durability\]", "a setting of ours"),
]


def strip(answer, key=None):
    """Without what differs from run to run, sets in order."""
    if isinstance(answer, dict):
        return {name: strip(value, name) for name, value in answer.items() if name not in OF_THE_RUN}
    if isinstance(answer, list):
        items = [strip(item) for item in answer]
        return sorted(items, key=repr) if key in UNORDERED else items
    return answer


def differences(theirs, ours, path=""):
    if isinstance(theirs, dict) and isinstance(ours, dict):
        for name in sorted({*theirs, *ours}):
            yield from differences(theirs.get(name, "nothing"), ours.get(name, "nothing"), f"{path}.{name}")
    elif is_named(theirs) and is_named(ours):
        by_name = lambda items: {f"[{item['Name']}]": item for item in items}
        yield from differences(by_name(theirs), by_name(ours), path)
    elif isinstance(theirs, list) and isinstance(ours, list) and len(theirs) == len(ours):
        for index, (one, other) in enumerate(zip(theirs, ours)):
            yield from differences(one, other, f"{path}[{index}]")
    elif theirs != ours:
        yield path, theirs, ours


def is_named(items):
    """Whether these are settings and the like, each with a name of its own."""
    names = [item.get("Name") for item in items if isinstance(item, dict)] if isinstance(items, list) else []
    return 0 < len(names) == len(items) == len(set(names) - {None})


def asked(connection, key, version, message):
    try:
        return strip(schema.ask(connection, key, version, message))
    except (EOFError, TimeoutError) as error:
        return repr(error)


@pytest.mark.dohle
@pytest.mark.parametrize("case", CASES)
def test_answers_are_equal(pair, case):
    found = []
    served = {}
    with pair[1].connect() as connection:
        for api in schema.ask(connection, API_VERSIONS, 3, {"ClientSoftwareName": "a", "ClientSoftwareVersion": "1"})["ApiKeys"]:
            served[api["ApiKey"]] = range(api["MinVersion"], api["MaxVersion"] + 1)
    for step, (key, message) in enumerate(CASES[case]):
        wanted, message = message if isinstance(message, tuple) else (served[key], message)
        for version in sorted(set(served[key]) & set(wanted)):
            theirs, ours = (answer(broker, key, version, message) for broker in pair)
            # In Kafka a setting holds when its broker hears of it in ZooKeeper, some time after the answer to who altered it. Ours holds at once.
            over = time.monotonic() + (5 if key == DESCRIBE_CONFIGS else 0)
            while (wrong := unequal(case, theirs, ours)) and time.monotonic() < over:
                time.sleep(0.05)
                theirs = answer(pair[0], key, version, message)
            found += [f"step {step} v{version} {path}: Kafka {theirs!r}, Dohle {ours!r}\n    {str(message)[:300]}" for path, theirs, ours in wrong]
    assert not found, "\n".join(found)


def answer(broker, key, version, message):
    with broker.connect() as connection:
        return asked(connection, key, version, message)


def unequal(case, theirs, ours):
    """What differs in the answers of both and may not."""
    may = lambda path: any(re.fullmatch(where, case) and re.fullmatch(allowed, path) for where, allowed, _ in MAY_DIFFER)  # noqa: E731
    return [difference for difference in differences(theirs, ours) if not may(difference[0])]


@pytest.mark.dohle
def test_old_formats_are_converted_equally(pair):
    """What old producers sent lies in both logs alike; what old consumers read of it, and of what new producers sent, is the same."""
    times = [1_700_000_000_000 + number for number in range(3)]
    inside = [message(b"v%d" % number, offset=number, timestamp=time) for number, time in enumerate(times)]
    oldest = [message(b"v%d" % number, magic=0, offset=number) for number in range(3)]
    sent = [(2, b"".join(inside)), (0, b"".join(oldest)), (2, message(None)), (2, batch()), (7, batch(values=[b"a", b"b"])), (7, batch(key=None))]
    for codec in (GZIP, SNAPPY, LZ4):
        sent += [(2, wrapped(codec, *inside)), (0, wrapped(codec, *oldest, magic=0)), (7, batch(values=[b"a", b"b", b"c"], codec=codec))]
    for topic in ("old", "old-stamped"):
        for version, records in sent:
            answers = []
            for broker in pair:
                with broker.connect() as connection:
                    answers.append(strip(schema.ask(connection, PRODUCE, version, produce(topic, (0, records)))))
            for answer in answers:
                assert answer["Responses"][0]["PartitionResponses"][0]["ErrorCode"] == 0, answer
            assert topic == "old-stamped" or answers[0] == answers[1]
        stored = [records_of(broker, 4, fetch(topic)) for broker in pair]
        compare = (lambda read: read) if topic == "old" else (lambda read: [(*one[:3], *one[4:]) for one in read])
        end = 3 + 3 + 1 + 1 + 2 + 1 + 3 * 9
        assert topic == "old-stamped" or len(stored[0]) and stored[0][:200] == stored[1][:200], "as one batch, uncompressed"
        for version in range(4):
            for offset in (0, 1, 5, 9, 12, end - 1):
                wanted = fetch(topic, offset=offset)
                if version < 3:
                    del wanted["MaxBytes"]
                theirs, ours = (records_of(broker, version, wanted) for broker in pair)
                wanted, read = compare(messages(theirs)), compare(messages(ours))
                # Kafka sends no more bytes than the records took before they were converted.
                assert wanted and read[:len(wanted)] == wanted, f"version {version} from {offset}"
                assert read[-1][0] in (end - 1, 2) and {one[1] for one in read} == {0 if version < 2 else 1}


def records_of(broker, version, wanted):
    with broker.connect() as connection:
        [partition] = schema.ask(connection, FETCH, version, wanted)["Responses"][0]["Partitions"]
    assert partition["ErrorCode"] == 0
    return partition["Records"]
