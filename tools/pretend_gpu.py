"""The CUDA path of TinyZero without a GPU: on a card pretended with CPU tensors. A few minutes, no network.

    python tools/pretend_gpu.py              # tests/gpu, three short runs, the budget of a decoding step
    python tools/pretend_gpu.py --only budget
    python tools/pretend_gpu.py --mutants    # faults that are planted, each of which must be seen

Exits 1 where something failed. docs/gpu.md says what this proves, and what it cannot.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from pretend.mutants import MUTANTS

_ROOT = Path(__file__).parents[1]
_SMALL = (
    "model.base=nano", "prompts.style=compact", "evaluation.heldout=none", "selfplay.proposals_per_step=4",
    "selfplay.attempts=2", "selfplay.proposal_tokens=32", "selfplay.answer_tokens=24",
    "sampling.batch_rows=8", "sampling.max_prompt_tokens=192", "learner.micro_batch_tokens=1024",
)  # fmt: skip
_PYTEST = ("-m", "pytest", "-p", "pretend.plugin", "-p", "no:cacheprovider", "-q")
_GRAPHS = ("-k", "test_graphs_draw_the_tokens_of_the_exact_sampler")


def main() -> int:
    options = _options()
    with tempfile.TemporaryDirectory(prefix="pretend-") as work:
        if options.mutants:
            return int(bool(list(_mutants(Path(work)))))
        parts: dict[str, Callable[[Path], bool]] = {"tests": _tests, "runs": _runs, "budget": _budget}
        results = [part(Path(work)) for name, part in parts.items() if name in (options.only or parts)]
        return int(not all(results))


def _tests(_work: Path) -> bool:
    """All but those of a full card and of a pause, which take too long on CPUs."""
    return _try("tests/gpu", *_PYTEST, "-k", "not full_card and not pause", "tests/gpu")


def _runs(work: Path) -> bool:
    """The presets of a 24 GiB card and of a T4: 4 bit, graphs, checkpointing, 8-bit AdamW, resume."""
    main_job = ("--preset", "qwen1.5b-24gb", "--max-steps", "1", "--name", "main")
    t4 = ("--preset", "qwen1.5b-16gb-t4", "--max-steps", "1", "--name", "t4")
    return all(
        [
            _train(work, "qwen1.5b-24gb, one step", "4090", *main_job, *_overrides()),
            _train(work, "the same, resumed", "4090", "--resume", str(work / "main"), "--max-steps", "2"),
            _train(work, "qwen1.5b-16gb-t4, one step", "t4", *t4, *_overrides()),
        ]
    )


def _train(work: Path, what: str, card: str, *arguments: str) -> bool:
    output = () if "--resume" in arguments else ("--output", str(work))
    return _try(what, "-m", "pretend.walking", card, "train", *arguments, *output, "--ui", "plain")


def _overrides() -> list[str]:
    return [word for setting in _SMALL for word in ("--set", setting)]


def _budget(_work: Path) -> bool:
    return _try("budget of a decoding step", "-m", "pretend.budget")


def _mutants(work: Path) -> Iterator[str]:
    """Names of those that no test has seen."""
    for mutant in MUTANTS:
        package = work / "mutant" / "tinyzero"
        shutil.rmtree(package, ignore_errors=True)
        shutil.copytree(_ROOT / "tinyzero", package)
        mutant.plant(package)
        done, seconds = _run(*_PYTEST, "-x", *_GRAPHS, "tests/gpu", package=package.parent)
        is_seen = done.returncode == 1
        print(f"{'seen    ' if is_seen else 'SURVIVED'} {mutant.name} ({seconds:.0f} s)", flush=True)
        if not is_seen:
            yield mutant.name


def _try(what: str, *arguments: str) -> bool:
    done, seconds = _run(*arguments)
    is_well = done.returncode == 0
    lines = done.stdout.strip().splitlines()
    shown = lines[-1:] if is_well else [*lines[-30:], *done.stderr.strip().splitlines()[-30:]]
    print(f"{'ok    ' if is_well else 'FAILED'} {what} ({seconds:.0f} s)", flush=True)
    print("\n".join(f"       {line}" for line in shown), flush=True)
    return is_well


def _run(*arguments: str, package: Path = _ROOT) -> tuple["subprocess.CompletedProcess[str]", float]:
    """A process that finds the package in this folder, and no other."""
    path = os.pathsep.join(map(str, (package, _ROOT / "tools", _ROOT / "tests")))
    variables = {**os.environ, "PYTHONPATH": path, "HF_HUB_OFFLINE": "1", "OMP_WAIT_POLICY": "PASSIVE"}
    started = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-P", *arguments],
        cwd=_ROOT,
        env=variables,
        capture_output=True,
        text=True,
        check=False,
    )
    return done, time.monotonic() - started


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="+", choices=("tests", "runs", "budget"), metavar="PART")
    parser.add_argument("--mutants", action="store_true", help="plant faults, and say which are not seen")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
