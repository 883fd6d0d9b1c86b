"""`tinyzero plan`: memory, time and disk of a run, before anything is downloaded or loaded."""

from typing import TYPE_CHECKING, Annotated

import typer

from tinyzero.cli.config import complete_setting
from tinyzero.cli.consent import PluginOption, YesPlugins
from tinyzero.cli.presets import PresetArgument, choose, complete_preset

if TYPE_CHECKING:
    from tinyzero.config import Config
    from tinyzero.machine.forecast import Target


def complete_card(incomplete: str) -> list[str]:
    """Names of cards as one word, with this in them."""
    from tinyzero.machine.cards import cards

    names = (name.casefold().replace("rtx ", "").replace(" ", "-") for name in cards())
    return [name for name in names if name.startswith(incomplete.casefold())]


def plan(
    preset_name: PresetArgument = None,
    preset: Annotated[
        str | None,
        typer.Option(
            help="A name from `tinyzero presets`, or a TOML file. Default: one that fits the card.",
            metavar="NAME|FILE.toml",
            autocompletion=complete_preset,
        ),
    ] = None,
    gpu: Annotated[
        str | None,
        typer.Option(
            help="A card, as in 4090, 3060, t4. Default: this machine's, or else the preset's.",
            autocompletion=complete_card,
        ),
    ] = None,
    gpus: Annotated[
        str | None,
        typer.Option(
            help="Numbers of such cards that play the run together (torchrun), as in 1,2,4,8.",
            metavar="N,N",
        ),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            help="Override one value; may be repeated.",
            metavar="KEY=VALUE",
            autocompletion=complete_setting,
        ),
    ] = None,
    plugin: PluginOption = None,
    yes_plugins: YesPlugins = False,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Say what a run needs, term by term, and whether it fits; no weights, no GPU.

    No network either, but for a model of the Hub that no preset has: its config.json is fetched.
    """
    from tinyzero.cli.consent import plug_in
    from tinyzero.cli.plan_table import as_json, as_table
    from tinyzero.cli.screen import show, show_json
    from tinyzero.config import load_config, locate
    from tinyzero.errors import ConfigError
    from tinyzero.machine.forecast import forecast

    chosen = choose(preset_name, preset) or _preset_for(gpu)
    _, _, overrides = plug_in(chosen, settings or [], plugin or [], is_agreed=yes_plugins)
    config = load_config(chosen, overrides)
    _fetch_shape(config.model.base)
    target, numbers = _target(chosen, config, gpu), _numbers(gpus)
    if numbers and target.card is None:
        raise ConfigError(
            "--gpus plans for cards, and there is none; name one: --gpu 4090, or leave --gpus out"
        )
    planned = forecast(locate(chosen).stem, config, target, _count_heldout, numbers)
    show_json(as_json(planned)) if json else show(as_table(planned))


def _numbers(gpus: str | None) -> list[int]:
    """Numbers of cards, as typed."""
    from tinyzero.errors import ConfigError

    words = [] if gpus is None else gpus.split(",")
    if not all(word.strip().isdecimal() and int(word) > 0 for word in words):
        raise ConfigError(f"--gpus is {gpus!r}; give numbers of cards, as in --gpus 1,2,4,8")
    return sorted({int(word) for word in words})


def _fetch_shape(base: str) -> None:
    """Have the config.json of a model of the Hub in its cache, unless the model's shape is known.

    Raises:
        ModelLoadError: it is not there, or the Hub cannot be reached.
    """
    from tinyzero.config import local_folder
    from tinyzero.machine.shapes import shape_of

    if local_folder(base) is None and base.count("/") == 1 and shape_of(base) is None:
        from tinyzero.cli.screen import waiting
        from tinyzero.policy.downloads import fetch_config

        with waiting(f"asking the Hugging Face Hub for the shape of {base}"):
            fetch_config(base)


def _count_heldout(heldout: str | None) -> int:
    """The number of tasks in a held-out set."""
    from tinyzero.config import resolve_base
    from tinyzero.evaluation.heldout import find_set, read_set
    from tinyzero.tasks import KINDS

    path = find_set(heldout, resolve_base("nano"))
    return 0 if path is None else len(read_set(path, {**KINDS, "question": None}).tasks)


def _preset_for(gpu: str | None) -> str:
    """The preset that `train` would choose for this card, or for this machine's card."""
    from tinyzero.machine.cards import find_card
    from tinyzero.machine.hardware import Machine, card_here, machine_of_card, memory_here_gib
    from tinyzero.machine.suitability import choose_preset

    card = find_card(gpu) if gpu else card_here()
    return choose_preset(machine_of_card(card) if card else Machine(memory_gib=memory_here_gib()))


def _target(name: str, config: "Config", gpu: str | None) -> "Target":
    """The target of the run: the requested card, this machine's card, the preset's card, or main memory."""
    from tinyzero.errors import ConfigError
    from tinyzero.machine.cards import find_card
    from tinyzero.machine.forecast import Target
    from tinyzero.machine.hardware import (
        Machine,
        card_here,
        free_memory_gib,
        machine_of_card,
        memory_here_gib,
    )
    from tinyzero.machine.suitability import card_of_preset

    hardware = config.hardware
    if hardware.device == "cpu" and gpu is not None:
        raise ConfigError(f"{name} runs on the CPU; leave --gpu out, or --set hardware.device=cuda")
    card = None
    if hardware.device != "cpu":
        card = find_card(gpu) if gpu else card_here()
    if card is None and hardware.device == "cuda":
        card = card_of_preset(hardware)
        if card is None:
            raise ConfigError(f"{name} names no card, and this machine has none; name one: --gpu 4090")
    if card is None:
        return Target(machine=Machine(memory_gib=memory_here_gib(), free_gib=free_memory_gib()))
    return Target(machine=machine_of_card(card), card=card)
