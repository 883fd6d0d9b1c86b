"""`tinyzero presets`: what can be trained here by name."""

import json
import shutil
import textwrap
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tinyzero.cli.screen import printable

if TYPE_CHECKING:
    from tinyzero.config import Config


def complete_preset(incomplete: str) -> list[str]:
    from tinyzero.config.presets import find_presets

    return [name for name in find_presets() if name.startswith(incomplete)]


def presets(
    name: Annotated[
        str | None,
        typer.Argument(help="Show this preset, or TOML file, whole.", autocompletion=complete_preset),
    ] = None,
    show_prompts: Annotated[
        bool, typer.Option("--show-prompts", help="Print what a run of NAME would ask its model.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """List the presets; with a NAME, print its file and every resolved value."""
    if show_prompts:
        from tinyzero.cli.prompts import prompts

        typer.echo(prompts(name, as_json=as_json))
    elif name is None:
        typer.echo(
            _list_as_json() if as_json else _list_as_table(max(100, shutil.get_terminal_size().columns))
        )
    else:
        typer.echo(_show_as_json(name) if as_json else printable(_show(name)))


def _list_as_table(width: int) -> str:
    rows = [("name", "hardware", "model", "what")]
    rows += [
        (row["name"], hardware_in_words(row["config"]), row["model"], row["description"]) for row in _rows()
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    lines = []
    for *cells, what in rows:
        start = "".join(f"{cell:<{size}}  " for cell, size in zip(cells, widths, strict=True))
        lines += textwrap.wrap(
            what,
            width=width,
            initial_indent=start,
            subsequent_indent=" " * len(start),
            break_long_words=False,
        )
    return "\n".join(lines)


def hardware_in_words(config: "Config") -> str:
    device = {"cuda": "CUDA", "cpu": "CPU", "auto": "any"}[config.hardware.device]
    return f"{device} {config.hardware.memory_gib:g} GiB" if config.hardware.memory_gib else device


def _rows() -> list[dict[str, Any]]:
    from tinyzero.config import describe_preset, find_presets, load_config

    return [
        {
            "name": name,
            "description": describe_preset(path),
            "model": (config := load_config(name)).model.base,
            "path": str(path),
            "config": config,
        }
        for name, path in find_presets().items()
    ]


def _list_as_json() -> str:
    return json.dumps([{**row, "config": row["config"].model_dump(mode="json")} for row in _rows()], indent=2)


def _show(name: str) -> str:
    from tinyzero.config import load_config, locate, to_toml

    config = load_config(name)
    written = locate(name).read_text(encoding="utf-8").rstrip()
    return f"{written}\n\n# With all defaults, this resolves to:\n\n{to_toml(config)}".rstrip()


def _show_as_json(name: str) -> str:
    from tinyzero.config import load_config

    return load_config(name).model_dump_json(indent=2)
