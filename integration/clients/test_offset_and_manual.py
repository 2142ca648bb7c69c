"""`dohle offset`, `dohle completions`, `dohle man` and what `dohle produce` does with batches that are too large: as a person sees it,
beside kcat, Kafka's tools and the shells themselves."""

import json
import os
import re
import select
import shutil
import signal
import subprocess
import time

import pytest
from confluent_kafka import Producer

from harness import paths
from harness.paths import kafka_tool
from harness.process import run, until

on_zookeeper = pytest.mark.on("zookeeper")
BASE = 1_700_000_000_000


def dohle(broker, *arguments, check=True, text=""):
    return run([paths.DOHLE, *arguments, "--bootstrap-server", broker.bootstrap], check=check, text=text)


@pytest.fixture
def timed(broker, name):
    """Ten records in partition 0, one per second, twenty in 1, none in 2."""
    topic = broker.create_topic(name("offsets"), partitions=3)
    producer = Producer({"bootstrap.servers": broker.bootstrap})
    for partition, count in ((0, 10), (1, 20)):
        for number in range(count):
            producer.produce(topic, b"%d" % number, partition=partition, timestamp=BASE + 1000 * number)
    assert producer.flush(30) == 0
    return topic


@on_zookeeper
def test_offsets_are_those_that_kcat_and_kafkas_tool_find(broker, timed):
    ends = json.loads(dohle(broker, "offset", timed, "--json").stdout)
    assert ends == [{"topic": timed, "partition": partition, "earliest": 0, "latest": latest} for partition, latest in enumerate((10, 20, 0))]
    at = lambda *more: [(it["partition"], it["offset"], it["timestamp"]) for it in json.loads(dohle(broker, "offset", timed, "--json", *more).stdout)]  # noqa: E731
    moment = BASE + 1000 * 12 - 1
    assert at("--at", f"@{BASE + 4001}") == [(0, 5, BASE + 5000), (1, 5, BASE + 5000), (2, None, None)]
    assert at("--at", f"@{moment}", "--partition", "1") == [(1, 12, BASE + 12000)]
    assert at("--at", "max-timestamp", "-p", "0", "-p", "1") == [(0, 9, BASE + 9000), (1, 19, BASE + 19000)]
    assert at("--at", "latest", "--partition", "2") == [(2, 0, None)]

    tool = lambda time: run([kafka_tool("kafka-get-offsets"), "--bootstrap-server", broker.bootstrap, "--topic", timed, "--time", str(time)]).stdout  # noqa: E731
    lines = lambda found: "".join(f"{timed}:{partition}:{offset}\n" for partition, offset, _ in found if offset is not None)  # noqa: E731
    assert tool(moment).replace(f"{timed}:0:\n", "").replace(f"{timed}:2:\n", "") == lines(at("--at", f"@{moment}"))
    assert tool("latest") == lines(at("--at", "latest"))
    asked = [part for partition in range(2) for part in ("-t", f"{timed}:{partition}:{BASE + 4001}")]
    assert sorted(re.findall(r"\[(\d)\] offset (\d+)", run(["kcat", "-b", broker.bootstrap, "-Q", *asked]).stdout)) == [("0", "5"), ("1", "5")]

    table = dohle(broker, "offset", timed).stdout.splitlines()
    assert table[0].split() == ["Topic", "Partition", "Earliest", "Latest", "Between"] and table[2].split() == [timed, "1", "0", "20", "20"]
    # Others have left topics here that cannot be read: they hide nothing.
    assert timed in dohle(broker, "offset", "--exclude-internal", check=False).stdout
    assert "none" in dohle(broker, "offset", timed, "--at", f"@{moment}").stdout


@on_zookeeper
def test_offsets_that_cannot_be_found_are_told(broker, timed):
    unknown = dohle(broker, "offset", "nowhere", check=False)
    assert unknown.returncode == 1 and "there is no topic 'nowhere'" in unknown.stderr
    missing = dohle(broker, "offset", timed, "--partition", "7", check=False)
    assert missing.returncode == 1 and f"topic '{timed}' has no partition 7: it has 3" in missing.stderr
    assert dohle(broker, "offset", timed, "--at", "yesterday", check=False).returncode == 2
    assert json.loads(dohle(broker, "offset", timed, "--json", "--at", "earliest", "--read-committed").stdout)[0]["offset"] == 0


