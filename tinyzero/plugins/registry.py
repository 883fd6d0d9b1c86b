"""Runs the code of plugins, and puts what they register into the tables of the rooms."""

import re
import sys
import traceback
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from types import ModuleType
from typing import Any, TypeVar

from tinyzero.config import Config
from tinyzero.config.named import NAMES
from tinyzero.errors import ConfigError, TinyZeroError
from tinyzero.games.absolute_zero.rewards import BONUSES, PROPOSER_REWARDS, Proposed
from tinyzero.games.advantages import ESTIMATORS, Estimator
from tinyzero.games.attempts import SOLVER_TERMS, Attempt
from tinyzero.games.choice import ALL_KINDS, GAMES, MakeGame
from tinyzero.plugins.finding import Plugin
from tinyzero.sampling.choice import SAMPLERS, MakeSampler
from tinyzero.tasks import KINDS
from tinyzero.tasks.base import Kind

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]*")
_HOW = "docs/extending.md shows how"
_Function = TypeVar("_Function", bound=Callable[..., object])
_loaded: list[Callable[[], object]] = []
"""What takes the loaded plugins out of the tables again."""


def load(plugins: Sequence[Plugin]) -> "list[Brought]":
    """Run the code of these plugins, in place of the earlier ones; returns what they bring.

    Raises:
        ConfigError: a plugin raises, has no `register`, or registers what cannot be; none is loaded then.
    """
    _unload()
    registry = Registry()
    try:
        for plugin in plugins:
            registry.plugin = plugin.name
            _run(plugin, registry)
    except BaseException:
        _unload()
        raise
    return registry.brought


def _unload() -> None:
    while _loaded:
        _loaded.pop()()


def _run(plugin: Plugin, registry: "Registry") -> None:
    try:
        _register_of(plugin)(registry)
    except TinyZeroError:
        raise
    except (Exception, SystemExit) as error:  # a person's own code, which may raise anything
        words = f"{type(error).__name__}: {error}".strip(": ")
        raise ConfigError(
            f"the plugin {plugin.name} raised {words}{_line_of(error, plugin)}; mend it"
        ) from error


def _register_of(plugin: Plugin) -> "Callable[[Registry], object]":
    register: Callable[[Registry], object] | None = getattr(_module_of(plugin), "register", None)
    if not callable(register):
        raise ConfigError(f"the plugin {plugin.name} has no function register(registry); {_HOW}")
    return register


def _module_of(plugin: Plugin) -> ModuleType:
    if plugin.content is None:
        return import_module(plugin.source)
    module = ModuleType(f"tinyzero_plugin_{plugin.path.stem}")
    module.__file__ = str(plugin.path)
    sys.modules[module.__name__] = module  # dataclasses look their module up
    exec(compile(plugin.content, str(plugin.path), "exec"), module.__dict__)  # noqa: S102  a person agreed
    return module


def _line_of(error: BaseException, plugin: Plugin) -> str:
    """The line of the plugin's file that raised, in words; empty where another file did."""
    if isinstance(error, SyntaxError):
        return ""  # its own words have the line
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if frame.filename == str(plugin.path)]
    return f" (line {lines[-1]})" if lines else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Brought:
    """A name that a plugin has registered.

    Attributes:
        key: the setting that takes it.
    """

    plugin: str
    name: str
    key: str

    def is_used(self, config: Config) -> bool:
        section, _, field = self.key.partition(".")
        value = getattr(getattr(config, section), field)
        return value == self.name if isinstance(value, str) else self.name in value

    @property
    def setting(self) -> str:
        """What `--set` takes to use it."""
        if self.key == "selfplay.kinds":
            return f'{self.key}=["{self.name}"]'
        is_term = self.key in ("rewards.bonuses", "rewards.solver_terms")
        return f"{self.key}.{self.name}.coefficient=0.5" if is_term else f"{self.key}={self.name}"


@dataclass(frozen=True, slots=True)
class _ProposerTerm:
    """A function as a `Bonus`."""

    name: str
    value: Callable[[Proposed], float]


class Registry:
    """What `register(registry)` of a plugin gets. Each name that it registers is a value of a setting.

    Every method raises ConfigError for a name that exists already, or that cannot be a name.
    """

    def __init__(self) -> None:
        self.plugin = ""
        self.brought: list[Brought] = []

    def kind(self, kind: Kind) -> None:
        """A kind of task; `selfplay.kinds` and held-out files name it as `kind.name`."""
        if isinstance(kind, type):
            raise self._refusal(f"registers the class {kind.__name__}; register an object: {kind.__name__}()")
        missing = [name for name in vars(Kind) if not name.startswith("_") and not hasattr(kind, name)]
        if missing:
            raise self._refusal(f"registers the kind {kind!r:.60}, which lacks {', '.join(missing)}; {_HOW}")
        self._add("selfplay.kinds", KINDS, kind.name, kind, taken=ALL_KINDS)

    def proposer_reward(self, name: str, function: Callable[[float], float]) -> None:
        """For `rewards.proposer`: what a task earns by its solve rate, in [0, 1]."""
        self._add("rewards.proposer", PROPOSER_REWARDS, name, self._checked(function, name), taken=BONUSES)

    def proposer_term(self, name: str, function: Callable[[Proposed], float]) -> None:
        """For `rewards.bonuses`: an extra term of a task that earns something, in [0, 1]."""
        term = _ProposerTerm(name, self._checked(function, name))
        self._add("rewards.bonuses", BONUSES, name, term, taken=PROPOSER_REWARDS)

    def solver_term(self, name: str, function: Callable[[Attempt], float]) -> None:
        """For `rewards.solver_terms`: an extra term of an attempt, in [-1, 1]."""
        taken = ("accuracy", "format")  # the terms of `solver_reward`
        self._add("rewards.solver_terms", SOLVER_TERMS, name, self._checked(function, name), taken=taken)

    def estimator(self, name: str, function: Estimator) -> None:
        """For `advantages.estimator`: an advantage for each rollout of a step, aligned."""
        self._add("advantages.estimator", ESTIMATORS, name, self._checked(function, name))

    def sampler(self, name: str, make: MakeSampler) -> None:
        """For `sampling.engine`: gives the sampler of a policy and a configuration, see `assemble`."""
        self._add("sampling.engine", SAMPLERS, name, self._checked(make, name))

    def game(self, name: str, make: MakeGame) -> None:
        """For `selfplay.game`: gives what is played, a `tinyzero.trainer.Game`."""
        self._add("selfplay.game", GAMES, name, self._checked(make, name))

    def _checked(self, function: _Function, name: str) -> _Function:
        if not callable(function):
            raise self._refusal(f"registers {function!r:.60} as {name!r}; it must be a function; {_HOW}")
        return function

    def _add(
        self, key: str, table: dict[str, Any], name: str, thing: object, *, taken: Collection[str] = ()
    ) -> None:
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            words = f"registers {name!r:.60} for {key}; a name has small letters, digits, - and _"
            raise self._refusal(words)
        names = NAMES.get(key, [])
        if name in (*table, *taken, *names):
            raise self._refusal(f"registers {name!r} for {key}, a name that exists already; choose another")
        table[name] = thing
        _loaded.append(partial(table.pop, name))
        if key in NAMES:
            names.append(name)
            _loaded.append(partial(names.remove, name))
        self.brought.append(Brought(plugin=self.plugin, name=name, key=key))

    def _refusal(self, words: str) -> ConfigError:
        return ConfigError(f"the plugin {self.plugin} {words}")
