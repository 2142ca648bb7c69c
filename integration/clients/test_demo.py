"""`dohle demo`: groups of members that count page views, on any broker; members and brokers die meanwhile, and the check holds."""

import json
import re
import signal
import time

import pytest

from harness import admin, paths
from harness.cluster import Cluster
from harness.process import Process, free_port, run, until
from harness.terminal import Terminal

# Kafka waits 3 s for more members of a new group, which makes the demo no other.
on_one = pytest.mark.on("embedded")


def demo(broker, *arguments):
    return [paths.DOHLE, "demo", "--bootstrap-server", broker.bootstrap, *map(str, arguments)]


def objects(text):
    """The lines of `--json` by their kind; one that is being written is left out, and so are notices on standard error."""
    by_kind = {}
    for line in text[:text.rfind("\n") + 1].splitlines():
        # A topic with a replica on a dead broker is marked for deletion only.
        if line.startswith("Topic "):
            continue
        value = json.loads(line)
        by_kind.setdefault(value["kind"], []).append(value)
    return by_kind


def topics(broker):
    return set(run([paths.DOHLE, "topic", "list", "--exclude-internal", "--bootstrap-server", broker.bootstrap]).stdout.split())


def groups(broker):
    return {group["group"] for group in json.loads(run([paths.DOHLE, "group", "list", "--json", "--bootstrap-server", broker.bootstrap]).stdout)}


def assert_all_counted(found, at_least):
    """What `--json` said at the end, and that it is true of each group."""
    (end,), (verdict,) = found["end"], found["verdict"]
    assert verdict["holds"] and end["acknowledged"] >= at_least, (end, verdict)
    assert [group["group"] for group in verdict["groups"]] == ["pages", "words", "files"]
    for group in verdict["groups"]:
        assert group["acknowledged"] == end["acknowledged"] and group["counted"] >= end["acknowledged"], group
        assert (group["missing"], group["again"], group["unsent"], group["differences"]) == (0, 0, 0, []), group
    return end, verdict


@on_one
def test_every_view_is_counted_once_while_members_are_killed(broker):
    before = topics(broker), groups(broker)
    done = run(demo(broker, "--duration", 25, "--kill-every", 7, "--rate", 400, "--seed", 1, "--json"), seconds=120)
    found = objects(done.stdout)
    end, _ = assert_all_counted(found, 25 * 400 * 0.8)
    told = [news["text"] for news in found["news"]]
    assert [text.split()[0] for text in told if "is killed" in text] == ["pages-1", "words-1", "files-1"], told
    assert any(re.match(r"pages-4 takes ", text) for text in told), "another takes the place of the killed one"
    assert end["members"] == 12 and end["unconfirmed"] == 0
    last = found["board"][-1]
    assert [row["partition"] for row in last["partitions"]] == list(range(6))
    assert sum(row["end"] for row in last["partitions"]) == end["acknowledged"]
    pages = dict(last["groups"][0]["results"]["pages"])
    assert {"/", "/search"} <= set(pages), pages
    seconds = [board["seconds"] for board in found["board"]]
    assert all(0.8 < later - earlier for earlier, later in zip(seconds, seconds[1:-1])), "a line a second"
    shared = [board for board in found["board"] if sum(len(member["partitions"]) == 2 for member in board["groups"][0]["members"]) == 3]
    assert shared, "three members share six partitions"
    if broker.kind == "dohle":
        assert (topics(broker), groups(broker)) == before, "nothing is left behind"


