"""The broker's session with ZooKeeper: absent, lost, expired, stale; registration after each."""

import json

import pytest

from harness import admin
from harness.process import until
from harness.records import Batch

SESSION = {"zookeeper.session.timeout.ms": 3000, "zookeeper.connection.timeout.ms": 5000}


def registration(zookeeper):
    """(broker epoch, session id) of /brokers/ids/0, or None."""
    client = zookeeper.client()
    status = client.exists("/brokers/ids/0")
    client.stop()
    return status and (status.czxid, status.ephemeralOwner)


def works(broker, topic="t"):
    with broker.connect() as connection:
        until(20, lambda: admin.produce(connection, topic, Batch([b"v"]).encode())[0] == 0, lambda: f"produce works\n{broker.tail()}")


def test_an_absent_zookeeper_is_waited_for_then_named(brokers, zookeeper):
    zookeeper.kill()
    broker = brokers(zookeeper=zookeeper, properties={"zookeeper.connection.timeout.ms": 2000}).launch()
    assert broker.exit_code(30) != 0
    assert "zookeeper" in broker.log.read_text().lower()


def test_a_zookeeper_that_comes_in_time_is_used(brokers, zookeeper):
    zookeeper.kill()
    broker = brokers(zookeeper=zookeeper, properties={"zookeeper.connection.timeout.ms": 30_000}).launch()
    until(10, broker.log.exists, "the broker runs")
    zookeeper.start()
    broker.serving(40)
    broker.create_topic("t")
    works(broker)


@pytest.mark.dohle
def test_restarted_at_once_after_a_kill(brokers, zookeeper):
    """While the old session still lives Kafka refuses to start. Dohle ends its own old session and gets a new broker epoch."""
    broker = brokers(zookeeper=zookeeper, properties={**SESSION, "zookeeper.session.timeout.ms": 30_000}).start()
    broker.create_topic("t")
    works(broker)
    for _ in range(3):
        before = registration(zookeeper)
        broker.kill()
        assert registration(zookeeper) == before, "the old session still lives"
        broker.start(seconds=5)
        after = registration(zookeeper)
        assert before[0] < after[0] and before[1] != after[1]
        works(broker)


@pytest.mark.dohle
def test_another_brokers_registration_is_left_alone(brokers, zookeeper, folder):
    """The same broker.id on another machine: refused, and the first goes on."""
    first = brokers(zookeeper=zookeeper, properties=SESSION).start()
    before = registration(zookeeper)
    second = brokers(zookeeper=zookeeper, properties=SESSION).launch()
    assert second.exit_code(30) != 0
    assert "registered" in second.tail(3)
    assert registration(zookeeper) == before
    first.create_topic("t")
    works(first)


def test_an_expired_session_is_replaced(brokers, zookeeper):
    """Paused for longer than its session: the node vanishes, and comes back with a higher epoch once the broker wakes."""
    broker = brokers(zookeeper=zookeeper, properties=SESSION).start()
    broker.create_topic("t")
    works(broker)
    before = registration(zookeeper)
    broker.pause()
    until(20, lambda: registration(zookeeper) is None, "the session expires")
    broker.resume()
    after = until(20, lambda: registration(zookeeper), "the broker registers again")
    assert before[0] < after[0]
    works(broker)
    until(20, lambda: json.loads(zookeeper.tree("/")["/controller"][0])["brokerid"] == 0, "it is controller again")


def test_zookeeper_away_for_less_than_the_session(brokers, zookeeper):
    """Clients of existing topics are served all the time; the registration stays."""
    broker = brokers(zookeeper=zookeeper, properties={**SESSION, "zookeeper.session.timeout.ms": 15_000}).start()
    broker.create_topic("t")
    works(broker)
    before = registration(zookeeper)
    zookeeper.kill()
    with broker.connect() as connection:
        for _ in range(20):
            assert admin.produce(connection, "t", Batch([b"v"]).encode())[0] == 0
            assert admin.fetch(connection, "t", 0, wait=0)[0] == 0
    zookeeper.start()
    until(20, lambda: registration(zookeeper) == before, "the same session goes on")
    until(20, lambda: broker.create_topic("after"), "topics can be created again")
    works(broker, "after")


@pytest.mark.parametrize("chroot", ["/a/b", "/with-dash"])
def test_a_chroot_is_made_and_used(brokers, zookeeper, chroot):
    broker = brokers(zookeeper=f"{zookeeper.address}{chroot}").start()
    broker.create_topic("t")
    tree = zookeeper.tree("/")
    assert f"{chroot}/brokers/topics/t" in tree and "/brokers" not in tree
