"""Consumers read from the replica in their own rack (KIP-392)."""

import confluent_kafka

from harness.process import until

RACK_AWARE = "org.apache.kafka.common.replica.RackAwareReplicaSelector"


def test_a_consumer_reads_from_its_own_rack(cluster):
    racks = cluster(**{"replica.selector.class": RACK_AWARE, "broker.rack": "rack-NUMBER"})
    racks.create("t")
    leader = racks.leader("t")
    near = (leader + 1) % 3
    for number in range(100):
        racks.produce("t", b"%d" % number)
    told = []
    consumer = confluent_kafka.Consumer({
        "bootstrap.servers": racks.bootstrap, "group.id": "unused", "client.rack": f"rack-{near}", "auto.offset.reset": "earliest",
        "enable.auto.commit": False, "debug": "fetch",
    }, logger=Log(told))
    consumer.assign([confluent_kafka.TopicPartition("t", 0, 0)])
    found = []

    def read():
        message = consumer.poll(0.2)
        if message is not None and message.error() is None:
            found.append(message.value())
        return len(found) == 110

    until(30, lambda: read() or len(found) == 100, lambda: f"what was there: {len(found)}")
    for number in range(100, 110):
        racks.produce("t", b"%d" % number)
    until(30, read, lambda: f"what came later: {len(found)}")
    assert found == [b"%d" % number for number in range(110)]
    assert any("referred" in line and str(near) in line for line in told), told[-20:]
    # The replica that it reads from dies: it goes on with the leader.
    racks.brokers[near].kill()
    racks.produce("t", b"after")
    until(30, lambda: read() or found[-1] == b"after", "it goes on")
    consumer.close()


class Log:
    """What librdkafka says, as the logger that it asks for."""

    def __init__(self, lines):
        self.lines = lines

    def log(self, _level, text, *arguments):
        self.lines.append(text % arguments if arguments else text)
