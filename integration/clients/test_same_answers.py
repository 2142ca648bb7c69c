"""The assignors and the partitioner of Dohle's client give the answers of Kafka's own, for the same bytes."""

import collections
import os
import subprocess

import pytest

from harness import paths
from harness.process import run

QUESTIONS = 10_000


def answers(lines):
    """One list of lines for each question."""
    found, lines_of_one = [], []
    for line in lines:
        if line == "end" or line.isdigit():
            found.append([*lines_of_one, line])
            lines_of_one = []
        else:
            lines_of_one.append(line)
    assert not lines_of_one
    return found


@pytest.mark.parametrize("seed", [1, 2])
def test_assignors_and_partitioner_answer_as_kafka_does(folder, seed):
    jars = paths.KAFKA / "libs"
    classes, questions, expected = folder / "classes", folder / "questions", folder / "answers"
    run(["javac", "-cp", f"{jars}/*", "-d", classes, paths.INTEGRATION / "clients" / "Answers.java"])
    log = f"-Dlog4j.configuration=file:{paths.KAFKA}/log4j.properties"
    run(["java", "-Xmx256m", log, "-cp", f"{classes}:{jars}/*", "Answers", str(seed), str(QUESTIONS), questions, expected])
    asked = subprocess.run([os.fspath(paths.DOHLE), "answers", questions], capture_output=True, text=True, check=True, timeout=300)
    ours, kafkas = answers(asked.stdout.splitlines()), answers(expected.read_text().splitlines())
    assert len(ours) == len(kafkas) == 5 * QUESTIONS
    wrong = collections.Counter()
    threw, example = 0, None
    for number, (our, kafka) in enumerate(zip(ours, kafkas)):
        if kafka[0].startswith("threw"):
            threw += 1  # Kafka has no answer: a member that has left its topics had a partition in an older generation.
        elif our != kafka:
            wrong[number // QUESTIONS] += 1
            example = example or (number, our, kafka)
    assert not wrong, f"by assignor: {wrong}; the first: {example}"
    assert threw < 4 * QUESTIONS / 100, f"Kafka threw {threw} times"
