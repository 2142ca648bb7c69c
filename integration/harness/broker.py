"""A broker under test: Dohle, or Apache Kafka 3.9 in ZooKeeper mode, started from the same server.properties."""

from harness import admin, paths
from harness.process import Process, free_port, until
from harness.protocol import Connection

KAFKA_HEAP = "-Xmx384m -Xms384m -XX:+UseG1GC -XX:TieredStopAtLevel=1"


class Broker(Process):
    """`kind` is "dohle" or "kafka". Without a ZooKeeper address it runs on its embedded coordinator (Dohle only)."""

    def __init__(self, kind, folder, zookeeper=None, properties=None, wrapper=(), port=None, environment=None, host="127.0.0.1"):
        assert kind == "dohle" or zookeeper, "Apache Kafka 3.9 needs a ZooKeeper"
        self.kind, self.folder, self.zookeeper = kind, folder, zookeeper
        self.port, self.host = port or free_port(), host
        self.bootstrap = f"{host}:{self.port}"
        self.file = folder / "server.properties"
        folder.mkdir(parents=True, exist_ok=True)
        self.properties = {
            "broker.id": 0,
            "listeners": f"PLAINTEXT://{self.bootstrap}",
            "log.dirs": folder / "data",
            "offsets.topic.replication.factor": 1,
            "transaction.state.log.replication.factor": 1,
            "transaction.state.log.min.isr": 1,
            "group.initial.rebalance.delay.ms": 0,
            **({"zookeeper.connect": zookeeper} if zookeeper else {}),
            **(properties or {}),
        }
        binary = [paths.DOHLE, "start"] if kind == "dohle" else [paths.kafka_tool("kafka-server-start")]
        env = {"KAFKA_HEAP_OPTS": KAFKA_HEAP} if kind == "kafka" else {}
        super().__init__(kind, [*wrapper, *binary, self.file], folder / "broker.log", {**env, **(environment or {})}, folder)

    @property
    def data(self):
        """The first log dir, where topic T has the folder T-PARTITION."""
        return self.folder / "data" if "log.dirs" not in self.properties else type(self.folder)(str(self.properties["log.dirs"]).split(",")[0])

    def launch(self):
        """Starts the process and does not wait for it to serve."""
        self.file.write_text("".join(f"{key}={value}\n" for key, value in self.properties.items()))
        return super().start()

    def start(self, seconds=60):
        """Starts it and returns once it answers Metadata with itself in it."""
        self.launch()
        return self.serving(seconds)

    def serving(self, seconds=60):
        def ready():
            assert self.alive(), f"{self.name} ended with {self.child.poll()}:\n{self.tail()}"
            try:
                with self.connect(seconds=5) as connection:
                    return admin.brokers(connection)
            except (OSError, EOFError):
                return False

        until(seconds, ready, lambda: f"{self.name} serves on {self.bootstrap}\n{self.tail()}")
        return self

    def restart(self, **changed):
        """A clean stop and a start, with some properties changed."""
        self.stop()
        self.properties.update(changed)
        return self.start()

    def connect(self, seconds=20, **options):
        return Connection(self.port, seconds=seconds, host=self.host, **options)

    def create_topic(self, name, partitions=1, **configs):
        """Creates a topic (config keys with `_` for `.`) and waits until every partition has a leader."""
        with self.connect() as connection:
            admin.create_topic(connection, name, partitions, {key.replace("_", "."): value for key, value in configs.items()})
            until(20, lambda: admin.leaders(connection, name) == [self.properties["broker.id"]] * partitions, f"leaders of {name}")
        return name

    def process_memory(self):
        """Resident bytes of the broker itself, now and at its highest."""
        return self.memory()
