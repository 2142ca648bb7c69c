"""`dohle group` and `dohle consume --group`: what a person sees, beside members of other clients."""

import json
import os
import pty
import signal
import subprocess

import pytest

from groups.members import PARTITIONS, committed, member, produce
from harness import paths
from harness.cluster import start_again
from harness.process import Process, run, until

pytestmark = pytest.mark.on("zookeeper")


def dohle(broker, *arguments, check=True, text=""):
    return run([paths.DOHLE, *arguments, "--bootstrap-server", broker.bootstrap], check=check, text=text)


def consume(broker, topic, group, *arguments):
    return dohle(broker, "consume", topic, "--group", group, "--until-end", *arguments).stdout.split()


def answered(broker, answer, *arguments):
    """What a command says to somebody who sits at a terminal and answers its question."""
    keyboard, terminal = pty.openpty()
    child = subprocess.Popen([paths.DOHLE, *arguments, "--bootstrap-server", broker.bootstrap], stdin=terminal, stdout=subprocess.PIPE,
                             stderr=subprocess.STDOUT, text=True)
    os.write(keyboard, answer)
    said, _ = child.communicate(timeout=30)
    os.close(keyboard), os.close(terminal)
    assert child.returncode == 0 and "[y/N]" in said, said
    return said


@pytest.fixture
def filled(broker, name):
    """A topic with ten records in each partition, and the name of a group."""
    topic = broker.create_topic(name("topic"), partitions=PARTITIONS)
    produce(broker, topic, [b"a%d" % number for number in range(10 * PARTITIONS)])
    return topic, name("group")


def test_a_group_goes_on_where_it_was(broker, filled):
    topic, group = filled
    first = consume(broker, topic, group, "--from-beginning", "--max-messages", "13")
    assert len(first) == 13 and sum(offset for offset in committed(broker, group, topic) if 0 < offset) == 13
    rest = consume(broker, topic, group, "--from-beginning")
    assert sorted(first + rest) == sorted(f"a{number}" for number in range(40)), "each once"
    assert consume(broker, topic, group) == []
    produce(broker, topic, [b"b%d" % number for number in range(20)])
    assert sorted(consume(broker, topic, group)) == sorted(f"b{number}" for number in range(20))
    assert consume(broker, topic, f"{group}-late") == [], "a new group begins at the end"
    unknown = dohle(broker, "consume", "nowhere", "--group", group, check=False)
    assert unknown.returncode == 1 and "dohle topic create nowhere" in unknown.stderr


