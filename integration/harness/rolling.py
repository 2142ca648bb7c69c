"""Rolling restarts under the load of three client libraries, each with a topic of its own and an idempotent producer."""

import json
import subprocess
import threading
import time

import kafka

from harness import paths
from harness.cluster import PARTITIONS, Cluster, start_again
from harness.load import Load, all_equal, check_stored
from harness.process import Process, until

SETTINGS = {"min.insync.replicas": "2"}


class PythonLoad:
    """kafka-python."""

    def __init__(self, bootstrap, topic, rate):
        self.topic, self.rate, self.acknowledged, self.failed = topic, rate, [], []
        self.producer = kafka.KafkaProducer(bootstrap_servers=bootstrap.split(","), acks="all", enable_idempotence=True, linger_ms=2)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self):
        sent, began = 0, time.monotonic()
        while not self._over.is_set():
            while sent < (time.monotonic() - began) * self.rate and not self._over.is_set():
                value = b"%d" % sent
                future = self.producer.send(self.topic, value, partition=sent % PARTITIONS)
                future.add_callback(lambda told, value=value: self.acknowledged.append((told.partition, told.offset, value)))
                future.add_errback(lambda error, value=value: self.failed.append((value, repr(error))))
                sent += 1
            time.sleep(0.005)

    def finish(self):
        self._over.set()
        self._thread.join()
        self.producer.flush(60)
        self.producer.close(10)


class JavaLoad(Process):
    """kafka-verifiable-producer, which is told to try again."""

    def __init__(self, folder, bootstrap, topic, rate):
        self.failed = []
        config = folder / "producer.properties"
        config.write_text("enable.idempotence=true\nretries=2147483647\nlinger.ms=2\n")
        command = [paths.kafka_tool("kafka-verifiable-producer"), "--bootstrap-server", bootstrap, "--topic", topic, "--throughput", rate,
                   "--acks", "-1", "--producer.config", config]
        super().__init__("kafka-verifiable-producer", command, folder / "java.log")
        self.topic = topic
        self.start()

    def finish(self):
        """Asked to end, it sends what it has, and says a last word."""
        self.signal(15)
        try:
            self.child.wait(60)
        except subprocess.TimeoutExpired:
            self.kill()

    @property
    def acknowledged(self):
        events = [json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{")]
        self.failed = [event for event in events if event["name"] == "producer_send_error"]
        return [(event["partition"], event["offset"], event["value"].encode()) for event in events if event["name"] == "producer_send_success"]


class Rolling:
    """Three brokers that are restarted one after the other."""

    def __init__(self, folder, kind="dohle"):
        self.folder = folder
        self.three = Cluster(folder / "cluster", (kind,) * 3)
        self.loads = []

    def run(self, rounds, rate=200):
        """So many rounds of restarts; the figures as words."""
        three = self.three
        for topic in ("librdkafka", "python", "java"):
            three.create(topic, **SETTINGS)
        native = Load(three.bootstrap, "librdkafka", rate)
        self.loads = [native, PythonLoad(three.bootstrap, "python", rate), JavaLoad(self.folder, three.bootstrap, "java", rate)]
        with native:
            until(30, lambda: all(len(load.acknowledged) for load in self.loads), "all three produce")
            native.acknowledges(count=5)
            began = time.monotonic()
            stops = []
            for _ in range(rounds):
                for broker in three.brokers:
                    asked = time.monotonic()
                    broker.stop()
                    stops.append(time.monotonic() - asked)
                    start_again(broker)
                    for load in self.loads:
                        three.in_sync(load.topic)
            took = time.monotonic() - began
            native.acknowledges(count=5)
        for load in self.loads[1:]:
            load.finish()
        told = [f"{native.topic} {native.check(three)}"]
        for load in self.loads[1:]:
            acknowledged = load.acknowledged
            assert not load.failed, f"{load.topic}: {len(load.failed)} of {len(acknowledged)} failed: {load.failed[:3]}"
            for partition in range(PARTITIONS):
                stored = three.content(load.topic, partition)
                check_stored(stored, {offset: value for at, offset, value in acknowledged if at == partition})
                numbers = [int(value) for _, value in stored]
                assert numbers == sorted(numbers), f"{load.topic}-{partition} is out of order"
            told.append(f"{load.topic} {len(acknowledged)}")
        for load in self.loads:
            all_equal(three, load.topic)
        gap = max(native.longest_silence(partition) for partition in range(PARTITIONS))
        return (f"{rounds} rolling restarts of 3 brokers in {took:.0f} s: acknowledged {', '.join(told)}; none lost, none twice, in order, no delivery failed; "
                f"longest stop {max(stops):.2f} s, longest gap of a partition {gap:.2f} s")

    def end(self):
        for load in self.loads[1:]:
            load.finish()
        self.three.end()
