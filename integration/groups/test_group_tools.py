"""Kafka's own tools for consumer groups: what they show and do is as against Kafka."""

import json
import re
import threading

import pytest
from confluent_kafka import TopicPartition

from groups.members import PARTITIONS, committed, member, produce, read
from harness.cluster import start_again
from harness.paths import kafka_tool
from harness.process import Process, run, until

pytestmark = pytest.mark.on("zookeeper")


def groups(broker, *arguments, check=True):
    done = run([kafka_tool("kafka-consumer-groups"), "--bootstrap-server", broker.bootstrap, *arguments], check=check)
    return done.stdout + ("" if check else done.stderr)


def table(text):
    """The rows of a tool's table, each by the words of its head."""
    lines = text.splitlines()
    [head, *_] = [number for number, line in enumerate(lines) if line.startswith(("GROUP ", "TOPIC "))] or pytest.fail(text)
    columns = [(found.start(), found.group()) for found in re.finditer(r"\S+( \(\S+\))?", lines[head])]
    ends = [start for start, _ in columns[1:]] + [None]
    cells = lambda line: {name: line[start:end].strip() for (start, name), end in zip(columns, ends)}  # noqa: E731
    return [cells(line) for line in lines[head + 1:] if line.strip()]


@pytest.fixture
def read_topic(broker, name):
    """A topic with ten records in each partition, of which a group without members has read six."""
    topic, group = broker.create_topic(name("topic"), partitions=PARTITIONS), name("group")
    produce(broker, topic, [b"%d" % number for number in range(10 * PARTITIONS)])
    consumer = member(broker, group)
    consumer.commit(offsets=[TopicPartition(topic, partition, 6) for partition in range(PARTITIONS)], asynchronous=False)
    consumer.close()
    return topic, group


def test_groups_are_listed_by_state_and_type(broker, read_topic):
    topic, group = read_topic
    reader = member(broker, f"{group}-live")
    reader.subscribe([topic])
    read(reader, 1)
    assert {group, f"{group}-live"} <= set(groups(broker, "--list").split())
    states = {row["GROUP"]: row["STATE"] for row in table(groups(broker, "--list", "--state"))}
    assert (states[group], states[f"{group}-live"]) == ("Empty", "Stable")
    states = {row["GROUP"] for row in table(groups(broker, "--list", "--state", "stable,dead"))}
    assert f"{group}-live" in states and group not in states
    types = {row["GROUP"]: row["TYPE"] for row in table(groups(broker, "--list", "--type"))}
    assert types[group].lower() == types[f"{group}-live"].lower() == "classic"
    reader.close()


def test_a_group_is_described(broker, read_topic):
    topic, group = read_topic
    said = table(groups(broker, "--describe", "--group", group))
    shown = [tuple(row[column] for column in ("TOPIC", "PARTITION", "CURRENT-OFFSET", "LOG-END-OFFSET", "LAG", "CONSUMER-ID")) for row in said]
    assert sorted(shown) == [(topic, str(partition), "6", "10", "4", "-") for partition in range(PARTITIONS)]
    assert "has no active members" in groups(broker, "--describe", "--group", group, "--members", check=False)
    reader = member(broker, group, **{"client.id": "reader"})
    reader.subscribe([topic])
    read(reader, 4 * PARTITIONS)
    [state] = table(groups(broker, "--describe", "--group", group, "--state"))
    assert state == {"GROUP": group, "COORDINATOR (ID)": f"{broker.bootstrap}  (0)", "ASSIGNMENT-STRATEGY": "range", "STATE": "Stable", "#MEMBERS": "1"}
    [shown] = table(groups(broker, "--describe", "--group", group, "--members", "--verbose"))
    assert shown["CONSUMER-ID"].startswith("reader-"), shown
    assert (shown["HOST"], shown["CLIENT-ID"], shown["#PARTITIONS"]) == ("/127.0.0.1", "reader", "4")
    assert shown["ASSIGNMENT"].endswith("(0,1,2,3)"), shown
    assert {row["CLIENT-ID"] for row in table(groups(broker, "--describe", "--group", group, "--offsets"))} == {"reader"}
    assert group in groups(broker, "--describe", "--all-groups", "--state")
    reader.close()
    assert "does not exist" in groups(broker, "--describe", "--group", f"{group}-unknown", check=False)


# Where each variant puts a group that has read 6 of 10 records, whose timestamps are those of the hour.
RESETS = {
    "--to-earliest": 0, "--to-latest": 10, "--to-current": 6, "--to-offset 3": 3, "--to-offset 99": 10, "--shift-by 2": 8, "--shift-by -4": 2,
    "--shift-by -9": 0, "--to-datetime 2020-01-01T00:00:00.000": 0, "--by-duration PT24H": 0, "--to-datetime 2099-01-01T00:00:00.000": 10,
}


@pytest.mark.long
@pytest.mark.parametrize("variant", RESETS)
def test_a_group_goes_on_elsewhere(broker, read_topic, variant):
    topic, group = read_topic
    how = ("--reset-offsets", "--group", group, "--topic", topic, *variant.split())
    planned = {row["PARTITION"]: row["NEW-OFFSET"] for row in table(groups(broker, *how, "--dry-run"))}
    assert planned == {str(partition): str(RESETS[variant]) for partition in range(PARTITIONS)}
    assert committed(broker, group, topic) == [6] * PARTITIONS, "that was only said"
    groups(broker, *how, "--execute")
    assert committed(broker, group, topic) == [RESETS[variant]] * PARTITIONS


