"""The screen, as one pure function of a run's state and of the view's settings."""

import re
import textwrap
from dataclasses import replace

from rich.console import Group, RenderableType
from rich.text import Text

from tinyzero.watch import figures
from tinyzero.watch.curves import chart_panel, least_height, no_curves
from tinyzero.watch.header import fitted, header
from tinyzero.watch.panels import (
    Rows,
    Tile,
    TileRow,
    alarm_lines,
    comparison_panel,
    funnel_line,
    funnel_panel,
    phases_line,
    phases_panel,
    whole_row,
)
from tinyzero.watch.samples import chosen, no_sample, samples_panel, tasks_panel
from tinyzero.watch.state import RunState
from tinyzero.watch.text import inert
from tinyzero.watch.view import View, panel

_FULL_FROM = (100, 34)  # minimum columns and lines for the full layout
_CHART_WIDTH = 58
_LEAST_CHART = 38
_LEAST_SAMPLE, _GOOD_SAMPLE = 5, 7  # lines of the box
_LINES_FROM = 60  # columns from which the funnel and the times of a step fit into a line
_COMPARISON_WIDTH = 62
_FUNNEL_WIDTH, _PHASES_WIDTH, _MIDDLE_HEIGHT = 40, 36, 9


def render(state: RunState, view: View, *, width: int, height: int) -> Rows:
    """`height` lines of exactly `width` columns, for any size from 1 x 1 upwards."""
    if view.help:
        return _help(view, width, height)
    top = [whole_row(line, width, 1) for line in header(state, view, width)]
    bottom = whole_row(_bottom_line(view, width), width, 1)
    room = height - len(top) - 1
    if room < 3:
        nothing = whole_row(Text(""), width, max(0, room))
        return Rows([*top, nothing, bottom][: height if room < 0 else None], width, height)
    body = (
        _full(state, view, width, room)
        if is_full(view, width, height)
        else _compact(state, view, width, room)
    )
    return Rows([*top, whole_row(Rows(body, width, room), width, room), bottom], width, height)


def is_full(view: View, width: int, height: int) -> bool:
    if view.layout == "auto":
        return width >= _FULL_FROM[0] and height >= _FULL_FROM[1]
    return view.layout == "full"


def _bottom_line(view: View, width: int) -> Text:
    text = view.notice or _that_fit(view.keys, width - 1)  # both may contain names of kinds and files
    style = "bold reverse" if view.notice else "dim"
    return fitted(Text(f" {inert(text, is_ascii=view.is_ascii).replace(chr(10), ' ')}", style=style), width)


def _that_fit(keys: str, width: int) -> str:
    """As many of the keys, the first ones, as the line has room for."""
    parts = keys.split("  ")
    while len(parts) > 1 and len("  ".join(parts)) > width:
        parts.pop()
    return "  ".join(parts)


