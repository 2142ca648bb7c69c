"""The integration tests that the Rust client rskafka ships with its crate; Apache Kafka 3.9.1 passes all that are counted here."""

import json
import re
import shutil

import pytest

from harness.paths import TOOLS
from harness.process import run

VERSION = "0.6.0"
PASSED_BY_KAFKA = 40
# These pass without a broker: they return at once where no second client, TLS or proxy is set up.
WITHOUT_BROKER = re.compile(
    "test_client_backoff_terminates|test_sasl|test_tls|test_socks5.*|test_produce_java_.*|test_produce_.*_consume_java_.*"
    "|test_produce_rdkafka_consume_rdkafka_nocompression")
pytestmark = [pytest.mark.long, pytest.mark.timeout(1800)]


@pytest.fixture(scope="session")
def suite():
    """A copy of the crate's sources, its tests built."""
    folder = TOOLS / f"rskafka-{VERSION}"
    if not (folder / "suite" / "Cargo.toml").exists():
        (folder / "get" / "src").mkdir(parents=True, exist_ok=True)
        (folder / "get" / "src" / "lib.rs").touch()
        (folder / "get" / "Cargo.toml").write_text(
            f'[package]\nname = "get"\nversion = "0.0.0"\nedition = "2021"\n[dependencies]\nrskafka = "={VERSION}"\n[workspace]\n')
        listed = json.loads(run(["cargo", "metadata", "-q", "--format-version", "1"], cwd=folder / "get", seconds=300).stdout)
        [manifest] = [package["manifest_path"] for package in listed["packages"] if package["name"] == "rskafka"]
        shutil.copytree(manifest.removesuffix("/Cargo.toml"), folder / "suite", dirs_exist_ok=True)
        for pinned in ("Cargo.lock", "rust-toolchain", "rust-toolchain.toml"):
            (folder / "suite" / pinned).unlink(missing_ok=True)
    return folder / "suite"


def test_rskafka(broker, suite):
    def cargo_test(*arguments):
        return run(["cargo", "test", "--no-fail-fast", "--features", "transport-tls", "--test", "client", "--test", "consumer", "--test", "produce_consume",
                    "--test", "producer", "--", *arguments], cwd=suite, seconds=1500, check=False,
                   env={"TEST_INTEGRATION": "1", "TEST_BROKER_IMPL": "kafka", "KAFKA_CONNECT": broker.bootstrap, "RUST_BACKTRACE": "0"})

    listed = cargo_test("--list")
    assert listed.returncode == 0, f"the suite cannot be built\n{listed.stderr[-5000:]}"
    names = [name for name in re.findall(r"^(\S+): test$", listed.stdout, re.M) if not WITHOUT_BROKER.fullmatch(name)]
    passed = lambda done: set(re.findall(r"^test (\S+) \.\.\. ok$", done.stdout, re.M))
    done = cargo_test("--exact", "--test-threads", "4", *names)
    good = passed(done)
    if missing := set(names) - good:  # once more, alone
        done = cargo_test("--exact", "--test-threads", "1", *sorted(missing))
        good |= passed(done)
    assert PASSED_BY_KAFKA <= len(good), f"failed: {sorted(set(names) - good)}\n{done.stdout[-5000:]}"
