"""Turns Rich renderables into lines of terminal text, and finds the lines that update a screen."""

import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from rich.color import ColorSystem
from rich.console import Console, RenderableType
from rich.segment import Segment

from tinyzero.watch.dashboard import render
from tinyzero.watch.state import RunState
from tinyzero.watch.view import View

_SYSTEMS: Final = {
    "standard": ColorSystem.STANDARD,
    "256": ColorSystem.EIGHT_BIT,
    "truecolor": ColorSystem.TRUECOLOR,
}
_BEGIN, _END = "\x1b[?2026h", "\x1b[?2026l"  # terminals that support it show the update at once


@dataclass(frozen=True, slots=True, kw_only=True)
class Painter:
    """The abilities of a terminal.

    Attributes:
        color_system: "standard", "256" or "truecolor"; None for no colour, but bold and dim.
        is_plain: no escape sequences.
    """

    color_system: str | None = "truecolor"
    is_plain: bool = False

    def lines(self, content: RenderableType, width: int, height: int) -> list[str]:
        """At most `height` lines, each of exactly `width` columns."""
        console = Console(
            width=width,
            height=height,
            color_system=None,
            force_terminal=True,
            legacy_windows=False,
            _environ={},
        )
        options = console.options.update(width=width, height=height)
        return [self._text(line) for line in console.render_lines(content, options)[:height]]

    def _text(self, segments: Sequence[Segment]) -> str:
        if self.is_plain:
            return "".join(segment.text for segment in segments).rstrip()
        kept = segments if self.color_system else Segment.remove_color(segments)
        system = _SYSTEMS.get(self.color_system or "", ColorSystem.STANDARD)
        return "".join(
            segment.style.render(segment.text, color_system=system) if segment.style else segment.text
            for segment in kept
        )


def update(before: Sequence[str], after: Sequence[str]) -> str:
    """The text to write so that a screen changes from `before` to `after`: only the lines that differ."""
    changed = [
        f"\x1b[{row + 1};1H\x1b[0m{line}"
        for row, line in enumerate(after)
        if row >= len(before) or before[row] != line
    ]
    return f"{_BEGIN}{''.join(changed)}\x1b[0m{_END}" if changed else ""


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
