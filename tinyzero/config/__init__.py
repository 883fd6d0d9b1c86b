"""The configuration of a run: one frozen tree, read from a sparse TOML file and `--set a.b=c`."""

from tinyzero.config.game import (
    AdvantagesConfig,
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
from tinyzero.config.section import Section, is_auto
from tinyzero.config.sections import (
    Config,
    ExecutionConfig,
    HardwareConfig,
    LearnerConfig,
    ModelConfig,
    PolicyConfig,
    PromptsConfig,
    RunConfig,
    TrackersConfig,
)

__all__ = [
    "VLLM_RANKS",
    "VLLM_SERIES",
    "AdvantagesConfig",
    "BonusConfig",
    "Config",
    "CurriculumConfig",
    "ExecutionConfig",
    "HardwareConfig",
    "LearnerConfig",
    "ModelConfig",
    "PolicyConfig",
    "PoolConfig",
    "PromptsConfig",
    "RZeroConfig",
    "RewardsConfig",
    "RunConfig",
    "SamplingConfig",
    "Section",
    "SelfPlayConfig",
    "TrackersConfig",
    "WatchConfig",
    "describe_preset",
    "find_presets",
    "is_auto",
    "load_config",
    "locate",
    "override",
    "parse_overrides",
    "to_toml",
]
