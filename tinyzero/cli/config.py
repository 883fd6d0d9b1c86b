"""`tinyzero config`: what every setting means, from the docstrings of the configuration."""

import json
import shutil
import textwrap
from collections.abc import Iterator, Mapping
from typing import Annotated, Any

import typer

from tinyzero.cli.screen import show, show_json

_BOUNDS = {
    "minimum": "at least {}",
    "exclusiveMinimum": "more than {}",
    "maximum": "at most {}",
    "exclusiveMaximum": "less than {}",
}
_TYPES = {"integer": "a whole number", "number": "a number", "string": "text", "boolean": "true or false"}
_INDENT = "    "


def complete_key(incomplete: str) -> list[str]:
    """Sections and keys that begin so."""
    settings = _settings()
    names = [*dict.fromkeys(key.partition(".")[0] for key in settings), *settings]
    return [name for name in names if name.startswith(incomplete)]


def complete_setting(incomplete: str) -> list[str]:
    """Keys that begin so, with the sign that their value follows."""
    return [f"{key}=" for key in _settings() if key.startswith(incomplete)]


def config(
    key: Annotated[
        str | None,
        typer.Argument(
            help="A section, such as learner, or a key, such as learner.lr. Default: all.",
            autocompletion=complete_key,
        ),
    ] = None,
    schema: Annotated[
        bool, typer.Option("--schema", help="Print the JSON schema of a preset, for editors.")
    ] = False,
) -> None:
    """Explain the settings: what each means, its values, its default, and the presets that set it."""
    if schema:
        show_json(_schema(), indent=2)
        return
    width = min(max(40, shutil.get_terminal_size().columns), 110)
    show("\n".join(_explain(key, width)))


def _schema() -> dict[str, Any]:
    """The JSON schema of a file: it may extend another, and says "none" where JSON has null."""
    from tinyzero.config import Config

    tree: dict[str, Any] = _with_none(Config.model_json_schema())
    about = "A preset or a file whose values hold where this file has none."
    tree["properties"]["extends"] = {"type": "string", "description": about}
    return tree


def _with_none(part: Any) -> Any:  # noqa: ANN401  a JSON value
    if isinstance(part, list):
        return [_with_none(each) for each in part]
    if not isinstance(part, dict):
        return part
    if part == {"type": "null"}:
        return {"const": "none"}
    return {
        name: "none" if name == "default" and each is None else _with_none(each)
        for name, each in part.items()
    }


def _explain(key: str | None, width: int) -> Iterator[str]:
    """The lines about a key, a section, or everything."""
    settings, presets = _settings(), _presets()
    chosen = {name: each for name, each in settings.items() if key in (None, name, name.partition(".")[0])}
    if not chosen:
        _complain(key or "", list(settings))
    section = ""
    for name, each in chosen.items():
        if name != key and name.partition(".")[0] != section:
            section = name.partition(".")[0]
            yield from ("", f"[{section}]  {_section_title(section)}", "")
        yield f"{name} = {_as_toml(each['default'])}" if "default" in each else f"{name} (a table)"
        yield from _wrapped(each.get("description", ""), width)
        yield from _wrapped(f"Values: {_values(each)}.", width)
        if key is not None:
            yield from _wrapped(_set_by(presets.get(name, {})), width)


def _wrapped(text: str, width: int) -> list[str]:
    return textwrap.wrap(text, width, initial_indent=_INDENT, subsequent_indent=_INDENT)


def _settings() -> dict[str, dict[str, Any]]:
    """`section.key` -> its part of the JSON schema, in the order of the configuration."""
    from tinyzero.config import Config

    tree = Config.model_json_schema()
    return {
        f"{section}.{name}": _resolved(each, tree["$defs"])
        for section, reference in tree["properties"].items()
        for name, each in _resolved(reference, tree["$defs"])["properties"].items()
    }


def _resolved(each: Mapping[str, Any], definitions: Mapping[str, Any]) -> dict[str, Any]:
    """A part of the schema with what it refers to."""
    reference = each.get("$ref", "").rpartition("/")[2]
    own = {name: value for name, value in each.items() if name != "$ref"}
    return {**definitions.get(reference, {}), **own}


def _section_title(section: str) -> str:
    from tinyzero.config import Config

    tree = Config.model_json_schema()
    return str(_resolved(tree["properties"][section], tree["$defs"])["description"]).partition("\n")[0]


def _values(each: Mapping[str, Any]) -> str:
    """The values that a setting may have, in words."""
    choices = [_value_words(part) for part in each.get("anyOf", [each])]
    return " or ".join(dict.fromkeys(choices))


def _value_words(part: Mapping[str, Any]) -> str:
    if "enum" in part or "const" in part:
        return ", ".join(map(str, part.get("enum", [part.get("const")])))
    if part.get("type") == "array":
        return f"a list of: {_values(part['items'])}" if part.get("items") else "a list"
    if part.get("type") == "null":
        return "none"
    bounds = [words.format(f"{part[name]:g}") for name, words in _BOUNDS.items() if name in part]
    kind = _TYPES.get(str(part.get("type")), "a table")
    return f"{kind}, {' and '.join(bounds)}" if bounds else kind


def _as_toml(value: Any) -> str:  # noqa: ANN401  a JSON value
    return '"none"' if value is None else json.dumps(value)


def _presets() -> dict[str, dict[str, list[str]]]:
    """`section.key` -> value as TOML -> names of the presets whose files set it."""
    from tinyzero.config import find_presets
    from tinyzero.foreign import parse_toml, read_text

    set_by: dict[str, dict[str, list[str]]] = {}
    for name, path in find_presets().items():
        for section, values in parse_toml(read_text(path)).items():
            for key, value in values.items():
                set_by.setdefault(f"{section}.{key}", {}).setdefault(_as_toml(value), []).append(name)
    return set_by


def _set_by(values: Mapping[str, list[str]]) -> str:
    if not values:
        return "No preset sets it."
    return "Presets: " + "; ".join(f"{value} in {', '.join(names)}" for value, names in values.items()) + "."


def _complain(key: str, known: list[str]) -> None:
    from tinyzero.config.complaints import nearest_key
    from tinyzero.errors import ConfigError

    raise ConfigError(f"no setting {key}{nearest_key(key, known)}")
