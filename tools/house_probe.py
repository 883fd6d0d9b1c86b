"""Walks a checkout for tools/house.py: prints knobs, and the modules of a training step and of an export.

The imports of the checkout stand in its functions: it relies on these names, and on what they take.
"""

import json
import os
import sys
import tempfile
from collections.abc import Callable
from contextlib import redirect_stdout, suppress
from pathlib import Path
from types import FrameType
from typing import Any

_SMALL = (
    "hardware.device=cpu",
    "selfplay.proposals_per_step=3",
    "selfplay.attempts=2",
    "evaluation.heldout=none",
)


def main() -> None:
    os.environ["HF_HUB_OFFLINE"] = "1"
    with tempfile.TemporaryDirectory() as folder, redirect_stdout(sys.stderr):
        told = {
            "knobs": knobs(),
            "modules of one nano step": step(Path(folder)),
            "modules of a merged export": export(Path(folder)),
        }
    print(json.dumps(told))


def knobs() -> list[str]:
    """`section.key` of everything that can be set."""
    from tinyzero.config import Config

    return _leaves(Config)


def step(folder: Path) -> list[str]:
    """Modules of `trainer.step()`; leaves a run that can be exported."""
    from tinyzero.assembly import assemble
    from tinyzero.config import load_config
    from tinyzero.machine.hardware import look
    from tinyzero.machine.settling import settle
    from tinyzero.run.folder import RunFolder

    overrides = [*_SMALL, "run.max_steps=1", f"run.output={folder}"]
    config = settle(load_config("nano-cpu", overrides), look())
    run = RunFolder.create(folder, "house", config)
    with run.exclusive(), assemble(config, run) as trainer:
        for _ in trainer.game.prepare(0):
            pass
        modules = _modules_of(trainer.step)
        trainer.train()
    return modules


def export(folder: Path) -> list[str]:
    """Modules of `tinyzero export`, of a merged model."""
    from tinyzero.cli import main as run_command

    sys.argv = ["tinyzero", "export", str(folder / "house"), "--what", "merged"]

    def command() -> None:
        with suppress(SystemExit):
            run_command()

    modules = _modules_of(command)
    if not any((folder / "house").glob("export*/**/*.safetensors")):
        raise SystemExit("the export wrote no model")
    return modules


def _leaves(section: Any, prefix: str = "") -> list[str]:  # noqa: ANN401  a class of pydantic
    return [
        leaf
        for name, field in section.model_fields.items()
        for leaf in (
            _leaves(field.annotation, f"{prefix}{name}.")
            if hasattr(field.annotation, "model_fields")
            else [f"{prefix}{name}"]
        )
    ]


def _modules_of(work: Callable[[], object]) -> list[str]:
    """Files of the package of which this thread calls a function meanwhile, by path."""
    import tinyzero

    package = f"{Path(tinyzero.__file__).parent}{os.sep}"
    files = set()

    def look(frame: FrameType, event: str, _: object) -> None:
        code = frame.f_code
        if event == "call" and code.co_filename.startswith(package) and not code.co_name.startswith("<"):
            files.add(code.co_filename.removeprefix(package))

    sys.setprofile(look)
    try:
        work()
    finally:
        sys.setprofile(None)
    return sorted(files)


if __name__ == "__main__":
    main()
