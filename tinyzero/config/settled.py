"""The settled configuration, in which no knob is auto. All code below the command line uses it.

`tinyzero.machine.settle` creates it once, when a run starts; the run's config.json stores it.
"""

from typing import Annotated

from pydantic import Field

from tinyzero.config.learner import LearnerConfig, Optimizer
from tinyzero.config.sampling import SamplingConfig
from tinyzero.config.sections import (
    Config,
    Device,
    Dtype,
    HardwareConfig,
    Loader,
    ModelConfig,
    Quantization,
)


class SettledHardware(HardwareConfig):
    """The device is decided."""

    device: Device


class SettledModel(ModelConfig):
    """The loader, the quantization and the compute type are decided."""

    loader: Loader
    quantization: Quantization
    dtype: Dtype

    @property
    def is_4_bit(self) -> bool:
        return self.quantization == "nf4"


class SettledSampling(SamplingConfig):
    """The number of sampler rows is decided."""

    batch_rows: Annotated[int, Field(ge=1)]


class SettledLearner(LearnerConfig):
    """The optimizer and the tokens of a micro-batch are decided."""

    optimizer: Optimizer
    micro_batch_tokens: Annotated[int, Field(ge=64)]


class Settled(Config):
    """One run with every knob decided. `evaluation.heldout` is the name of a set, a file or None."""

    hardware: SettledHardware
    model: SettledModel
    sampling: SettledSampling
    learner: SettledLearner
