"""What `tinyzero eval` measures: a run's model, an exported adapter, or a base model alone."""

import os
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tinyzero.config import Settled
    from tinyzero.policy.policy import Policy
    from tinyzero.run.folder import RunFolder
    from tinyzero.run.trained import Snapshot
    from tinyzero.types import Sampler

_ADAPTER_CONFIG, _ADAPTER_WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
_LEAST_PROMPT_TOKENS = 4096
"""Prompts of benchmarks may be longer than those of a run, up to this or the model's context."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A loaded model, and how it is sampled.

    Attributes:
        label: of the trained model, in file names and tables; empty where nothing is trained.
        folder: for the answers.
        family: equal for runs that differ only in their seed; empty for what is no run.
    """

    name: str
    label: str
    folder: Path
    config: "Settled"
    sampler: "Sampler"
    family: str = ""
    run_seed: int | None = None

    @property
    def gpu(self) -> str | None:
        """Index or UUID of the card that samples; None on a CPU, or where another machine samples."""
        if self.config.hardware.device != "cuda" or self.config.sampling.server_url:
            return None
        return os.environ.get("CUDA_VISIBLE_DEVICES", "0").partition(",")[0] or "0"


def plug_in_target(target: str, *, is_agreed: bool) -> None:
    """Load the plugins of a target that is a run. Raises what `plug_in_runs` raises."""
    from tinyzero.cli.consent import plug_in_runs
    from tinyzero.errors import CheckpointError
    from tinyzero.run.folder import find_run

    if (Path(target).expanduser() / _ADAPTER_CONFIG).is_file():
        return
    try:
        run = find_run(target, Path("runs"))
    except CheckpointError:
        return  # an adapter or a base model, or `open_candidate` says what is wrong
    plug_in_runs(run, is_agreed=is_agreed)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a candidate is: a run's checkpoint, the folder of an adapter, or the name of a base model."""

    run: "RunFolder | None" = None
    snapshot: "Snapshot | None" = None
    adapter: Path | None = None
    base: str = ""

    @property
    def identity(self) -> str:
        """Equal for two ways to write the same place."""
        if self.run is not None and self.snapshot is not None:
            return f"{self.run.path.resolve()} {self.snapshot.step}"
        return self.base or str(self.adapter and self.adapter.resolve())


def find_candidate(target: str, checkpoint: str) -> Place:
    """Find a run by its folder or name, a checkpoint's folder in a run, an adapter's folder, or a base model.

    Raises:
        CheckpointError: there is none.
    """
    from tinyzero.cli.choices import open_run
    from tinyzero.errors import CheckpointError
    from tinyzero.run.folder import is_run
    from tinyzero.run.trained import choose_snapshot

    path = Path(target).expanduser()
    if (path / _ADAPTER_CONFIG).is_file():
        return Place(adapter=path)
    if path.parent.name == "checkpoints" and path.name.startswith("step-") and is_run(path.parents[1]):
        target, checkpoint = str(path.parents[1]), path.name.removeprefix("step-")
    try:
        run = open_run(target)
    except CheckpointError as error:
        from tinyzero.config import local_folder

        if local_folder(target) is None and target.count("/") != 1:
            raise CheckpointError(
                f"{error}; name a run, the folder of an adapter, or a model: its folder, its Hub id, or nano"
            ) from error
        return Place(base=target)
    return Place(run=run, snapshot=choose_snapshot(run, checkpoint))


def open_candidate(
    target: str, checkpoint: str, seed: int, progress: Callable[[str], None], held: ExitStack
) -> Candidate:
    """Load what `find_candidate` finds.

    Raises:
        ModelLoadError: the base model cannot be loaded. CheckpointError: the adapters cannot.
    """
    from tinyzero.run.trained import load_trained, opened_here

    place = find_candidate(target, checkpoint)
    run, snapshot = place.run, place.snapshot
    if place.adapter is not None:
        return _of_adapter(place.adapter, seed, progress, held)
    if run is None or snapshot is None:
        return _of_base(place.base, seed, progress, held)
    progress(f"loading {run.config().model.base} and the adapter of step {snapshot.step}")
    policy = load_trained(run, snapshot)
    config = opened_here(run.config())
    return Candidate(
        name=run.name,
        label=f"step-{snapshot.step:06d}",
        folder=run.path / "benchmarks",
        config=config,
        sampler=_sampler(policy, config, seed, held),
        family=f"{_family(run.config())} {'' if checkpoint == 'best' else snapshot.step}",
        run_seed=config.run.seed,
    )