@on_one
def test_a_real_access_log_is_counted(broker, folder):
    log, output = folder / "access.log", folder / "views"
    line = '203.0.113.{} - - [27/Nov/2026:{:02}:05:01 +0100] "{} HTTP/1.1" {} 512 "https://search.example/?q=jackdaw+nest" "Mozilla/5.0"\n'
    lines = [line.format(number % 50, number % 3, f"GET /page/{number % 7}?utm=x", 200) for number in range(700)]
    lines += [line.format(1, 4, "POST /page/1", 200), line.format(1, 4, "GET /missing", 404), "no access log\n"]
    log.write_text("".join(lines))
    done = run(demo(broker, "--input", log, "--rate", 1000, "--output", output, "--plain"), seconds=120)
    assert "The check holds: every view was counted, and counted once per group." in done.stdout, done.stdout
    assert "The log had 700 views, 2 requests that showed no page, 1 lines in another format." in done.stdout
    assert {path.name for path in output.glob("partition=*/*")} == {"2026-11-26T23.tsv", "2026-11-27T00.tsv", "2026-11-27T01.tsv"}
    loaded = [row.split("\t", 1) for path in output.glob("partition=*/*") for row in path.read_text().splitlines()]
    views = [json.loads(view) for _, view in loaded]
    assert sorted(view["view"] for view in views) == list(range(700))
    assert {view["page"] for view in views} == {f"/page/{number}" for number in range(7)}
    assert {view["search"] for view in views} == {"jackdaw nest"}
    again = run(demo(broker, "--input", log, "--output", output), check=False)
    assert again.returncode == 1 and "is not empty" in again.stderr


@on_one
def test_it_shows_itself_on_a_terminal_and_keys_move_the_group(broker):
    with Terminal(demo(broker, "--rate", 300)) as terminal:
        members = lambda text, state: set(re.findall(rf"((?:pages|words|files)-\d+) +{state}", text))
        terminal.wait_for(lambda text: len(members(text, "reads")) == 9 and "counts the views of each page" in text, 40)
        text = terminal.wait_for(lambda text: re.search(r"/search +\d+", text))
        assert "made up" in text, "it says that nobody visited these pages"
        terminal.press("a")
        terminal.wait_for(lambda text: "pages-4" in members(text, "reads"))
        terminal.press("2k")
        text = terminal.wait_for(lambda text: "words-1 is killed" in text)
        assert "words-1" in members(text, "killed")
        # The others take what it had, when its session has ended.
        terminal.wait_for(lambda text: re.search(r"words-[23] takes ", text), 40)
        terminal.press("q")
        assert terminal.exit_code() == 0, terminal.text()
        text = terminal.wait_for(lambda text: "The check holds" in text)
        assert len(re.findall(r"^(?:pages|words|files): \d+ views counted, each once", text, re.M)) == 3, text
        assert terminal.raw.count(b"\x1b[?1049h") == terminal.raw.count(b"\x1b[?1049l") == 1, "the screen before is back"
        assert terminal.is_as_before()


@on_one
def test_it_ends_in_good_order_when_it_is_told_to(broker, folder):
    process = Process("the demo", demo(broker, "--rate", 200, "--duration", 600), folder / "log").start()
    until(30, lambda: "files: 3 members" in process.log.read_text(), process.tail)
    process.signal(signal.SIGINT)
    assert process.exit_code(60) == 0, process.tail()
    assert "The check holds" in process.tail()


@pytest.mark.dohle
@on_one
def test_without_a_broker_it_says_how_to_start_one(coordination):
    done = run([paths.DOHLE, "demo", "--bootstrap-server", f"127.0.0.1:{free_port()}"], check=False)
    assert done.returncode == 1 and done.stdout == ""
    assert "no broker answers at" in done.stderr and "dohle start" in done.stderr


@pytest.mark.timeout(300)
def test_a_broker_of_three_is_killed_meanwhile(kind, folder):
    three = Cluster(folder / "cluster", (kind,) * 3, **{"offsets.topic.replication.factor": 3, "min.insync.replicas": 2})
    try:
        began = time.monotonic()
        process = Process("the demo", demo(three, "--duration", 30, "--kill-every", 10, "--rate", 300, "--json"), folder / "log").start()
        boards = lambda: objects(process.log.read_text()).get("board", [])
        until(60, lambda: any(all(0 < group["counted"] for group in board["groups"]) for board in boards()), process.tail)
        victim = three.ask(admin.controller)
        three.brokers[victim].kill()
        assert process.exit_code(150) == 0, process.tail()
        found = objects(process.log.read_text())
        assert_all_counted(found, 30 * 300 * 0.5)
        led = {row["leader"] for row in found["board"][-1]["partitions"]}
        assert led and victim not in led, "others lead what the killed broker led"
        assert any(f"no more by {victim}" in news["text"] for news in found["news"]), time.monotonic() - began
    finally:
        three.end()
