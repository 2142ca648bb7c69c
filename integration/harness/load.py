"""Producers that run while things break, and what they were told."""

import collections
import threading
import time

import confluent_kafka

from harness import admin
from harness.cluster import PARTITIONS
from harness.process import until


class Load:
    """An idempotent producer of librdkafka that writes to every partition in turn; each value is unique and says its number.

    `acknowledged[partition]` holds (offset, value, time of the answer) in the order of the answers, `failed` every delivery that the
    producer gave up, with its reason."""

    def __init__(self, bootstrap, topic, rate=500, padding=0, **options):
        """`padding`: blanks behind each number, so that values are larger."""
        self.topic, self.rate, self.padding, self.sent = topic, rate, b" " * padding, 0
        self.acknowledged, self.failed = collections.defaultdict(list), []
        self.producer = confluent_kafka.Producer({
            "bootstrap.servers": bootstrap, "enable.idempotence": True, "acks": "all", "linger.ms": 2, "message.timeout.ms": 120_000,
            "request.timeout.ms": 3000, "socket.timeout.ms": 3500, "reconnect.backoff.max.ms": 500, "retry.backoff.max.ms": 200,
            "topic.metadata.refresh.interval.ms": 1000, "log_level": 0, **options})
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self.finish()

    def _run(self):
        began = time.monotonic()
        while not self._over.is_set():
            while self.sent < (time.monotonic() - began) * self.rate and not self._over.is_set():
                try:
                    self.producer.produce(self.topic, b"%d" % self.sent + self.padding, partition=self.sent % PARTITIONS, on_delivery=self._told)
                except BufferError:
                    break
                self.sent += 1
            self.producer.poll(0.005)

    def _told(self, error, message):
        if error is None:
            self.acknowledged[message.partition()].append((message.offset(), message.value(), time.monotonic()))
        else:
            self.failed.append((message.partition(), message.value(), str(error)))

    def acknowledges(self, partition=None, seconds=30, count=1):
        """Waits until so many records more are acknowledged in every partition, or in the one that is named; how long it took."""
        began = time.monotonic()
        wanted = range(PARTITIONS) if partition is None else [partition]
        before = {partition: len(self.acknowledged[partition]) for partition in wanted}
        missing = lambda: [p for p in wanted if len(self.acknowledged[p]) < before[p] + count]  # noqa: E731
        until(seconds, lambda: not missing(), lambda: f"records are acknowledged in {missing()}")
        return time.monotonic() - began

    def finish(self, seconds=60):
        """Stops, and waits for what is under way."""
        self._over.set()
        self._thread.join()
        until(seconds, lambda: self.producer.flush(1) == 0, lambda: f"{len(self.producer)} records are neither acknowledged nor given up")

    def longest_silence(self, partition, since=0.0):
        """The longest time between two acknowledgements of a partition, in seconds."""
        times = [when for _, _, when in self.acknowledged[partition] if since <= when]
        return max((after - before for before, after in zip(times, times[1:])), default=0.0)

    def check(self, cluster):
        """What was acknowledged is where the producer was told, nothing is there twice, and all is in the order in which it was sent."""
        assert not self.failed, self.failed[:5]
        for partition in range(PARTITIONS):
            stored = cluster.content(self.topic, partition)
            told = {offset: value for offset, value, _ in self.acknowledged[partition] if offset is not None}
            check_stored(stored, told)
            # librdkafka does not know where a batch is whose answer it missed, and whose successor was acknowledged.
            somewhere = {value for offset, value, _ in self.acknowledged[partition] if offset is None}
            assert somewhere <= {value for _, value in stored}, somewhere - {value for _, value in stored}
            # Others may write too.
            numbers = [int(value) for _, value in stored if int(value) < self.sent]
            assert numbers == sorted(numbers), f"partition {partition} is out of order"
        return sum(map(len, self.acknowledged.values()))


def check_stored(stored, acknowledged):
    """Of one partition: (offset, value) as it is stored, and {offset: value} as producers were told."""
    found = dict(stored)
    lost = {offset: value for offset, value in acknowledged.items() if found.get(offset) != value}
    assert not lost, f"{len(lost)} of {len(acknowledged)} acknowledged are lost: {sorted(lost.items())[:5]}"
    twice = [value for value, times in collections.Counter(found.values()).items() if 1 < times]
    assert not twice, f"stored twice: {twice[:5]}"


def all_equal(cluster, topic, seconds=30):
    """Waits until every replica of every partition has the same bytes."""
    for partition in range(PARTITIONS):
        until(seconds, lambda: len(set(cluster.copies(topic, partition))) == 1, lambda: f"replicas of {topic}-{partition} have the same bytes")


def led(cluster, topic, broker):
    """The partitions that a broker leads."""
    return [partition for partition, leader in enumerate(cluster.ask(admin.leaders, topic)) if leader == broker]
