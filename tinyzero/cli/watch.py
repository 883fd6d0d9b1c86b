"""`tinyzero watch`: shows the dashboard of a run, also from another terminal or after the run. Read-only."""

import os
import re
import shutil
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from tinyzero.cli.choices import Output, RunName, note_damage, open_run
from tinyzero.cli.screen import show, show_colored, waiting

if TYPE_CHECKING:
    from tinyzero.run.folder import RunFolder
    from tinyzero.watch.replay import Replay
    from tinyzero.watch.state import RunState
    from tinyzero.watch.view import View

_SHARE = 0.1  # maximum share of one core; the training is in another process
_FRAME_S = 0.05


Layout = Literal["auto", "compact", "full"]
"""The layout of `View`, which is too heavy to import here."""


def watch(
    run: RunName = None,
    output: Output = Path("runs"),
    once: Annotated[
        bool, typer.Option("--once", help="Print one frame and exit; this is the default without a terminal.")
    ] = False,
    svg: Annotated[Path | None, typer.Option(help="With --once: write the frame to this SVG file.")] = None,
    size: Annotated[
        str | None, typer.Option(help="With --once: columns and lines, such as 120x40.", metavar="WxH")
    ] = None,
    replay: Annotated[bool, typer.Option("--replay", help="Replay the run from its first step.")] = False,
    speed: Annotated[float, typer.Option(min=0.1, help="With --replay: steps per second.")] = 5.0,
    layout: Annotated[Layout, typer.Option(help="How much is shown.")] = "auto",
    kind: Annotated[str | None, typer.Option(help="Show only samples and tasks of this kind.")] = None,
    ascii_only: Annotated[bool, typer.Option("--ascii", help="Draw in ASCII.")] = False,
) -> None:
    """Look at a run as `train` shows it; changes nothing, and may be started and left at any time."""
    from tinyzero.cli.terminal import can_be_live, color_system, needs_ascii
    from tinyzero.watch.view import View

    folder = open_run(run, output)
    note_damage(folder)
    if kind is not None:
        from tinyzero.cli.task_table import check_kind

        check_kind(folder, kind)
    colors = color_system(os.environ)
    view = View(
        layout=layout,
        kind=kind,
        is_ascii=ascii_only or needs_ascii(),
        has_color=colors is not None,
        now=time.time(),
    )
    if once or svg is not None or not can_be_live(os.environ):
        _print_frame(folder, view, colors, size, svg)
    else:
        with waiting(f"reading {folder.path}"):
            screen = _Watch(folder, view, colors, speed if replay else None)
        screen.run()


def _print_frame(
    folder: "RunFolder", view: "View", colors: str | None, size: str | None, svg: Path | None
) -> None:
    from tinyzero.run.durable import explaining_failures
    from tinyzero.watch.follow import Follower
    from tinyzero.watch.painter import Painter, as_svg, as_text

    width, height = _size(size, is_file=svg is not None)
    state = Follower(folder).look()
    if svg is None:
        painter = Painter(color_system=colors, is_plain=not _takes_escapes())
        show_colored(as_text(state, view, painter, width=width, height=height))
        return
    with explaining_failures(svg):
        svg.write_text(
            as_svg(state, replace(view, has_color=True), width=width, height=height), encoding="utf-8"
        )
    show(f"{svg}: step {state.step}, {width}x{height}", err=True)


def _takes_escapes() -> bool:
    from rich.console import Console

    return Console(file=sys.stdout).is_terminal


def _size(size: str | None, *, is_file: bool) -> tuple[int, int]:
    if size is None:
        terminal = shutil.get_terminal_size((120, 40))
        return (120, 40) if is_file else (terminal.columns, max(1, terminal.lines - 1))
    from tinyzero.errors import ConfigError

    match = re.fullmatch(r"(\d{1,4})x(\d{1,4})", size)
    if match is None or "0" in match.groups():
        raise ConfigError(f"--size is {size!r}; it must be columns x lines, such as 120x40")
    return int(match[1]), int(match[2])


class _Watch:
    """The dashboard on this terminal, until a key or Ctrl-C ends it."""

    def __init__(self, folder: "RunFolder", view: "View", colors: str | None, speed: float | None) -> None:
        from tinyzero.cli.terminal import Terminal
        from tinyzero.machine.usage import UsageProbe
        from tinyzero.watch.drawer import Drawer
        from tinyzero.watch.follow import Follower, state_of
        from tinyzero.watch.painter import Painter
        from tinyzero.watch.replay import Replay

        self._terminal = Terminal()
        self._replay: Replay | None = None if speed is None else Replay(state_of(folder), speed)
        look: Callable[[], RunState] = Follower(folder).look if self._replay is None else self._replay.look
        self._drawer: Drawer = Drawer(
            look,
            self._terminal,
            self._with_keys(view),
            Painter(color_system=colors),
            probe=UsageProbe() if self._replay is None else None,
            most=_SHARE,
            look_every_s=0.5 if self._replay is None else _FRAME_S,
        )

    def run(self) -> None:
        """Draw until the end. Errors are raised after the terminal is restored."""
        keys = threading.Thread(target=self._terminal.read_keys, args=(self._on_key,), daemon=True)
        self._terminal.enter()
        try:
            keys.start()
            self._drawer.run()
        except KeyboardInterrupt:
            pass
        finally:
            self._terminal.leave()

    def _on_key(self, key: str) -> None:
        from tinyzero.watch.keys import press

        view = self._drawer.view
        if view.help or key in ("h", "?"):
            view = replace(view, help=() if view.help else self._help())
        elif key == "q":
            self._drawer.close()
            return
        elif self._replay is None or not _steer(self._replay, key):
            view = press(view, key, self._drawer.state.kinds) or view
        self._drawer.choose(self._with_keys(view))

    def _help(self) -> tuple[str, ...]:
        from tinyzero.watch.keys import COMMON_HELP, LEGEND_HELP

        leave = "q         leave; the run is not touched"
        return (*(_REPLAY_HELP if self._replay else ()), *COMMON_HELP, leave, "", *LEGEND_HELP)

    def _with_keys(self, view: "View") -> "View":
        keys = f"q leave  h help  n next sample  k kind: {view.kind or 'all'}  l layout: {view.layout}"
        if self._replay is not None:
            word = "go on" if self._replay.is_paused else "hold"
            arrows = view.glyph("← →", "arrows")
            keys = f"replay, {self._replay.speed:g} steps/s  p {word}  + - speed  {arrows} step  {keys}"
        return replace(view, keys=keys)


_REPLAY_HELP = (
    "p, space  hold, go on",
    "+, -      faster, slower",
    "arrows    a step on, a step back",
)


def _steer(replay: "Replay", key: str) -> bool:
    """Handle a key of the replay; False for any other key."""
    if key in ("p", " "):
        replay.is_paused = not replay.is_paused
    elif key in ("+", "=", "-"):
        replay.change_speed(is_faster=key != "-")
    elif key in ("left", "right"):
        replay.is_paused = True
        replay.move(1 if key == "right" else -1)
    else:
        return False
    return True
