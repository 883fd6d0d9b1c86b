"""What a check found, as a page of text."""

from collections.abc import Mapping
from typing import Any


def as_text(found: Mapping[str, Any]) -> str:
    head = f"{found['card']}, {found['started']}" + (", toy sizes" if found["is_small"] else "")
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
