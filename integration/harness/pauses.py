"""Brokers that sleep for longer than their session, and wake up as what they were before."""

import random
import signal
import threading
import time

from harness import admin, znode_history
from harness.cluster import PARTITIONS, Cluster
from harness.load import Load, all_equal, check_stored, led
from harness.process import until
from harness.records import Batch

SESSION = 1.5


class Pauses:
    """A cluster of five under load, whose leaders and controllers are paused."""

    def __init__(self, folder, kind="dohle"):
        self.five = Cluster(folder, (kind,) * 5, **{
            "zookeeper.session.timeout.ms": int(SESSION * 1000), "replica.lag.time.max.ms": 2000, "auto.leader.rebalance.enable": "false"})
        self.rounds = self.pauses = self.asked = self.refused = 0
        self.late, self.creators = [], []

    def run(self, pauses):
        """So many pauses; the figures as words."""
        self.five.create("t", **{"min.insync.replicas": "2"})
        with Load(self.five.bootstrap, "t", rate=200) as load:
            while self.pauses < pauses:
                load.acknowledges(count=3, seconds=60)
                self._round()
            load.acknowledges(count=3, seconds=60)
        for creator in self.creators:
            creator.join()
        self.five.in_sync("t")
        acknowledged = load.check(self.five)
        for partition in range(PARTITIONS):
            late = {offset: value for at, offset, value in self.late if at == partition}
            check_stored(self.five.content("t", partition), late)
        states, controllers = znode_history.check(self.five.zookeeper)
        gaps = max(load.longest_silence(partition) for partition in range(PARTITIONS))
        return (f"{self.pauses} pauses of {self.rounds} rounds, session {SESSION} s: {acknowledged} records acknowledged, none lost, none twice, in order; "
                f"{self.asked} asked of sleeping leaders, {self.refused} refused, {len(self.late)} acknowledged and kept; "
                f"{states} states written by {controllers} controllers, none by an old one; longest gap {gaps:.1f} s")

    def _round(self):
        """The controller and the leader of a partition sleep, and are asked for something meanwhile."""
        controller, leader = self.five.ask(admin.controller), self.five.leader("t", self.rounds % PARTITIONS)
        self.rounds += 1
        victims = {controller, leader}
        if not 0 <= min(victims):
            return
        waiting = [(victim, partition) for victim in victims for partition in led(self.five, "t", victim)]
        for victim in victims:
            self.five.brokers[victim].signal(signal.SIGSTOP)
        began = time.monotonic()
        topic = f"made-{self.rounds}"
        askers = [threading.Thread(target=self._ask, args=place) for place in waiting]
        self.creators.append(threading.Thread(target=self._create, args=(controller, topic)))
        for asker in [*askers, self.creators[-1]]:
            asker.start()
        awake = next(number for number in range(5) if number not in victims)
        until(30, lambda: self.five.ask(admin.controller, of=awake) not in (controller, -1), "another controller")
        time.sleep(max(0.0, SESSION * random.uniform(1.3, 2) - (time.monotonic() - began)))
        for victim in victims:
            self.five.brokers[victim].signal(signal.SIGCONT)
        for asker in askers:
            asker.join()
        self.pauses += len(victims)
        until(30, lambda: len(self.five.ask(admin.brokers, of=awake)) == 5, "all are registered again")

    def _ask(self, victim, partition):
        """Produces to a leader that sleeps. Whatever it answers when it wakes up must hold."""
        value = b"%d" % (1_000_000_000 + self.asked)
        self.asked += 1
        with self.five.brokers[victim].connect(seconds=60) as connection:
            error, offset = admin.produce(connection, "t", Batch([value]).encode(), partition)
        if error == 0:
            self.late.append((partition, offset, value))
        else:
            self.refused += 1

    def _create(self, victim, topic):
        """Wants a topic of a controller that sleeps; it may say yes or no."""
        with self.five.brokers[victim].connect(seconds=60) as connection:
            admin.try_create_topic(connection, topic, replication=3)
