"""Pieces of a page. All text in them is escaped."""

from collections.abc import Sequence

from tinyzero.watch.figures import Chart
from tinyzero.watch.report.curves import chart_svg, legend_html
from tinyzero.watch.text import as_html, clipped

_SHOWN_CHARS = 3000


def words(text: object) -> str:
    """Untrusted text, escaped: no markup and no control characters."""
    return as_html(clipped(str(text), _SHOWN_CHARS))


def section(title: str, content: str, remark: str = "") -> str:
    """A part of the page under a title; empty without content."""
    if not content:
        return ""
    small = f" <small>{words(remark)}</small>" if remark else ""
    return f"<section><h3>{words(title)}{small}</h3>{content}</section>"


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A table; on a phone each row becomes a list of its titles and cells."""
    titles = "".join(f"<th>{words(title)}</th>" for title in head)
    lines = "".join(
        f"<tr>{''.join(_cell(title, cell) for title, cell in zip(head, row, strict=True))}</tr>"
        for row in rows
    )
    return (
        f'<div class="wide"><table class="stack"><thead><tr>{titles}</tr></thead>'
        f"<tbody>{lines}</tbody></table></div>"
    )


def _cell(title: str, content: object) -> str:
    return f'<td data-label="{words(title)}">{words(content)}</td>'


def charts(chosen: Sequence[Chart]) -> str:
    figures = (
        f"<figure><figcaption>{words(chart.title)}</figcaption>{chart_svg(chart)}{legend_html(chart)}</figure>"
        for chart in chosen
    )
    return f'<div class="charts">{"".join(figures)}</div>' if chosen else ""


def figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
