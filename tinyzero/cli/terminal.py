"""The terminal as a canvas: takes it over, restores it, and reads its keys."""

import os
import select
import shutil
import sys
import termios
import threading
import tty
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

_ENTER = "\x1b[?1049h\x1b[?25l\x1b[?7l\x1b[2J"  # other screen, no cursor, no wrapping of long lines
_LEAVE = "\x1b[0m\x1b[?7h\x1b[?25h\x1b[?1049l"
_ARROWS = {"A": "up", "B": "down", "C": "right", "D": "left"}
_OFF = b"\x00"


def can_be_live(environ: Mapping[str, str]) -> bool:
    """Whether the output is a terminal that can be drawn on. TTY_* as in Rich: for CI and recorders."""
    if environ.get("TERM", "dumb") in ("", "dumb", "unknown"):
        return False
    if environ.get("TTY_COMPATIBLE") == "0" or environ.get("TTY_INTERACTIVE") == "0":
        return False
    return is_terminal()


def is_terminal() -> bool:
    return sys.stdout.isatty() and sys.stdin.isatty() and _is_foreground(sys.stdin.fileno())


def color_system(environ: Mapping[str, str]) -> str | None:
    """The terminal's colour system by the usual variables; NO_COLOR overrides FORCE_COLOR."""
    from rich.console import Console

    console = Console(file=sys.stdout, _environ=environ)
    return None if console.no_color else console.color_system


def needs_ascii() -> bool:
    encoding = (getattr(sys.stdout, "encoding", None) or "ascii").lower().replace("-", "")
    return not encoding.startswith("utf")


class Terminal:
    """Standard input and output of this process, from `enter` to `leave`."""

    def __init__(self) -> None:
        self._in, self._out = sys.stdin.fileno(), sys.stdout.fileno()
        self._before: list[Any] | None = None
        self._is_open = True
        self._closed = threading.Event()

    def enter(self) -> None:
        sys.stdout.flush()
        self._before = termios.tcgetattr(self._in)
        tty.setcbreak(self._in)
        attributes = termios.tcgetattr(self._in)
        attributes[6][termios.VSUSP] = _OFF  # a stopped program would not restore the terminal
        termios.tcsetattr(self._in, termios.TCSADRAIN, attributes)
        self.write(_ENTER)

    def leave(self) -> None:
        """Restore the terminal once; further calls do nothing."""
        self._closed.set()
        if self._before is None:
            return
        before, self._before = self._before, None
        self.write(_LEAVE)
        with suppress(termios.error, OSError):
            termios.tcsetattr(self._in, termios.TCSADRAIN, before)

    def size(self) -> tuple[int, int]:
        with suppress(OSError):
            size = os.get_terminal_size(self._out)
            if size.columns > 0 and size.lines > 0:
                return size.columns, size.lines
        return shutil.get_terminal_size((80, 24))

    def write(self, text: str) -> None:
        """Write a text. After the terminal has closed, text is dropped."""
        rest = text.encode("utf-8", "replace")
        while rest and self._is_open:
            try:
                rest = rest[os.write(self._out, rest) :]
            except OSError:
                self._is_open = False

    def read_keys(self, on_key: Callable[[str], None]) -> None:
        """Call `on_key` for every key, until `leave`. Runs in its own thread. Arrows are "up", "down", ..."""
        while not self._closed.is_set():
            try:
                ready, _, _ = select.select([self._in], [], [], 0.2)
                if not ready or self._closed.is_set():
                    continue
                if not _is_foreground(self._in):  # the input is for another process
                    self._closed.wait(0.2)
                    continue
                typed = os.read(self._in, 64)
            except (OSError, ValueError):
                return
            if not typed:
                return
            for key in _keys_in(typed.decode("utf-8", "replace")):
                on_key(key)


def _keys_in(typed: str) -> list[str]:
    """The keys in one read from the terminal; unknown sequences are dropped."""
    keys = []
    while typed:
        if typed.startswith(("\x1b[", "\x1bO")):
            end = next(
                (at for at, char in enumerate(typed[2:], 2) if char.isalpha() or char == "~"), len(typed)
            )
            keys += [_ARROWS[typed[end]]] if typed[end : end + 1] in _ARROWS else []
            typed = typed[end + 1 :]
        else:
            keys.append(typed[0])
            typed = typed[1:]
    return keys


def _is_foreground(descriptor: int) -> bool:
    """Whether this process may read the terminal: a background job that reads is stopped."""
    try:
        return os.tcgetpgrp(descriptor) == os.getpgrp()
    except OSError:
        return False
