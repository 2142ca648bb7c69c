"""The integration tests that a Rust client ships with its crate, built from the registry's sources."""

import json
import re
import shutil
from collections import Counter

from harness.paths import TOOLS
from harness.process import run


class Suite:
    """A copy of a crate's sources, and how its tests are run."""

    def __init__(self, crate, version, tests, features=()):
        folder = TOOLS / f"{crate}-{version}"
        self.folder = folder / "suite"
        self.command = ["cargo", "test", "--no-fail-fast", *features, *(word for test in tests for word in ("--test", test))]
        if (self.folder / "Cargo.toml").exists():
            return
        (folder / "get" / "src").mkdir(parents=True, exist_ok=True)
        (folder / "get" / "src" / "lib.rs").touch()
        (folder / "get" / "Cargo.toml").write_text(
            f'[package]\nname = "get"\nversion = "0.0.0"\nedition = "2021"\n[dependencies]\n{crate} = "={version}"\n[workspace]\n')
        listed = json.loads(run(["cargo", "metadata", "-q", "--format-version", "1"], cwd=folder / "get", seconds=300).stdout)
        [manifest] = [package["manifest_path"] for package in listed["packages"] if package["name"] == crate]
        shutil.copytree(manifest.removesuffix("/Cargo.toml"), self.folder, dirs_exist_ok=True)
        for pinned in ("Cargo.lock", "rust-toolchain", "rust-toolchain.toml"):
            (self.folder / pinned).unlink(missing_ok=True)

    def run(self, environment, without, threads):
        """Runs all tests but those whose names match; those that fail once more, alone. Those that passed, all, each as often as
        there is one of its name, and what was said last."""
        cargo = lambda *arguments: run([*self.command, "--", *arguments], cwd=self.folder, seconds=1500, check=False,  # noqa: E731
                                       env={"RUST_BACKTRACE": "0", **environment})
        listed = cargo("--list")
        assert listed.returncode == 0, f"the suite cannot be built\n{listed.stderr[-5000:]}"
        names = Counter(name for name in re.findall(r"^(\S+): test$", listed.stdout, re.M) if not without.fullmatch(name))
        passed = lambda done: Counter(re.findall(r"^test (\S+) \.\.\. ok$", done.stdout, re.M))  # noqa: E731
        done = cargo("--exact", "--test-threads", str(threads), *sorted(names))
        good = passed(done)
        if missing := names - good:
            done = cargo("--exact", "--test-threads", "1", *sorted(missing))
            good |= passed(done)
        return good, names, done.stdout[-5000:]
