"""What a run could use of a machine, as plain values."""

from dataclasses import dataclass

from tinyzero.config import Device, HardwareConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class Gpu:
    """A CUDA card."""

    name: str
    memory_gib: float
    has_bf16: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """A machine, this one or another.

    Attributes:
        memory_gib: main memory that a process may use.
        has_driver: a GPU driver is here, even if torch sees no GPU.
        has_unsloth: the package unsloth is installed.
    """

    memory_gib: float
    gpu: Gpu | None = None
    has_driver: bool = False
    has_unsloth: bool = False

    def device_for(self, hardware: HardwareConfig) -> Device:
        """Where the model of a run lives here."""
        if hardware.device == "auto":
            return "cpu" if self.gpu is None else "cuda"
        return hardware.device

    def memory_for(self, device: Device) -> tuple[str, float]:
        """What holds the model, in words, and its GiB."""
        if device == "cuda" and self.gpu is not None:
            return self.gpu.name, self.gpu.memory_gib
        return "this machine", self.memory_gib
