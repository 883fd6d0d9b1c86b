"""The plugins of a run in its folder: copies of their files, and what they are known again by."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from tinyzero.errors import CheckpointError, ConfigError
from tinyzero.foreign import BadContent, read_json_object
from tinyzero.plugins.finding import Plugin, find, read_file
from tinyzero.run.durable import explaining_failures, put_in_place, write_json
from tinyzero.run.folder import RunFolder

_FOLDER, _RECORD = "plugins", "plugins.json"


def _has_plugins(run: RunFolder) -> bool:
    """Whether a run was trained with plugins."""
    return (run.path / _FOLDER).exists()


def record(run: RunFolder, plugins: Sequence[Plugin]) -> None:
    """Write down the run's plugins: a copy of each file, and name, version and SHA-256 of all."""
    if not plugins:
        return
    folder = run.path / _FOLDER
    with explaining_failures(folder):
        folder.mkdir(exist_ok=True)
        for plugin in plugins:
            if plugin.content is not None:
                aside = folder / f".{plugin.name}.partial"
                aside.write_bytes(plugin.content)
                put_in_place(aside, folder / plugin.name)
        write_json(folder / _RECORD, {"plugins": [_entry(plugin) for plugin in plugins]})


def _entry(plugin: Plugin) -> dict[str, str]:
    return {
        "name": plugin.name,
        "source": plugin.source,
        "version": plugin.version,
        "sha256": plugin.sha256,
    }


def recorded(run: RunFolder, *, without: Collection[str] = ()) -> list[Plugin]:
    """The plugins of a run, read from its own copies of their files, in the order in which they were loaded.

    Args:
        without: names of plugins that are left out, since others take their place.

    Raises:
        CheckpointError: a plugin is not what was recorded, or cannot be read; the message says what to do.
    """
    if not _has_plugins(run):
        _check_none_missing(run, without)
        return []
    return [_reread(run, entry) for entry in _read_record(run) if entry["name"] not in without]


def _check_none_missing(run: RunFolder, without: Collection[str]) -> None:
    """Raises CheckpointError where the configuration names plugins that the folder does not have."""
    try:
        named = read_json_object(run.path / "config.json")["run"]["plugins"]
        missing = [name for source in named if (name := Path(source).name) not in without]
    except (OSError, BadContent, KeyError, TypeError):
        return  # of an earlier version, or `RunFolder.config` says what is wrong with it
    if missing:
        raise CheckpointError(
            f"{run.path} was trained with {', '.join(missing)}, and its folder {_FOLDER} is gone; put "
            f"it back, or name the code: tinyzero train --resume {run.path} --plugin FILE.py"
        )


def digests(run: RunFolder) -> dict[str, str]:
    """The recorded SHA-256 of each of a run's plugins, by name."""
    return {entry["name"]: entry["sha256"] for entry in _read_record(run)} if _has_plugins(run) else {}


def _read_record(run: RunFolder) -> list[dict[str, str]]:
    path = run.path / _FOLDER / _RECORD
    try:
        entries = read_json_object(path)["plugins"]
        keys = ("name", "source", "version", "sha256")
        return [{key: _text(entry[key]) for key in keys} for entry in entries]
    except (OSError, BadContent, KeyError, TypeError) as error:
        raise CheckpointError(
            f"{path} cannot be read ({type(error).__name__}); put it back from a copy of the run"
        ) from error


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _reread(run: RunFolder, entry: Mapping[str, str]) -> Plugin:
    """A plugin as it is now. Raises CheckpointError where it is another than the record's."""
    name, is_file = entry["name"], entry["source"].endswith(".py")
    path = run.path / _FOLDER / Path(name).name
    try:
        plugin = read_file(path, name=name, source=entry["source"]) if is_file else find(entry["source"])
    except ConfigError as error:
        raise CheckpointError(f"{run.path} needs the plugin {name}: {error}") from error
    if plugin.sha256 != entry["sha256"]:
        before, now = _identity(entry["version"], entry["sha256"]), _identity(plugin.version, plugin.sha256)
        accept = path if is_file else entry["source"]
        raise CheckpointError(
            f"the plugin {plugin.path} changed since {run.path} was trained ({before}, now {now}); put it "
            f"back, or go on with it as it is: tinyzero train --resume {run.path} --plugin {accept}"
        )
    return plugin


def _identity(version: str, sha256: str) -> str:
    return f"{version} {sha256[:12]}".strip()


def edited(plugins: Sequence[Plugin]) -> list[str]:
    """A line for each file that was edited since the run copied it."""
    return [
        f"{plugin.source} was edited since; the run goes on with its own copy ({plugin.path}). To use the "
        f"edited file: --plugin {plugin.source}"
        for plugin in plugins
        if plugin.content is not None and _is_other(Path(plugin.source), plugin.content)
    ]


def _is_other(path: Path, content: bytes) -> bool:
    """Whether a file is there and has another content."""
    try:
        return path.is_file() and (path.stat().st_size != len(content) or path.read_bytes() != content)
    except OSError:
        return False
