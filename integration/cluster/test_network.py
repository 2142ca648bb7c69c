"""Brokers that cannot hear each other, or ZooKeeper, while clients still reach everybody: each on a machine of its own, which is a network
namespace, and packets between them are dropped, not refused."""

import pytest

from harness import admin
from harness.load import Load, all_equal

SESSION = 4.0

# What the victim does not hear any more, and what does not hear it.
CUTS = {
    "others": lambda three, victim, others, zookeeper: three.network.cut(victim, *others),
    "zookeeper": lambda three, victim, others, zookeeper: three.network.cut(victim, zookeeper),
    "deaf to others": lambda three, victim, others, zookeeper: three.network.deafen(victim, *others),
    "not heard by others": lambda three, victim, others, zookeeper: [three.network.deafen(other, victim) for other in others],
    "deaf to zookeeper": lambda three, victim, others, zookeeper: three.network.deafen(victim, zookeeper),
    "not heard by zookeeper": lambda three, victim, others, zookeeper: three.network.deafen(zookeeper, victim),
    "everybody": lambda three, victim, others, zookeeper: three.network.cut(victim, zookeeper, *others),
}


@pytest.mark.parametrize("who", ["leader", "controller"])
@pytest.mark.parametrize("cut", CUTS)
def test_a_broker_is_cut_off(cluster, who, cut):
    three = cluster(network=True, **{"zookeeper.session.timeout.ms": int(SESSION * 1000), "replica.lag.time.max.ms": int(SESSION * 1000)})
    three.create("t", **{"min.insync.replicas": "2"})
    controller = three.ask(admin.controller)
    victim = controller if who == "controller" else (controller + 1) % 3
    others = [machine for number, machine in enumerate(three.machines) if number != victim]
    with Load(three.bootstrap, "t") as load:
        load.acknowledges(count=20)
        CUTS[cut](three, three.machines[victim], others, three.network.machines[0])
        took = load.acknowledges(seconds=60, count=20)
        three.network.heal()
        load.acknowledges(seconds=60, count=20)
        three.in_sync("t")
    print(f"{cut}, {who}: {took:.1f} s; silences {[round(load.longest_silence(p), 1) for p in range(6)]}")
    load.check(three)
    all_equal(three, "t")
    assert took < SESSION + 2