def _family(config: "Settled") -> str:
    """The configuration without its seed and where the run is kept."""
    without = {"run": config.run.model_copy(update={"seed": 0, "output": ""})}
    return config.model_copy(update=without).model_dump_json()


def _of_base(base: str, seed: int, progress: Callable[[str], None], held: ExitStack) -> Candidate:
    config = _settled({"model": {"base": base}})
    policy = _load(config, progress)
    return Candidate(
        name=base,
        label="",
        folder=_answers_folder(base),
        config=config,
        sampler=_sampler(policy, config, seed, held),
    )


def _of_adapter(folder: Path, seed: int, progress: Callable[[str], None], held: ExitStack) -> Candidate:
    from tinyzero.errors import CheckpointError
    from tinyzero.foreign import read_json_object

    weights = folder / _ADAPTER_WEIGHTS
    try:
        written = read_json_object(folder / _ADAPTER_CONFIG)
        digest = blake2b(weights.read_bytes(), digest_size=4).hexdigest()
        config = _settled(
            {
                "model": {"base": str(written["base_model_name_or_path"])},
                "policy": {"rank": written["r"], "alpha": written["lora_alpha"]},
            }
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(
            f"{folder} is no adapter that can be read ({error}); export it again with tinyzero export"
        ) from error
    policy = _load(config, progress)
    _put_on(policy, folder)
    return Candidate(
        name=folder.name,
        label=f"adapter-{digest}",
        folder=_answers_folder(folder.name),
        config=config,
        sampler=_sampler(policy, config, seed, held),
    )


def _put_on(policy: "Policy", folder: Path) -> None:
    """Take over the weights of an adapter. Raises CheckpointError where they are not for this base model."""
    from peft import load_peft_weights, set_peft_model_state_dict

    from tinyzero.errors import CheckpointError

    try:
        weights = load_peft_weights(str(folder), device=str(policy.device))
        result: Any = set_peft_model_state_dict(policy.model, weights, adapter_name=policy.adapters[0])
    except (OSError, ValueError, RuntimeError) as error:
        raise CheckpointError(f"cannot use the adapter in {folder}: {str(error).splitlines()[0]}") from error
    if result.unexpected_keys:
        raise CheckpointError(
            f"the adapter in {folder} has weights for {result.unexpected_keys[0]}, which its base model has "
            "not; give the folder of an adapter on the linear layers"
        )


def _settled(sections: dict[str, Any]) -> "Settled":
    """The settings for a model without a run; nano only reads the compact form."""
    from tinyzero.config import Config, load_config, local_folder
    from tinyzero.machine.hardware import look
    from tinyzero.machine.settling import settle

    if local_folder(sections["model"]["base"]) == local_folder("nano"):
        sections = sections | {"model": {"base": "nano"}}
        written = load_config("nano-cpu").model_dump()
        sections = {name: written[name] | values for name, values in sections.items()}
        return settle(Config.model_validate(written | sections), look())
    return settle(Config.model_validate(sections), look())


def _load(config: "Settled", progress: Callable[[str], None]) -> "Policy":
    from tinyzero.policy.device import prepare_device
    from tinyzero.policy.loading import load_policy

    progress(f"loading {config.model.base}")
    return load_policy(
        config.model,
        config.policy,
        device=prepare_device(config.hardware),
        temperature=config.sampling.temperature,
    )


def _sampler(policy: "Policy", config: "Settled", seed: int, held: ExitStack) -> "Sampler":
    """The sampler that the configuration names, with room for longer prompts and this seed."""
    from tinyzero.sampling.choice import choose_sampler
    from tinyzero.types import Resident

    longest = max(config.sampling.max_prompt_tokens, min(_LEAST_PROMPT_TOKENS, policy.context_tokens - 1))
    roomy = config.model_copy(
        update={
            "sampling": config.sampling.model_copy(update={"max_prompt_tokens": longest}),
            "run": config.run.model_copy(update={"seed": seed}),
        }
    )
    sampler = choose_sampler(roomy)(policy, roomy)
    if isinstance(sampler, Resident):
        held.callback(sampler.close)
    return sampler


def _answers_folder(name: str) -> Path:
    return Path("evaluations") / name.strip("./").replace("/", "--")
