"""Several brokers on one ZooKeeper."""

import time

from . import admin
from .broker import Broker
from .network import Network
from .process import until
from .records import Batch, values
from .zookeeper import Ensemble, ZooKeeper

PARTITIONS = 6


class Cluster:
    """Brokers 0, 1, 2 of the given kinds, and more; on one ZooKeeper, or an ensemble of three.

    With a `network` each broker and each ZooKeeper is on a machine of its own."""

    def __init__(self, folder, kinds, ensemble=False, network=False, **more):
        self.brokers, self.machines = [], []
        self.network = Network() if network else None
        machine = self.network.machine if network else lambda: None
        self.zookeeper = Ensemble(folder, [machine() for _ in range(3)]) if ensemble else ZooKeeper(folder, machine=machine())
        try:
            self._start(folder, kinds, more)
        except BaseException:
            self.end()
            raise

    def _start(self, folder, kinds, more):
        self.zookeeper.start()
        properties = {
            "zookeeper.session.timeout.ms": 6000, "auto.create.topics.enable": "false", "replica.lag.time.max.ms": 6000,
            "controlled.shutdown.retry.backoff.ms": 500,
        }
        self.folder, self.properties = folder, {**properties, **more}
        for kind in kinds:
            self.add(kind).launch()
        for broker in self.brokers:
            broker.serving()
        until(30, lambda: len(self.ask(admin.brokers)) == len(kinds), "every broker is known")

    def add(self, kind, **properties):
        """Another broker, not started. In its properties IN_FOLDER stands for its folder, NUMBER for its id."""
        number = len(self.brokers)
        place = self.folder / f"broker-{number}"
        wanted = {**self.properties, **properties, "broker.id": number}
        wanted = {key: str(value).replace("IN_FOLDER", str(place)).replace("NUMBER", str(number)) for key, value in wanted.items()}
        machine = self.network.machine() if self.network else None
        where = {"wrapper": machine.enter, "host": machine.address} if machine else {}
        self.machines.append(machine)
        self.brokers.append(Broker(kind, place, self.zookeeper.address, wanted, **where))
        return self.brokers[-1]

    @property
    def bootstrap(self):
        return ",".join(broker.bootstrap for broker in self.brokers)

    def ask(self, question, *arguments, of=None):
        """Asks one broker, or the first that answers."""
        for broker in [self.brokers[of]] if of is not None else self.brokers:
            try:
                with broker.connect(seconds=5) as connection:
                    return question(connection, *arguments)
            except (OSError, EOFError):
                continue
        raise OSError("no broker answers")

    def create(self, topic, replicas=None, **configs):
        """A topic of six partitions with three replicas each, on these brokers in this order if they are given."""

        def created():
            controller = self.ask(admin.controller)
            return 0 <= controller and self.ask(lambda c: admin.try_create_topic(c, topic, PARTITIONS, configs, 3, replicas=replicas)[0], of=controller) in (0, 36)

        until(30, created, f"{topic} is created")
        self.in_sync(topic)

    def in_sync(self, topic, brokers=3, seconds=60):
        isr = lambda: self.ask(admin.in_sync, topic)  # noqa: E731
        until(seconds, lambda: [len(members) for members in isr()] == [brokers] * PARTITIONS, lambda: f"in-sync replicas: {isr()}")

    def leader(self, topic, partition=0):
        return self.ask(admin.leaders, topic)[partition]

    def produce(self, topic, value, partition=0, seconds=40):
        """Produces with acks=all wherever the leader is; the offset."""
        over = time.monotonic() + seconds
        while True:
            try:
                leader = self.leader(topic, partition)
                if 0 <= leader:
                    error, offset = self.ask(lambda c: admin.produce(c, topic, Batch([value]).encode(), partition), of=leader)
                    if error == 0:
                        return offset
            except (OSError, EOFError, IndexError, KeyError):
                pass
            assert time.monotonic() < over, f"{topic} takes nothing"
            time.sleep(0.02)

    def values(self, topic, partition=0):
        """All values up to the high watermark, in order; those that were produced again after a lost answer count once."""
        return list(dict.fromkeys(value for _, value in self.content(topic, partition)))

    def content(self, topic, partition=0):
        """All (offset, value) up to the high watermark."""
        _, end = self.ask_leader(lambda c: admin.offset(c, topic, partition=partition), topic, partition)
        at, found = 0, []
        while at < end:
            _, _, data = self.ask_leader(lambda c: admin.fetch(c, topic, at, partition), topic, partition)
            found += [record for record in values(data) if at <= record[0]]
            at = found[-1][0] + 1
        return found

    def ask_leader(self, question, topic, partition, seconds=20):
        """What a partition's leader answers, once that has no error: leaders change, and a new one does not know its high watermark yet."""
        answers = []

        def answered():
            leader = self.leader(topic, partition)
            answers.append(self.ask(question, of=leader) if 0 <= leader else (None,))
            return answers[-1][0] == 0

        until(seconds, answered, lambda: f"the leader of {topic}-{partition} answers without an error; last {answers[-1][0]}")
        return answers[-1]

    def copies(self, topic, partition=0):
        """The bytes of every replica's log."""
        logs = [sorted((broker.data / f"{topic}-{partition}").glob("*.log")) for broker in self.brokers]
        return [b"".join(log.read_bytes() for log in files) for files in logs]

    def end(self):
        for broker in self.brokers:
            broker.resume()
            broker.kill()
        self.zookeeper.kill()
        if self.network:
            self.network.end()


def start_again(broker, seconds=60):
    """Kafka 3.9 ends when its old session still lives, so it is started until it stays; Dohle stays at once."""
    def up():
        if not broker.alive():
            broker.launch()
        try:
            with broker.connect(seconds=2) as connection:
                return admin.brokers(connection)
        except (OSError, EOFError):
            return False

    until(seconds, up, lambda: f"the broker is back\n{broker.tail()}")
    return broker
