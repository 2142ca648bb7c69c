"""Dohle's own client, through its command line: in groups with members of other clients, with Kafka's configuration keys."""

import json
import signal

import pytest

from groups.members import PARTITIONS, committed, member, produce
from harness import admin, paths
from harness.process import Process, run, until

pytestmark = pytest.mark.on("zookeeper")


def dohle(broker, *arguments, check=True, text=""):
    return run([paths.DOHLE, *arguments, "--bootstrap-server", broker.bootstrap], check=check, text=text)


@pytest.fixture
def filled(broker, name):
    topic = broker.create_topic(name("topic"), partitions=PARTITIONS)
    produce(broker, topic, [b"a%d" % number for number in range(10 * PARTITIONS)])
    return topic, name("group")


def reader(broker, topic, group, assignor, log):
    return Process("the reader", [
        paths.DOHLE, "consume", topic, "--group", group, "--from-beginning", "--bootstrap-server", broker.bootstrap,
        "-X", f"partition.assignment.strategy={assignor}", "-X", "heartbeat.interval.ms=500", "-X", "session.timeout.ms=6000",
        "-X", "auto.commit.interval.ms=200"], log).start()


def shown(process):
    return [line for line in process.log.read_text().split() if line[0] in "abc"]


@pytest.mark.parametrize("assignor", ["range", "roundrobin", "cooperative-sticky"])
def test_it_shares_a_group_with_librdkafka_on(assignor, broker, filled, folder):
    topic, group = filled
    ours = reader(broker, topic, group, assignor, folder / "ours")
    other = member(broker, group, **{"partition.assignment.strategy": assignor, "enable.auto.commit": True, "auto.commit.interval.ms": 200})
    theirs = []

    def poll():
        message = other.poll(0.2)
        if message is not None and message.error() is None:
            theirs.append(message.value().decode())

    try:
        until(30, lambda: len(shown(ours)) == 10 * PARTITIONS, ours.tail)
        other.subscribe([topic])
        until(40, lambda: poll() or len(other.assignment()) == PARTITIONS // 2, "half goes to the other")
        produce(broker, topic, [b"b%d" % number for number in range(10 * PARTITIONS)])
        until(30, lambda: poll() or len(shown(ours)) + len(theirs) >= 20 * PARTITIONS, lambda: f"{len(shown(ours))} and {len(theirs)}")
        assert sorted(shown(ours) + theirs) == sorted(f"{lap}{number}" for lap in "ab" for number in range(10 * PARTITIONS)), "each once"
        assert f"Protocol: {assignor}" in dohle(broker, "group", "describe", group, "--members").stdout
        ours.signal(signal.SIGINT)
        assert ours.exit_code() == 0, ours.tail()
        until(20, lambda: poll() or len(other.assignment()) == PARTITIONS, "all goes to who stays")
    finally:
        other.close()
        ours.kill()
    assert committed(broker, group, topic) == [20] * PARTITIONS


@pytest.mark.parametrize("assignor", ["sticky", "cooperative-sticky"])
def test_it_shares_a_group_with_java_on(assignor, broker, filled, folder):
    topic, group = filled
    strategy = {"sticky": "StickyAssignor", "cooperative-sticky": "CooperativeStickyAssignor"}[assignor]
    theirs = Process("the console consumer", [
        paths.kafka_tool("kafka-console-consumer"), "--bootstrap-server", broker.bootstrap, "--topic", topic, "--group", group, "--from-beginning",
        "--consumer-property", f"partition.assignment.strategy=org.apache.kafka.clients.consumer.{strategy}",
        "--consumer-property", "heartbeat.interval.ms=500", "--consumer-property", "auto.commit.interval.ms=200"], folder / "theirs").start()
    ours = one = theirs
    try:
        until(60, lambda: len(shown(theirs)) == 10 * PARTITIONS, theirs.tail)
        ours, one = (reader(broker, topic, group, assignor, folder / who) for who in ("ours", "one more"))
        describe = lambda: dohle(broker, "group", "describe", group, "--members").stdout  # noqa: E731
        until(40, lambda: "State: Stable  Members: 3" in describe(), describe)
        total, lap = 10 * PARTITIONS, 0

        def all_read():
            nonlocal total, lap
            seen = shown(theirs) + shown(ours) + shown(one)
            if ours.log.exists() and shown(ours) and shown(one) and len(seen) >= total:
                return True
            if len(seen) >= total:
                # The next lap goes to whoever has a partition by now.
                produce(broker, topic, [b"b%d.%d" % (lap, number) for number in range(PARTITIONS)])
                total, lap = total + PARTITIONS, lap + 1
            return False

        until(60, all_read, lambda: f"{describe()}\n{ours.tail()}\n{one.tail()}")
        seen = shown(theirs) + shown(ours) + shown(one)
        assert len(set(seen)) == total and len(seen) == total, "each once"
    finally:
        for process in (theirs, ours, one):
            process.kill()


def test_kafkas_configuration_keys_are_checked_and_used(broker, name):
    topic = broker.create_topic(name("topic"), partitions=1)
    refused = dohle(broker, "produce", topic, "-X", "lingr.ms=5", check=False, text="x\n")
    assert refused.returncode == 1 and "a producer has no key 'lingr.ms': did you mean 'linger.ms'?" in refused.stderr, refused
    refused = dohle(broker, "consume", topic, "-X", "fetch.max.wait.ms=-1", check=False)
    assert refused.returncode == 1 and "fetch.max.wait.ms: Value must be at least 0" in refused.stderr, refused
    refused = dohle(broker, "produce", topic, "-X", "transactional.id=t", check=False, text="x\n")
    assert refused.returncode == 1 and "is not implemented" in refused.stderr, refused
    refused = dohle(broker, "produce", topic, "-X", "max.request.size=1000", check=False, text="x" * 2000 + "\n")
    assert refused.returncode == 1 and "is larger than max.request.size allows: 1000" in refused.stderr, refused
    lines = [f"{number}" for number in range(3000)]
    dohle(broker, "produce", topic, "-X", "batch.size=500", "-X", "compression.type=zstd", "-X", "compression.zstd.level=-5", "-X", "linger.ms=0",
          "-X", "buffer.memory=40000", text="\n".join(lines))
    assert dohle(broker, "consume", topic, "--from-beginning", "--until-end", "-X", "fetch.max.bytes=1000").stdout.split() == lines


def test_the_client_library_is_measured(broker, name):
    """`dohle bench producer` and `consumer`: every record is acknowledged and read, whatever the broker."""
    topic = broker.create_topic(name("topic"), partitions=3)
    bench = lambda what, *arguments: json.loads(dohle(broker, "bench", what, "--topic", topic, "--json", *arguments).stdout)  # noqa: E731
    written = bench("producer", "--records", 20_000, "-X", "batch.size=5000", "-X", "compression.type=lz4")
    assert written["records"] == 20_000 and written["bytes"] == 2_000_000 and 0 < written["records_per_client_cpu_second"]
    single = bench("producer", "--records", 50, "--rate", 1000, "-X", "linger.ms=0")
    assert single["latency_micros"]["samples"] == 50 and 0 < single["latency_micros"]["p99"]
    read = bench("consumer", "--records", 20_050)
    assert read["records"] == 20_050 and read["bytes"] == 2_005_000
    with broker.connect() as connection:
        assert sum(admin.offset(connection, topic, partition=partition)[1] for partition in range(3)) == 20_050, "each once"


@pytest.mark.parametrize("magic", [0, 1])
@pytest.mark.parametrize("codec", ["none", "gzip", "lz4"])
def test_load_in_an_old_format_is_stored_in_todays(broker, name, magic, codec):
    topic = broker.create_topic(name("topic"))
    sent = json.loads(dohle(broker, "bench", "latency", "--topic", topic, "--magic", magic, "--codec", codec, "--batch-bytes", 4096, "--record-bytes", 100,
                            "--rate", 100, "--seconds", 0.3, "--json").stdout)
    assert 0 < sent["records"] and sent["unanswered"] == 0
    read = dohle(broker, "consume", topic, "--from-beginning", "--until-end", "--format", "json").stdout.splitlines()
    assert len(read) == sent["records"]
