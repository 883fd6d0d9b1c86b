"""Knobs that a configuration's game does not use. Setting one is an error, since it would change nothing."""

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from tinyzero.config.game import RZeroConfig
from tinyzero.config.sections import Config
from tinyzero.errors import ConfigError

_UNUSED: Mapping[str, tuple[str, ...]] = {
    "r-zero": (
        "selfplay.kinds",
        "selfplay.references",
        "selfplay.siblings",
        "curriculum.composite_from_step",
        "pool.capacity",
        "pool.dedup",
        "pool.reference_sampling",
        "pool.recheck_share",
        "rewards.proposer",
        "rewards.malformed_proposal",
        "rewards.failing_proposal",
        "rewards.duplicate_proposal",
    ),
    "absolute-zero": tuple(f"r_zero.{name}" for name in RZeroConfig.model_fields),
}
_OTHER = {"r-zero": "absolute-zero", "absolute-zero": "r-zero"}
_DEFAULTS = Config()


def refuse_unused(config: Config, written: Collection[str], *, file: str) -> None:
    """Raise ConfigError for a knob that only the other game uses.

    Args:
        written: dotted keys that a person set; a default value is no setting.
    """
    game = config.selfplay.game
    for key in _UNUSED.get(game, ()):  # a plugin's game uses what it will
        if key in written and _value(config, key) != _value(_DEFAULTS, key):
            raise ConfigError(
                f'{key} is for selfplay.game = "{_OTHER[game]}", and {game} does not use it; leave it out '
                f"({file} or --set)"
            )


def without_leftovers(tree: Mapping[str, Any], game: str) -> dict[str, Any]:
    """The tables of a file for another game, without what the game that replaces it does not use."""
    unused = _UNUSED.get(game, ())
    return {
        section: {key: value for key, value in values.items() if f"{section}.{key}" not in unused}
        if isinstance(values, Mapping)
        else values
        for section, values in tree.items()
    }


def keys_of(tree: Mapping[str, Any]) -> Iterator[str]:
    """The dotted keys of a file's tables."""
    for section, values in tree.items():
        if isinstance(values, Mapping):
            yield from (f"{section}.{key}" for key in values)


def _value(config: Config, key: str) -> Any:  # noqa: ANN401  a value of TOML
    section, _, leaf = key.partition(".")
    return getattr(getattr(config, section), leaf)
