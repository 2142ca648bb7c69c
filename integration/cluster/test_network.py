"""Brokers that cannot hear each other, or ZooKeeper, while clients still reach everybody: each on a machine of its own, which is a network
namespace, and packets between them are dropped, not refused."""

import time

import pytest

from harness import admin
from harness.cluster import PARTITIONS
from harness.load import Load, all_equal

SESSION = 4.0

# Who does not hear whom any more, of the victim, the other brokers and ZooKeeper.
CUTS = {
    "zookeeper": lambda net, victim, others, zookeeper: net.cut(victim, zookeeper),
    "deaf-to-zookeeper": lambda net, victim, others, zookeeper: net.deafen(victim, zookeeper),
    "unheard-by-zookeeper": lambda net, victim, others, zookeeper: net.deafen(zookeeper, victim),
    "everybody": lambda net, victim, others, zookeeper: net.cut(victim, zookeeper, *others),
    "brokers": lambda net, victim, others, zookeeper: net.cut(victim, *others),
    "deaf-to-brokers": lambda net, victim, others, zookeeper: net.deafen(victim, *others),
    "unheard-by-brokers": lambda net, victim, others, zookeeper: [net.deafen(other, victim) for other in others],
}
BRIEF = {("zookeeper", "leader"), ("everybody", "controller"), ("brokers", "leader")}
CASES = [pytest.param(cut, who, id=f"{cut}-{who}", marks=() if (cut, who) in BRIEF else pytest.mark.long)
         for cut in CUTS for who in ("leader", "controller")]


@pytest.mark.parametrize("cut, who", CASES)
def test_a_broker_is_cut_off(cluster, cut, who):
    three = cluster(network=True, **{"zookeeper.session.timeout.ms": int(SESSION * 1000), "replica.lag.time.max.ms": int(SESSION * 1000)})
    three.create("t", **{"min.insync.replicas": "2"})
    controller = three.ask(admin.controller)
    victim = controller if who == "controller" else (controller + 1) % 3
    others = [machine for number, machine in enumerate(three.machines) if number != victim]
    with Load(three.bootstrap, "t") as load:
        load.acknowledges(count=20)
        began = time.monotonic()
        CUTS[cut](three.network, three.machines[victim], others, three.network.machines[0])
        time.sleep(2 * SESSION)
        if "brokers" not in cut:
            load.acknowledges()
            gaps = [load.longest_silence(partition, began) for partition in range(PARTITIONS)]
            assert three.brokers[0].kind != "dohle" or max(gaps) < SESSION + 2, gaps
        three.network.heal()
        healed = time.monotonic()
        # Who is registered leads, as with Kafka, even if no follower reaches it: it serves when they do again.
        load.acknowledges(count=20)
        back = time.monotonic() - healed
        three.in_sync("t")
    load.check(three)
    all_equal(three, "t")
    # TCP doubles its waits: after a silence it may be silent for as long again.
    assert three.brokers[0].kind != "dohle" or back < 2 * SESSION + 2, f"served again only {back:.1f} s after the network was whole"
