"""Three brokers on an ensemble of three ZooKeeper servers that loses its leader, or its quorum."""

import time

from harness import admin
from harness.load import Load, all_equal
from harness.process import until

SESSION = 3.0


def ensemble_of_three(cluster):
    three = cluster(ensemble=True, **{"zookeeper.session.timeout.ms": int(SESSION * 1000)})
    three.create("t", **{"min.insync.replicas": "2"})
    return three


def registrations(three):
    """Broker epochs by broker."""
    client = three.zookeeper.client()
    found = {name: client.exists(f"/brokers/ids/{name}").czxid for name in client.get_children("/brokers/ids")}
    client.stop()
    client.close()
    return found


def test_nobody_notices_that_the_ensembles_leader_is_killed(cluster):
    three = ensemble_of_three(cluster)
    before = registrations(three)
    with Load(three.bootstrap, "t") as load:
        load.acknowledges(count=20)
        victim = three.zookeeper.leader()
        victim.kill()
        three.zookeeper.serving()
        three.create("after")
        load.acknowledges(count=20)
        victim.start()
        three.zookeeper.serving()
    load.check(three)
    all_equal(three, "t")
    assert registrations(three) == before, "no session has ended"


def test_all_serve_at_once_when_the_quorum_was_away_for_longer_than_a_session(cluster):
    three = ensemble_of_three(cluster)
    before = registrations(three)
    with Load(three.bootstrap, "t") as load:
        load.acknowledges(count=20)
        gone = three.zookeeper.servers[:2]
        for server in gone:
            server.kill()
        time.sleep(2 * SESSION)
        for server in gone:
            server.launch()
        three.zookeeper.serving()
        began = time.monotonic()
        load.acknowledges()
        three.in_sync("t")
        three.create("after")
        took = time.monotonic() - began
    # Apache Kafka waits for the end of its old session.
    assert three.brokers[0].kind != "dohle" or took < 5, f"{took:.1f} s"
    load.check(three)
    all_equal(three, "t")
    assert set(registrations(three)) == set(before)
