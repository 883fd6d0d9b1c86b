"""Programs that attack the executor and honest ones: those of corpus.toml, or those of a user's file."""

import ast
import runpy
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tinyzero.errors import ConfigError

_PACKAGED = Path(__file__).with_name("corpus.toml")
_FIELDS = ("name", "kind", "code", "input", "expect", "also", "value", "canary")


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """A program, its input, and how a run of it should end; corpus.toml explains the fields."""

    name: str
    kind: str
    code: str
    input: str
    expect: str
    also: tuple[str, ...] = ()
    value: str | None = None
    canary: str | None = None
    why: str = ""


def packaged_items() -> list[Item]:
    """The corpus that ships: attacks first."""
    tables = tomllib.loads(_PACKAGED.read_text(encoding="utf-8"))
    return [_item({"kind": kind, **fields}) for kind in ("attack", "benign") for fields in tables[kind]]


def load_items(path: Path) -> list[Item]:
    """The `ITEMS` of a user's Python file: read as a literal where it is one, else by running the file.

    Raises:
        ConfigError: no such file, no such list, or an item without the fields.
    """
    try:
        items = _literal_items(path.read_text("utf-8"))
        items = runpy.run_path(str(path)).get("ITEMS") if items is None else items
    except (OSError, SyntaxError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read: {error}") from error
    if not isinstance(items, list) or not items or not all(isinstance(item, dict) for item in items):
        raise ConfigError(f"{path} has no list of dicts named ITEMS, or an empty one")
    for item in items:
        if missing := [name for name in _FIELDS if name not in item]:
            raise ConfigError(f"{path}: item {item.get('name', '?')!r} lacks {', '.join(missing)}")
    return [_item({name: item[name] for name in _FIELDS}) for item in items]


def _item(fields: Mapping[str, Any]) -> Item:
    return Item(**{**fields, "also": tuple(fields.get("also", ()))})


def _literal_items(source: str) -> Any:  # noqa: ANN401
    """The value of `ITEMS` in a file that does nothing else; None where only running it would tell."""
    statements = [s for s in ast.parse(source).body if not _is_docstring(s)]
    match statements:
        case [ast.Assign(targets=[ast.Name(id="ITEMS")], value=value)]:
            pass
        case _:
            return None
    try:
        return ast.literal_eval(value)
    except ValueError:
        return None


def _is_docstring(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
