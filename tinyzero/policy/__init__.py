"""The policy: one frozen base model wearing LoRA adapters. Torch starts at this floor."""

from tinyzero.policy.device import prepare_device, release_memory
from tinyzero.policy.loading import load_policy, resolve_base
from tinyzero.policy.policy import Policy

__all__ = ["Policy", "load_policy", "prepare_device", "release_memory", "resolve_base"]
