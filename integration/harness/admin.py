"""A few requests in one fixed version each, spoken over a raw connection."""

from harness.process import until
from harness.protocol import (CREATE_TOPICS, DELETE_RECORDS, DELETE_TOPICS, FETCH, INIT_PRODUCER_ID, LIST_OFFSETS, METADATA, PRODUCE, Writer)

EARLIEST, LATEST = -2, -1
COORDINATOR_LOAD_IN_PROGRESS = 14


def metadata(connection, topics=None):
    """Metadata v1: ([broker id], controller id, {topic: (error, {partition: leader})})."""
    answer = connection.ask(METADATA, 1, Writer().array(topics, Writer.string))
    brokers = answer.array(lambda r: (r.i32(), r.string(), r.i32(), r.string())[0])
    controller = answer.i32()

    def topic(r):
        error, name, _internal = r.i16(), r.string(), r.i8()
        partitions = r.array(lambda p: (p.i16(), p.i32(), p.i32(), p.array(lambda x: x.i32()), p.array(lambda x: x.i32())))
        return name, (error, {partition[1]: partition[2] for partition in partitions})

    return brokers, controller, dict(answer.array(topic))


def brokers(connection):
    return metadata(connection, [])[0]


def controller(connection):
    """The controller's broker id."""
    return metadata(connection, [])[1]


def in_sync(connection, topic):
    """Broker ids of the in-sync replicas of every partition in order."""
    answer = connection.ask(METADATA, 1, Writer().array([topic], Writer.string))
    answer.array(lambda r: (r.i32(), r.string(), r.i32(), r.string()))
    answer.i32()
    ids = lambda r: r.array(lambda x: x.i32())  # noqa: E731
    [(_, _, _, partitions)] = answer.array(lambda r: (r.i16(), r.string(), r.i8(), r.array(lambda p: (p.i16(), p.i32(), p.i32(), ids(p), ids(p)))))
    return [isr for _, _, _, _, isr in sorted(partitions, key=lambda partition: partition[1])]


def leaders(connection, topic):
    """Leader of every partition in order; -1 while there is none."""
    partitions = metadata(connection, [topic])[2][topic][1]
    return [partitions[index] for index in sorted(partitions)]


def try_create_topic(connection, name, partitions=1, configs=None, replication=1, validate_only=False, seconds=20, replicas=None):
    """CreateTopics v2; the error code and why. `replicas` of every partition, the preferred leader first, instead of their number."""
    assignment = [(partition, replicas) for partition in range(partitions)] if replicas else []
    body = (
        Writer().i32(1).string(name).i32(-1 if replicas else partitions).i16(-1 if replicas else replication)
        .array(assignment, lambda w, item: w.i32(item[0]).array(item[1], Writer.i32))
        .array(list((configs or {}).items()), lambda w, item: w.string(item[0]).string(str(item[1])))
        .i32(seconds * 1000).i8(int(validate_only))
    )
    answer = connection.ask(CREATE_TOPICS, 2, body)
    answer.i32()
    [(_, error, message)] = answer.array(lambda r: (r.string(), r.i16(), r.string()))
    return error, message


def create_topic(connection, name, partitions=1, configs=None):
    error, message = try_create_topic(connection, name, partitions, configs)
    assert error == 0, f"CreateTopics of {name} answered {error}: {message}"


def delete_topic(connection, name):
    """DeleteTopics v1; the error code."""
    answer = connection.ask(DELETE_TOPICS, 1, Writer().array([name], Writer.string).i32(20_000))
    answer.i32()
    return answer.array(lambda r: (r.string(), r.i16()))[0][1]


def delete_records(connection, topic, before, partition=0, milliseconds=10_000):
    """DeleteRecords v0 of one partition: (error, low watermark)."""
    body = Writer().array([topic], lambda w, name: w.string(name).i32(1).i32(partition).i64(before)).i32(milliseconds)
    answer = connection.ask(DELETE_RECORDS, 0, body)
    answer.i32()
    [[one]] = answer.array(lambda r: (r.string(), r.array(lambda p: (p.i32(), p.i64(), p.i16())))[1])
    return one[2], one[1]


def produce_body(topic, records, partition=0, acks=-1, transactional_id=None, milliseconds=10_000):
    return (
        Writer().string(transactional_id).i16(acks).i32(milliseconds)
        .i32(1).string(topic).i32(1).i32(partition).data(records)
    )


def produced(answer, version=7):
    """Of a Produce answer v3 to v7 for one partition: (error, base offset)."""
    tail = (lambda p: (p.i64(), p.i64())) if 5 <= version else (lambda p: p.i64())
    [[result]] = answer.array(lambda r: (r.string(), r.array(lambda p: (p.i32(), p.i16(), p.i64(), tail(p))))[1])
    return result[1], result[2]


def produce(connection, topic, records, partition=0, acks=-1, transactional_id=None, version=7):
    """Produce of these bytes as the record set of one partition: (error, base offset)."""
    body = produce_body(topic, records, partition, acks, transactional_id)
    return produced(connection.ask(PRODUCE, version, body), version)


def fetch_body(topic, offset, partition=0, wait=500, least=1, most=1 << 20):
    return (
        Writer().i32(-1).i32(wait).i32(least).i32(most).i8(0)
        .i32(1).string(topic).i32(1).i32(partition).i64(offset).i32(most)
    )


def fetch(connection, topic, offset=0, partition=0, **limits):
    """Fetch v4 of one partition: (error, high watermark, record bytes)."""
    answer = connection.ask(FETCH, 4, fetch_body(topic, offset, partition, **limits))
    answer.i32()

    def result(r):
        r.i32()
        error, high_watermark, _last_stable = r.i16(), r.i64(), r.i64()
        r.array(lambda aborted: (aborted.i64(), aborted.i64()))
        return error, high_watermark, r.bytes() or b""

    [[one]] = answer.array(lambda r: (r.string(), r.array(result))[1])
    return one


def offset(connection, topic, timestamp=LATEST, partition=0):
    """ListOffsets v1 of one partition: (error, offset)."""
    body = Writer().i32(-1).i32(1).string(topic).i32(1).i32(partition).i64(timestamp)
    [[one]] = connection.ask(LIST_OFFSETS, 1, body).array(
        lambda r: (r.string(), r.array(lambda p: (p.i32(), p.i16(), p.i64(), p.i64())))[1])
    return one[1], one[3]


def producer_id(connection):
    """InitProducerId v0 without a transactional id: (producer id, epoch). Asks again while the first block is being fetched."""
    def asked():
        answer = connection.ask(INIT_PRODUCER_ID, 0, Writer().string(None).i32(60_000))
        answer.i32()
        error = answer.i16()
        assert error in (0, COORDINATOR_LOAD_IN_PROGRESS), f"InitProducerId answered {error}"
        return error == 0 and (answer.i64(), answer.i16())

    return until(20, asked, "a producer id")
