"""`tinyzero presets`: lists and shows the presets."""

import json
import shutil
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tinyzero.cli.consent import YesPlugins, plug_in
from tinyzero.cli.screen import show

if TYPE_CHECKING:
    from tinyzero.config import Config, HardwareConfig

_WHAT_THE_FIGURES_ARE = (
    "The peak of its memory and the time of a step are estimates, for the card that a preset names "
    "(tinyzero plan --preset NAME says more)."
)


def complete_preset(incomplete: str) -> list[str]:
    from tinyzero.config.loading import find_presets

    return [name for name in find_presets() if name.startswith(incomplete)]


PresetArgument = Annotated[
    str | None,
    typer.Argument(help="The same as --preset.", metavar="[PRESET]", autocompletion=complete_preset),
]


def choose(argument: str | None, option: str | None) -> str | None:
    """The preset, whichever way it was named.

    Raises:
        ConfigError: it was named in both ways.
    """
    from tinyzero.errors import ConfigError

    if argument is not None and option is not None:
        raise ConfigError(f"two presets are named, {argument} and --preset {option}; leave one out")
    return argument if option is None else option


def presets(
    name: Annotated[
        str | None,
        typer.Argument(help="Show all values of this preset or TOML file.", autocompletion=complete_preset),
    ] = None,
    show_prompts: Annotated[
        bool, typer.Option("--show-prompts", help="Print the prompts that a run of NAME gives its model.")
    ] = False,
    copy: Annotated[
        Path | None, typer.Option(help="Copy the file of NAME to FILE, to change it.", metavar="FILE")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for programs to read.")] = False,
    yes_plugins: YesPlugins = False,
) -> None:
    """List the presets; with a NAME, print its file, and every other value as a comment."""
    if name is not None:
        from tinyzero.config import named_plugins

        if named_plugins(name):
            plug_in(name, (), (), is_agreed=yes_plugins)
    if copy is not None:
        show(_copy(name, copy))
    elif show_prompts:
        from tinyzero.cli.prompts import prompts

        show(prompts(name, as_json=as_json))
    elif name is None:
        width = min(max(80, shutil.get_terminal_size().columns), 110)
        show(_list_as_json() if as_json else _list_as_table(width))
    else:
        show(_show_as_json(name) if as_json else _show(name))


def _list_as_table(width: int) -> str:
    """One line of figures per preset with its description below; smallest cards first."""
    presets = sorted(_rows(), key=lambda row: _card_gib(row["config"].hardware))
    table = [("name", "hardware", "GiB", "s/step", "model"), *map(_figures, presets)]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    head, *lines = (
        "  ".join(f"{cell:<{size}}" for cell, size in zip(cells, widths, strict=True)).rstrip()
        for cells in table
    )
    described = (
        f"{line}\n{textwrap.fill(row['description'], width, initial_indent='  ', subsequent_indent='  ')}"
        for line, row in zip(lines, presets, strict=True)
    )
    return "\n".join([head, *described, "", textwrap.fill(_WHAT_THE_FIGURES_ARE, width)])


def _figures(row: dict[str, Any]) -> tuple[str, ...]:
    peak = "" if row["peak_gib"] is None else f"{row['peak_gib']:.1f}"
    step = "" if row["step_s"] is None else f"{row['step_s']:.0f}"
    return row["name"], _hardware_in_words(row["config"].hardware), peak, step, row["model"]


def _hardware_in_words(hardware: "HardwareConfig") -> str:
    device = {"cuda": "CUDA", "cpu": "CPU", "auto": "any"}[hardware.device]
    gib = _card_gib(hardware)
    return f"{device} {gib:g} GiB" if gib else device


def _card_gib(hardware: "HardwareConfig") -> float:
    """Memory of the preset's card; 0 if it names none."""
    from tinyzero.machine.suitability import card_of_preset

    card = card_of_preset(hardware)
    return 0.0 if card is None else card.memory_gib


def _rows() -> list[dict[str, Any]]:
    from tinyzero.config import describe_preset, find_presets, load_config

    return [
        {
            "name": name,
            "description": describe_preset(path),
            "model": (config := load_config(name)).model.base,
            "path": str(path),
            "config": config,
            **_planned(config),
        }
        for name, path in find_presets().items()
    ]


def _planned(config: "Config") -> dict[str, float | None]:
    """A preset's memory peak, and its step time on the preset's card; None if unknown."""
    from tinyzero.machine.evidence import counts_on_graphs
    from tinyzero.machine.hardware import Machine, machine_of_card, memory_here_gib
    from tinyzero.machine.memory import plan
    from tinyzero.machine.settling import settle
    from tinyzero.machine.shapes import shape_of
    from tinyzero.machine.suitability import card_of_preset
    from tinyzero.machine.timing import step_time

    shape, card = shape_of(config.model.base), card_of_preset(config.hardware)
    if shape is None:
        return {"peak_gib": None, "step_s": None}
    settled = settle(config, machine_of_card(card) if card else Machine(memory_gib=memory_here_gib()))
    time = step_time(settled, shape, card, has_graphs=counts_on_graphs(settled)) if card else None
    return {"peak_gib": plan(settled, shape).peak_gib, "step_s": time.total_s if time else None}


def _list_as_json() -> str:
    return json.dumps([{**row, "config": row["config"].model_dump(mode="json")} for row in _rows()], indent=2)


def _show(name: str) -> str:
    from tinyzero.config import load_config, locate, to_toml
    from tinyzero.foreign import read_text

    written = read_text(locate(name)).rstrip()
    resolved = "\n".join(f"# {line}".rstrip() for line in to_toml(load_config(name)).splitlines())
    return f"{written}\n\n# With all defaults, this resolves to:\n#\n{resolved}"


def _copy(name: str | None, target: Path) -> str:
    """Write the preset's file to a new file; returns what to say.

    Raises:
        ConfigError: there is no name, or the file exists or cannot be written.
    """
    from tinyzero.config import load_config, locate
    from tinyzero.errors import ConfigError
    from tinyzero.foreign import read_text

    if name is None:
        raise ConfigError(f"--copy needs a preset, as in tinyzero presets nano-cpu --copy {target}")
    load_config(name)
    try:
        with target.open("x", encoding="utf-8") as file:
            file.write(read_text(locate(name)))
    except FileExistsError as error:
        raise ConfigError(f"{target} exists; choose another file") from error
    except OSError as error:
        raise ConfigError(f"cannot write {target}: {error.strerror}") from error
    return f"{target} is a copy of {name}; train with it: tinyzero train --preset {target}"


def _show_as_json(name: str) -> str:
    from tinyzero.config import load_config

    return load_config(name).model_dump_json(indent=2)
