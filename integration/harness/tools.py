"""Kafka's own tools, asked about a cluster."""

import json
import re

from harness import paths
from harness.process import run, until


def tool(cluster, name, *arguments, of=None):
    """Asks the given brokers, or all."""
    bootstrap = ",".join(broker.bootstrap for broker in of) if of else cluster.bootstrap
    done = run([paths.kafka_tool(name), "--bootstrap-server", bootstrap, *arguments], seconds=120)
    return done.stdout + done.stderr


def replicas(cluster, topic, partition=0):
    """The brokers that have a partition, the preferred leader first."""
    said = tool(cluster, "kafka-topics", "--describe", "--topic", topic)
    return [int(id) for id in re.search(rf"Partition: {partition}\s.*Replicas: ([\d,]+)", said).group(1).split(",")]


def plan(folder, moves):
    """A file for kafka-reassign-partitions: (topic, partition) -> brokers, or brokers and the log dir of each."""
    def line(topic, partition, wanted):
        brokers, *dirs = wanted if isinstance(wanted, tuple) else (wanted,)
        places = {"log_dirs": [str(place) for place in dirs[0]]} if dirs else {}
        return {"topic": topic, "partition": partition, "replicas": brokers, **places}

    file = folder / "plan.json"
    file.write_text(json.dumps({"version": 1, "partitions": [line(*id, wanted) for id, wanted in moves.items()]}))
    return file


def move(cluster, folder, moves, seconds=90):
    """Moves partitions, and returns when all are where they should be."""
    file = plan(folder, moves)
    said = tool(cluster, "kafka-reassign-partitions", "--reassignment-json-file", file, "--execute")
    assert "Successfully started partition reassignments" in said, said
    verify = lambda: tool(cluster, "kafka-reassign-partitions", "--reassignment-json-file", file, "--verify")  # noqa: E731
    until(seconds, lambda: verify().count("is complete") == len(moves), verify)
