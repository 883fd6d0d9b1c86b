"""Reads files and texts that others wrote. Whatever they hold, the result is plain data or a `BadContent`.

All JSON, TOML and YAML goes through here, since each reader of its own forgets a case: deep nesting is
a RecursionError, a number too large an OverflowError at its first use, half a character a UnicodeEncodeError.
The lines of a run's logs are the exception: `run.records` skips what it cannot read.
"""

import json
import math
import tomllib
from pathlib import Path
from typing import Any

_MAX_DEPTH = 64
_LARGEST_INTEGER = 10**36  # tokenizers say 10^30 for a length without a limit
_TOO_DEEP = f"it is nested more than {_MAX_DEPTH} levels deep"


class BadContent(ValueError):
    """A text that cannot be read; the message is one line, to stand behind the file's name."""


def read_text(path: Path) -> str:
    """The text of a file.

    Raises:
        BadContent: it is not UTF-8. OSError: the file cannot be opened.
    """
    return _decoded(path.read_bytes())


def read_json(path: Path) -> Any:  # noqa: ANN401  a tree of JSON values
    """The value in a JSON file. Raises BadContent, OSError."""
    return parse_json(path.read_bytes())


def read_json_object(path: Path) -> dict[str, Any]:
    """The object in a JSON file. Raises BadContent, OSError."""
    return parse_json_object(path.read_bytes())


def parse_json(text: str | bytes) -> Any:  # noqa: ANN401  a tree of JSON values
    """The value of a JSON text; raises BadContent. `NaN` is a number, since Python's writer writes it."""
    decoded = _decoded(text) if isinstance(text, bytes) else text
    try:
        value = json.loads(decoded)
    except RecursionError as error:
        raise BadContent(_TOO_DEEP) from error
    except ValueError as error:
        raise BadContent(f"it is not JSON: {error}") from error
    return _checked(value)


def parse_json_object(text: str | bytes) -> dict[str, Any]:
    """The object of a JSON text. Raises BadContent."""
    value = parse_json(text)
    if not isinstance(value, dict):
        raise BadContent("it is JSON, but not an object")
    return value


def parse_toml(text: str) -> dict[str, Any]:
    """The tables of a TOML text, with numbers of any size, which the configuration checks.

    Raises:
        BadContent: it is not TOML, or nested too deep.
    """
    try:
        tables = tomllib.loads(text)
    except RecursionError as error:
        raise BadContent(_TOO_DEEP) from error
    except ValueError as error:
        raise BadContent(f"it is not valid TOML: {error}") from error
    _levels(tables)
    return tables


def read_card(path: Path) -> dict[str, Any]:
    """The YAML at the beginning of a model's card; empty without one. Raises BadContent, OSError."""
    from huggingface_hub import metadata_load

    try:
        metadata = metadata_load(path)
    except OSError:
        raise
    except Exception as error:  # yaml's constructors raise whatever int() or a missing match raises
        raise BadContent(f"it is not valid YAML: {' '.join(str(error).split())}") from error
    return _checked(metadata) if isinstance(metadata, dict) else {}


def _decoded(content: bytes) -> str:
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise BadContent(f"it is not UTF-8 text (byte {error.start})") from error


def _checked(root: Any) -> Any:  # noqa: ANN401  a tree of JSON values
    """The same tree, if every reader of it can work with it. Raises BadContent."""
    for level in _levels(root):
        for value in level:
            _check_scalar(value)
    return root


def _levels(root: Any) -> list[list[Any]]:  # noqa: ANN401  a tree of JSON values
    """All values of a tree, level by level. Raises BadContent."""
    levels: list[list[Any]] = [[root]]
    while levels[-1]:
        if len(levels) > _MAX_DEPTH:
            raise BadContent(_TOO_DEEP)
        levels.append([item for value in levels[-1] for item in _items_of(value)])
    return levels


def _items_of(value: object) -> list[Any]:
    if isinstance(value, dict):
        return [*value, *value.values()]
    return value if isinstance(value, list) else []


def _check_scalar(value: object) -> None:
    if isinstance(value, int) and abs(value) > _LARGEST_INTEGER:
        raise BadContent("it holds an integer beyond 10^36")
    if isinstance(value, float) and math.isinf(value):
        raise BadContent("it holds a number that is too large")
    if isinstance(value, str) and any("\ud800" <= char <= "\udfff" for char in value):
        raise BadContent("it holds half a character (a surrogate)")
