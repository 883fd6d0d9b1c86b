"""What a run has learned so far: choosing one of its checkpoints, and loading the policy as it was there."""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tinyzero.config import Settled
from tinyzero.errors import CheckpointError
from tinyzero.run import checkpoints
from tinyzero.run.folder import RunFolder
from tinyzero.run.keeping import HELDOUT_METRIC
from tinyzero.run.lines import steps_of
from tinyzero.run.records import read
from tinyzero.types import Role

if TYPE_CHECKING:
    from tinyzero.policy.policy import Policy

_logger = logging.getLogger(__name__)
"""By which checkpoints are compared; on the lines of metrics.jsonl at whose steps it was measured."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """The adapters as they were after some step.

    Attributes:
        step: steps made since the run's beginning.
        adapters: folder with versions.json and a folder per adapter.
        why: how it was chosen, in a few words.
    """

    step: int
    adapters: Path
    why: str


def choose_snapshot(run: RunFolder, wanted: str = "last") -> Snapshot:
    """The checkpoint that `wanted` means: `last`, `best` by the held-out metric, or a step's number.

    Raises:
        CheckpointError: there is none, or it is damaged; the message names those that are there.
    """
    if wanted == "last":
        return _last(run, "the last checkpoint")
    if wanted == "best":
        return _best(run)
    if wanted.isascii() and wanted.isdigit():
        return _snapshot(run, int(wanted), "chosen by its step")
    raise CheckpointError(f"checkpoint is {wanted!r}; it must be best, last or the number of a step")


def load_trained(run: RunFolder, snapshot: Snapshot, *, temperature: float | None = None) -> "Policy":
    """The run's policy at a snapshot, quantised as it was trained, on the best device that is here.

    Args:
        temperature: at which the fused LM head scores; the run's own where it is None.

    Raises:
        ModelLoadError: the base model cannot be loaded.
        CheckpointError: the adapters cannot, or the base model is another one by now.
    """
    from tinyzero.policy.base_files import know_again
    from tinyzero.policy.device import prepare_device
    from tinyzero.policy.frame import day_of
    from tinyzero.policy.loading import load_policy

    run.warn_of_earlier_nano()
    config, recorded = opened_here(run.config()), run.base()
    know_again(config.model, recorded, "use the run")
    policy = load_policy(
        config.model,
        config.policy,
        device=prepare_device(config.hardware),
        temperature=config.sampling.temperature if temperature is None else temperature,
        seed=config.run.seed,
        frozen_roles=() if config.selfplay.train_proposer else (Role.PROPOSER,),
        today=day_of(recorded),
    )
    policy.load(snapshot.adapters)
    return policy


def opened_here(config: Settled) -> Settled:
    """The configuration with which a run's policy opens on this machine: its base in 4 bit if it was so.

    A run from a CUDA machine opens on a CPU as well, slowly. Its adapters are for any loader, and
    transformers is always here.
    """
    import torch

    is_on_cuda = config.hardware.device == "cuda" and torch.cuda.is_available()
    dtype = config.model.dtype
    if is_on_cuda and dtype == "bfloat16" and not torch.cuda.is_bf16_supported(including_emulation=False):
        dtype = "float16"
    if config.hardware.device == "cuda" and not is_on_cuda:
        dtype = "float32"
    model = {"loader": "transformers", "dtype": dtype, "gradient_checkpointing": False}
    device = "cuda" if is_on_cuda else "cpu"
    return config.model_copy(
        update={
            "hardware": config.hardware.model_copy(update={"device": device}),
            "model": config.model.model_copy(update=model),
        }
    )


def _last(run: RunFolder, why: str) -> Snapshot:
    """The newest intact checkpoint; a damaged one that it stands for is named, in a warning too."""
    folder, damages = checkpoints.newest_intact(run)
    if folder is None:
        checkpoints.steps_saved(run)  # says so where there were checkpoints that are gone
        raise CheckpointError(f"{run.path} has no checkpoint yet; let it train on: it is saved on Ctrl-C too")
    step = checkpoints.step_of(folder)
    for name, damage in damages.items():
        _logger.warning("checkpoint %s is damaged (%s); step %d is used instead", name, damage, step)
        why = f"the last intact checkpoint, for {name} is damaged"
    return _snapshot(run, step, why)


def _best(run: RunFolder) -> Snapshot:
    """The checkpoint with the highest held-out solve rate, the later one of equals."""
    saved = {checkpoints.step_of(folder) for folder in checkpoints.listing(run)}
    measured = _measured(run)
    scores = {step: measured[step] for step in saved & measured.keys()}
    if not scores:
        why = f"the last checkpoint ({HELDOUT_METRIC} was measured at none that is kept, so best is unknown)"
        return _last(run, why)
    best = max(scores, key=lambda step: (scores[step], step))
    return _snapshot(run, best, f"the best of {len(scores)} by {HELDOUT_METRIC}, {scores[best]:.3f}")


def _measured(run: RunFolder) -> dict[int, float]:
    """Step -> held-out solve rate, where metrics.jsonl has one."""
    return {
        step.number: step.metrics[HELDOUT_METRIC]
        for step in steps_of(read(run.metrics))
        if HELDOUT_METRIC in step.metrics
    }


def _snapshot(run: RunFolder, step: int, why: str) -> Snapshot:
    folders = {checkpoints.step_of(folder): folder for folder in checkpoints.listing(run)}
    if step not in folders:
        known = ", ".join(map(str, folders)) or "none"
        raise CheckpointError(f"{run.path} has no checkpoint of step {step}; there are {known}")
    damage = checkpoints.find_damage(folders[step])
    if damage is not None:
        raise CheckpointError(f"the checkpoint {folders[step]} is damaged ({damage}); choose another")
    adapters = folders[step] / "policy"
    if not adapters.is_dir():
        raise CheckpointError(
            f"{folders[step]} holds no policy; it was written by another version of TinyZero"
        )
    return Snapshot(step=step, adapters=adapters, why=why)
