"""A program on a pseudo-terminal, and what a person would see on it."""

import contextlib
import fcntl
import os
import pty
import signal
import struct
import subprocess
import termios
import threading

import pyte

from .process import until


class Terminal:
    """Runs a command on a terminal of this size; ends it when the block ends."""

    def __init__(self, command, columns=110, lines=36):
        self.screen = pyte.Screen(columns, lines)
        self.stream = pyte.ByteStream(self.screen)
        self.raw, self._lock = b"", threading.Lock()
        self.ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        self.settings = termios.tcgetattr(theirs)
        self.child = subprocess.Popen(
            [str(part) for part in command], stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
            env={**os.environ, "TERM": "xterm-256color"})
        self.theirs = theirs
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.child.poll() is None:
            os.killpg(self.child.pid, signal.SIGKILL)
        self.child.wait()
        os.close(self.theirs)
        self.reader.join(5)
        os.close(self.ours)

    def _read(self):
        with contextlib.suppress(OSError):
            while data := os.read(self.ours, 65536):
                with self._lock:
                    self.raw += data
                    self.stream.feed(data)

    def press(self, keys):
        os.write(self.ours, keys.encode())

    def text(self):
        """What stands on the screen now."""
        with self._lock:
            return "\n".join(line.rstrip() for line in self.screen.display)

    def wait_for(self, condition, seconds=30):
        """Until the screen's text satisfies this."""
        until(seconds, lambda: condition(self.text()), self.text)
        return self.text()

    def exit_code(self, seconds=60):
        until(seconds, lambda: self.child.poll() is not None, self.text)
        return self.child.returncode

    def is_as_before(self):
        """Whether the terminal's settings are those that the program found."""
        return termios.tcgetattr(self.theirs) == self.settings
