"""Several brokers on one ZooKeeper."""

import time

from . import admin
from .broker import Broker
from .process import until
from .records import Batch, values
from .zookeeper import ZooKeeper

PARTITIONS = 6


class Cluster:
    """Brokers 0, 1, 2 of the given kinds, and more."""

    def __init__(self, folder, kinds, **more):
        self.zookeeper = ZooKeeper(folder).start()
        properties = {
            "zookeeper.session.timeout.ms": 6000, "auto.create.topics.enable": "false", "replica.lag.time.max.ms": 6000,
            "controlled.shutdown.retry.backoff.ms": 500,
        }
        self.folder, self.properties, self.brokers = folder, {**properties, **more}, []
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
        self.brokers.append(Broker(kind, place, self.zookeeper.address, wanted))
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

    def create(self, topic, **configs):
        def created():
            controller = self.ask(admin.controller)
            return 0 <= controller and self.ask(lambda c: admin.try_create_topic(c, topic, PARTITIONS, configs, replication=3)[0], of=controller) in (0, 36)

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
        # A leader that was just elected does not know yet how far all is committed.
        end = lambda: self.ask(lambda c: admin.offset(c, topic, partition=partition), of=self.leader(topic, partition))  # noqa: E731
        until(20, lambda: end()[0] == 0, "the leader knows its high watermark")
        leader = self.leader(topic, partition)
        with self.brokers[leader].connect() as connection:
            end, at, found = end()[1], 0, []
            while at < end:
                error, _, data = admin.fetch(connection, topic, at, partition)
                assert error == 0
                found += [record for record in values(data) if at <= record[0]]
                at = found[-1][0] + 1
            return found

    def copies(self, topic, partition=0):
        """The bytes of every replica's log."""
        logs = [sorted((broker.data / f"{topic}-{partition}").glob("*.log")) for broker in self.brokers]
        return [b"".join(log.read_bytes() for log in files) for files in logs]

    def end(self):
        for broker in self.brokers:
            broker.kill()
        self.zookeeper.kill()


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
