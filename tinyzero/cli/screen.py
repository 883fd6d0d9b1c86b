"""Lines for users: results on standard output, and the current wait on standard error.

Training must outlive its screen: if a pipe or terminal closes, its stream only drops further text.
"""

import json
import logging
import math
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TextIO

import typer

from tinyzero.watch.text import clipped, colored, one_line, printable

_ERASE = "\r\x1b[2K"
_TICK_S = 0.25
_STDERR = 2
_FIRST_REMINDER_S = 10.0

_MAX_ERROR_CHARS = 2000

__all__ = [
    "Screen",
    "ScreenHandler",
    "ask",
    "can_ask",
    "complain",
    "show",
    "show_colored",
    "show_json",
    "waiting",
]


def show(text: str, *, err: bool = False) -> None:
    """Print a text that anybody may have written a part of."""
    typer.echo(printable(text), err=err)


def show_colored(text: str) -> None:
    """Print a page that we have drawn, with its colours."""
    typer.echo(colored(text), color=True)


def show_json(value: object, indent: int | None = None) -> None:
    """Print a value for programs."""
    show(json.dumps(value, indent=indent))


def complain(message: str) -> None:
    """Print an error, on one line, whatever it quotes."""
    show(f"error: {clipped(' '.join(message.splitlines()), _MAX_ERROR_CHARS)}", err=True)


def can_ask() -> bool:
    """Whether a person can see a question and answer it."""
    return all(stream is not None and stream.isatty() for stream in (sys.stdin, sys.stderr))


def ask(question: str) -> bool:
    """Ask a person, and wait for the answer; all but y and yes is a no."""
    typer.echo(f"{printable(question)} [y/N] ", nl=False, err=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


class Screen:
    """On a terminal, a wait is one line with its seconds, redrawn in place; elsewhere it is a plain line."""

    def __init__(self, out: TextIO, err: TextIO) -> None:
        self._out = _Stream(out)
        self._err = _Stream(err)
        self._is_terminal = err.isatty() and os.environ.get("TERM") != "dumb"
        self._lock = threading.RLock()
        self._waiting_for = ""
        self._since = 0.0
        self._remind_s = math.inf
        self._closed = threading.Event()
        self._held: list[tuple[_Stream, str]] | None = None
        self._tell: Callable[[str], None] = self.note
        threading.Thread(target=self._tick, daemon=True).start()

    def line(self, text: str) -> None:
        """Write a result: a line on standard output."""
        self._write(self._out, text)

    def note(self, text: str) -> None:
        """Write a remark: a line on standard error."""
        self._write(self._err, text)

    def wait(self, text: str) -> None:
        """Show a text for the current wait."""
        if not self._is_terminal:
            self.note(f"{text} ...")
        self.wait_on_terminal(text)
        self._remind_s = _FIRST_REMINDER_S

    def wait_on_terminal(self, text: str) -> None:
        """Like `wait`, but only on a terminal: these waits are too frequent for a log file."""
        with self._lock:
            if self._held is not None:
                return
            self._waiting_for, self._since, self._remind_s = one_line(text), time.monotonic(), math.inf
            self._draw()

    def hold(self, tell: Callable[[str], None]) -> None:
        """Hold lines back while something else draws here. `tell` gets the remarks in the meantime."""
        with self._lock:
            self._erase()
            self._waiting_for, self._held, self._tell = "", [], tell

    def release(self) -> None:
        """Write the lines that were held back."""
        with self._lock:
            held, self._held, self._tell = self._held or [], None, self.note
            for stream, text in held:
                self._write(stream, text)

    def say_at_once(self, text: str) -> None:
        """Write a remark from a signal handler, which may interrupt a write to a stream."""
        if self._held is not None:
            self._tell(text)
            return
        with suppress(OSError):
            os.write(_STDERR, f"\r{text}\n".encode("ascii"))

    def close_wait(self) -> None:
        """End the current wait."""
        with self._lock:
            self._erase()
            self._waiting_for = ""

    def close(self) -> None:
        self.close_wait()
        self._closed.set()

    def piece(self, text: str) -> None:
        """Write a part of an unfinished result to standard output at once."""
        with self._lock:
            self._erase()
            self._out.write(printable(text))

    def _write(self, stream: "_Stream", text: str) -> None:
        with self._lock:
            if self._held is not None:
                self._held.append((stream, text))
                if stream is self._err:
                    self._tell(printable(text))
                return
            self._erase()
            stream.write(f"{printable(text)}\n")
            self._draw()

    def _erase(self) -> None:
        if self._is_terminal and self._waiting_for:
            self._err.write(_ERASE)

    def _draw(self) -> None:
        if self._is_terminal and self._waiting_for:
            seconds = int(time.monotonic() - self._since)
            self._err.write(f"{_ERASE}{self._waiting_for} ..." + (f" {seconds} s" if seconds else ""))

    def _tick(self) -> None:
        while not self._closed.wait(_TICK_S):
            with self._lock:
                self._draw()
                self._remind()

    def _remind(self) -> None:
        """Repeat a long wait in a log file, at growing intervals."""
        seconds = time.monotonic() - self._since
        if not self._is_terminal and self._waiting_for and seconds >= self._remind_s:
            self._remind_s *= 2
            self.note(f"{self._waiting_for} ... {int(seconds)} s")


@contextmanager
def waiting(text: str) -> Iterator[None]:
    """Show a text on a terminal while the block runs."""
    screen = Screen(sys.stdout, sys.stderr)
    screen.wait_on_terminal(text)
    try:
        yield
    finally:
        screen.close()


class ScreenHandler(logging.Handler):
    """Writes the library's warnings as remarks."""

    def __init__(self, screen: Screen) -> None:
        super().__init__(logging.WARNING)
        self._screen = screen

    def emit(self, record: logging.LogRecord) -> None:
        first_line = record.getMessage().partition("\n")[0]  # run.log has the full message
        self._screen.note(f"{record.levelname.lower()}: {first_line}")


class _Stream:
    """A stream that drops all text after its reader has left."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._is_open = True

    def write(self, text: str) -> None:
        if not self._is_open:
            return
        try:
            self._stream.write(text)
            self._stream.flush()
        except OSError:
            self._is_open = False
