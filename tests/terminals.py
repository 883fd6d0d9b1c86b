"""A program in a pseudo-terminal, and the screen that a person would see."""

import fcntl
import os
import pty
import signal
import struct
import subprocess
import termios
import threading
import time
from contextlib import suppress

import pyte

DEADLINE_S = 600
_LAST = b"\0"  # what no program writes, and no terminal shows


class Seat:
    """Someone in front of a terminal: types, resizes the window, reads the screen."""

    def __init__(self, command, cwd, *, columns=120, lines=40, **environment):
        self._ours, theirs = pty.openpty()
        self._screen = pyte.Screen(columns, lines)
        self._stream = pyte.ByteStream(self._screen)
        self._lock = threading.Lock()
        self.raw = b""
        self.resize(columns, lines)
        self.before = termios.tcgetattr(theirs)
        self.process = subprocess.Popen(
            command,
            cwd=cwd,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env={**os.environ, "TERM": "xterm-256color", "COLORTERM": "truecolor", **environment},
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
        self._theirs = theirs  # held open, so that its settings can still be read at the end
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self):
        with suppress(OSError):
            while chunk := os.read(self._ours, 65536):
                with self._lock:
                    self.raw += chunk
                    self._stream.feed(chunk)

    def type(self, keys):
        os.write(self._ours, keys.encode())

    def resize(self, columns, lines):
        fcntl.ioctl(self._ours, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        with self._lock:
            self._screen.resize(lines, columns)

    def lines(self):
        with self._lock:
            return [line.rstrip() for line in self._screen.display]

    def text(self):
        return "\n".join(self.lines())

    def wait_for(self, *words):
        """Until all of the words are on the screen."""
        deadline = time.monotonic() + DEADLINE_S
        while not all(word in self.text() for word in words):
            assert time.monotonic() < deadline, f"{words} did not come up:\n{self.text()}"
            time.sleep(0.05)

    def leave(self, timeout=DEADLINE_S):
        """The exit code, when the program has ended."""
        code = self.process.wait(timeout)
        os.write(self._theirs, _LAST)  # comes after all that the program wrote
        deadline = time.monotonic() + timeout
        while not self.raw.endswith(_LAST):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        self.raw = self.raw.removesuffix(_LAST)
        return code

    def is_as_before(self):
        """Whether the terminal's settings are what they were."""
        return termios.tcgetattr(self._theirs) == self.before

    def close(self):
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        for descriptor in (self._ours, self._theirs):
            os.close(descriptor)
