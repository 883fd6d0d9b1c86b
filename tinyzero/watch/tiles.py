"""Lays out a screen in rows of tiles of fixed size, whatever their content."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.segment import Segment


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
