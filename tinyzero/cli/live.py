"""The live view of `train`: draws during training, and turns keys into requests to the trainer."""

import logging
import os
import termios
import threading
from dataclasses import replace

from tinyzero.cli.screen import Screen
from tinyzero.cli.terminal import Terminal, color_system, needs_ascii
from tinyzero.machine.usage import UsageProbe
from tinyzero.run.control import Request, ask, is_asked, take
from tinyzero.run.events import Event
from tinyzero.run.folder import RunFolder
from tinyzero.run.observer import RunStart, RunSummary
from tinyzero.types import StepReport
from tinyzero.watch.drawer import Drawer
from tinyzero.watch.follow import Follower
from tinyzero.watch.keys import COMMON_HELP, LEGEND_HELP, press
from tinyzero.watch.painter import Painter
from tinyzero.watch.plain import PlainObserver
from tinyzero.watch.view import View

logger = logging.getLogger(__name__)

_HELP = (
    "p         pause after this step: the machine is yours until p again",
    "s         save a checkpoint after this step",
    *COMMON_HELP,
    "q q       save after this step, and end",
    "d         close this view; the training goes on, a line a step",
    "Ctrl-C    the same as q q; twice: leave at once",
    "",
    *LEGEND_HELP,
)
_ASK_TWICE = (
    "q again: save after this step, and end.  d: close this view, and train on.  Any other key: stay."
)


class LiveView:
    """An observer that reads the recorder's files. If it fails, plain lines replace it."""

    def __init__(self, screen: Screen, *, is_ascii: bool) -> None:
        self._screen = screen
        self._is_ascii = is_ascii or needs_ascii()
        self._terminal = Terminal()
        self._plain = PlainObserver(screen.line, width=self._terminal.size()[0])
        self._drawer: Drawer | None = None
        self._threads: list[threading.Thread] = []
        self._run: RunFolder | None = None
        self._is_asking = False
        self._closing = threading.Lock()

    def on_start(self, start: RunStart) -> None:
        self._plain.on_start(start)
        self._run = RunFolder(start.path)
        colors = color_system(os.environ)
        view = View(keys=_keys(None, "auto"), is_ascii=self._is_ascii, has_color=colors is not None)
        drawer = Drawer(
            Follower(self._run).look,
            self._terminal,
            view,
            Painter(color_system=colors),
            probe=UsageProbe(os.environ.get("CUDA_VISIBLE_DEVICES", "0").partition(",")[0] or "0"),
        )
        self._screen.hold(drawer.notice)
        try:
            self._terminal.enter()
        except (OSError, termios.error) as error:
            self._screen.release()
            logger.warning("no live view on this terminal (%s); plain lines instead", error)
            return
        self._drawer = drawer
        for work in (self._draw, self._read_keys):
            self._threads.append(threading.Thread(target=work, daemon=True))
            self._threads[-1].start()

    def on_step(self, report: StepReport) -> None:
        drawer = self._drawer  # a key may close the view at the same time
        if drawer is None:
            self._plain.on_step(report)
        else:
            drawer.wake()

    def on_event(self, event: Event) -> None:
        drawer = self._drawer
        if drawer is None:
            self._plain.on_event(event)
        else:
            drawer.wake()

    def on_end(self, summary: RunSummary) -> None:
        lines = self._plain.ending(summary)
        width = max(1, self._terminal.size()[0])
        self.close(below=2 + sum(max(1, -(-len(line) // width)) for line in lines))
        for line in lines:
            self._screen.line(line)

    def close(self, *, has_died: bool = False, below: int = 2) -> None:
        """Restore the terminal, and leave the last frame on it, above so many lines that follow."""
        with self._closing:
            drawer, self._drawer = self._drawer, None
        if drawer is None:
            return
        try:
            drawer.close()
            if threading.current_thread() is not self._threads[0]:
                self._threads[0].join(timeout=5)
        finally:  # a second Ctrl-C may arrive here
            self._terminal.leave()
        if not has_died:
            self._terminal.write("".join(f"{line}\r\n" for line in _last_picture(drawer, below)))
        self._screen.release()
        logger.info("the live view took %.2f %% of the time", 100 * drawer.share())

    def _draw(self) -> None:
        drawer = self._drawer
        if drawer is None:
            return
        try:
            drawer.run()
        except Exception:
            logger.exception("the live view ended; training goes on")
            self.close(has_died=True)

    def _read_keys(self) -> None:
        try:
            self._terminal.read_keys(self._on_key)
        except Exception:
            logger.exception("the keys of the live view are dead; training goes on")

    def _on_key(self, key: str) -> None:
        drawer, run = self._drawer, self._run
        if drawer is None or run is None:
            return
        if key == "d":
            self.close()
        elif key == "q":
            self._quit(drawer, run)
        elif key == "p":
            self._pause(drawer, run)
        elif key == "s":
            _try(drawer, run, Request.SAVE, "saving after this step")
        else:
            self._change_view(drawer, key)
        self._is_asking = key == "q"
        drawer.wake()

    def _quit(self, drawer: Drawer, run: RunFolder) -> None:
        if self._is_asking:
            _try(drawer, run, Request.STOP, "saving after this step, then the end; Ctrl-C leaves at once")
        else:
            drawer.notice(_ASK_TWICE)

    def _pause(self, drawer: Drawer, run: RunFolder) -> None:
        if is_asked(run, Request.PAUSE):
            take(run, Request.PAUSE)
            drawer.notice("going on")
        else:
            _try(drawer, run, Request.PAUSE, "pausing after this step; p goes on")

    def _change_view(self, drawer: Drawer, key: str) -> None:
        view = drawer.view
        if key in ("h", "?"):
            view = replace(view, help=() if view.help else (*_HELP, "", _cost(drawer)))
        elif view.help:
            view = replace(view, help=())
        else:
            view = press(view, key, drawer.state.kinds) or view
        drawer.choose(replace(view, notice="", keys=_keys(view.kind, view.layout)))


def _last_picture(drawer: Drawer, below: int) -> list[str]:
    try:
        return drawer.still(below)
    except Exception:
        logger.exception("the last picture could not be drawn")
        return []


def _try(drawer: Drawer, run: RunFolder, request: Request, words: str) -> None:
    try:
        ask(run, request)
    except OSError as error:
        words = f"cannot write {run.control}: {error.strerror}"
    drawer.notice(words)


def _keys(kind: str | None, layout: str) -> str:
    return f"q quit  h help  p pause  s save now  n next sample  k kind: {kind or 'all'}  l layout: {layout}"


def _cost(drawer: Drawer) -> str:
    return f"This view has taken {drawer.share():.2%} of the time so far."
