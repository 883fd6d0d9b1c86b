"""The settings of a view, separate from the run; and basic drawing."""

from dataclasses import dataclass
from typing import Final, Literal

from rich import box
from rich.console import RenderableType
from rich.panel import Panel
from rich.text import Text

from tinyzero.machine.usage import Usage

Layout = Literal["auto", "compact", "full"]
LAYOUTS: Final[tuple[Layout, ...]] = ("auto", "compact", "full")

# Calm colours of medium brightness, readable on dark and on light terminals.
SERIES_COLORS: Final = ("#5b8def", "#d08a2e", "#4fa45a", "#b065c8", "#2f9ea5", "#d9534f")
_CONTROL_COLORS: Final = ("#8b919c", "#6f7580", "#a7adb7", "#7d838e", "#999fa9", "#616772")
"""Greys, of curves of control runs."""
GOOD: Final = "#4fa45a"
BAD: Final = "#d9534f"
WARN: Final = "#d08a2e"
ACCENT: Final = "#5b8def"


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """The settings of a view.

    Attributes:
        kind: show only samples of this kind; None for all. sample: number of samples back from the newest.
        notice: a temporary bottom line. keys: the bottom line at other times.
        help: lines of the help page; empty if it is hidden.
        now: current time, seconds since 1970, for ages and clocks.
        usage: load of this machine; None if the run is trained elsewhere.
    """

    layout: Layout = "auto"
    kind: str | None = None
    sample: int = 0
    notice: str = ""
    keys: str = ""
    help: tuple[str, ...] = ()
    is_ascii: bool = False
    has_color: bool = True
    now: float = 0.0
    usage: Usage | None = None

    def glyph(self, fancy: str, plain: str) -> str:
        return plain if self.is_ascii else fancy


def panel(content: RenderableType, title: Text, view: View, *, width: int, height: int) -> Panel:
    """A box of exactly this size around content that fits."""
    title.style = f"{title.style} not dim"  # else it is as faint as the border
    return Panel(
        content,
        title=title,
        title_align="left",
        border_style="dim",
        box=box.ASCII if view.is_ascii else box.ROUNDED,
        padding=(0, 1),
        width=width,
        height=height,
    )


def bar(share: float, width: int, view: View) -> str:
    """`width` columns, filled in eighths of a character; in ASCII, in full characters."""
    width = max(0, width)
    eighths = round(min(max(share, 0.0), 1.0) * width * 8)
    if view.is_ascii:
        return ("#" * round(eighths / 8)).ljust(width)
    return ("█" * (eighths // 8) + " ▏▎▍▌▋▊▉"[eighths % 8].strip()).ljust(width)


def duration(seconds: float) -> str:
    """`42 s`, `3 min 05 s`, `2 h 07 min`, `3 d 4 h`."""
    total = round(seconds)
    if total < 60:
        return f"{total} s"
    if total < 3600:
        return f"{total // 60} min {total % 60:02} s"
    if total < 86400:
        return f"{total // 3600} h {total % 3600 // 60:02} min"
    return f"{total // 86400} d {total % 86400 // 3600} h"


def series_color(index: int, *, is_control: bool = False) -> str:
    colors = _CONTROL_COLORS if is_control else SERIES_COLORS
    return colors[index % len(colors)]
