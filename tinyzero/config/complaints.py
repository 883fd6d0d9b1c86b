"""Turns a pydantic error into one line: the key, its value, the allowed values, and its source."""

from collections.abc import Iterator, Mapping
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from tinyzero.config.dropped import DROPPED, MERGED
from tinyzero.config.other_libraries import FOREIGN
from tinyzero.errors import nearest

# pydantic error type -> the expected value; the braces are filled from pydantic's context.
_ALLOWED = {
    "greater_than": "more than {gt}",
    "greater_than_equal": "at least {ge}",
    "less_than": "less than {lt}",
    "less_than_equal": "at most {le}",
    "literal_error": "one of {expected}",
    "too_short": "a list with at least {min_length} in it",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "string_type": "a string",
    "tuple_type": "a list",
    "model_type": "a table of keys",
}

# What pydantic adds to the location of a knob that is a number or auto: the type that it tried first.
_NUMBER_OR_AUTO = "constrained-int"


def explain(
    error: ValidationError, model: type[BaseModel], *, file: str, overridden: Mapping[str, Any]
) -> str:
    """The first complaint, as one line.

    Args:
        error: the error of `model`. model: the class of the tree, for the names of its keys.
        file: the source of the values that were not overridden.
        overridden: the dotted keys from `--set`.
    """
    first = error.errors()[0]
    or_auto = " or auto" if first["loc"][-1:] == (_NUMBER_OR_AUTO,) else ""
    key = ".".join(str(part) for part in first["loc"] if part != _NUMBER_OR_AUTO)
    place = _place(key, file, overridden)
    if first["type"] == "extra_forbidden":
        if key in DROPPED:
            return f"{key} in {place} is no longer a setting; {_instead(key)}"
        return f"unknown key {key} in {place}{nearest_key(key, list(_dotted_keys(model)))}"
    if first["type"] == "model_type" and key == "model":
        return f"model is {first['input']!r} in {place}; it must be a table of keys; set model.base"
    if first["type"] == "value_error":
        return f"{first['ctx']['error']} ({place})"
    allowed = _ALLOWED.get(first["type"], "")
    expected = allowed.format(**first.get("ctx", {})) if allowed else f"valid ({first['msg']})"
    return f"{key} is {first['input']!r} in {place}; it must be {expected}{or_auto}"


def _place(key: str, file: str, overridden: Mapping[str, Any]) -> str:
    if not key:  # a combination of values
        return " and ".join([file, "--set"] if overridden else [file])
    is_overridden = any(
        f"{key}.".startswith(f"{name}.") or f"{name}.".startswith(f"{key}.") for name in overridden
    )
    return "--set" if is_overridden else file


def nearest_key(key: str, known: list[str]) -> str:
    """A suggestion: what another library's name means here, the name in another section, a similar name."""
    place, _, leaf = key.rpartition(".")
    if leaf in FOREIGN:
        return f"; that is {FOREIGN[leaf]} here"
    known = [name.replace("<name>", place.rpartition(".")[2]) for name in known]
    elsewhere = [name for name in known if name.endswith(f".{leaf}")]
    return nearest(key, elsewhere or known) or (f"; did you mean {elsewhere[0]}?" if elsewhere else "")


def _dotted_keys(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    for name, field in model.model_fields.items():
        yield prefix + name
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from _dotted_keys(field.annotation, f"{prefix}{name}.")
        for item in get_args(field.annotation):
            if isinstance(item, type) and issubclass(item, BaseModel):  # a table of tables with any names
                yield from _dotted_keys(item, f"{prefix}{name}.<name>.")


def _instead(key: str) -> str:
    """What to do with a setting of an earlier version."""
    if key in MERGED:
        return f"set {key.partition('.')[0]}.{MERGED[key]}, which stands for it"
    return "leave it out" if DROPPED[key] is None else f"leave it out (it is always {DROPPED[key]})"
