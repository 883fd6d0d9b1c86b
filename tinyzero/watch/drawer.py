"""Draws a run on a screen repeatedly, in less than 1 % of the elapsed time."""

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

from tinyzero.machine.usage import UsageProbe
from tinyzero.watch.dashboard import render
from tinyzero.watch.header import HEADER_LINES, header
from tinyzero.watch.painter import Painter, update
from tinyzero.watch.samples import highlighted
from tinyzero.watch.state import RunState
from tinyzero.watch.view import View

_TICK_EVERY_S = 1.0
_BESIDE_TRAINING = 0.006  # share of the time; below 1 %, because pauses are not exact
_NOTICE_S = 8.0
_CLEAR = "\x1b[2J"
_LEAST_STILL = 22


class _Canvas(Protocol):
    """A screen; `tinyzero.cli.terminal.Terminal` implements it."""

    def size(self) -> tuple[int, int]:
        """Columns and lines."""
        ...

    def write(self, text: str) -> None: ...


def _import_what_draws() -> None:
    """Import plotext and the highlighter early: it takes 0.5 s, which would delay frames for a minute."""
    import plotext  # noqa: F401

    highlighted("def f(): pass", is_ascii=False)


class Drawer:
    """A loop that reads a run and draws it; `wake` makes it do so at once, from any thread.

    User actions (a key, a new size) are drawn at once. Changes of the run wait until drawing is within its
    share of the time: a frame costs 10 to 50 ms, and a step may last less than a second.
    """

    def __init__(
        self,
        look: Callable[[], RunState],
        canvas: _Canvas,
        view: View,
        painter: Painter,
        *,
        probe: UsageProbe | None = None,
        most: float = _BESIDE_TRAINING,
        look_every_s: float = 0.5,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`most`: the largest share of the time that drawing may take."""
        self.view = view
        self.state = RunState()
        self.busy_s = 0.0
        self._look = look
        self._canvas = canvas
        self._painter = painter
        self._probe = probe
        self._most = most
        self._look_every_s = look_every_s
        self._clock = clock
        self._wake = threading.Event()
        self._closed = threading.Event()
        self._shown_lines: list[str] = []
        self._shown_state: RunState | None = None
        self._shown_view: View | None = None
        self._shown_size = (0, 0)
        self._may_draw_at = 0.0
        self._is_asked = False
        self._notice_until = 0.0
        self._began = time.monotonic()

    def run(self) -> None:
        """Draw until `close` is called."""
        _import_what_draws()
        self.state = self._look()  # the first read may cover a long log
        while not self._closed.is_set():
            self._turn()
            self._wake.wait(self._look_every_s)
            self._wake.clear()
        self._turn(is_last=True)

    def wake(self) -> None:
        self._wake.set()

    def close(self) -> None:
        self._closed.set()
        self._wake.set()

    def choose(self, view: View) -> None:
        """Change the view, and draw it at once."""
        self.view = view
        self._is_asked = True
        self._wake.set()

    def notice(self, text: str) -> None:
        """Show a text in the bottom line for a while, from the next read on.

        Safe in a signal handler: it takes no lock, not even the lock of an event.
        """
        self._notice_until = time.monotonic() + _NOTICE_S
        self.view = replace(self.view, notice=text)
        self._is_asked = True

    def share(self) -> float:
        """The share of the time since the start that drawing took."""
        return self.busy_s / max(time.monotonic() - self._began, 1e-9)

    def still(self, below: int = 2) -> list[str]:
        """The last frame, which stays on the screen above so many more lines, if they leave room for one."""
        width, room = self._canvas.size()
        height = 1 + max(min(room - 2, _LEAST_STILL), room - below)
        view = replace(self.view, now=self._clock(), usage=None, help=(), notice="")
        lines = self._painter.lines(render(self.state, view, width=width, height=height), width, height)
        return lines[:-1]

    def _turn(self, *, is_last: bool = False) -> None:
        began = time.thread_time()
        is_asked, self._is_asked = self._is_asked, False  # before the view is read: it may change meanwhile
        self.state = self._look()
        if self.view.notice and time.monotonic() > self._notice_until:
            self.view = replace(self.view, notice="")
        width, height = self._canvas.size()
        is_resized = (width, height) != self._shown_size
        if is_last or is_resized or is_asked or time.monotonic() >= self._may_draw_at:
            self._draw(width, height, is_resized=is_resized)
            spent = time.thread_time() - began
            self._may_draw_at = time.monotonic() + max(
                min(_TICK_EVERY_S, self._look_every_s), spent / self._most
            )
        self.busy_s += time.thread_time() - began

    def _draw(self, width: int, height: int, *, is_resized: bool) -> None:
        usage = self._probe.look() if self._probe is not None and self.state.is_running else None
        chosen, view = self.view, replace(self.view, now=self._clock(), usage=usage)
        is_same_run = self.state is self._shown_state
        if is_same_run and not is_resized and chosen == self._shown_view:
            self._draw_header(view, width, height)
            return
        lines = self._painter.lines(render(self.state, view, width=width, height=height), width, height)
        # With every step, redraw everything, since other programs may have written over the frame.
        before = self._shown_lines if is_same_run and not is_resized else []
        self._canvas.write((_CLEAR if is_resized else "") + update(before, lines))
        self._shown_lines, self._shown_state, self._shown_view = lines, self.state, chosen
        self._shown_size = (width, height)

    def _draw_header(self, view: View, width: int, height: int) -> None:
        """Draw only clocks and usage, at a twentieth of a frame's cost."""
        if view.help or height <= HEADER_LINES:
            return
        lines = [self._painter.lines(line, width, 1)[0] for line in header(self.state, view, width)]
        self._canvas.write(update(self._shown_lines, [*lines, *self._shown_lines[HEADER_LINES:]]))
        self._shown_lines[:HEADER_LINES] = lines
