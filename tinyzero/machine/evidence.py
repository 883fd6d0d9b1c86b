"""The parts of TinyZero that have run on a GPU, according to the reports in the repository.

A report is `docs/measurements/gpu-*.json`, an object with `card`, `date`, and `ran`: a list of the keys
below, or `preset:NAME` for a complete run of a preset. A part without a report is not promised to work.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tinyzero.config import Config, find_presets, load_config
from tinyzero.foreign import read_json_object

_PACKAGE = Path(__file__).parents[1]

CLAIMS = {
    "nf4": "a base model in 4 bit on CUDA",
    "sampling": "the built-in sampler on CUDA",
    "learning": "an update on CUDA: trl's Triton kernels, 8-bit AdamW",
    "float16": "float16 with a gradient scaler, for cards without bfloat16",
    "out-of-memory": "smaller micro-batches when CUDA memory runs out",
    "resume": "killing and resuming a run on CUDA",
    "plan": "the memory and the time that `tinyzero plan` gives",
    "export": "merging what was learned on a 4-bit base on CUDA",
    "unsloth": "unsloth",
    "vllm": "vLLM on the card that trains",
}


def never_run(reports: Iterable[dict[str, Any]] | None = None) -> dict[str, str]:
    """Key -> description, for every part that no report has seen on a GPU."""
    ran = {key for report in (read_reports() if reports is None else reports) for key in report["ran"]}
    return {key: what for key, what in claims().items() if key not in ran}


def claims() -> dict[str, str]:
    """Everything that should run on a GPU: the parts, and a complete run of every GPU preset."""
    presets = [name for name in find_presets() if load_config(name).hardware.device == "cuda"]
    return CLAIMS | {f"preset:{name}": f"a whole run of {name}" for name in presets}


def counts_on_graphs(config: Config, reports: Iterable[dict[str, Any]] | None = None) -> bool:
    """Whether estimates count on CUDA graphs: the configuration has them, and a report saw the sampler."""
    return config.sampling.cuda_graphs and "sampling" not in never_run(reports)


def is_calibrated(card: str, reports: Iterable[dict[str, Any]] | None = None) -> bool:
    """Whether a report has measured memory and time of the plan on this very card."""
    seen = read_reports() if reports is None else reports
    return any(card in report["card"] and "plan" in report["ran"] for report in seen)


def read_reports(package: Path = _PACKAGE) -> list[dict[str, Any]]:
    """The reports of the checkout, or the reports in the installed wheel."""
    is_checkout = (package.parent / "pyproject.toml").is_file()
    folder = package.parent / "docs" / "measurements" if is_checkout else package / "measurements"
    return [read_json_object(path) for path in sorted(folder.glob("gpu-*.json"))]
