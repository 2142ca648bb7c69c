"""Replicas go from one log dir of a broker to another while they serve."""

import json
import os
import threading

from harness import admin
from harness.cluster import start_again
from harness.process import until
from harness.tools import plan, replicas, tool

VALUE = 100_000
DIRS = {"log.dirs": "IN_FOLDER/a,IN_FOLDER/b", "log.segment.delete.delay.ms": "1000"}


def places(broker, name="t-0"):
    """The dir where a replica is, and the other one."""
    dirs = [broker.folder / "a", broker.folder / "b"]
    return sorted(dirs, key=lambda place: not (place / name).exists())


def described(cluster, broker, topic="t", partition=0):
    """What kafka-log-dirs says of a replica: (dir, is it the one to be, offset lag)."""
    said = tool(cluster, "kafka-log-dirs", "--describe", "--topic-list", topic, "--broker-list", str(broker))
    [line] = [line for line in said.splitlines() if line.startswith("{")]
    [answer] = json.loads(line)["brokers"]
    return sorted((place["logDir"], one["isFuture"], one["offsetLag"]) for place in answer["logDirs"] for one in place["partitions"]
                  if one["partition"] == f"{topic}-{partition}")


def folders(broker, ending=""):
    return [folder for place in places(broker) for folder in place.glob(f"t-0*{ending}")]


def test_replicas_go_to_other_log_dirs_while_they_serve(cluster, folder):
    three = cluster(**DIRS)
    three.create("t")
    expected = [b"%d" % number for number in range(200)]
    for value in expected:
        three.produce("t", value)
    order = replicas(three, "t")
    was = {id: places(three.brokers[id]) for id in order}
    stopping = threading.Event()

    def write():
        while not stopping.is_set():
            expected.append(b"%d" % len(expected))
            three.produce("t", expected[-1])

    writer = threading.Thread(target=write)
    writer.start()
    file = plan(folder, {("t", 0): (order, [was[id][1] for id in order])})
    said = tool(three, "kafka-reassign-partitions", "--reassignment-json-file", file, "--execute")
    assert "Successfully started" in said, said
    verify = lambda: tool(three, "kafka-reassign-partitions", "--reassignment-json-file", file, "--verify")  # noqa: E731
    until(60, lambda: verify().count("completed successfully") == 3, verify)
    stopping.set()
    writer.join()
    for id in order:
        broker, (old, new) = three.brokers[id], was[id]
        assert (new / "t-0").exists() and not (old / "t-0").exists()
        assert described(three, id) == [(str(new), False, 0)]
        until(20, lambda: folders(broker) == [new / "t-0"], lambda: f"what was left goes: {folders(broker)}")
    three.in_sync("t")
    assert three.values("t") == expected, "nothing is lost, and in order"
    for id in order:
        three.brokers[id].kill()
        start_again(three.brokers[id])
        three.in_sync("t")
        assert places(three.brokers[id]) == [was[id][1], was[id][0]]
    assert three.values("t") == expected


def test_a_move_goes_on_after_a_crash_in_its_middle(cluster, folder):
    three = cluster(**DIRS)
    three.create("t")
    values = [os.urandom(VALUE) for _ in range(40)]
    for value in values:
        three.produce("t", value)
    order = replicas(three, "t")
    broker = three.brokers[order[0]]
    old, new = places(broker)
    file = plan(folder, {("t", 0): (order, [new, "any", "any"])})
    # It takes some fifteen seconds.
    said = tool(three, "kafka-reassign-partitions", "--reassignment-json-file", file, "--execute", "--replica-alter-log-dirs-throttle", "250000")
    assert "The replica-alter-dir throttle limit was set to 250000 B/s" in said, said
    copied = lambda: sum(log.stat().st_size for place in folders(broker, "-future") for log in place.glob("*.log"))  # noqa: E731
    until(30, lambda: VALUE < copied(), "it copies")
    [(where, _, _), (there, future, lag)] = sorted(described(three, order[0]), key=lambda one: one[1])
    assert (where, there, future) == (str(old), str(new), True) and 0 < lag <= len(values)
    broker.kill()
    assert copied() < VALUE * len(values), "in the middle"
    start_again(broker)
    three.in_sync("t")
    verify = lambda: tool(three, "kafka-reassign-partitions", "--reassignment-json-file", file, "--verify")  # noqa: E731
    until(90, lambda: "completed successfully" in verify(), verify)
    assert (new / "t-0").exists() and not (old / "t-0").exists()
    said = tool(three, "kafka-configs", "--describe", "--entity-type", "brokers", "--entity-name", str(order[0]))
    assert "replica.alter.log.dirs.io.max.bytes.per.second=" not in said, said
    assert three.values("t") == values
    until(20, lambda: folders(broker) == [new / "t-0"], lambda: f"what was left goes: {folders(broker)}")


def test_a_new_replica_is_made_in_the_log_dir_that_is_asked_for(cluster, folder):
    four = cluster(**DIRS)
    four.create("t")
    four.produce("t", b"x")
    fourth = four.add(four.brokers[0].kind).start()
    until(30, lambda: len(four.ask(admin.brokers)) == 4, "the fourth broker is known")
    # There is nothing in either dir: without the wish it would be the first.
    wanted = fourth.folder / "b"
    file = plan(folder, {("t", 0): ([3, *replicas(four, "t")[:2]], [wanted, "any", "any"])})
    said = tool(four, "kafka-reassign-partitions", "--reassignment-json-file", file, "--execute")
    assert "Successfully started" in said, said
    verify = lambda: tool(four, "kafka-reassign-partitions", "--reassignment-json-file", file, "--verify")  # noqa: E731
    until(60, lambda: "completed successfully" in verify(), verify)
    assert (wanted / "t-0").exists()
