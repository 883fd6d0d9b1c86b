"""Where the model lives, and how many threads compute it."""

import torch

from tinyzero.config import HardwareConfig
from tinyzero.errors import HardwareError


def prepare_device(hardware: HardwareConfig) -> torch.device:
    """The device that the configuration means; sets torch's threads for this process.

    Raises:
        HardwareError: CUDA is asked for, and torch finds none.
    """
    if hardware.threads is not None:
        torch.set_num_threads(hardware.threads)
    has_cuda = torch.cuda.is_available()
    if hardware.device == "cuda" and not has_cuda:
        raise HardwareError(
            "hardware.device is cuda, but torch finds no CUDA device here; "
            "check the driver with nvidia-smi, or run a CPU preset: tinyzero train --preset nano-cpu"
        )
    return torch.device("cuda" if has_cuda and hardware.device != "cpu" else "cpu")


def release_memory() -> None:
    """Give cached CUDA memory back to the card; weights, adapters and optimizer state stay."""
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
