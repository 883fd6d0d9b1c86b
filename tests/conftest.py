"""A tiny random model with a small tokenizer, and finished runs, made on the spot without training."""

import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from tiny_models import make_model_folder

# How fast a crowded machine makes up examples is no verdict on what is tested.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")

# A background job of a shell ignores SIGINT, one under nohup SIGHUP, and so would every process that a
# test starts.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.fixture(scope="session")
def tiny_model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model_folder(tmp_path_factory.mktemp("tiny-model"))


@pytest.fixture(scope="session")
def untemplated_model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model_folder(tmp_path_factory.mktemp("untemplated-model"), chat_template=None)


@pytest.fixture
def make_policy(tiny_model_folder: Path) -> Callable[..., Any]:
    """Loads the tiny model; `randomize` gives the adapters weights that matter: fresh ones change nothing."""

    def make(
        *,
        adapters: str = "shared",
        rank: int = 4,
        randomize: bool = True,
        temperature: float = 1.0,
        **options: Any,
    ) -> Any:
        import torch
        from settled import model_section

        from tinyzero.config import ModelConfig, PolicyConfig
        from tinyzero.policy.loading import load_policy

        of_model = {name: options.pop(name) for name in tuple(options) if name in ModelConfig.model_fields}
        policy = load_policy(
            model_section(**{"base": str(tiny_model_folder), **of_model}),
            PolicyConfig(adapters=adapters, rank=rank, alpha=8),
            device="cpu",
            temperature=temperature,
            **options,
        )
        if randomize:
            generator = torch.Generator().manual_seed(1)
            with torch.no_grad():
                for adapter in policy.adapters:
                    for parameter in policy.trainable_parameters(adapter):
                        parameter.normal_(0, 0.1, generator=generator)
        return policy

    return make


TASK = {
    "step": 1, "id": "a1", "kind": "deduction", "program": "def f(x):\n    return x + 1", "inputs": ["1"],
    "outputs": ["2"], "message": "", "shape": "s", "parents": [], "attempts": 4, "solve_rate": 0.25,
}  # fmt: skip


class Nothing:
    """A part of a checkpoint that no export reads."""

    def save(self, folder):
        (folder / "nothing").write_text("")

    def load(self, folder):
        pass


def randomize(policy, scale, seed=1):
    import torch

    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for adapter in policy.adapters:
            for parameter in policy.trainable_parameters(adapter):
                parameter.normal_(0, scale, generator=generator)


def make_run(
    folder, base, *, steps=(4,), scale=0.05, quantization="none", style="compact", adapters="shared"
):
    """A run folder with a checkpoint per step, metrics, tasks and environment."""
    from settled import defaults

    from tinyzero.config import load_config
    from tinyzero.policy.loading import load_policy
    from tinyzero.run import checkpoints
    from tinyzero.run.folder import RunFolder
    from tinyzero.run.records import RecordWriter

    config = defaults(
        **load_config("nano-cpu").model_dump()
        | {"model": {"base": str(base), "quantization": quantization}, "prompts": {"style": style}}
        | {
            "policy": {"adapters": adapters, "rank": 4, "alpha": 8},
            "hardware": {"device": "cpu", "threads": 1},
        }
    )
    run = RunFolder.create(folder.parent, folder.name, config)
    policy = load_policy(config.model, config.policy, device="cpu", temperature=1.0)
    for step in steps:
        randomize(policy, scale, seed=step)
        checkpoints.write(run, step, {"policy": policy, "game": Nothing(), "learner": Nothing()})
    for path, lines in {
        run.metrics: [
            {"step": n, "solver/accuracy": 0.1 * n, "proposer/valid_share": 0.5} for n in (1, 2, 3, 4)
        ],
        run.tasks: [
            TASK,
            {**TASK, "id": "a2", "kind": "abduction", "step": 2, "solve_rate": None, "attempts": 0},
        ],
    }.items():
        writer = RecordWriter(path)
        for line in lines:
            writer.append(line)
        writer.close()
    run.write_environment({"tinyzero": "0.1.0", "device": "cpu", "seed": 0, "packages": {"torch": "2.13.0"}})
    return run


@pytest.fixture(scope="session")
def nano_original(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("nano") / "first-run", "nano", steps=(2, 4))


@pytest.fixture
def nano_run(nano_original, tmp_path):
    """A run of nano that a test may change."""
    from tinyzero.run.folder import RunFolder

    return RunFolder(Path(shutil.copytree(nano_original.path, tmp_path / "runs" / nano_original.name)))


@pytest.fixture
def tiny_run(tiny_model_folder, tmp_path):
    """Makes runs of the tiny model, of which one may name quantisation and adapters."""

    def make(name="tiny-run", base=tiny_model_folder, **options):
        return make_run(tmp_path / "runs" / name, base, **options)

    return make
