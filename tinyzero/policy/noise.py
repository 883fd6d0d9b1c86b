"""Takes dropout and noise out of a model, whatever they are called.

Samples are drawn without, so they must be scored without, in training mode too.
"""

from typing import Any

from torch import nn
from torch.nn.modules.dropout import _DropoutNd

_NAMES = (
    "drop",
    "jitter",
)  # resid_pdrop, hidden_dropout_prob, layerdrop, drop_path_rate; router_jitter_noise


def drop_noise(config: Any) -> None:  # noqa: ANN401  (a configuration, or a dictionary in one)
    """Set every probability of dropout in a configuration to 0, those of its parts as well."""
    values = config if isinstance(config, dict) else vars(config)
    for name, value in list(values.items()):
        if isinstance(value, dict) or hasattr(value, "to_dict"):
            drop_noise(value)
        elif _is_noise(name, value):
            values[name] = 0.0


def silence(model: nn.Module) -> None:
    """The same for modules that were made with probabilities of their own."""
    for module in model.modules():
        if isinstance(module, _DropoutNd):
            module.p = 0.0
        for name, value in list(vars(module).items()):
            if _is_noise(name, value):
                setattr(module, name, 0.0)


def _is_noise(name: str, value: Any) -> bool:  # noqa: ANN401
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and 0 < value <= 1 and any(part in name for part in _NAMES)
