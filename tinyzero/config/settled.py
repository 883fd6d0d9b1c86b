"""The settled configuration: no knob says auto any more. Everything below the command line gets this one.

`tinyzero.machine.settle` makes it, once, when a run is started; the run's config.json keeps it.
"""

from typing import Annotated

from pydantic import Field

from tinyzero.config.sampling import SamplingConfig
from tinyzero.config.sections import (
    Config,
    Device,
    Dtype,
    HardwareConfig,
    LearnerConfig,
    Loader,
    ModelConfig,
    Optimizer,
    Quantization,
)


class SettledHardware(HardwareConfig):
    """The device of a run is known."""

    device: Device


class SettledModel(ModelConfig):
    """How the base model is read is known."""

    loader: Loader
    quantization: Quantization
    dtype: Dtype

    @property
    def is_4_bit(self) -> bool:
        return self.quantization == "nf4"


class SettledSampling(SamplingConfig):
    """The rows of the sampler are counted."""

    batch_rows: Annotated[int, Field(ge=1)]


class SettledLearner(LearnerConfig):
    """The optimizer is chosen, and the tokens of a micro-batch are counted."""

    optimizer: Optimizer
    micro_batch_tokens: Annotated[int, Field(ge=64)]


class Settled(Config):
    """One run with every knob decided. `evaluation.heldout` is the name of a set, a file or None."""

    hardware: SettledHardware
    model: SettledModel
    sampling: SettledSampling
    learner: SettledLearner
