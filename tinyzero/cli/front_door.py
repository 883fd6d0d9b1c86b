"""`tinyzero.train`: what `tinyzero train` does, as a function. The command calls it too."""

import os
import shutil
import sys
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

from tinyzero.cli.launch import check_fits, prepare, refuse_beside
from tinyzero.cli.meeting import find_place, follow
from tinyzero.cli.running import play
from tinyzero.cli.screen import Screen
from tinyzero.cli.terminal import can_be_live, is_terminal
from tinyzero.errors import ConfigError
from tinyzero.run.folder import RunFolder
from tinyzero.run.observer import Observer
from tinyzero.sampling.choice import MakeSampler
from tinyzero.watch.json import JsonObserver
from tinyzero.watch.plain import PlainObserver

if TYPE_CHECKING:
    from tinyzero.cli.live import LiveView

_Ui: TypeAlias = Literal["auto", "live", "plain", "json"]


def train(
    preset: str | None = None,
    *,
    settings: Sequence[str] = (),
    name: str | None = None,
    output: str | Path | None = None,
    resume: str | Path | None = None,
    start_over: bool = False,
    plugins: Sequence[str | Path] = (),
    yes_plugins: bool = False,
    ui: _Ui = "auto",
    ascii_only: bool = False,
    observers: Sequence[Observer] = (),
    make_sampler: MakeSampler | None = None,
) -> RunFolder:
    """Train as `tinyzero train` does, to the last step or to the first Ctrl-C; a second one leaves at once.

    Signals are handled in the main thread only; in another one the caller's handlers stay.
    In the processes of torchrun, all play one run; `observers` are told in the first one alone.

    Args:
        preset: a name from `tinyzero presets`, or a TOML file; None for one that fits this machine.
        settings: overrides like `run.max_steps=3`, as `--set` takes them.
        name: of the new run's folder; None for preset, date and number.
        output: the folder for run folders; None for the one of the configuration, `runs`.
        resume: a run's folder or its name in `output`, to go on with; `settings` may then say when to stop
            and what to keep.
        start_over: play the resumed run from step 0; what it has written moves into its `earlier-1/`.
        plugins: your own code: Python files, modules or installed plugins (docs/extending.md).
        yes_plugins: also run the plugins that the preset's file or the resumed run names. Where it is False
            and there is a terminal, a person is asked.
        ui: how progress is shown. auto: a dashboard on a terminal, else a line a step.
        ascii_only: draw the dashboard in ASCII.
        observers: are told of every step after the run's own records and view.
        make_sampler: gives a sampler of one's own, see `tinyzero.assembly.assemble`.

    Returns:
        The run's folder: metrics, tasks, checkpoints, and the trained adapter in `.adapter`.

    Raises:
        ConfigError: a value or a combination of values cannot work.
        HardwareError: this machine cannot run it.
        CheckpointError: the folder cannot be made, read or resumed, or another process trains in it.
    """
    if isinstance(settings, str):
        raise ConfigError(f"settings is a string; give a list of them: [{settings!r}]")
    if isinstance(plugins, str):
        raise ConfigError(f"plugins is a string; give a list of them: [{plugins!r}]")
    if resume is not None:
        refuse_beside("resume", {"preset": preset, "name": name})
    place = find_place()
    if place is not None and place.rank:
        return follow(place, make_sampler)
    with closing(Screen(sys.stdout, sys.stderr)) as screen:
        launch, machine = prepare(
            screen,
            preset,
            name=name,
            output=output,
            resume=resume,
            settings=settings,
            start_over=start_over,
            plugins=[str(plugin) for plugin in plugins],
            yes_plugins=yes_plugins,
        )
        check_fits(launch, machine)
        # The processes of torchrun have no terminal of their own, from which a dashboard could read keys.
        own_ui = "plain" if place is not None and ui == "auto" else ui
        with closing(_open_view(own_ui, screen, is_ascii=ascii_only)) as view:
            return play(launch, screen, [view, *observers], make_sampler, place)


def _open_view(ui: _Ui, screen: Screen, *, is_ascii: bool) -> "PlainObserver | JsonObserver | LiveView":
    if ui not in get_args(_Ui):
        raise ConfigError(f"ui is {ui!r}; it can be {', '.join(get_args(_Ui))}")
    if ui == "json":
        return JsonObserver(screen.line)
    if ui == "live" and not is_terminal():
        raise ConfigError("--ui live needs a terminal; use --ui plain, or look on: tinyzero watch RUN")
    if ui == "live" or (ui == "auto" and can_be_live(os.environ)):
        from tinyzero.cli.live import LiveView

        return LiveView(screen, is_ascii=is_ascii)
    return PlainObserver(screen.line, width=shutil.get_terminal_size((120, 24)).columns)
