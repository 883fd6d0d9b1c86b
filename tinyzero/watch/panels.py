"""The middle of the screen: funnel, phase times, before/after table; and the alarms."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.panel import Panel
from rich.segment import Segment
from rich.text import Text

from tinyzero.evaluation.comparison import Comparison, Row
from tinyzero.watch import figures
from tinyzero.watch.curves import number
from tinyzero.watch.header import fitted
from tinyzero.watch.state import RunState
from tinyzero.watch.text import one_line
from tinyzero.watch.view import ACCENT, BAD, GOOD, WARN, View, bar, panel

_IN_WORDS = {"nontrivial": "not trivial"}


def funnel_panel(state: RunState, view: View, *, width: int, height: int) -> Panel:
    """How many proposals passed each stage, and also per kind if there is room."""
    counts = figures.funnel(state)
    first = max(counts["proposed"], 1e-9)
    by_kind = [figures.funnel(state, kind) for kind in state.kinds] if width >= 60 else []
    room = width - 4 - len("deterministic  24.0  100 % ") - 6 * len(by_kind)
    lines = [
        Text.assemble(
            (f"{_IN_WORDS.get(stage, stage):<13} ", "dim"),
            f"{count:5.1f} ",
            (bar(count / first, room, view), ACCENT),
            f" {count / first:4.0%}",
            *((f" {kind[stage]:5.1f}", "dim") for kind in by_kind),
        )
        for stage, count in counts.items()
    ]
    if by_kind:
        names = "".join(f" {one_line(kind, is_ascii=True)[:5]:>5}" for kind in state.kinds)
        lines.insert(0, Text(" " * (width - 4 - len(names)) + names, style="dim"))
    return panel(
        _stack(lines, height), Text("proposals a step", style="bold"), view, width=width, height=height
    )


def phases_panel(state: RunState, view: View, *, width: int, height: int) -> Panel:
    """Seconds of each phase, and their share of the step."""
    seconds = figures.phase_seconds(state)
    total = max(sum(seconds.values()), 1e-9)
    room = width - 4 - len("propose  1000 s  100 % ")
    lines = [
        Text.assemble(
            (f"{phase:<8} ", "dim"),
            f"{number(spent):>4} s ",
            (bar(spent / total, room, view), ACCENT),
            f" {spent / total:4.0%}",
        )
        for phase, spent in seconds.items()
    ]
    title = Text.assemble(("a step's time", "bold"), (f", {number(figures.step_seconds(state))} s", "dim"))
    return panel(_stack(lines, height), title, view, width=width, height=height)


def comparison_panel(state: RunState, view: View, *, width: int, height: int) -> Panel:
    """The before/after table of evaluation.json, if it exists; most important rows first."""
    comparison = state.comparison or Comparison(set_name="", attempts=0, step=0, rows=())
    rows = sorted(comparison.rows, key=lambda row: (row.decoding != "sampled", row.name != "mean"))
    lines = [Text(f"{'':<20}before  after   diff  95 % interval", style="dim")]
    lines += [_comparison_line(row, view) for row in rows]
    title = Text.assemble(
        ("before and after", "bold"),
        (f", {one_line(comparison.set_name, is_ascii=view.is_ascii)}, step {comparison.step}", "dim"),
    )
    return panel(_stack(lines, height), title, view, width=width, height=height)


def _comparison_line(row: Row, view: View) -> Text:
    style = (GOOD if row.difference > 0 else BAD) if row.is_beyond_noise else "dim"
    name = one_line(f"{row.name} {row.decoding}", is_ascii=view.is_ascii)[:19]
    return Text.assemble(
        f"{name:<20}{row.before:6.3f} {row.after:6.3f} ",
        (f"{row.difference:+.3f}  [{row.low:+.3f}, {row.high:+.3f}]", style),
    )


def alarm_lines(state: RunState, view: View, width: int, most: int) -> list[Text]:
    """One line per alarm, newest first."""
    lines = [
        fitted(
            Text.assemble(
                (f" {view.glyph('▲', '!')} {one_line(event.alarm, is_ascii=view.is_ascii)}", f"bold {WARN}"),
                (f" at step {event.step}: ", "dim"),
                one_line(event.advice, is_ascii=view.is_ascii),
            ),
            width,
        )
        for event in figures.alarms(state)
    ]
    if len(lines) > most:
        names = ", ".join(
            one_line(event.alarm, is_ascii=view.is_ascii) for event in figures.alarms(state)[most - 1 :]
        )
        lead = f" {view.glyph('▲', '!')} {'and ' if most > 1 else ''}"
        lines[most - 1 :] = [fitted(Text(lead + names, style=WARN), width)]
    return lines[:most]


def funnel_line(state: RunState, view: View, width: int) -> Text:
    """The funnel in one line, for small screens: the stages at which most proposals fail."""
    text = Text(" ")
    arrow = view.glyph(" → ", " > ")
    for stage, count in figures.funnel(state).items():
        if width >= 100 or stage not in ("allowed", "deterministic"):
            text.append(arrow if len(text) > 1 else "", style="dim")
            text.append(f"{_IN_WORDS.get(stage, stage)} ", style="dim")
            text.append(f"{count:.0f}")
    return fitted(text, width)


def phases_line(state: RunState, view: View, width: int) -> Text:
    """The phase times in one line."""
    seconds = figures.phase_seconds(state)
    total = max(sum(seconds.values()), 1e-9)
    text = Text(" ")
    for phase, spent in seconds.items():
        text.append(f"{phase} ", style="dim")
        text.append(
            f"{number(spent)} s {spent / total:.0%}   " if width >= 100 else f"{spent / total:.0%}   "
        )
    return fitted(text, width)


def _stack(lines: Sequence[Text], height: int) -> Text:
    visible = list(lines[: max(0, height - 2)])
    for line in visible:
        line.no_wrap, line.overflow = True, "crop"
    return Text("\n", no_wrap=True, overflow="crop").join(visible)


@dataclass(frozen=True, slots=True)
class Tile:
    """Content, and its width in columns."""

    content: RenderableType
    width: int


@dataclass(frozen=True, slots=True)
class TileRow:
    """Tiles side by side, `height` lines of them."""

    tiles: Sequence[Tile]
    height: int


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows below each other, cut or filled to `height` lines in total."""

    rows: Sequence[TileRow]
    width: int
    height: int

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        lines = [line for row in self.rows for line in _lines(row, console, options)]
        for line in Segment.set_shape(lines[: self.height], self.width, self.height):
            yield from line
            yield Segment.line()


def _lines(row: TileRow, console: Console, options: ConsoleOptions) -> Iterator[list[Segment]]:
    columns = [
        Segment.set_shape(
            console.render_lines(tile.content, options.update(width=tile.width, height=row.height)),
            tile.width,
            row.height,
        )
        for tile in row.tiles
        if tile.width > 0
    ]
    for parts in zip(*columns, strict=True):
        yield [segment for part in parts for segment in part]


def whole_row(content: RenderableType, width: int, height: int) -> TileRow:
    return TileRow([Tile(content, width)], height)