def _full(state: RunState, view: View, width: int, height: int) -> list[TileRow]:
    """Rows of the full layout: alarms; charts; funnel, times and more; samples."""
    alarms = [whole_row(line, width, 1) for line in alarm_lines(state, view, width, most=3)]
    room = height - len(alarms)
    if not state.steps:
        return [*alarms, *_before_the_first_step(state, view, width, room)]
    rows_of_table = len(state.comparison.rows) + 3 if state.comparison else 0
    middle = min(max(_MIDDLE_HEIGHT, rows_of_table), room // 3)
    top = min(max(8, (room - middle) // 2), 22)
    on_top = max(min(2, width // _LEAST_CHART), width // _CHART_WIDTH)
    charts = figures.charts(state, most=on_top + width // _LEAST_CHART)
    rows = [*alarms, _charts(charts[:on_top], view, width, top)]
    if _hides_times(state, width):
        rows.append(whole_row(phases_line(state, view, width), width, 1))
        room -= 1
    rows.append(_middle(state, view, charts[on_top:], width, middle))
    return [*rows, _invented(state, view, width, max(3, room - top - middle))]


def _before_the_first_step(state: RunState, view: View, width: int, height: int) -> list[TileRow]:
    """Boxes of figures would be empty."""
    top = height // 2
    return [_charts([], view, width, top), _samples(state, view, width, height - top)]


def _invented(state: RunState, view: View, width: int, height: int) -> TileRow:
    """Samples, and the newest tasks if both have room."""
    size = min(70, width * 2 // 5) if width >= 100 else 0
    samples = _samples(state, view, width - size, height)
    if size == 0:
        return samples
    return TileRow([*samples.tiles, Tile(tasks_panel(state, view, width=size, height=height), size)], height)


def _compact(state: RunState, view: View, width: int, height: int) -> list[TileRow]:
    """Rows of the compact layout: an alarm, two charts, one line each for funnel and times, one sample."""
    alarms = [whole_row(line, width, 1) for line in alarm_lines(state, view, width, most=1)]
    room = height - len(alarms)
    charts = figures.charts(state, most=max(1, width // 40))
    if room - _least_height(charts, view, width) < _GOOD_SAMPLE:
        charts = [_without_kinds(chart) for chart in charts]
    least = _least_height(charts, view, width)
    rows = [*alarms]
    if room - least >= _LEAST_SAMPLE:
        top = max(least, min(least + 2, room - _LEAST_SAMPLE - 3, 12))
        rows.append(_charts(charts, view, width, top))
        room -= top
    if room >= _LEAST_SAMPLE + 2 and width >= _LINES_FROM:
        rows += [whole_row(line(state, view, width), width, 1) for line in (funnel_line, phases_line)]
        room -= 2
    return [*rows, _samples(state, view, width, max(3, room))]


def _without_kinds(chart: figures.Chart) -> figures.Chart:
    """The chart of held-out accuracy with its means alone, whose legend is shorter."""
    means = tuple(series for series in chart.series if "mean" in series.name)
    return replace(chart, series=means) if chart.key == "heldout" and means else chart


def _least_height(charts: list[figures.Chart], view: View, width: int) -> int:
    sizes = shares(width, len(charts))
    return max(
        (least_height(chart, view, size) for chart, size in zip(charts, sizes, strict=True)), default=4
    )


def _charts(charts: list[figures.Chart], view: View, width: int, height: int) -> TileRow:
    if not charts:
        return whole_row(no_curves(view, width=width, height=height), width, height)
    widths = shares(width, len(charts))
    return TileRow(
        [
            Tile(chart_panel(chart, view, width=size, height=height), size)
            for chart, size in zip(charts, widths, strict=True)
        ],
        height,
    )


def _hides_times(state: RunState, width: int) -> bool:
    """Whether the before/after table leaves no room for the box with the times of a step."""
    return state.comparison is not None and width < _FUNNEL_WIDTH + _PHASES_WIDTH + _COMPARISON_WIDTH


def _middle(state: RunState, view: View, charts: list[figures.Chart], width: int, height: int) -> TileRow:
    """Funnel, times, the table before/after, and charts that fit."""
    draw, sizes = [funnel_panel], [_FUNNEL_WIDTH]
    if not _hides_times(state, width):
        draw.append(phases_panel)
        sizes.append(_PHASES_WIDTH)
    if state.comparison is not None:
        draw.append(comparison_panel)
        sizes.append(_COMPARISON_WIDTH)
    room = width - sum(sizes)
    count = max(0, room // _LEAST_CHART)
    fitting = [chart for chart in charts if least_height(chart, view, _LEAST_CHART) <= height][:count]
    if not fitting:  # the panels share the width
        sizes, room = _stretched(sizes, width), 0
    tiles = [
        Tile(panel(state, view, width=size, height=height), size)
        for panel, size in zip(draw, sizes, strict=True)
    ]
    for chart, size in zip(fitting, shares(room, len(fitting)), strict=True):
        tiles.append(Tile(chart_panel(chart, view, width=size, height=height), size))
    return TileRow(tiles, height)


def _stretched(sizes: list[int], width: int) -> list[int]:
    """Sizes that add up to `width`. The last panel keeps at least its size, if possible."""
    *others, last = sizes
    room = width - last
    if room < 2 * sum(others) // 3:
        return shares(width, len(sizes))
    return [*shares(min(room, sum(others)), len(others)), max(last, width - sum(others))]


def _samples(state: RunState, view: View, width: int, height: int) -> TileRow:
    samples = chosen(state, view)
    if not samples:
        return whole_row(no_sample(view, width=width, height=height), width, height)
    sizes = shares(width, min(len(samples), max(1, width // 64)))
    return TileRow(
        [
            Tile(samples_panel(samples[at :: len(sizes)], state, view, width=size, height=height), size)
            for at, size in enumerate(sizes)
        ],
        height,
    )


def shares(width: int, count: int) -> list[int]:
    """A width in `count` parts, as equal as possible."""
    return [width * (index + 1) // count - width * index // count for index in range(count)]


def _wrapped(line: str, width: int) -> list[str]:
    """A line of the help page, `word   its meaning`, of which the meaning goes on below itself."""
    meaning = re.search(r" {2,}(?=\S)", line)
    if meaning and width < _LINES_FROM:
        line = f"{line[: meaning.start()]}: {line[meaning.end() :]}"
    indent = meaning.end() if meaning and width >= _LINES_FROM else 2
    return textwrap.wrap(line, width, subsequent_indent=" " * indent) or [""]


def _help(view: View, width: int, height: int) -> Rows:
    lines = (part for line in view.help for part in _wrapped(line, max(8, width - 4)))
    body: RenderableType = Group(*(fitted(Text(line), width - 4) for line in lines))
    page = panel(body, Text("help", style="bold"), view, width=width, height=max(1, height - 1))
    return Rows(
        [whole_row(page, width, height - 1), whole_row(_bottom_line(view, width), width, 1)], width, height
    )
