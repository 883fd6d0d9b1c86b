"""`tinyzero train`: from a preset or a run's name to a finished run."""

import json
import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from tinyzero.cli.choices import complete_run
from tinyzero.cli.config import complete_setting
from tinyzero.cli.consent import PluginOption, YesPlugins
from tinyzero.cli.presets import PresetArgument, choose, complete_preset

if TYPE_CHECKING:
    from tinyzero.cli.launch import Launch
    from tinyzero.machine.hardware import Machine


Expect = Annotated[
    str | None,
    typer.Option(
        help="A claim, such as heldout+3 (points of held-out accuracy) or greedy+3. It is written down "
        "before the first step, and the end says whether it held.",
        metavar="CLAIM",
    ),
]


def train(
    preset_name: PresetArgument = None,
    preset: Annotated[
        str | None,
        typer.Option(
            help="A name from `tinyzero presets`, or a TOML file. Default: one that fits this machine.",
            metavar="NAME|FILE.toml",
            autocompletion=complete_preset,
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
    resume: Annotated[
        str | None,
        typer.Option(
            help="Continue this run from its last checkpoint; last is the newest run.",
            metavar="RUN",
            autocompletion=complete_run,
        ),
    ] = None,
    start_over: Annotated[
        bool,
        typer.Option(
            "--start-over",
            help="With --resume: play the run from step 0; its files move into earlier-1/.",
        ),
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the complete configuration and do nothing else.")
    ] = False,
    seed: Annotated[int | None, typer.Option(min=0, help="Seed of all random numbers of the run.")] = None,
    max_steps: Annotated[
        int | None,
        typer.Option(min=1, help="Stop after this many steps, counted from the beginning of the run."),
    ] = None,
    max_minutes: Annotated[float | None, typer.Option(help="Stop after this many minutes from now.")] = None,
    output: Annotated[
        Path | None, typer.Option(help="Folder in which the run's folder is created. Default: runs.")
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="The run's name. Default: preset, date and number.")
    ] = None,
    expect: Expect = None,
    ui: Annotated[
        Literal["auto", "live", "plain", "json"],
        typer.Option(
            help="live: a dashboard with keys. plain: one line per step. json: the same for programs. "
            "auto: live on a terminal, else plain."
        ),
    ] = "auto",
    ascii_only: Annotated[bool, typer.Option("--ascii", help="Draw the dashboard in ASCII.")] = False,
    allow_weak_sandbox: Annotated[
        bool,
        typer.Option(
            "--allow-weak-sandbox", help="Run the model's programs even if this machine cannot confine them."
        ),
    ] = False,
) -> None:
    """Let a model improve itself: propose tasks, verify them by running programs, solve them, learn."""
    from tinyzero.cli import front_door
    from tinyzero.cli.launch import prepare, refuse_beside
    from tinyzero.cli.meeting import find_place
    from tinyzero.cli.screen import Screen

    preset = choose(preset_name, preset)
    if resume is not None:
        refuse_beside("--resume", {"--preset": preset, "--name": name, "--seed": seed})
    overrides = _as_overrides(
        {
            "run.seed": seed,
            "run.max_steps": max_steps,
            "run.max_minutes": max_minutes,
            "run.expect": expect,
            "execution.allow_weak_sandbox": allow_weak_sandbox or None,
        }
    )
    source: dict[str, Any] = {
        "name": name,
        "output": output,
        "resume": resume,
        "start_over": start_over,
        "settings": [*(settings or []), *overrides],
        "plugins": plugin or [],
        "yes_plugins": yes_plugins,
    }
    if not dry_run:
        front_door.train(preset, **source, ui=ui, ascii_only=ascii_only)
        return
    place = find_place()
    if place is not None and place.rank:
        return
    with closing(Screen(sys.stdout, sys.stderr)) as screen:
        screen.line(_describe(*prepare(screen, preset, **source)))


def _as_overrides(values: dict[str, Any]) -> list[str]:
    return [f"{key}={json.dumps(value)}" for key, value in values.items() if value is not None]


def _describe(launch: "Launch", machine: "Machine") -> str:
    """The settled configuration, a TOML file that `--preset` takes, under what it needs."""
    from tinyzero.config import to_toml
    from tinyzero.machine.suitability import describe_fit, why_not

    fit = why_not(launch.preset, launch.config, machine) or describe_fit(launch.config, machine)
    return f"# {launch.preset}: {fit}\n{to_toml(launch.config)}".rstrip()
