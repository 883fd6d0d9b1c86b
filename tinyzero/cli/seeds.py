"""`tinyzero seeds`: the same run with several seeds, one after the other, and what they say together."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from tinyzero.cli.presets import PresetArgument, choose, complete_preset
from tinyzero.cli.train import Expect

if TYPE_CHECKING:
    from tinyzero.cli.launch import Launch
    from tinyzero.cli.screen import Screen
    from tinyzero.machine.hardware import Machine
    from tinyzero.run.folder import RunFolder

_PROGRAM = (sys.executable, "-m", "tinyzero")


@dataclass(frozen=True, slots=True, kw_only=True)
class SeedRun:
    """A run of the plan.

    Attributes:
        family: `trained`, or the name of the control. settings: as `--set` takes them.
    """

    family: str
    seed: int
    launch: "Launch"
    settings: Sequence[str]

    @property
    def folder(self) -> "RunFolder":
        from tinyzero.run.folder import RunFolder

        return RunFolder(Path(self.launch.config.run.output).expanduser() / str(self.launch.name))


def seeds(
    count: Annotated[int, typer.Argument(min=1, max=1000, help="Number of seeds: 0, 1, 2, ...", metavar="N")],
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
        typer.Option("--set", help="Override one value; may be repeated.", metavar="KEY=VALUE"),
    ] = None,
    control: Annotated[
        Literal["shuffled"] | None,
        typer.Option(help="Also train each seed with the rewards of a step dealt out at random."),
    ] = None,
    expect: Expect = None,
    output: Annotated[
        Path | None, typer.Option(help="Folder in which the runs' folders are created. Default: runs.")
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="The beginning of the runs' names. Default: the preset.")
    ] = None,
    ui: Annotated[
        Literal["auto", "live", "plain", "json"], typer.Option(help="As for `tinyzero train`.")
    ] = "auto",
    ascii_only: Annotated[bool, typer.Option("--ascii", help="Draw the dashboard in ASCII.")] = False,
) -> None:
    """Train the same run with N seeds, and compare them. The same command goes on where it was stopped."""
    from tinyzero.cli.screen import Screen
    from tinyzero.cli.seed_table import json_lines, lines, read_tables

    screen = Screen(sys.stdout, sys.stderr)
    try:
        screen.wait_on_terminal("looking at this machine")
        changes = [*(settings or []), *([] if expect is None else [f"run.expect={json.dumps(expect)}"])]
        changes += [] if output is None else [f"run.output={json.dumps(str(output))}"]
        source, plan = _plan(choose(preset_name, preset), name, changes, count, control)
        screen.close_wait()
        view = ["--ui", ui, *(["--ascii"] if ascii_only else [])]
        for number, run in enumerate(plan, start=1):
            screen.note(f"run {number} of {len(plan)}: {run.folder.path}")
            if not _is_finished(run.folder):
                _train(run, source, view, screen)
        tables = read_tables(plan)
        for line in json_lines(tables, plan[0]) if ui == "json" else lines(tables, plan[0]):
            screen.line(line)
    finally:
        screen.close()


def _plan(
    preset: str | None, name: str | None, settings: Sequence[str], count: int, control: str | None
) -> tuple[str, list[SeedRun]]:
    """The preset and all runs, seed by seed, so that an early stop leaves pairs of trained and control.

    Raises:
        ConfigError: a setting is not valid, or a run of that name has other settings.
        HardwareError: this machine cannot run it.
    """
    from tinyzero.cli.launch import check_fits
    from tinyzero.config import parse_overrides
    from tinyzero.errors import ConfigError
    from tinyzero.machine.hardware import look
    from tinyzero.machine.suitability import choose_preset

    machine = look()
    source = preset or choose_preset(machine)
    taken = {"run.seed", "rewards.control"} & parse_overrides(settings).keys()
    if taken:
        raise ConfigError(f"{min(taken)} is what the runs differ in; leave it out, and give N or --control")
    families = ["trained", *([control] if control else [])]
    plan = [
        _seed_run(source, name, settings, family, seed, machine)
        for seed in range(count)
        for family in families
    ]
    check_fits(plan[0].launch, machine)
    for run in plan:
        _check_same(run, source)
    return source, plan


def _seed_run(
    source: str, name: str | None, settings: Sequence[str], family: str, seed: int, machine: "Machine"
) -> SeedRun:
    from tinyzero.cli.launch import new_launch
    from tinyzero.config import locate

    is_control = family != "trained"
    own = [*settings, f"run.seed={seed}", *([f"rewards.control={family}"] if is_control else [])]
    stem = locate(source).stem if name is None else name
    full_name = f"{stem}-{family}-seed-{seed}" if is_control else f"{stem}-seed-{seed}"
    launch = new_launch(source, full_name, own, machine)
    return SeedRun(family=family, seed=seed, launch=launch, settings=own)


def _check_same(run: SeedRun, source: str) -> None:
    """Raises ConfigError where a folder of that name holds another run."""
    from tinyzero.config import load_config
    from tinyzero.errors import ConfigError
    from tinyzero.machine.settling import decisions
    from tinyzero.run.folder import is_run
    from tinyzero.run.recorder import differences

    if not is_run(run.folder.path):
        return
    settled = run.launch.config
    ignored = {"run.output", *decisions(load_config(source, run.settings), settled)}
    before, now = run.folder.config().model_dump(mode="json"), settled.model_dump(mode="json")
    changes = [change for change in differences(before, now) if change.partition(":")[0] not in ignored]
    if changes:
        raise ConfigError(
            f"{run.folder.path} is a run with other settings ({', '.join(changes[:3])}); choose another "
            "--name"
        )


def _is_finished(run: "RunFolder") -> bool:
    """Whether the run has come to its end, and all that it writes there is there."""
    from tinyzero.run.events import Ended, Started, events_of
    from tinyzero.run.folder import is_run
    from tinyzero.run.keeping import has_results
    from tinyzero.run.observer import StopReason
    from tinyzero.run.records import read

    if not is_run(run.path):
        return False
    turns = [event for event in events_of(read(run.events)) if isinstance(event, Ended | Started)]
    last = turns[-1] if turns else None
    if not isinstance(last, Ended) or not has_results(run, last.step):
        return False
    return last.reason != StopReason.REQUESTED or last.step >= run.config().run.max_steps


def _train(run: SeedRun, source: str, view: Sequence[str], screen: "Screen") -> None:
    """Train a run, or the rest of it, in a process of its own. Raises typer.Exit where it did not finish."""
    from tinyzero.run.folder import is_run

    path = run.folder.path
    if is_run(path):
        options = ["--resume", str(path)]
    else:
        options = ["--preset", source, "--name", path.name, "--output", str(path.parent)]
        options += [part for setting in run.settings for part in ("--set", setting)]
    process = subprocess.Popen([*_PROGRAM, "train", *options, *view])
    with _passing_on(process) as received:
        code = process.wait()
    if code or received or not _is_finished(run.folder):
        screen.note("stopped; the same command goes on from here")
        raise typer.Exit(128 - code if code < 0 else code)


@contextmanager
def _passing_on(process: "subprocess.Popen[bytes]") -> Iterator[set[int]]:
    """Signals that ask to stop are for the process that trains; gives those that came.

    Ctrl-C reaches both from the terminal. What only this process got is passed on.
    """
    from tinyzero.cli.signals import handle_unless_ignored

    received: set[int] = set()

    def stop(number: int, _: FrameType | None) -> None:
        received.add(number)
        if number != signal.SIGINT:
            process.send_signal(number)

    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.getsignal(number) for number in numbers}
    handle_unless_ignored(numbers, stop)
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
