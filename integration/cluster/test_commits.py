"""What a leader answers while its followers hang or are gone."""

from harness import admin
from harness.process import until
from harness.protocol import PRODUCE
from harness.records import Batch

REQUEST_TIMED_OUT, NOT_ENOUGH_REPLICAS = 7, 19


def test_a_record_is_not_acknowledged_when_the_isr_gets_too_small_before_it_is_committed(cluster):
    three = cluster()
    three.create("t", **{"min.insync.replicas": "2"})
    three.produce("t", b"before")
    leader = three.leader("t")
    others = [broker for number, broker in enumerate(three.brokers) if number != leader]
    for broker in others:
        broker.pause()
    body = admin.produce_body("t", Batch([b"x"]).encode(), milliseconds=16_000)
    with three.brokers[leader].connect(seconds=40) as connection:
        error, _ = admin.produced(connection.ask(PRODUCE, 7, body))
    assert error == REQUEST_TIMED_OUT, "the high watermark does not move without enough replicas"
    until(20, lambda: three.ask(admin.in_sync, "t", of=leader)[0] == [leader], "nobody else is in sync")
    assert three.ask(lambda c: admin.produce(c, "t", Batch([b"y"]).encode()), of=leader)[0] == NOT_ENOUGH_REPLICAS
    assert three.ask(lambda c: admin.fetch(c, "t")[1], of=leader) == 1, "nothing more is committed"
    for broker in others:
        broker.resume()
    three.in_sync("t")
    assert three.values("t") == [b"before", b"x"], "it is committed once there are enough"


def test_records_are_deleted_when_every_live_replica_has_deleted_them(cluster):
    three = cluster(**{"zookeeper.session.timeout.ms": "18000"})
    three.create("t")
    for _ in range(10):
        three.produce("t", b"x")
    leader = three.leader("t")
    delete = lambda before, **more: three.ask(lambda c: admin.delete_records(c, "t", before, **more), of=leader)  # noqa: E731
    earliest = lambda of: three.ask(lambda c: admin.offset(c, "t", admin.EARLIEST), of=of)[1]  # noqa: E731
    assert delete(3) == (0, 3)
    hung, other = [number for number in range(3) if number != leader]
    three.brokers[hung].pause()
    assert delete(5, milliseconds=2000)[0] == REQUEST_TIMED_OUT, "a replica that is alive has them"
    assert earliest(leader) == 5, "the leader has them no more"
    three.brokers[hung].resume()
    assert delete(5) == (0, 5)
    three.brokers[hung].kill()
    until(30, lambda: hung not in three.ask(admin.brokers, of=leader), "it is gone")
    assert delete(7) == (0, 7), "nobody waits for one that is gone"
    assert three.brokers[other].alive()
