"""Dohle's own client in groups of the consumer protocol (KIP-848), beside members of librdkafka and Java 4."""

import json
import re
import signal

import pytest

from groups.members import PARTITIONS, QUICK, committed, produce
from groups.test_consumer_protocol import member
from harness import paths
from harness.cluster import start_again
from harness.paths import kafka4_tool
from harness.process import Process, run, until

QUICKER = {"group.consumer.session.timeout.ms": 3000}


def dohle(broker, *arguments, check=True):
    return run([paths.DOHLE, *arguments, "--bootstrap-server", broker.bootstrap], check=check)


def reader(broker, topic, group, log, *options):
    more = [part for option in options for part in ("-X", option)]
    return Process(log.name, [
        paths.DOHLE, "consume", topic, "--group", group, "--from-beginning", "--bootstrap-server", broker.bootstrap,
        "-X", "group.protocol=consumer", "-X", "auto.commit.interval.ms=200", *more], log).start()


def shown(*readers):
    return [line for reader in readers for line in reader.log.read_text().splitlines() if re.fullmatch("[abc][0-9]+", line)]


def described(broker, group):
    said = dohle(broker, "group", "describe", group, "--json", check=False)
    return json.loads(said.stdout) if said.returncode == 0 else {"members": []}


def parts(broker, group):
    """How many partitions each member reads, by its client's name."""
    return sorted((it["client"], len(it["partitions"])) for it in described(broker, group)["members"])


@pytest.mark.dohle
def test_native_members_share_a_group_with_librdkafka_and_java(quick, name, folder):
    topic, group = quick.create_topic(name("topic"), partitions=PARTITIONS), name("group")
    values = lambda lap: [f"{lap}{number}" for number in range(10 * PARTITIONS)]  # noqa: E731
    put = lambda lap: produce(quick, topic, [value.encode() for value in values(lap)])  # noqa: E731
    ours, theirs, others = [], [], []
    librdkafka = member(quick, group, **{"client.id": "librdkafka", "enable.auto.commit": True, "auto.commit.interval.ms": 200})

    def poll():
        message = librdkafka.poll(0.1)
        if message is not None:
            assert message.error() is None, message.error()
            theirs.append(message.value().decode())

    def wait(condition, what):
        until(40, lambda: poll() or condition(), lambda: f"{what}: {parts(quick, group)} {[it.tail() for it in ours]}")

    try:
        put("a")
        ours.append(reader(quick, topic, group, folder / "one", "client.id=one"))
        wait(lambda: len(shown(*ours)) == 10 * PARTITIONS, "the first reads all")
        ours.append(reader(quick, topic, group, folder / "two", "client.id=two", "group.instance.id=i"))
        wait(lambda: parts(quick, group) == [("one", 2), ("two", 2)], "each has half")
        librdkafka.subscribe([topic])
        others.append(Process("java", [
            kafka4_tool("kafka-console-consumer"), "--bootstrap-server", quick.bootstrap, "--topic", topic, "--group", group,
            "--consumer-property", "group.protocol=consumer", "--consumer-property", "client.id=java",
            "--consumer-property", "auto.commit.interval.ms=200"], folder / "java").start())
        wait(lambda: parts(quick, group) == [(who, 1) for who in ("java", "librdkafka", "one", "two")], "each has one")
        assert described(quick, group)["protocol"] == "uniform"
        put("b")
        all_shown = lambda: sorted(shown(*ours, *others) + theirs)  # noqa: E731
        wait(lambda: len(all_shown()) == 20 * PARTITIONS, "the second lap")
        assert all_shown() == sorted(values("a") + values("b")), "each once"
        # Who leaves gives back at once; who is killed, when its session ends.
        ours[0].signal(signal.SIGINT)
        assert ours[0].exit_code() == 0, ours[0].tail()
        wait(lambda: [who for who, _ in parts(quick, group)] == ["java", "librdkafka", "two"], "three are left")
        others[0].kill()
        wait(lambda: parts(quick, group) == [("librdkafka", 2), ("two", 2)], "two are left")
        librdkafka.close()
        until(20, lambda: parts(quick, group) == [("two", 4)], lambda: f"{parts(quick, group)}")
        put("c")
        until(20, lambda: len(shown(ours[1])) >= 10 * PARTITIONS and set(values("c")) <= set(shown(ours[1])), ours[1].tail)
        ours[1].signal(signal.SIGTERM)
        assert ours[1].exit_code() == 0, ours[1].tail()
        assert committed(quick, group, topic) == [30] * PARTITIONS
        assert [it["instance_id"] for it in described(quick, group)["members"]] == ["i"], "a static member leaves for a while"
    finally:
        for process in (*ours, *others):
            process.kill()
        librdkafka.close()  # once more is no error