def test_members_share_with_those_of_other_clients_and_tell_when_they_go(broker, filled, folder):
    topic, group = filled
    reader = lambda number: Process(f"reader {number}", [  # noqa: E731
        paths.DOHLE, "consume", topic, "--group", group, "--from-beginning", "--bootstrap-server", broker.bootstrap], folder / f"reader-{number}").start()
    shown = lambda process: [line for line in process.log.read_text().split() if line[0] in "ab"]  # noqa: E731
    one = reader(1)
    until(30, lambda: len(shown(one)) == 40, one.tail)
    other = member(broker, group)
    other.subscribe([topic])
    two = one
    try:
        until(30, lambda: other.poll(0.2) or len(other.assignment()) == PARTITIONS // 2, "half goes to the other")
        two = reader(2)
        members = lambda: json.loads(dohle(broker, "group", "describe", group, "--json").stdout)  # noqa: E731
        until(30, lambda: other.poll(0.1) or (len(members()["members"]), members()["state"]) == (3, "Stable"), "a third one is in")
        one.signal(signal.SIGINT)
        assert one.exit_code() == 0
        two.signal(signal.SIGTERM)
        assert two.exit_code() == 0
        # Long before the session of 45 s is over.
        until(15, lambda: other.poll(0.2) or len(other.assignment()) == PARTITIONS, "all goes to who stays")
    finally:
        other.close()
        one.kill(), two.kill()
    assert committed(broker, group, topic) == [10] * PARTITIONS


def test_a_member_goes_on_when_the_broker_does(brokers, coordination, folder):
    broker = brokers(properties={"offsets.topic.replication.factor": 1}).start()
    topic = broker.create_topic("t", partitions=PARTITIONS)
    reader = Process("the reader", [paths.DOHLE, "consume", topic, "--group", "g", "--from-beginning", "--bootstrap-server", broker.bootstrap], folder / "reader")
    reader.start()
    seen = lambda: [line for line in reader.log.read_text().split() if line.startswith("v")]  # noqa: E731
    for lap in range(3):
        produce(broker, topic, [b"v%d" % number for number in range(40 * lap, 40 * lap + 40)])
        until(60, lambda: len(set(seen())) == 40 * (lap + 1), lambda: f"{len(set(seen()))} are shown\n{reader.tail()}")
        if lap < 2:
            broker.kill()
            start_again(broker)
    reader.signal(signal.SIGINT)
    assert reader.exit_code() == 0, reader.tail()
    assert committed(broker, "g", topic) == [30] * PARTITIONS


def test_groups_are_listed_described_reset_and_deleted(broker, filled):
    topic, group = filled
    consume(broker, topic, group, "--from-beginning")
    [listed] = [found for found in json.loads(dohle(broker, "group", "list", "--json").stdout) if found["group"] == group]
    assert (listed["state"], listed["coordinator"], listed["type"]) == ("Empty", broker.bootstrap, "classic")
    assert group in dohle(broker, "group", "list", "--state", "empty").stdout and group not in dohle(broker, "group", "list", "--state", "stable").stdout
    produce(broker, topic, [b"b"] * PARTITIONS)
    shown = dohle(broker, "group", "describe", group).stdout
    assert f"Group: {group}  State: Empty  Members: 0  Protocol: none  Lag: {PARTITIONS}" in shown, shown
    described = json.loads(dohle(broker, "group", "describe", group, "--json").stdout)
    assert [(it["topic"], it["partition"], it["committed"], it["end"], it["lag"], it["member"]) for it in described["partitions"]] \
        == [(topic, partition, 10, 11, 1, None) for partition in range(PARTITIONS)]

    planned = dohle(broker, "group", "reset-offsets", group, "--topic", f"{topic}:1,2", "--to", "3")
    assert "Nothing was changed" in planned.stderr and planned.stdout.count(topic) == 2 and committed(broker, group, topic) == [10] * PARTITIONS
    for place, expected in (("3", [10, 3, 3, 10]), ("-1", [10, 2, 2, 10]), ("earliest", [10, 0, 0, 10]), ("99", [10, 11, 11, 10]), ("@1", [10, 0, 0, 10])):
        dohle(broker, "group", "reset-offsets", group, "--topic", f"{topic}:1,2", f"--to={place}", "--yes")
        assert committed(broker, group, topic) == expected, place
    changes = json.loads(dohle(broker, "group", "reset-offsets", group, "--all-topics", "--to", "latest", "--execute", "--json").stdout)
    assert {(change["to"], change["lag"]) for change in changes} == {(11, 0)} and committed(broker, group, topic) == [11] * PARTITIONS
    assert consume(broker, topic, group) == []

    assert f"committed offsets of {PARTITIONS} partitions" in dohle(broker, "group", "delete", group).stdout
    assert "Nothing was changed." in answered(broker, b"n\n", "group", "delete", group)
    assert group in dohle(broker, "group", "list").stdout
    assert "Changed group" in answered(broker, b"y\n", "group", "reset-offsets", group, "--topic", topic, "--to", "4")
    assert committed(broker, group, topic) == [4] * PARTITIONS
    assert "Deleted" in dohle(broker, "group", "delete", group, "--yes").stdout
    for asked in (("describe", group), ("delete", group, "--yes")):
        refused = dohle(broker, "group", *asked, check=False)
        assert refused.returncode == 1 and f"there is no group '{group}'" in refused.stderr and "dohle group list" in refused.stderr, refused
    assert "There is no group" in dohle(broker, "group", "delete", group, "--yes", "--if-exists").stdout


def test_a_group_with_members_is_shown_and_left_alone(broker, filled):
    topic, group = filled
    reader = member(broker, group, **{"client.id": "reader"})
    reader.subscribe([topic])
    until(30, lambda: reader.poll(0.2) or len(reader.assignment()) == PARTITIONS, "it reads all")
    [who] = json.loads(dohle(broker, "group", "describe", group, "--json").stdout)["members"]
    assert (who["client"], who["host"], who["partitions"]) == ("reader", "/127.0.0.1", [f"{topic}-{partition}" for partition in range(PARTITIONS)])
    shown = dohle(broker, "group", "describe", group, "--members").stdout
    assert "State: Stable  Members: 1  Protocol: range" in shown and "/127.0.0.1" in shown, shown
    for asked in (("reset-offsets", group, "--topic", topic, "--to", "earliest"), ("delete", group)):
        refused = dohle(broker, "group", *asked, "--yes", check=False)
        assert refused.returncode == 1 and "has members: reader (/127.0.0.1)" in refused.stderr and "End them first" in refused.stderr, refused
    reader.close()
