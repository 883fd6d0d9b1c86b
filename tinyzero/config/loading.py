"""Loads a checked `Config` from a preset or file and overrides. A mistake gives a one-line message."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

import tinyzero
from tinyzero.config.complaints import explain
from tinyzero.config.dropped import without_dropped
from tinyzero.config.game import SelfPlayConfig
from tinyzero.config.sections import Config
from tinyzero.config.settled import Settled
from tinyzero.config.unused import keys_of, refuse_unused, without_leftovers
from tinyzero.errors import ConfigError, ModelLoadError, PresetNotFound, nearest
from tinyzero.foreign import BadContent, parse_toml, read_text

_PACKAGE = Path(__file__).parents[1]


def find_presets(package: Path = _PACKAGE) -> dict[str, Path]:
    """All presets: name -> file, sorted by name.

    An editable install has no presets in its package (the wheel's build puts them there), so a checkout's
    own folder comes first.
    """
    checkout = package.parent
    is_checkout = (checkout / "pyproject.toml").is_file()
    folder = checkout / "presets" if is_checkout else package / "presets"
    return {path.stem: path for path in sorted(folder.glob("*.toml"))}


def describe_preset(path: Path) -> str:
    """A preset's description: the comment on its first line."""
    first_line = read_text(path).partition("\n")[0]
    return first_line.removeprefix("#").strip() if first_line.startswith("#") else ""


_Tree = TypeVar("_Tree", bound=Config)


def load_config(preset_or_path: str, overrides: Sequence[str] = ()) -> Config:
    """The defaults, changed by a preset or TOML file, then by overrides like `model.base=nano`.

    Raises:
        PresetNotFound: neither a preset nor a file has that name, nor that of the preset that it extends.
        ConfigError: a key, a value or a combination is not valid; the message names it and its source.
    """
    path = locate(preset_or_path)
    tree, changes = _read_tree(path), parse_overrides(overrides)
    _refuse_notify(tree, file=str(path))
    tree = _for_game(tree, changes.get("selfplay.game"))
    written = {*keys_of(tree), *changes}
    config = _build(Config, tree, overrides, file=str(path))
    refuse_unused(config, written, file=str(path))
    return config


def _refuse_notify(tree: Mapping[str, Any], *, file: str) -> None:
    """A file may come from somebody else, so none starts a command or sends to an address."""
    run = tree.get("run")
    if isinstance(run, Mapping) and run.get("notify") not in (None, "none"):
        raise ConfigError(
            f"{file} sets run.notify, which starts a command or sends to an address; no file may: "
            "leave it out, and give it with --set run.notify=..."
        )


def _for_game(tree: dict[str, Any], game: object) -> dict[str, Any]:
    """The tables of a file that is played as another game, if one is named."""
    is_other = game is not None and game != (_game_of(tree) or SelfPlayConfig().game)
    return without_leftovers(tree, str(game)) if is_other else tree


def _game_of(tree: Mapping[str, Any]) -> object:
    selfplay = tree.get("selfplay")
    return selfplay.get("game") if isinstance(selfplay, Mapping) else None


def named_plugins(preset_or_path: str) -> list[str]:
    """The plugins that a preset or file names in `run.plugins`; `load_config` checks the rest of it."""
    plugins = _plugins_of(_read_tree(locate(preset_or_path)))
    return [plugin for plugin in plugins if isinstance(plugin, str)]


def override(config: Settled, overrides: Sequence[str]) -> Settled:
    """A run's configuration with some values changed, and checked again."""
    file = "the run's configuration"
    changed = _build(Settled, config.model_dump(mode="json"), overrides, file=file)
    refuse_unused(changed, parse_overrides(overrides), file=file)
    return changed


def locate(preset_or_path: str) -> Path:
    """The file of a preset's name or a path."""
    presets = find_presets()
    if preset_or_path in presets:
        return presets[preset_or_path]
    path = Path(preset_or_path).expanduser()
    try:
        if path.is_file():
            return path
    except OSError as error:
        raise PresetNotFound(f"cannot read {path}: {error.strerror}") from error
    if path.suffix == ".toml" or len(path.parts) > 1:
        raise PresetNotFound(f"no file {path}; presets are {', '.join(presets)}")
    raise PresetNotFound(
        f"no preset {preset_or_path}{nearest(preset_or_path, presets)} (there are {', '.join(presets)})"
    )


def _read_tree(path: Path, extended_by: tuple[Path, ...] = ()) -> dict[str, Any]:
    """The tables of a file over those of the preset or file that its `extends` names."""
    tree = _read_toml(path)
    plugins = _plugins_of(tree)
    plugins[:] = [_beside(path, plugin) for plugin in plugins]
    base = tree.pop("extends", None)
    if base is None:
        return tree
    if not isinstance(base, str):
        raise ConfigError(f"extends is {base!r} in {path}; it must be the name of a preset or a file")
    extended = _read_extended(base, path, (*extended_by, path.resolve()))
    return _merged(_for_game(extended, _game_of(tree)), tree)


def _plugins_of(tree: Mapping[str, Any]) -> list[Any]:
    """The value of `run.plugins`; empty where it is missing, or not a list."""
    run = tree.get("run")
    plugins = run.get("plugins") if isinstance(run, dict) else None
    return plugins if isinstance(plugins, list) else []


def _beside(path: Path, plugin: Any) -> Any:  # noqa: ANN401  a TOML value
    """A plugin's file, relative to the file that names it; a module's name as it is."""
    is_file = isinstance(plugin, str) and plugin.endswith(".py")
    return str(path.resolve().parent / Path(plugin).expanduser()) if is_file else plugin


def _read_extended(base: str, path: Path, extended_by: tuple[Path, ...]) -> dict[str, Any]:
    beside = path.parent / base
    try:
        extended = beside if beside.is_file() else locate(base)
    except (OSError, PresetNotFound) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise PresetNotFound(f"{path} extends {base[:60]!r}: {reason}") from error
    if extended.resolve() in extended_by:
        raise ConfigError(f"{path} extends {base}, which extends {path.name}; leave out one of the two")
    return _read_tree(extended, extended_by)


def _merged(base: Mapping[str, Any], tree: Mapping[str, Any]) -> dict[str, Any]:
    """The values of both, table by table; those of `tree` count where both have one."""
    tables = {
        key: _merged(base[key], value)
        for key, value in tree.items()
        if isinstance(value, dict) and isinstance(base.get(key), dict)
    }
    return {**base, **tree, **tables}


def _read_toml(path: Path) -> dict[str, Any]:
    """The tables of a file, unchecked, without settings of earlier versions."""
    try:
        return without_dropped(parse_toml(read_text(path)), file=str(path))
    except BadContent as error:
        raise ConfigError(f"{path} {_reason(error)}") from error
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from error


def parse_overrides(overrides: Sequence[str]) -> dict[str, Any]:
    """Dotted key -> value; the last one wins. A value that is not a TOML literal is a string."""
    changes = {}
    for override in overrides:
        key, equals, text = override.partition("=")
        if not equals or not all(part.strip() for part in key.split(".")):
            raise ConfigError(f"--set needs key=value, for example --set run.seed=3, not {override!r}")
        changes[key.strip()] = _parse_value(text.strip())
    return changes


def to_toml(config: Config) -> str:
    """The complete configuration as TOML. `load_config` reads the same configuration from it."""
    sections = config.model_dump(mode="json")
    return "\n".join(_section_to_toml(name, values) for name, values in sections.items())


def _build(model: type[_Tree], tree: dict[str, Any], overrides: Sequence[str], *, file: str) -> _Tree:
    changes = parse_overrides(overrides)
    for key, value in changes.items():
        _put(tree, key.split("."), value)
    try:
        return model.model_validate(tree)
    except ValidationError as error:
        raise ConfigError(explain(error, model, file=file, overridden=changes)) from error


def _parse_value(text: str) -> Any:  # noqa: ANN401  a TOML value
    try:
        table = parse_toml(f"value = {text}")
    except BadContent as error:
        if text[:1] in ("[", "{", '"', "'"):
            raise ConfigError(f"--set value {text} {_reason(error)}") from error
        return text
    return table["value"] if table.keys() == {"value"} else text


def _reason(error: BadContent) -> str:
    return str(error).removeprefix("it ")


def _put(tree: dict[str, Any], keys: Sequence[str], value: Any) -> None:  # noqa: ANN401  a TOML value
    *sections, leaf = keys
    for depth, section in enumerate(sections):
        tree = tree.setdefault(section, {})
        if not isinstance(tree, dict):
            raise ConfigError(
                f"{'.'.join(sections[: depth + 1])} is a value, it has no key {'.'.join(keys[depth + 1 :])}"
            )
    tree[leaf] = value


def _section_to_toml(name: str, values: Mapping[str, Any]) -> str:
    tables = {key: value for key, value in values.items() if isinstance(value, dict)}
    lines = (f"{key} = {_value_to_toml(value)}\n" for key, value in values.items() if key not in tables)
    inner = (
        f"\n{_section_to_toml(f'{name}.{_key_to_toml(key)}', table)}"
        for key, table in tables.items()
        if table
    )
    return f"[{name}]\n{''.join(lines)}{''.join(inner)}"


def _key_to_toml(key: str) -> str:
    is_bare = key.isascii() and key.replace("_", "").replace("-", "").isalnum()
    return key if is_bare else json.dumps(key)


def _value_to_toml(value: Any) -> str:  # noqa: ANN401  a JSON value
    # A JSON string, number, boolean or list is valid TOML, except null and the DEL character.
    return '"none"' if value is None else json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


HELDOUT_FILE = "heldout.jsonl"
"""File of held-out tasks in a model's folder; nano has one."""


def local_folder(base: str) -> Path | None:
    """The folder of a base model on this machine; None for a Hub id or a missing folder."""
    folder = Path(tinyzero.__file__).parent / "nano" if base == "nano" else Path(base).expanduser()
    return folder if folder.is_dir() else None


def resolve_base(base: str) -> str:
    """The folder or Hub id of `model.base`.

    Raises:
        ModelLoadError: the folder does not exist.
    """
    folder = local_folder(base)
    if folder is not None:
        return str(folder)
    if base == "nano":
        raise ModelLoadError("the nano model is missing from this installation; reinstall tinyzero")
    if base.startswith(("/", ".", "~")) or base.count("/") > 1:
        raise ModelLoadError(f"model.base is {base!r}, but there is no such folder")
    return base
