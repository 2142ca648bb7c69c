"""The data set: 336,776 flights that left New York in 2013, one CSV line each, keyed by carrier or by tail number."""

import collections
import functools

from harness import paths

ROWS = 336_776


@functools.cache
def lines():
    """Every row as text, without the heading."""
    assert paths.FLIGHTS.exists(), "the data set is missing: integration/setup/install says why"
    rows = paths.FLIGHTS.read_text().splitlines()[1:]
    assert len(rows) == ROWS
    return rows


def carrier(line):
    return line.split(",")[9]


def tail_number(line):
    return line.split(",")[11] or "none"


def by_key(pairs):
    """{key: [value, in the order they came]} of (key, value) pairs."""
    grouped = collections.defaultdict(list)
    for key, value in pairs:
        grouped[key].append(value)
    return dict(grouped)


def keyed_text(key, rows=None):
    """What a console producer reads: key, a tab, the row."""
    return "".join(f"{key(row)}\t{row}\n" for row in rows or lines())


def parse(text):
    """(key, value) of each line that `keyed_text` or a console consumer wrote."""
    return [tuple(line.split("\t", 1)) for line in text.splitlines()]