def test_offsets_are_exported_changed_and_imported(broker, read_topic, folder):
    topic, group = read_topic
    exported = groups(broker, "--reset-offsets", "--group", group, "--topic", topic, "--to-current", "--export")
    file = folder / "offsets.csv"
    file.write_text("".join(line.rpartition(",")[0] + ",5\n" for line in exported.splitlines() if line.strip()))
    assert sorted(file.read_text().replace('"', "").split()) == [f"{topic},{partition},5" for partition in range(PARTITIONS)]
    groups(broker, "--reset-offsets", "--group", group, "--from-file", file, "--execute")
    assert committed(broker, group, topic) == [5] * PARTITIONS
    groups(broker, "--reset-offsets", "--group", group, "--topic", f"{topic}:1,2", "--shift-by", "-5", "--execute")
    assert committed(broker, group, topic) == [5, 0, 0, 5]
    groups(broker, "--reset-offsets", "--all-groups", "--all-topics", "--to-latest", "--dry-run")


def test_a_group_with_members_is_neither_reset_nor_deleted(broker, read_topic):
    topic, group = read_topic
    reader = member(broker, group)
    reader.subscribe([topic])
    read(reader, 1)
    refused = groups(broker, "--reset-offsets", "--group", group, "--topic", topic, "--to-earliest", "--execute", check=False)
    assert "Assignments can only be reset if the group" in refused and "is inactive" in refused, refused
    refused = groups(broker, "--delete", "--group", group, check=False)
    assert "GroupNotEmptyException" in refused, refused
    refused = groups(broker, "--delete-offsets", "--group", group, "--topic", topic, check=False)
    assert "actively subscribed" in refused or "GroupSubscribedToTopicException" in refused, refused
    reader.close()
    said = groups(broker, "--delete-offsets", "--group", group, "--topic", f"{topic}:0")
    assert "Successful" in said, said
    assert committed(broker, group, topic)[0] < 0
    assert "successful" in groups(broker, "--delete", "--group", group)
    assert group not in groups(broker, "--list").split()
    refused = groups(broker, "--delete", "--group", group, check=False)
    assert "GroupIdNotFoundException" in refused, refused


def test_console_consumers_share_a_group(broker, name):
    topic, group = broker.create_topic(name("topic"), partitions=PARTITIONS), name("group")
    sent = {b"%d" % number for number in range(40)}
    produce(broker, topic, sorted(sent))
    consume = [kafka_tool("kafka-console-consumer"), "--bootstrap-server", broker.bootstrap, "--topic", topic, "--group", group,
               "--from-beginning", "--timeout-ms", "10000"]
    first = run([*consume, "--max-messages", "15"]).stdout.split()
    rest = []
    threads = [threading.Thread(target=lambda: rest.extend(run(consume).stdout.split())) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(first) == 15 and sorted(first + rest) == sorted(value.decode() for value in sent), "each is read once"


def test_a_verifiable_consumer_goes_on_through_kills(brokers, coordination, folder):
    broker = brokers(properties={"offsets.topic.replication.factor": 1})
    broker.start()
    topic = broker.create_topic("t", partitions=PARTITIONS)
    events = folder / "events"
    consumer = Process("the consumer", [
        kafka_tool("kafka-verifiable-consumer"), "--bootstrap-server", broker.bootstrap, "--topic", topic, "--group-id", "g", "--reset-policy", "earliest",
        "--max-messages", "300"], events)
    consumer.start()
    for lap in range(3):
        produce(broker, topic, [b"%d" % number for number in range(100 * lap, 100 * lap + 100)])
        until(60, lambda: 100 * (lap + 1) <= consumed(events), lambda: f"{consumed(events)} are read and committed\n{consumer.tail()}")
        if lap < 2:
            broker.kill()
            start_again(broker)
    assert consumer.exit_code(60) == 0, consumer.tail()
    said = [json.loads(line) for line in events.read_text().splitlines() if line.startswith("{")]
    offsets = {(p["topic"], p["partition"]): [] for event in said if event["name"] == "records_consumed" for p in event["partitions"]}
    for event in said:
        for part in event["partitions"] if event["name"] == "records_consumed" else []:
            offsets[part["topic"], part["partition"]] += range(part["minOffset"], part["maxOffset"] + 1)
    assert {key: sorted(set(found)) for key, found in offsets.items()} == {(topic, partition): list(range(75)) for partition in range(PARTITIONS)}
    done = [event["success"] for event in said if event["name"] == "offsets_committed"]
    assert done.count(True), "something was committed"


def consumed(events):
    lines = [line for line in events.read_text().splitlines() if '"records_consumed"' in line]
    found = set()
    for part in (part for line in lines for part in json.loads(line)["partitions"]):
        found |= {(part["partition"], offset) for offset in range(part["minOffset"], part["maxOffset"] + 1)}
    return len(found)
