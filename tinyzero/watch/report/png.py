"""Draws curves as a PNG file, such as for a README. Needs matplotlib."""

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from tinyzero.errors import ConfigError
from tinyzero.watch.figures import Chart, trailing_means
from tinyzero.watch.report.style import DASHES, GREY, LIGHT
from tinyzero.watch.text import inert

_COLUMNS, _WIDTH_IN, _HEIGHT_IN, _DPI = 2, 5.0, 2.8, 150


def can_draw() -> bool:
    """Whether matplotlib is installed."""
    return find_spec("matplotlib") is not None


def write_png(charts: Sequence[Chart], target: Path) -> None:
    """Draw all charts in one image, two per row. The same charts give the same bytes.

    Raises:
        ConfigError: matplotlib is missing, or there is no chart.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ConfigError("--png needs matplotlib: pip install matplotlib") from error
    if not charts:
        raise ConfigError("there is no step to draw yet")
    rows = -(-len(charts) // _COLUMNS)
    figure = Figure(figsize=(_COLUMNS * _WIDTH_IN, rows * _HEIGHT_IN), layout="constrained")
    for place, chart in enumerate(charts):
        _draw(figure.add_subplot(rows, _COLUMNS, place + 1), chart)
    figure.savefig(target, dpi=_DPI, format="png", metadata={"Software": None})


def _draw(axes: Any, chart: Chart) -> None:  # noqa: ANN401  matplotlib's axes
    for index, series in enumerate(chart.series):
        window = max(1, len(series.points) // 15)
        steps = [step for step, _ in series.points]
        mean = [value for _, value in trailing_means(series.points, window)]
        color, dashes = LIGHT[index % len(LIGHT)], DASHES[index % len(DASHES)]
        color = GREY if series.is_control else color
        axes.plot(steps, [value for _, value in series.points], color=color, alpha=0.25, lw=0.8)
        (line,) = axes.plot(steps, mean, color=color, lw=1.6, label=inert(series.name).replace("$", r"\$"))
        if dashes:
            line.set_dashes([length / 2 for length in dashes])
    axes.set_title(chart.title, fontsize=10, loc="left")
    axes.grid(alpha=0.25)
    axes.tick_params(labelsize=8)
    axes.spines[["top", "right"]].set_visible(False)
    if chart.bounds:
        axes.set_ylim(bottom=chart.bounds[0])
    axes.legend(fontsize=8, frameon=False)
