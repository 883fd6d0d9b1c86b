"""Charts as inline SVG. All text is escaped; the page's style sheet sets the colours."""

import math
from collections.abc import Sequence
from dataclasses import replace

from tinyzero.watch.figures import Chart, Series, smoothed, trailing_means
from tinyzero.watch.text import as_html

_WIDTH, _HEIGHT = 460, 210
_LEFT, _RIGHT, _TOP, _BOTTOM = 44, 12, 10, 24
_MOST_POINTS, _MARKS = 400, 8
Point = tuple[float, float]


def chart_svg(chart: Chart) -> str:
    """One chart with axes: for each curve the raw values, faint, and the trailing mean."""
    values = limits(chart)
    steps = [step for series in chart.series for step, _ in series.points]
    span = min(steps), max(*steps, min(steps) + 1)
    parts = [_grid(*values), _x_labels(*span)]
    for index, series in enumerate(chart.series):
        if _window(series) > 1:
            parts.append(
                _line(smoothed(series.points, _MOST_POINTS), span, values, f"{_color(index, series)} raw")
            )
        mean = smoothed(_means(series), _MOST_POINTS)
        line = _line(mean, span, values, _color(index, series)) + _marks(mean, span, values, index, series)
        parts.append(f"<g><title>{as_html(_from_to(series))}</title>{line}</g>")
    about = as_html(f"{chart.title}: {'; '.join(map(_from_to, chart.series))}")
    content = "".join(parts)
    return f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{about}">{content}</svg>'


def legend_html(chart: Chart) -> str:
    """Each curve's line as it is drawn, its name, and the value at which it ends."""
    items = (
        f'<li><svg class="key" viewBox="0 0 30 8" aria-hidden="true">'
        f'<polyline class="{_color(index, series)}" points="0,4 30,4"/>{_mark(15, 4, index, series)}</svg>'
        f"{as_html(series.name)} <b>{_means(series)[-1][1]:.3g}</b></li>"
        for index, series in enumerate(chart.series)
    )
    return f'<ul class="legend">{"".join(items)}</ul>'


def _color(index: int, series: Series) -> str:
    """The classes of a curve in the style sheet."""
    return f"c{index % 6}{' control' if series.is_control else ''}"


def _window(series: Series) -> int:
    return max(1, len(series.points) // 15)


def _means(series: Series) -> list[Point]:
    return trailing_means(series.points, _window(series))


def _from_to(series: Series) -> str:
    """A curve in words, for those who hear the page."""
    means = _means(series)
    name = f"{series.name} " if series.name else ""
    return f"{name}{means[0][1]:.3g} at step {means[0][0]:.0f}, {means[-1][1]:.3g} at step {means[-1][0]:.0f}"


def _marks(points: Sequence[Point], steps: Point, values: Point, index: int, series: Series) -> str:
    """Some points of a curve as circles, where its line is like that of one before it."""
    stride = max(1, len(points) // _MARKS)
    return "".join(_mark(*_place(point, steps, values), index, series) for point in points[::stride])


def _mark(x: float, y: float, index: int, series: Series) -> str:
    classes = _color(index, series)
    return f'<circle class="{classes}" cx="{x:.1f}" cy="{y:.1f}" r="3"/>' if index >= 6 else ""


def limits(chart: Chart) -> Point:
    """Limits of the vertical axis: around the data, or from 0 if the chart says so."""
    values = [value for series in chart.series for _, value in series.points]
    low, high = min(values), max(values)
    if chart.bounds is not None:
        low, high = chart.bounds[0], min(chart.bounds[1], max(high, chart.bounds[0]) * 1.1)
    room = (high - low) * 0.05 or max(abs(high), 1.0) * 0.1
    return (low if chart.bounds else low - room), high + room


def _line(points: Sequence[Point], steps: Point, values: Point, classes: str) -> str:
    placed = [_place(point, steps, values) for point in points]
    if len(placed) == 1:
        return f'<circle class="{classes}" cx="{placed[0][0]:.1f}" cy="{placed[0][1]:.1f}" r="2.5"/>'
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in placed)
    return f'<polyline class="{classes}" points="{path}"/>'


def _place(point: Point, steps: Point, values: Point) -> Point:
    x = _LEFT + (point[0] - steps[0]) / (steps[1] - steps[0]) * (_WIDTH - _LEFT - _RIGHT)
    share = (point[1] - values[0]) / (values[1] - values[0])
    y = _HEIGHT - _BOTTOM - min(max(share, -1.0), 2.0) * (_HEIGHT - _TOP - _BOTTOM)  # far outside: cut off
    return x, y


def _grid(low: float, high: float) -> str:
    lines = []
    for value in ticks(low, high):
        _, y = _place((0.0, value), (0.0, 1.0), (low, high))
        lines.append(
            f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
            f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{value:.4g}</text>'
        )
    return "".join(lines)


def _x_labels(first: float, last: float) -> str:
    y = _HEIGHT - 6
    middle = (first + last) / 2
    return (
        f'<text x="{_LEFT}" y="{y}">{first:.0f}</text>'
        f'<text x="{(_WIDTH + _LEFT - _RIGHT) / 2}" y="{y}" text-anchor="middle">step {middle:.0f}</text>'
        f'<text x="{_WIDTH - _RIGHT}" y="{y}" text-anchor="end">{last:.0f}</text>'
    )


def ticks(low: float, high: float) -> list[float]:
    """Three to six round values within the limits."""
    rough = (high - low) / 4
    unit = 10.0 ** math.floor(math.log10(rough))
    step = next(unit * factor for factor in (1, 2, 5, 10) if unit * factor >= rough)
    count = math.floor(high / step + 1e-9) - math.ceil(low / step - 1e-9) + 1
    return [round((math.ceil(low / step - 1e-9) + index) * step, 10) for index in range(count)]


def compared(charts: Sequence[tuple[str, Chart]]) -> Chart | None:
    """One chart with the curves of the same chart of several runs, named by run; None without curves."""
    series = tuple(
        replace(curve, name=run if len(chart.series) == 1 else f"{run} {curve.name}")
        for run, chart in charts
        for curve in chart.series
    )
    if not series:
        return None
    first = charts[0][1]
    return Chart(key=first.key, title=first.title, series=series, bounds=first.bounds)
