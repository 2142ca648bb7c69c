"""Processes that a test starts, watches and ends by their own pid, and waiting without sleeping blindly."""

import contextlib
import os
import pathlib
import random
import signal
import socket
import subprocess
import time


def until(seconds, condition, what):
    """Polls `condition` until it answers something true, and returns that; fails with `what` after `seconds`."""
    deadline = time.monotonic() + seconds
    while True:
        answer = condition()
        if answer:
            return answer
        if deadline < time.monotonic():
            raise AssertionError(f"not within {seconds} s: {what() if callable(what) else what}")
        time.sleep(0.02)


# Workers of one run that work side by side, at most; the number of this one. What they pick without asking each other, they pick from a
# residue class of their own.
WORKERS = 8
WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:]) % WORKERS


def free_port():
    """A TCP port of the loopback interface that nobody listens on now, and that is nobody else's soon: below those that the system gives
    to clients, so that a broker which starts again finds its port free."""
    first_of_clients = int(pathlib.Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    while True:
        port = random.randrange(10_000 // WORKERS, first_of_clients // WORKERS) * WORKERS + WORKER
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def run(command, *, text=None, seconds=120, check=True, env=None, cwd=None, errors=None):
    """Runs a command to its end and returns it with its output; a failure carries what it said. `errors`: what becomes of output that is
    no UTF-8."""
    done = subprocess.run(
        [str(part) for part in command], input=text, capture_output=True, text=True, timeout=seconds, errors=errors,
        env={**os.environ, **(env or {})}, cwd=cwd,
    )
    assert not check or done.returncode == 0, (
        f"{' '.join(map(str, command))} ended with {done.returncode}\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
    )
    return done


class Process:
    """One child in a process group of its own, its output appended to a log file."""

    def __init__(self, name, command, log, env=None, cwd=None):
        self.name, self.command, self.log = name, [str(part) for part in command], pathlib.Path(log)
        self.env, self.cwd, self.child = env, cwd, None

    def start(self):
        assert not self.alive(), f"{self.name} runs already"
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with open(self.log, "ab") as log:
            self.child = subprocess.Popen(
                self.command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
                env={**os.environ, **(self.env or {})}, cwd=self.cwd,
            )
        return self

    def alive(self):
        return self.child is not None and self.child.poll() is None

    @property
    def pid(self):
        return self.child.pid

    def signal(self, number):
        if self.alive():
            os.killpg(self.pid, number)

    def kill(self):
        """kill -9, as a crash of the process."""
        self.signal(signal.SIGKILL)
        if self.child is not None:
            self.child.wait()

    def stop(self, seconds=30):
        """SIGTERM, as an operator stops it; the exit code. A process that does not end is killed and fails the test."""
        self.signal(signal.SIGTERM)
        return self.exit_code(seconds)

    def exit_code(self, seconds=30):
        try:
            return self.child.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"{self.name} did not end within {seconds} s:\n{self.tail()}") from None

    def pause(self):
        self.signal(signal.SIGSTOP)

    def resume(self):
        self.signal(signal.SIGCONT)

    def tail(self, lines=30):
        """The end of what it logged."""
        if not self.log.exists():
            return "(no output)"
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def memory(self):
        """Resident memory now and at its highest, in bytes."""
        status = pathlib.Path(f"/proc/{self.pid}/status").read_text()
        field = lambda name: int(status.split(f"{name}:")[1].split()[0]) * 1024
        return field("VmRSS"), field("VmHWM")

    def cpu_seconds(self):
        """User and system CPU of all its threads so far."""
        fields = pathlib.Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        ticks = os.sysconf("SC_CLK_TCK")
        return int(fields[11]) / ticks, int(fields[12]) / ticks

    def open_files(self):
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def removed_files(self):
        """Files that it holds open although they have no name any more."""
        def target(number):
            try:
                return os.readlink(f"/proc/{self.pid}/fd/{number}")
            except FileNotFoundError:
                return ""

        return [file for file in map(target, os.listdir(f"/proc/{self.pid}/fd")) if file.endswith(" (deleted)")]
