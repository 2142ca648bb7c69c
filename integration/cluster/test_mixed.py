"""Dohle and Apache Kafka 3.9 in one cluster: a broker of the other kind joins, follows, leads, is killed under load, gives its replicas away
and takes them back, whichever kind the controller is."""

import re

import pytest

from harness import admin
from harness.cluster import PARTITIONS, start_again
from harness.load import Load, all_equal, led
from harness.process import until
from harness.tools import move, replicas, tool

pytestmark = pytest.mark.dohle


@pytest.mark.long
@pytest.mark.timeout(400)
@pytest.mark.parametrize("kinds", [("kafka", "dohle", "dohle", "kafka"), ("dohle", "kafka", "kafka", "dohle")], ids=["kafka-controls", "dohle-controls"])
def test_a_broker_of_the_other_kind_takes_part(cluster, folder, kinds):
    """Broker 0 starts first and is the controller; the last three are those that change."""
    mixed = cluster(*kinds[:1], **{"auto.leader.rebalance.enable": "false"})
    for kind in kinds[1:3]:
        mixed.add(kind).start()
    until(30, lambda: len(mixed.ask(admin.brokers)) == 3, "every broker is known")
    assert mixed.ask(admin.controller) == 0
    mixed.create("t", **{"min.insync.replicas": "2"})
    with Load(mixed.bootstrap, "t", rate=300) as load:
        load.acknowledges(count=20)
        other = kinds.index(kinds[1], 1)
        # Made leader of everything.
        move(mixed, folder, {("t", partition): [other, *(id for id in range(3) if id != other)] for partition in range(PARTITIONS)})
        tool(mixed, "kafka-leader-election", "--election-type", "preferred", "--all-topic-partitions")
        until(30, lambda: len(led(mixed, "t", other)) == PARTITIONS, "the other kind leads everything")
        load.acknowledges(count=20)
        # Killed under load.
        mixed.brokers[other].kill()
        load.acknowledges(count=20, seconds=60)
        start_again(mixed.brokers[other])
        mixed.in_sync("t")
        # A fourth broker, of the controller's other kind or the same, takes all replicas of one broker, and gives them back.
        mixed.add(kinds[3]).start()
        until(30, lambda: len(mixed.ask(admin.brokers)) == 4, "the fourth broker is known")
        for brokers in ([3, 0, 1], [1, 2, 3], [2, 0, 1]):
            move(mixed, folder, {("t", partition): brokers for partition in range(PARTITIONS)})
            load.acknowledges(count=20)
            gone = ({0, 1, 2, 3} - set(brokers)).pop()
            until(60, lambda: not any((mixed.brokers[gone].data / f"t-{partition}").exists() for partition in range(PARTITIONS)), f"broker {gone} has nothing left")
    assert replicas(mixed, "t") == [2, 0, 1]
    load.check(mixed)
    until(30, lambda: all(len({log for log in mixed.copies("t", partition) if log}) == 1 for partition in range(PARTITIONS)), "all replicas have the same bytes")
    # A topic is deleted everywhere, and made again.
    assert "t" in tool(mixed, "kafka-topics", "--list").split()
    tool(mixed, "kafka-topics", "--delete", "--topic", "t")
    until(60, lambda: not any(list(broker.data.glob("t-[0-9]")) for broker in mixed.brokers), "no broker has a folder of it")
    until(30, lambda: "t" not in tool(mixed, "kafka-topics", "--list").split(), "it is not listed")
    mixed.create("t", **{"min.insync.replicas": "2"})
    mixed.produce("t", b"new")
    assert mixed.values("t") == [b"new"]
    for broker in mixed.brokers:
        wrong = re.findall(r"^.*(?:FATAL|Exception: .*(?:Unsupported|Invalid|Illegal)|panicked).*$", broker.log.read_text(), re.M)
        assert not wrong, wrong[:5]
