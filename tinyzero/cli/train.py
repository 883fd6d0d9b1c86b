"""`tinyzero train`: from a preset or a run's name to a finished run."""

import json
import os
import shutil
import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from tinyzero.cli.presets import complete_preset

if TYPE_CHECKING:
    from tinyzero.cli.launch import Job
    from tinyzero.cli.live import LiveView
    from tinyzero.cli.screen import Screen
    from tinyzero.machine.hardware import Machine
    from tinyzero.watch.json import JsonObserver
    from tinyzero.watch.plain import PlainObserver


Ui = Literal["auto", "live", "plain", "json"]
"""How progress is shown."""


def train(
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
        typer.Option("--set", help="Override one value; may be repeated.", metavar="KEY=VALUE"),
    ] = None,
    resume: Annotated[
        str | None, typer.Option(help="Go on with this run from its last checkpoint.", metavar="RUN")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the settled configuration and touch nothing.")
    ] = False,
    seed: Annotated[int | None, typer.Option(min=0, help="Names every random number of the run.")] = None,
    max_steps: Annotated[
        int | None, typer.Option(min=1, help="Stop after this many steps since the run's beginning.")
    ] = None,
    max_minutes: Annotated[float | None, typer.Option(help="Stop after this many minutes from now.")] = None,
    output: Annotated[Path | None, typer.Option(help="Folder for run folders. Default: runs.")] = None,
    name: Annotated[
        str | None, typer.Option(help="The run's name. Default: preset, date and number.")
    ] = None,
    ui: Annotated[
        Ui,
        typer.Option(
            help="live: a dashboard with keys. plain: a line a step. json: the same for programs. "
            "auto: live on a terminal, else plain."
        ),
    ] = "auto",
    ascii_only: Annotated[bool, typer.Option("--ascii", help="Draw the dashboard in ASCII.")] = False,
    allow_weak_sandbox: Annotated[
        bool,
        typer.Option(
            "--allow-weak-sandbox", help="Run programs of the model even where they cannot be confined."
        ),
    ] = False,
) -> None:
    """Let a model improve itself: propose tasks, verify them by running programs, solve them, learn."""
    from tinyzero.cli import launch
    from tinyzero.cli.screen import Screen
    from tinyzero.machine.hardware import look

    overrides = [
        *(settings or []),
        *_as_overrides(
            {
                "run.seed": seed,
                "run.max_steps": max_steps,
                "run.max_minutes": max_minutes,
                "run.output": output and str(output) if resume is None else None,
                "execution.allow_weak_sandbox": allow_weak_sandbox or None,
            }
        ),
    ]
    screen = Screen(sys.stdout, sys.stderr)
    try:
        screen.wait_on_terminal("looking at this machine")
        machine = look()
        if resume is not None:
            _refuse_beside_resume({"--preset": preset, "--name": name, "--seed": seed})
            job = launch.resumed_job(resume, (output or Path("runs")).expanduser(), overrides)
        else:
            job = launch.new_job(preset, name, overrides, machine)
            if preset is None:
                screen.note(f"{_why_this_preset(job, machine)} (all of them: tinyzero presets)")
            if job.chosen:
                screen.note(job.chosen)
        if dry_run:
            screen.line(_describe(job, machine))
            return
        launch.check_fits(job, machine)
        with closing(_view(ui, screen, is_ascii=ascii_only)) as view:
            launch.play(job, view, screen)
    finally:
        screen.close()


def _as_overrides(values: dict[str, Any]) -> list[str]:
    return [f"{key}={json.dumps(value)}" for key, value in values.items() if value is not None]


def _refuse_beside_resume(options: dict[str, object]) -> None:
    from tinyzero.errors import ConfigError

    for option, value in options.items():
        if value is not None:
            raise ConfigError(
                f"{option} has no place beside --resume: a run goes on with its own configuration"
            )


def _why_this_preset(job: "Job", machine: "Machine") -> str:
    if machine.gpu is None:
        return f"no CUDA GPU here: training the preset {job.preset}"
    return f"{machine.gpu.name} with {machine.gpu.memory_gib:.0f} GiB: training the preset {job.preset}"


def _describe(job: "Job", machine: "Machine") -> str:
    """The settled configuration, a TOML file that `--preset` takes, under what it needs."""
    from tinyzero.config import to_toml
    from tinyzero.machine.suitability import describe_fit, why_not

    fit = why_not(job.preset, job.config, machine) or describe_fit(job.config, machine)
    return f"# {job.preset}: {fit}\n{to_toml(job.config)}".rstrip()


def _view(ui: Ui, screen: "Screen", *, is_ascii: bool) -> "PlainObserver | JsonObserver | LiveView":
    from tinyzero.cli.terminal import can_be_live, is_terminal
    from tinyzero.errors import ConfigError
    from tinyzero.watch.json import JsonObserver
    from tinyzero.watch.plain import PlainObserver

    if ui == "json":
        return JsonObserver(screen.line)
    if ui == "live" and not is_terminal():
        raise ConfigError("--ui live needs a terminal; use --ui plain, or look on: tinyzero watch RUN")
    if ui == "live" or (ui == "auto" and can_be_live(os.environ)):
        from tinyzero.cli.live import LiveView

        return LiveView(screen, is_ascii=is_ascii)
    return PlainObserver(screen.line, width=shutil.get_terminal_size((120, 24)).columns)