@on_zookeeper
def test_a_batch_that_is_too_large_for_the_topic_is_split_and_keeps_its_order(broker, name):
    topic = broker.create_topic(name("small"), partitions=1, max_message_bytes=2000)
    lines = [f"{number:04}-{'x' * 95}" for number in range(500)]
    properties = ("-X", "batch.size=60000", "-X", "linger.ms=200")
    dohle(broker, "produce", topic, *properties, text="\n".join(lines) + "\n")
    shown = dohle(broker, "consume", topic, "--from-beginning", "--until-end").stdout.split()
    assert shown == lines, "each once, and in order"
    refused = dohle(broker, "produce", topic, *properties, text="before\n" + "y" * 5000 + "\nafter\n", check=False)
    assert refused.returncode == 1 and "MESSAGE_TOO_LARGE" in refused.stderr and "max.message.bytes" in refused.stderr, refused.stderr
    shown = dohle(broker, "consume", topic, "--from-beginning", "--until-end").stdout.split()
    assert shown[:500] == lines and "y" * 5000 not in shown and shown[500:501] == ["before"], shown[500:]


@on_zookeeper
def test_a_broker_that_answers_nothing_costs_no_more_than_buffer_memory(brokers):
    broker = brokers().start()
    topic = broker.create_topic("t", partitions=1)
    process = subprocess.Popen(
        [paths.DOHLE, "produce", topic, "--bootstrap-server", broker.bootstrap, "-X", "buffer.memory=8000000", "-X", "linger.ms=0",
         "-X", "delivery.timeout.ms=6000", "-X", "request.timeout.ms=2000", "-X", "max.block.ms=60000"],
        stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    status = lambda key: int(re.search(rf"{key}:\s+(\d+) kB", open(f"/proc/{process.pid}/status").read())[1]) * 1024  # noqa: E731
    try:
        process.stdin.write(b"first\n")
        process.stdin.flush()
        until(20, lambda: dohle(broker, "offset", topic, "--at", "latest").stdout.split()[-2] == "1", "the first is written")
        before = status("VmHWM")
        broker.signal(signal.SIGSTOP)
        line, written = b"x" * 999 + b"\n", 0
        os.set_blocking(process.stdin.fileno(), False)
        end = time.monotonic() + 40
        while time.monotonic() < end and process.poll() is None:
            if select.select([], [process.stdin], [], 0.2)[1]:
                try:
                    written += os.write(process.stdin.fileno(), line * 60)
                except BrokenPipeError:
                    break
            if process.poll() is None:
                most = status("VmHWM")
        assert 7_000_000 < written, written
        assert most - before < 3 * 8_000_000, (before, most)
        assert process.wait(20) == 1
        said = process.stderr.read().decode()
        assert "did not acknowledge within 6000 ms" in said, said
    finally:
        broker.signal(signal.SIGCONT)
        process.kill()
        process.wait()


def test_the_shells_take_the_completions():
    for shell, check in (("bash", ["bash", "-n"]), ("zsh", ["zsh", "-n"]), ("fish", ["fish", "--no-execute"])):
        script = run([paths.DOHLE, "completions", shell]).stdout
        assert "reset-offsets" in script and "answers" not in script, shell
        if shutil.which(check[0]):
            done = subprocess.run([*check, "/dev/stdin"], input=script, text=True, capture_output=True)
            assert done.returncode == 0 and not done.stderr, (shell, done.stderr)
    # What bash would offer behind `dohle topic d`, and behind an option's beginning.
    ask = """source /dev/stdin; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _dohle dohle "${COMP_WORDS[-1]}" "${COMP_WORDS[-2]}"; echo ${COMPREPLY[@]}"""
    script = run([paths.DOHLE, "completions", "bash"]).stdout
    offer = lambda *words: set(subprocess.run(["bash", "-c", ask, "bash", *words], input=script, text=True, capture_output=True, check=True).stdout.split())  # noqa: E731
    assert offer("dohle", "topic", "d") == {"describe", "delete"}
    assert offer("dohle", "consume", "--from") == {"--from-beginning"}
    assert offer("dohle", "completions", "z") == {"zsh"}
    assert {"start", "offset", "group"} <= offer("dohle", "") and "answers" not in offer("dohle", "")
    wrong = run([paths.DOHLE, "completions", "tcsh"], check=False)
    assert wrong.returncode == 2 and "bash" in wrong.stderr


def test_there_is_a_manual_page_for_each_command():
    page = run([paths.DOHLE, "man"]).stdout
    assert page.count(".TH dohle 1") == 1 and "offset" in page and "answers" not in page
    pages = {command: run([paths.DOHLE, "man", *command.split()]).stdout for command in ("topic create", "group reset-offsets", "offset")}
    for command, page in pages.items():
        assert f"dohle-{command.replace(' ', '-')}" in page.replace("\\-", "-") and "bootstrap" in page, command
    if shutil.which("man") and shutil.which("groff"):
        shown = subprocess.run(["man", "-l", "-"], input=pages["offset"], text=True, capture_output=True, check=True)
        assert "kcat" not in shown.stderr and "OPTIONS" in shown.stdout, shown.stderr
    wrong = run([paths.DOHLE, "man", "nothing"], check=False)
    assert wrong.returncode == 2 and "there is no command 'dohle nothing'" in wrong.stderr
