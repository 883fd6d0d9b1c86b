"""TinyZero: self-play reinforcement learning for language models on one consumer GPU, with no data."""

__version__ = "0.1.0"
