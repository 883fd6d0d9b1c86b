"""What a check found, as a page of text."""

from collections.abc import Mapping
from typing import Any

PROVES = {
    "nf4": ("memory", "phases"),
    "sampling": ("same_tokens", "logprobs", "sampling"),
    "learning": ("gradients", "optimizers", "phases"),
    "out-of-memory": ("out_of_memory",),
    "unsloth": ("unsloth",),
    "vllm": ("vllm",),
}
"""What `tinyzero doctor` calls never run on a GPU -> the sections that have to pass to show it."""


def ran(sections: Mapping[str, Mapping[str, Any]], *, device: str, is_small: bool) -> list[str]:
    """Keys of PROVES that these sections show; none on a CPU or at toy size."""
    if device != "cuda" or is_small:
        return []
    passed = {name for name, section in sections.items() if section["status"] == "ok"}
    return [key for key, needed in PROVES.items() if passed.issuperset(needed)]


def as_text(found: Mapping[str, Any]) -> str:
    head = f"{found['card']}, {found['date']}" + (", toy sizes" if found["is_small"] else "")
    lines = [f"TinyZero on {head}", ""]
    for name, section in found["sections"].items():
        lines.append(f"{name}: {section['status']}, {section['seconds']:.0f} s")
        lines += [f"    {key}: {_value(value)}" for key, value in section.get("figures", {}).items()]
        lines += [f"    {line}" for line in section.get("problem", "").splitlines()]
    return "\n".join(lines) + "\n"


def _value(value: Any) -> str:  # noqa: ANN401
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list):
        return ", ".join(map(_value, value))
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_value(item)}" for key, item in value.items())
    return str(value)
