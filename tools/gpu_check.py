"""The whole GPU path of TinyZero on this machine, in ten minutes and one command; no network, no downloads.

    python tools/gpu_check.py                # writes docs/measurements/gpu-<card>.json and .txt
    python tools/gpu_check.py --only memory sampling
    python tools/gpu_check.py --dry-run      # all at toy size on the CPU: proves the tool, measures nothing

Each section runs in a process of its own: none can take the others with it, and unsloth can come first.
Exits 1 where a section failed.
"""

import argparse
import json
import re
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from gpu.report import as_text, ran

SECTIONS = (
    "environment",
    "same_tokens",
    "logprobs",
    "sampling",
    "gradients",
    "memory",
    "adapters",
    "unsloth",
    "vllm",
    "nano",
    "optimizers",
    "out_of_memory",
    "phases",
)
"""In the order in which they would be missed most."""
_LEAST_S = 20
_MEASUREMENTS = Path(__file__).parents[1] / "docs" / "measurements"


def main() -> int:
    options = _options()
    if options.section:
        return _run_one(options)
    with tempfile.TemporaryDirectory(prefix="gpu-check-") as work:
        found = check(options, Path(work))
    text = as_text(found)
    print(text)
    if options.output:
        write(found, text, options.output)
    return int(any(section["status"] == "failed" for section in found["sections"].values()))


def check(options: argparse.Namespace, work: Path) -> dict[str, Any]:
    """All sections, one after the other, until the time is up."""
    deadline = time.monotonic() + 60 * options.minutes
    run = _run_here if options.one_process else _run_apart
    sections = {}
    for name in options.only or SECTIONS:
        left = deadline - time.monotonic()
        print(f"{name} ...", file=sys.stderr, flush=True)
        sections[name] = (
            run(name, options, work, left)
            if left > _LEAST_S
            else {"status": "skipped", "seconds": 0.0, "problem": "no time left"}
        )
    card = sections.get("environment", {}).get("figures", {}).get("card", options.device)
    return {
        "card": card,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "is_small": options.small,
        "ran": ran(sections, device=options.device, is_small=options.small),
        "sections": sections,
    }


def write(found: dict[str, Any], text: str, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    name = "gpu-" + re.sub(r"[^a-z0-9]+", "-", found["card"].lower()).strip("-")
    (folder / f"{name}.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    (folder / f"{name}.txt").write_text(text, encoding="utf-8")
    print(f"written: {folder / name}.json and .txt", file=sys.stderr)


def _run_apart(name: str, options: argparse.Namespace, work: Path, left_s: float) -> dict[str, Any]:
    """A section in a child process; one that dies or hangs is a failure like any other."""
    result = work / f"{name}.json"
    command = [sys.executable, __file__, "--section", name, "--work", str(work), "--device", options.device]
    command += ["--small"] if options.small else []
    started = time.monotonic()
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=left_s, check=False)
        problem = f"the process ended with {done.returncode}\n{done.stderr[-3000:]}"
    except subprocess.TimeoutExpired:
        problem = f"stopped after {left_s:.0f} s"
    if result.exists():
        found: dict[str, Any] = json.loads(result.read_text(encoding="utf-8"))
        return found
    return {"status": "failed", "seconds": time.monotonic() - started, "problem": problem}


def _run_here(name: str, options: argparse.Namespace, work: Path, _left_s: float) -> dict[str, Any]:
    started = time.monotonic()
    try:
        figures = _section(name)(_setup(options, work))
    except Exception as error:  # noqa: BLE001  whatever it is, it is written down, and the others go on
        return {
            "status": "failed",
            "seconds": time.monotonic() - started,
            "figures": getattr(error, "figures", {}),
            "problem": traceback.format_exc(),
        }
    status = "skipped" if "skipped" in figures else "ok"
    return {"status": status, "seconds": time.monotonic() - started, "figures": figures}


def _run_one(options: argparse.Namespace) -> int:
    """As the child: leave the result in a file, whole or not at all."""
    found = _run_here(options.section, options, options.work, 0.0)
    aside = options.work / f"{options.section}.part"
    aside.write_text(json.dumps(found), encoding="utf-8")
    aside.rename(options.work / f"{options.section}.json")
    return 0


def _section(name: str) -> Callable[[Any], dict[str, Any]]:
    if name == "unsloth":
        _import_unsloth_first()
    from gpu import learning, sampling, whole

    for module in (sampling, learning, whole):
        if hasattr(module, name):
            section: Callable[[Any], dict[str, Any]] = getattr(module, name)
            return section
    raise SystemExit(f"no section {name}; there are {', '.join(SECTIONS)}")


def _import_unsloth_first() -> None:
    """It rewrites transformers, trl and peft, and only what it comes before."""
    import torch

    from tinyzero.machine.hardware import has_unsloth
    from tinyzero.policy.imports import import_stack

    if torch.cuda.is_available() and has_unsloth():
        import_stack("unsloth", has_cuda=True, num_adapters=1)


def _setup(options: argparse.Namespace, work: Path) -> Any:  # noqa: ANN401  torch is not imported here yet
    import torch
    from gpu.setup import Setup

    return Setup(device=torch.device(options.device), is_small=options.small, work=work)


def _options(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--small", action="store_true", help="toy sizes")
    parser.add_argument(
        "--dry-run", action="store_true", help="--device cpu --small, in one process, no files"
    )
    parser.add_argument("--only", nargs="+", choices=SECTIONS, metavar="SECTION", help=" ".join(SECTIONS))
    parser.add_argument("--minutes", type=float, default=10.0, help="begin no section after that; default 10")
    parser.add_argument("--output", type=Path, help="folder of the two files; default docs/measurements")
    parser.add_argument("--one-process", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--section", help=argparse.SUPPRESS)
    parser.add_argument("--work", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.dry_run:
        options.device, options.small, options.one_process = "cpu", True, True
    elif options.output is None:
        options.output = _MEASUREMENTS
    return options


if __name__ == "__main__":
    sys.exit(main())
