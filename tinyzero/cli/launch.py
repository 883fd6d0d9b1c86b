"""From preset, settings or an earlier run to a launch: what is to be trained, and whether it fits here."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING

from tinyzero.cli.choices import open_run
from tinyzero.cli.consent import plug_in, plug_in_runs, tell
from tinyzero.cli.screen import Screen
from tinyzero.config import Settled, load_config, locate, override, parse_overrides
from tinyzero.errors import ConfigError, HardwareError
from tinyzero.games.absolute_zero.game import choose_kinds
from tinyzero.games.absolute_zero.rewards import BONUSES, choose_bonuses
from tinyzero.games.attempts import SOLVER_TERMS, choose_terms
from tinyzero.machine.hardware import Machine, look
from tinyzero.machine.settling import settle
from tinyzero.machine.suitability import choose_preset, describe_numbers, why_not
from tinyzero.plugins import Plugin, digests, edited
from tinyzero.run import checkpoints
from tinyzero.run.folder import RunFolder
from tinyzero.run.keeping import has_results
from tinyzero.run.recorder import differences
from tinyzero.tasks import KINDS

if TYPE_CHECKING:
    pass

# What a resumed run may be told anew; anything else would make it another run.
_RESUMABLE = (
    "run.max_steps",
    "run.max_minutes",
    "run.checkpoint_every_steps",
    "run.checkpoint_every_minutes",
    "run.keep_checkpoints",
    "run.samples_per_step",
    "run.keep_samples",
    "run.notify",
    "sampling.vllm_gib",
    "sampling.server_url",
    "sampling.server_adapters",
    "sampling.server_key_file",
    "execution.allow_weak_sandbox",
    "evaluation.*",
    "watch.*",
    "trackers.tensorboard",
    "trackers.wandb",
    "trackers.trackio",
    "trackers.online",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """What is to be trained, and where.

    Attributes:
        name: of a new run, None to number it.
        resumed: the run to go on with, None for a new one.
        starts_over: whether it goes on from step 0.
        plugins: the code of one's own that is loaded for it.
        remarks: lines about what was left to the machine.
    """

    preset: str
    config: Settled
    name: str | None = None
    resumed: RunFolder | None = None
    starts_over: bool = False
    plugins: Sequence[Plugin] = ()
    remarks: Sequence[str] = ()


def prepare(
    screen: Screen,
    preset: str | None,
    *,
    name: str | None,
    output: str | Path | None,
    resume: str | Path | None,
    settings: Sequence[str],
    start_over: bool = False,
    plugins: Sequence[str] = (),
    yes_plugins: bool = False,
) -> tuple[Launch, Machine]:
    """A new run or the rest of one on this machine, before anything is loaded or written.

    Args:
        start_over: play the resumed run from step 0; what it has written is kept, see `keeping.start_over`.
        plugins: files and modules of one's own. yes_plugins: run also those that a file or the run names.
    """
    if resume is not None:
        folder = open_run(str(resume), Path(output or "runs"))
        loaded, brought = plug_in_runs(folder, options=plugins, is_agreed=yes_plugins)
    else:
        loaded, brought, settings = plug_in(preset, settings, plugins, is_agreed=yes_plugins)
    screen.wait_on_terminal("looking at this machine")
    machine = look()
    if resume is not None:
        launch = _resumed_launch(folder, settings, loaded, start_over=start_over)
    elif start_over:
        raise ConfigError("--start-over has a meaning beside --resume RUN only; a new run starts at step 0")
    else:
        place = [] if output is None else [f"run.output={json.dumps(str(output))}"]
        launch = replace(new_launch(preset, name, [*settings, *place], machine), plugins=loaded)
    unused = [f"nothing uses {each.name} yet: --set '{each.setting}'" for each in brought]
    unused = [line for line, each in zip(unused, brought, strict=True) if not each.is_used(launch.config)]
    for remark in (*launch.remarks, *tell(brought), *unused):
        screen.note(remark)
    return launch, machine


def new_launch(preset: str | None, name: str | None, overrides: Sequence[str], machine: Machine) -> Launch:
    """A new run of a preset, or of the one that fits this machine."""
    if name is not None and (not name or Path(name).name != name or name.startswith(".") or "\0" in name):
        raise ConfigError(
            f"--name is {name!r}; it must be a plain folder name that does not begin with a dot "
            "(--output says where)"
        )
    source = preset or choose_preset(machine)
    config = load_config(source, overrides)
    if config.selfplay.game == "absolute-zero":  # names that the configuration cannot check by itself
        choose_kinds(config.selfplay.kinds, KINDS)
    choose_bonuses(config.rewards.bonuses, BONUSES)
    choose_terms(config.rewards.solver_terms, SOLVER_TERMS, key="rewards.solver_terms")
    settled = settle(config, machine)
    if settled.run.expect is not None and settled.evaluation.heldout is None:
        raise ConfigError(
            f"run.expect is {settled.run.expect}, but nothing is measured; set evaluation.heldout "
            "(tinyzero config evaluation.heldout says to what)"
        )
    remarks = (
        "" if preset else _why_this_preset(source, machine),
        describe_numbers(config, settled, machine),
    )
    return Launch(preset=locate(source).stem, config=settled, name=name, remarks=tuple(filter(None, remarks)))


def _why_this_preset(preset: str, machine: Machine) -> str:
    card = machine.gpu and f"{machine.gpu.name} with {machine.gpu.memory_gib:.0f} GiB"
    return f"{card or 'no CUDA GPU here'}: training the preset {preset} (all of them: tinyzero presets)"


def _resumed_launch(
    folder: RunFolder, overrides: Sequence[str], plugins: Sequence[Plugin], *, start_over: bool
) -> Launch:
    """The rest of a run, with its own configuration but for when to stop and what to keep."""
    for key in parse_overrides(overrides):
        if key == "run.expect":
            raise ConfigError(
                "the claim of a run is written before its first step and cannot change; start another run to "
                "claim something else"
            )
        if not any(fnmatchcase(key, pattern) for pattern in _RESUMABLE):
            raise ConfigError(
                f"{key} cannot change when a run goes on; --resume can change {', '.join(_RESUMABLE)}"
            )
    folder.warn_of_earlier_nano()
    sources = [f"run.plugins={json.dumps([plugin.source for plugin in plugins])}"] if plugins else []
    # What a folder says to start is not started: the folder may be somebody else's.
    config = override(folder.config(), ["run.notify=none", *overrides, *sources])
    steps = 0 if start_over else checkpoints.steps_saved(folder)
    if steps >= config.run.max_steps and has_results(folder, steps):
        raise ConfigError(
            f"{folder.path} has finished its {steps} steps; to train longer: "
            f"tinyzero train --resume {folder.path} --max-steps {2 * steps}"
        )
    return Launch(
        preset=folder.environment().get("preset", folder.name),
        config=config,
        resumed=folder,
        starts_over=start_over,
        plugins=plugins,
        remarks=(
            *_hand_edits(folder),
            *_incomparable(parse_overrides(overrides)),
            *_changed_plugins(folder, plugins),
            *edited(plugins),
        ),
    )


def _incomparable(changes: Mapping[str, object]) -> Sequence[str]:
    """A line where a change makes later measurements others than the earlier ones."""
    changed = [key for key in ("evaluation.heldout", "evaluation.sampled_tasks") if key in changes]
    if not changed:
        return ()
    return [
        f"warning: {' and '.join(changed)} changed: later held-out figures do not compare with earlier ones, "
        "and --checkpoint best compares both; name a checkpoint by its step"
    ]


def _changed_plugins(folder: RunFolder, plugins: Sequence[Plugin]) -> Sequence[str]:
    """A line about plugins that are not those of the earlier steps."""
    before = digests(folder)
    changed = [plugin.name for plugin in plugins if before.get(plugin.name) != plugin.sha256]
    return [f"warning: from here on with another {', '.join(changed)} than before"] if changed else ()


def _hand_edits(folder: RunFolder) -> Sequence[str]:
    """A line about what was edited in config.json since the run was last started; none for older runs."""
    started_with = folder.environment().get("config")
    if not isinstance(started_with, dict):
        return ()
    edits = differences(started_with, folder.config().model_dump(mode="json"))
    return [f"warning: config.json was edited since the last start: {', '.join(edits)}"] if edits else ()


def refuse_beside(resume: str, options: Mapping[str, object]) -> None:
    """Raises ConfigError where an option is given with `resume`; both are named as the user wrote them."""
    for option, value in options.items():
        if value is not None:
            raise ConfigError(
                f"{option} cannot be used with {resume}: a run goes on with its own configuration"
            )


def check_fits(launch: Launch, machine: Machine) -> None:
    """Refuse before anything is loaded.

    Raises:
        HardwareError: this machine cannot run it; the message names a preset that fits here.
    """
    reason = why_not(launch.preset, launch.config, machine)
    if reason is None:
        return
    fitting = choose_preset(machine)
    advice = f". {fitting} fits here: tinyzero train --preset {fitting}" if fitting != launch.preset else ""
    raise HardwareError(reason + advice)
