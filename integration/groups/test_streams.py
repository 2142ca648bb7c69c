"""Kafka Streams: a word count, whose threads are a group, whose state is a compacted topic; and the tool that lets it begin anew."""

import pytest
from confluent_kafka import Consumer, TopicPartition

from groups.members import PARTITIONS, produce
from harness import admin, paths
from harness.process import Process, run, until

pytestmark = pytest.mark.on("zookeeper")


@pytest.fixture(scope="session")
def word_count(session_folder):
    """What java is started with."""
    jars = paths.TOOLS / "streams"
    if not jars.exists():
        pytest.fail("Kafka Streams is missing: integration/setup/install says why")
    classes = session_folder / "classes"
    run(["javac", "-cp", f"{jars}/*", "-d", classes, paths.INTEGRATION / "groups" / "WordCount.java"])
    log = f"-Dlog4j.configuration=file:{paths.KAFKA}/log4j.properties"
    return ["java", "-Xmx256m", "-XX:TieredStopAtLevel=1", log, "-cp", f"{classes}:{jars}/*", "WordCount"]


def counts(broker, topic):
    """The last count of each word."""
    consumer = Consumer({"bootstrap.servers": broker.bootstrap, "group.id": "looks", "enable.partition.eof": True})
    consumer.assign([TopicPartition(topic, partition, 0) for partition in range(PARTITIONS)])
    found, ends = {}, 0
    while ends < PARTITIONS:
        message = consumer.poll(20)
        assert message is not None, "the counts can be read"
        if message.error():
            ends += 1
        else:
            found[message.key().decode()] = int(message.value())
    consumer.close()
    return found


def test_words_are_counted_through_a_crash_and_anew(broker, name, folder, word_count):
    lines, words = (broker.create_topic(name(what), partitions=PARTITIONS) for what in ("lines", "words"))
    application = name("count")
    app = Process("the word count", [*word_count, broker.bootstrap, application, lines, words, folder / "state"], folder / "app.log")
    wanted = lambda expected: until(60, lambda: counts(broker, words) == expected, lambda: f"{counts(broker, words)}\n{app.tail()}")  # noqa: E731
    app.start()
    try:
        produce(broker, lines, [b"a b a", b"c"] * 10)
        wanted({"a": 20, "b": 10, "c": 10})
        app.kill()
        produce(broker, lines, [b"b d"] * 5)
        app.start()
        wanted({"a": 20, "b": 15, "c": 10, "d": 5})
        app.stop()
    finally:
        app.kill()
    said = run([paths.kafka_tool("kafka-streams-application-reset"), "--bootstrap-server", broker.bootstrap, "--application-id", application,
                "--input-topics", lines, "--force"]).stdout
    assert f"Deleting inferred internal topics [{application}-" in said or f"{application}-KSTREAM" in said, said
    with broker.connect() as connection:
        assert not [topic for topic in admin.metadata(connection)[2] if topic.startswith(application)], "its own topics are gone"
    again = Process("the word count", [*app.command[:-1], folder / "state again"], folder / "again.log")
    again.start()
    try:
        produce(broker, lines, [b"e"])
        wanted({"a": 20, "b": 15, "c": 10, "d": 5, "e": 1})
    finally:
        again.kill()
