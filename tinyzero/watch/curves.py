"""Draws curves in a terminal with plotext: in braille dots, or in letters without colour."""

import math
from dataclasses import replace
from functools import lru_cache

from rich.console import RenderableType
from rich.panel import Panel
from rich.text import Text

from tinyzero.watch.figures import Chart, smoothed, trailing_means
from tinyzero.watch.text import one_line
from tinyzero.watch.view import View, panel, series_color

_WINDOWS = 8  # windows of the trailing mean per run: less noise, but a turn stays visible
_AXES = str.maketrans("┤│└┬─┼├┴┐┌┘", "+|++-++++++")


_LEAST_PLOT = 4  # lines: two of data and two of the axis
_LONGEST_NAME = 24


def chart_panel(chart: Chart, view: View, *, width: int, height: int) -> Panel:
    """A chart in a box, with the names and newest values of its curves above it.

    Where no curve has room, names and values fill the box.
    """
    smooth, window = _steadied(chart, most=4 * width)
    entries = legend(smooth, view, width - 4)
    room = height - 2 - len(entries)
    lines = [*entries]
    if room >= _LEAST_PLOT:
        lines.append(curves(smooth, width - 4, room, is_ascii=view.is_ascii, has_color=view.has_color))
    title = Text(chart.title, style="bold")
    if window > 1:
        title.append(f", means of {window * chart.spacing} steps", style="dim")
    return panel(Text("\n").join(lines), title, view, width=width, height=height)


def least_height(chart: Chart, view: View, width: int) -> int:
    """Of a box in which the chart has a curve, lines."""
    return 2 + len(legend(chart, view, width - 4)) + _LEAST_PLOT


def _steadied(chart: Chart, most: int) -> tuple[Chart, int]:
    """At most `most` points per curve, each a trailing mean of several steps; and that number of steps."""
    longest = max(len(series.points) for series in chart.series)
    window = max(1, longest // _WINDOWS)
    shrink = max(1.0, longest / most)
    series = tuple(
        replace(
            curve,
            points=tuple(trailing_means(smoothed(curve.points, most), max(1, round(window / shrink)))),
        )
        for curve in chart.series
    )
    return Chart(key=chart.key, title=chart.title, series=series, bounds=chart.bounds), window


def legend(chart: Chart, view: View, width: int) -> list[Text]:
    """Lines of `● deduction 0.42  ● abduction 0.31`, with every curve's name and newest value."""
    lines = [Text(no_wrap=True, overflow="crop")]
    for index, series in enumerate(chart.series):
        name = one_line(series.name, is_ascii=view.is_ascii)[:_LONGEST_NAME]
        mark = view.glyph("●", "*") if view.has_color else letter(chart, index)
        entry = Text.assemble(
            (f"{mark} ", series_color(index, is_control=series.is_control)), f"{name} {number(series.last)}"
        )
        if lines[-1].cell_len and lines[-1].cell_len + 2 + entry.cell_len > width:
            lines.append(Text(no_wrap=True, overflow="crop"))
        lines[-1].append("  " if lines[-1].cell_len else "")
        lines[-1].append_text(entry)
    for line in lines:
        line.truncate(max(1, width))
    return lines


def letter(chart: Chart, index: int) -> str:
    """The mark of a curve without colours: the first letter of its name that no other curve uses."""
    taken: list[str] = []
    for series in chart.series[: index + 1]:
        letters = [char for char in series.name if char.isascii() and char.isalnum()]
        taken.append(next((char for char in letters if char not in taken), str(len(taken) % 10)))
    return taken[-1]


@lru_cache(maxsize=64)
def curves(chart: Chart, width: int, height: int, *, is_ascii: bool, has_color: bool) -> Text:
    """Only the plot, at most `width` x `height` characters."""
    if width < 12 or height < 3:
        return Text("")
    low, high = axis(chart)
    steps = [step for series in chart.series for step, _ in series.points]
    drawn = _draw(
        chart,
        width,
        height,
        (low, high),
        (round(min(steps)), round(max(steps))),
        in_letters=not has_color or is_ascii,
    )
    if is_ascii:
        drawn = drawn.translate(_AXES)
    text = Text.from_ansi(drawn, no_wrap=True, overflow="crop")
    text.rstrip()
    return text


def _draw(
    chart: Chart,
    width: int,
    height: int,
    values: tuple[float, float],
    steps: tuple[int, int],
    *,
    in_letters: bool,
) -> str:
    import plotext

    plotext.clear_figure()
    plotext.theme("clear")
    plotext.limit_size(width=False, height=False)
    plotext.plotsize(width, height)
    for index, series in enumerate(chart.series):
        points = smoothed(series.points, width)
        plotext.plot(
            [step for step, _ in points],
            [min(max(value, values[0]), values[1]) for _, value in points],  # points outside cost time, too
            marker=letter(chart, index) if in_letters else "braille",
            color=_rgb(series_color(index, is_control=series.is_control)),
        )
    plotext.ylim(*values)
    plotext.xlim(steps[0], max(steps[1], steps[0] + 1))
    ticks = [*values] if height <= _LEAST_PLOT else [values[0], sum(values) / 2, values[1]]
    plotext.yticks(ticks, [f"{number(tick):>5}" for tick in ticks])
    middle = (steps[0] + steps[1]) // 2
    ends = [steps[0], middle, steps[1]] if width >= 40 else [steps[0], steps[1]]
    places = sorted(set(ends))
    plotext.xticks(places, [str(place) for place in places])
    plotext.xaxes(lower=True, upper=False)
    plotext.yaxes(left=True, right=False)
    return str(plotext.build())


def axis(chart: Chart) -> tuple[float, float]:
    """Round limits around the data; or from 0, if the chart's axis starts there."""
    values = [value for series in chart.series for _, value in series.points]
    low, high = min(values), max(values)
    if chart.bounds is not None:
        return chart.bounds[0], min(chart.bounds[1], max(0.1, math.ceil(high * 10 + 1e-9) / 10))
    unit = 10.0 ** math.floor(math.log10(max(high - low, abs(high) * 0.1, 1e-6)))
    low, high = math.floor(low / unit) * unit, math.ceil(high / unit) * unit
    return (low, high) if high > low else (low, low + unit)


def number(value: float) -> str:
    """A number in three or four characters."""
    size = abs(value)
    if size >= 1e6:
        return f"{value:.0e}"
    if size >= 100:
        return f"{value:.0f}"
    if size >= 10:
        return f"{value:.1f}"
    return f"{value:.2f}" if size >= 0.01 or size < 0.0005 else f"{value:.3f}"


def no_curves(view: View, *, width: int, height: int) -> RenderableType:
    """A placeholder for the first chart, before the first step."""
    return panel(
        Text("no step yet", style="dim"),
        Text("solver accuracy", style="bold"),
        view,
        width=width,
        height=height,
    )


def _rgb(color: str) -> tuple[int, int, int]:
    return int(color[1:3], 16), int(color[3:5], 16), int(color[5:7], 16)
