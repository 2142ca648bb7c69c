"""A follower that is slow, whose disk is full, or that comes back with nothing: the others go on, and it becomes their equal again."""

import shutil
import subprocess
import time

import pytest

from harness import admin
from harness.cluster import PARTITIONS, start_again
from harness.load import Load, all_equal
from harness.process import run, until

CAREFUL = {"min.insync.replicas": "2"}


def leaves_the_isr(three, follower):
    until(30, lambda: not any(follower in isr for isr in three.ask(admin.in_sync, "t", of=0)), lambda: f"it leaves: {three.ask(admin.in_sync, 't', of=0)}")


def test_a_slow_follower_leaves_and_comes_back(cluster):
    """A tenth of what is written reaches it."""
    lag = 3
    three = cluster(network=True, **{"replica.lag.time.max.ms": lag * 1000})
    three.create("t", replicas=[0, 1, 2], **CAREFUL)
    with Load(three.bootstrap, "t", rate=600, padding=1000) as load:
        load.acknowledges(count=20)
        began = time.monotonic()
        three.network.slow_down(three.machines[2], kilobits=500)
        leaves_the_isr(three, 2)
        left = time.monotonic() - began
        # Nobody waits for it any more.
        since = time.monotonic()
        load.acknowledges(count=200, seconds=20)
        slowest = max(load.longest_silence(partition, since) for partition in range(PARTITIONS))
        three.network.heal()
        three.in_sync("t")
    load.check(three)
    all_equal(three, "t")
    assert left < 5 * lag, f"it left only after {left:.1f} s"
    assert three.brokers[0].kind != "dohle" or slowest < 2, f"{slowest:.1f} s without an acknowledgement while it was out"


@pytest.fixture
def small_disk(folder):
    place = folder / "disk"
    place.mkdir()
    mounted = run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", place], check=False)
    assert mounted.returncode == 0, f"this test mounts a tmpfs and needs to be root: {mounted.stderr}"
    yield place
    subprocess.run(["umount", "-l", place], check=True)


@pytest.mark.dohle  # Apache Kafka ends when its only log dir has no room
def test_a_follower_whose_disk_is_full_leaves_and_comes_back(cluster, small_disk):
    three = cluster(*["dohle"] * 2, **{"replica.lag.time.max.ms": 3000, "log.index.size.max.bytes": 4096, "log.segment.bytes": 1 << 20})
    three.add("dohle", **{"log.dirs": small_disk / "data"}).start()
    until(30, lambda: len(three.ask(admin.brokers)) == 3, "the third broker is known")
    three.create("t", replicas=[0, 1, 2], **CAREFUL)
    with Load(three.bootstrap, "t", rate=600, padding=4000) as load:
        leaves_the_isr(three, 2)
        load.acknowledges(count=50)
        run(["mount", "-o", "remount,size=512m", small_disk])
        three.in_sync("t")
        load.acknowledges(count=5)
    assert three.brokers[2].alive()
    load.check(three)
    all_equal(three, "t")


@pytest.mark.parametrize("leads", [False, True], ids=["follower", "leader"])
def test_a_broker_comes_back_with_an_empty_disk(cluster, leads):
    """At once, within its old session, while all believe that it is in sync and has everything."""
    three = cluster(**{"auto.leader.rebalance.enable": "false"})
    three.create("t", replicas=[0, 1, 2], **CAREFUL)
    victim = three.brokers[0 if leads else 2]
    with Load(three.bootstrap, "t") as load:
        load.acknowledges(count=50)
        victim.kill()
        shutil.rmtree(victim.data)
        start_again(victim)
        load.acknowledges(count=50, seconds=60)
        three.in_sync("t")
    load.check(three)
    all_equal(three, "t")
