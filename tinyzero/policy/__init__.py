"""The policy: one frozen base model wearing LoRA adapters. Torch starts at this floor."""

from tinyzero.policy.device import prepare_device, release_memory
from tinyzero.policy.frame import Frame
from tinyzero.policy.loading import load_policy, local_frame
from tinyzero.policy.policy import Policy

__all__ = [
    "Frame",
    "Policy",
    "load_policy",
    "local_frame",
    "prepare_device",
    "release_memory",
]
