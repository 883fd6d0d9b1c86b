"""Plugins on the command line: their options, and the question before the code of a file or run is run."""

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from tinyzero.plugins import Brought, Plugin
    from tinyzero.run.folder import RunFolder

PluginOption = Annotated[
    list[str] | None,
    typer.Option(
        "--plugin",
        help="Run your own code (docs/extending.md): a Python file, a module, or an installed plugin; may "
        "be repeated.",
        metavar="FILE.py|MODULE",
    ),
]
YesPlugins = Annotated[
    bool,
    typer.Option("--yes-plugins", help="Run the code of plugins that a run or a file names, unasked."),
]


def plug_in(
    preset: str | None, overrides: Sequence[str], options: Sequence[str], *, is_agreed: bool
) -> tuple[list["Plugin"], list["Brought"], list[str]]:
    """Load the plugins of a new run, before its configuration is read.

    Returns:
        The plugins, what they bring, and the overrides with the plugins in them.

    Raises:
        ConfigError: there is no such plugin, nobody agreed to one that a file names, or it cannot be loaded.
    """
    from tinyzero.config import named_plugins, parse_overrides
    from tinyzero.plugins import load

    given = parse_overrides(overrides).get("run.plugins")
    own = [*(given if isinstance(given, list) else []), *options]
    from_file = [] if given is not None or preset is None else named_plugins(preset)
    asked, agreed = _find_all(from_file), _find_all(own)
    plugins = _distinct([*asked, *agreed])
    _agree(_except(asked, agreed), f"{preset} names", is_agreed=is_agreed)
    settings = [f"run.plugins={json.dumps([plugin.source for plugin in plugins])}"] if plugins else []
    return plugins, load(plugins), [*overrides, *settings]


def plug_in_runs(
    *runs: "RunFolder", options: Sequence[str] = (), is_agreed: bool
) -> tuple[list["Plugin"], list["Brought"]]:
    """Load the plugins of runs; those of `options` take the place of theirs of the same name.

    Raises:
        CheckpointError: a plugin is not the one that a run recorded.
        ConfigError: nobody agreed to run the code, or it cannot be loaded.
    """
    from tinyzero.plugins import load, recorded

    agreed = _find_all(options)
    names = {plugin.name for plugin in agreed}
    asked: list[Plugin] = []
    for run in runs:
        of_run = recorded(run, without=names)
        _agree(_except(of_run, asked), f"{run.path} was trained with", is_agreed=is_agreed)
        asked += of_run
    plugins = _distinct([*asked, *agreed])
    return plugins, load(plugins)


def tell(brought: Sequence["Brought"]) -> list[str]:
    """A line for each plugin: what it brings, and the setting that uses it."""
    lines: dict[str, list[str]] = {}
    for each in brought:
        lines.setdefault(each.plugin, []).append(f"{each.name} ({each.key})")
    return [f"plugin {plugin}: {', '.join(names)}" for plugin, names in lines.items()]


def _find_all(sources: Sequence[object]) -> list["Plugin"]:
    from tinyzero.plugins import find

    return [find(source) for source in sources if isinstance(source, str)]


def _except(plugins: Sequence["Plugin"], others: Sequence["Plugin"]) -> list["Plugin"]:
    digests = {plugin.sha256 for plugin in others}
    return [plugin for plugin in plugins if plugin.sha256 not in digests]


def _distinct(plugins: Sequence["Plugin"]) -> list["Plugin"]:
    """Each plugin once. Raises ConfigError for two different ones of a name."""
    from tinyzero.errors import ConfigError

    by_name: dict[str, Plugin] = {}
    for plugin in plugins:
        other = by_name.setdefault(plugin.name, plugin)
        if other.sha256 != plugin.sha256:
            raise ConfigError(
                f"two plugins are called {plugin.name}, {other.path} and {plugin.path}; leave out one"
            )
    return list(by_name.values())


def _agree(plugins: Sequence["Plugin"], whose: str, *, is_agreed: bool) -> None:
    """Ask whether the code of these plugins may run. Raises ConfigError where it may not."""
    from tinyzero.cli.screen import ask, can_ask
    from tinyzero.errors import ConfigError

    if not plugins or is_agreed:
        return
    files = [f"{plugin.path} (sha256 {plugin.sha256[:12]})" for plugin in plugins]
    why = "" if can_ask() else " (there is no terminal to ask on)"
    question = "\n  ".join([f"{whose} plugins. Their code would run as you:", *files]) + "\nRun it?"
    if why or not ask(question):
        raise ConfigError(
            f"{whose} the plugin {', '.join(files)}, and nobody agreed to run its code{why}: read it, then "
            "add --yes-plugins"
        )
