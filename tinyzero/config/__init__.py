"""The configuration of a run: one frozen tree, read from a sparse TOML file and `--set a.b=c`."""

from tinyzero.config.base_model import local_folder, resolve_base
from tinyzero.config.dropped import without_dropped
from tinyzero.config.game import (
    AdvantagesConfig,
    AlarmName,
    BonusConfig,
    CurriculumConfig,
    PoolConfig,
    RewardsConfig,
    RZeroConfig,
    SelfPlayConfig,
    WatchConfig,
)
from tinyzero.config.loading import load_config, locate, override, parse_overrides, to_toml
from tinyzero.config.presets import describe_preset, find_presets
from tinyzero.config.sampling import VLLM_RANKS, VLLM_SERIES, SamplingConfig
from tinyzero.config.section import Section
from tinyzero.config.sections import (
    Config,
    Device,
    Dtype,
    EvaluationConfig,
    ExecutionConfig,
    HardwareConfig,
    LearnerConfig,
    Loader,
    ModelConfig,
    Optimizer,
    PolicyConfig,
    PromptsConfig,
    RunConfig,
    TrackersConfig,
)
from tinyzero.config.settled import (
    Settled,
    SettledHardware,
    SettledLearner,
    SettledModel,
    SettledSampling,
)

__all__ = [
    "VLLM_RANKS",
    "VLLM_SERIES",
    "AdvantagesConfig",
    "AlarmName",
    "BonusConfig",
    "Config",
    "CurriculumConfig",
    "Device",
    "Dtype",
    "EvaluationConfig",
    "ExecutionConfig",
    "HardwareConfig",
    "LearnerConfig",
    "Loader",
    "ModelConfig",
    "Optimizer",
    "PolicyConfig",
    "PoolConfig",
    "PromptsConfig",
    "RZeroConfig",
    "RewardsConfig",
    "RunConfig",
    "SamplingConfig",
    "Section",
    "SelfPlayConfig",
    "Settled",
    "SettledHardware",
    "SettledLearner",
    "SettledModel",
    "SettledSampling",
    "TrackersConfig",
    "WatchConfig",
    "describe_preset",
    "find_presets",
    "load_config",
    "local_folder",
    "locate",
    "override",
    "parse_overrides",
    "resolve_base",
    "to_toml",
    "without_dropped",
]