@pytest.mark.dohle
def test_members_come_and_go_and_nothing_is_lost(quick, name, folder):
    topic, group = quick.create_topic(name("topic"), partitions=PARTITIONS), name("group")
    readers, count = [], 0
    try:
        for lap in range(6):
            readers.append(reader(quick, topic, group, folder / f"reader-{lap}"))
            if lap == 2:
                readers[0].kill()
            if lap == 4:
                readers[1].signal(signal.SIGINT)
                assert readers[1].exit_code() == 0, readers[1].tail()
            produce(quick, topic, [b"a%d" % number for number in range(count, count + 200)])
            count += 200
        until(40, lambda: len(set(shown(*readers))) == count, lambda: f"{len(set(shown(*readers)))} of {count} {[it.tail() for it in readers]}")
        until(20, lambda: sum(committed(quick, group, topic)) == count, lambda: f"{committed(quick, group, topic)}")
        assert sum(size for _, size in parts(quick, group)) == PARTITIONS
    finally:
        for process in readers:
            process.kill()


@pytest.mark.dohle
def test_a_native_member_goes_on_when_the_broker_does(brokers, folder):
    broker = brokers(properties=QUICK).start()
    topic = broker.create_topic("t", partitions=PARTITIONS)
    ours = reader(broker, topic, "g", folder / "ours")
    try:
        for lap in range(3):
            produce(broker, topic, [b"a%d" % number for number in range(40 * lap, 40 * lap + 40)])
            until(60, lambda: len(set(shown(ours))) == 40 * (lap + 1), ours.tail)
            if lap < 2:
                broker.kill()
                start_again(broker)
        ours.signal(signal.SIGINT)
        assert ours.exit_code() == 0, ours.tail()
        assert committed(broker, "g", topic) == [30] * PARTITIONS
    finally:
        ours.kill()


@pytest.mark.dohle
def test_two_of_the_same_instance_do_not_share_its_name(quick, name, folder):
    topic, group = quick.create_topic(name("topic"), partitions=PARTITIONS), name("group")
    one = reader(quick, topic, group, folder / "one", "group.instance.id=i")
    try:
        until(20, lambda: [size for _, size in parts(quick, group)] == [PARTITIONS], one.tail)
        two = dohle(quick, "consume", topic, "--group", group, "-X", "group.protocol=consumer", "-X", "group.instance.id=i", check=False)
        assert two.returncode == 1 and "UNRELEASED_INSTANCE_ID" in two.stderr and "give each its own" in two.stderr, two.stderr
    finally:
        one.kill()


@pytest.mark.dohle
def test_the_end_comes_and_the_group_goes_on_there(quick, name):
    topic, group = quick.create_topic(name("topic"), partitions=PARTITIONS), name("group")
    produce(quick, topic, [b"a%d" % number for number in range(40)])
    read = lambda *more: dohle(quick, "consume", topic, "--group", group, "--from-beginning", "-X", "group.protocol=consumer", *more)  # noqa: E731
    first = read("--max-messages", "13", "-X", "group.remote.assignor=range").stdout.split()
    assert len(first) == 13
    assert sorted(first + read("--until-end").stdout.split()) == sorted(f"a{number}" for number in range(40)), "each once"
    assert read("--timeout-ms", "1000").stdout == ""
    unknown = dohle(quick, "consume", topic, "--group", group, "-X", "group.protocol=consumer", "-X", "group.remote.assignor=no", check=False)
    assert unknown.returncode == 1 and "UNSUPPORTED_ASSIGNOR" in unknown.stderr and "uniform" in unknown.stderr, unknown.stderr


def test_a_broker_without_the_protocol_is_told_clearly(broker, name):
    topic, group = broker.create_topic(name("topic"), partitions=1), name("group")
    refused = dohle(broker, "consume", topic, "--group", group, "-X", "group.protocol=consumer", check=False)
    assert refused.returncode == 1 and "the consumer protocol (KIP-848)" in refused.stderr and "Leave group.protocol out" in refused.stderr, refused.stderr
    for key in ("session.timeout.ms=6000", "heartbeat.interval.ms=500", "partition.assignment.strategy=range"):
        refused = dohle(broker, "consume", topic, "--group", group, "-X", "group.protocol=consumer", "-X", key, check=False)
        assert refused.returncode == 1 and f"{key.split('=')[0]} cannot be set when group.protocol=consumer" in refused.stderr, refused.stderr
