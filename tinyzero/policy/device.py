"""Where the model lives, and how many threads compute it."""

import torch

from tinyzero.config import SettledHardware
from tinyzero.errors import HardwareError


def prepare_device(hardware: SettledHardware) -> torch.device:
    """The device of the configuration; sets torch's threads for this process.

    Raises:
        HardwareError: it is CUDA, and torch finds none.
    """
    if hardware.threads is not None:
        torch.set_num_threads(hardware.threads)
    if hardware.device == "cuda" and not torch.cuda.is_available():
        raise HardwareError(
            "hardware.device is cuda, but torch finds no CUDA device here; "
            "check the driver with nvidia-smi, or run a CPU preset: tinyzero train --preset nano-cpu"
        )
    return torch.device(hardware.device)


def release_memory() -> None:
    """Give cached CUDA memory back to the card; weights, adapters and optimizer state stay."""
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
