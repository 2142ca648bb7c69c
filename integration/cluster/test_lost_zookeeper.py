"""A ZooKeeper that has lost what it knew, or that belongs to another cluster: brokers take no part in it, and delete nothing."""

import shutil
import time

import pytest

from harness.load import Load, all_equal
from harness.process import until

pytestmark = pytest.mark.dohle  # Apache Kafka registers in whatever tree it finds
SESSION = 2.0


@pytest.fixture
def three(cluster):
    three = cluster(**{"zookeeper.session.timeout.ms": int(SESSION * 1000)})
    three.create("t", **{"min.insync.replicas": "2"})
    with Load(three.bootstrap, "t") as load:
        load.acknowledges(count=50)
    all_equal(three, "t")
    three.load = load
    return three


def files(three):
    """Every segment of every broker with its size."""
    return {file: file.stat().st_size for broker in three.brokers for file in broker.data.glob("*/*.log")}


def refuse(three, *reasons):
    """Every broker says why it does not register, and goes on running."""
    for broker in three.brokers:
        until(20, lambda: all(reason in broker.log.read_text() for reason in reasons), lambda: f"it says {reasons}:\n{broker.tail()}")
    time.sleep(SESSION)
    assert all(broker.alive() for broker in three.brokers)


def replace(three, with_):
    """ZooKeeper goes and comes back with other data: a folder, or none."""
    three.zookeeper.kill()
    shutil.rmtree(three.zookeeper.data)
    shutil.copytree(with_, three.zookeeper.data) if with_ else three.zookeeper.data.mkdir()
    three.zookeeper.start()


@pytest.mark.parametrize("found", ["nothing", "another cluster"])
def test_brokers_do_not_register_in_a_tree_that_is_not_theirs(three, found):
    kept = three.zookeeper.data.with_name("kept")
    shutil.copytree(three.zookeeper.data, kept)
    before = files(three)
    replace(three, None)
    if found == "another cluster":
        client = three.zookeeper.client()
        client.create("/cluster/id", b'{"version":"1","id":"AAAAAAAAAAAAAAAAAAAAAA"}', makepath=True)
        client.create("/brokers/ids", makepath=True)
        client.stop()
        client.close()
    was = three.zookeeper.tree()
    refuse(three, "/cluster/id", "AAAAAAAAAAAAAAAAAAAAAA" if found != "nothing" else "does not exist")
    assert three.zookeeper.tree() == was, "nothing is written"
    assert files(three) == before, "nothing is deleted"
    # Started anew it refuses too, and writes nothing either.
    three.brokers[0].kill()
    assert three.brokers[0].launch().exit_code(20) != 0
    assert "/cluster/id" in three.brokers[0].tail(5)
    assert three.zookeeper.tree() == was
    # The right tree comes back: so do they, by themselves.
    replace(three, kept)
    three.brokers[0].start()
    three.in_sync("t")
    assert three.values("t") == [value for _, value, _ in three.load.acknowledged[0]]


def test_brokers_do_not_go_back_to_an_earlier_tree(three):
    """It has no topic that was made since, and an older controller."""
    three.zookeeper.kill()
    old = three.zookeeper.data.with_name("old")
    shutil.copytree(three.zookeeper.data, old)
    three.zookeeper.start()
    client = three.zookeeper.client()
    until(20, lambda: client.exists("/controller"), "there is a controller")
    client.delete("/controller")
    until(20, lambda: client.exists("/controller"), "another one is elected")
    client.stop()
    client.close()
    three.create("later")
    three.produce("later", b"kept")
    kept = three.zookeeper.data.with_name("kept")
    before = files(three)
    three.zookeeper.kill()
    shutil.copytree(three.zookeeper.data, kept)
    shutil.rmtree(three.zookeeper.data)
    shutil.copytree(old, three.zookeeper.data)
    three.zookeeper.start()
    refuse(three, "/controller_epoch")
    assert files(three) == before, "nothing is deleted"
    assert not any(path.startswith("/brokers/ids/") for path in three.zookeeper.tree())
    replace(three, kept)
    three.in_sync("t")
    assert three.values("later") == [b"kept"]
