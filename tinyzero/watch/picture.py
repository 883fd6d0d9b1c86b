"""One frame of the dashboard as text or as an SVG file."""

import io
import re

from rich.console import Console

from tinyzero.watch.dashboard import render
from tinyzero.watch.painter import Painter
from tinyzero.watch.state import RunState
from tinyzero.watch.view import View

_REMOTE_FONTS = re.compile(r"@font-face\s*\{.*?\}", re.DOTALL)


def as_text(state: RunState, view: View, painter: Painter, *, width: int, height: int) -> str:
    """The frame's lines, without the line of keys."""
    lines = painter.lines(render(state, view, width=width, height=height + 1), width, height + 1)
    return "\n".join(lines[:height])


def as_svg(state: RunState, view: View, *, width: int, height: int) -> str:
    """The frame as an SVG window. It loads no font or other data from a network."""
    console = Console(
        width=width,
        height=height,
        record=True,
        file=io.StringIO(),
        force_terminal=True,
        color_system="truecolor",
        legacy_windows=False,
        _environ={},
    )
    console.print(render(state, view, width=width, height=height), end="")
    svg = console.export_svg(title=f"tinyzero watch {state.name}", unique_id="tinyzero")
    return _REMOTE_FONTS.sub("", svg)
