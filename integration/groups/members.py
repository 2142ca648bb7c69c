"""Members of groups, of confluent-kafka: made, read from, asked."""

from confluent_kafka import Consumer, Producer, TopicPartition

from harness.process import until

PARTITIONS = 4

# A broker with the consumer protocol, whose members send heartbeats often.
QUICK = {"group.coordinator.rebalance.protocols": "classic,consumer", "group.initial.rebalance.delay.ms": 0,
         "offsets.topic.num.partitions": 4, "offsets.topic.replication.factor": 1,
         "group.consumer.heartbeat.interval.ms": 300, "group.consumer.min.heartbeat.interval.ms": 100,
         "group.consumer.session.timeout.ms": 6000, "group.consumer.min.session.timeout.ms": 1000}


def produce(broker, topic, values):
    """One after the other to the partitions in turn."""
    producer = Producer({"bootstrap.servers": broker.bootstrap, "acks": "all"})
    for number, value in enumerate(values):
        producer.produce(topic, value, partition=number % PARTITIONS)
    assert producer.flush(30) == 0


def member(broker, group, **options):
    return Consumer({"bootstrap.servers": broker.bootstrap, "group.id": group, "auto.offset.reset": "earliest",
                     "enable.auto.commit": False, "session.timeout.ms": 6000, "heartbeat.interval.ms": 500, **options})


def read(consumer, count, seconds=40):
    """The values of the next so many records, or more."""
    found = []

    def enough():
        message = consumer.poll(0.5)
        if message is not None and message.error() is None:
            found.append(message.value())
        return count <= len(found)

    until(seconds, enough, lambda: f"{len(found)} of {count} came")
    return found


def committed(broker, group, topic):
    """What the group committed for each partition; below 0 for nothing."""
    consumer = member(broker, group)
    try:
        found = consumer.committed([TopicPartition(topic, partition) for partition in range(PARTITIONS)], timeout=20)
        return [partition.offset for partition in found]
    finally:
        consumer.close()
