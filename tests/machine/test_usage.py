import pytest

from tinyzero.machine.usage import CardMeter, UsageProbe, parse_gpu


def test_a_line_of_nvidia_smi_is_read():
    usage = parse_gpu("NVIDIA GeForce RTX 4090, 93, 14540, 24564, 71, 310.25\n")
    assert (usage.name, usage.percent, usage.celsius, usage.watts) == (
        "NVIDIA GeForce RTX 4090",
        93,
        71,
        310.25,
    )
    assert usage.used_gib == pytest.approx(14.2, abs=0.01)
    assert usage.total_gib == pytest.approx(23.99, abs=0.01)


def test_what_a_card_does_not_say_is_none():
    usage = parse_gpu("Tesla T4, [N/A], 100, 200, 40, [Not Supported]")
    assert usage.percent is None
    assert usage.watts is None


@pytest.mark.parametrize("answer", ["", "No devices were found", "a, b"])
def test_no_card_is_none(answer):
    assert parse_gpu(answer) is None


def test_this_machine_has_memory_and_processors(tmp_path, monkeypatch):
    usage = UsageProbe(has_gpu=False).look()
    assert 0 < usage.used_gib < usage.total_gib
    assert 0 <= usage.cpu_percent <= 100
    smi = tmp_path / "nvidia-smi"
    smi.write_text('#!/bin/sh\necho "Card of $3 $4, 5, 1024, 2048, 40, 30"\n')
    smi.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    gpu = UsageProbe("1", has_gpu=True).look().gpu
    assert (gpu.name, gpu.used_gib) == ("Card of -i 1", 1.0)


class Nvml:
    """A driver's library with one card, whose counter rises by 1.5 J with each reading."""

    def __init__(self, *, code=0):
        self.asked, self.code, self.millijoules = [], code, 0

    def nvmlInit_v2(self):  # noqa: N802
        return 0

    def nvmlDeviceGetHandleByIndex_v2(self, index, card):  # noqa: N802
        self.asked.append(index)
        return 0

    def nvmlDeviceGetHandleByUUID(self, uuid, card):  # noqa: N802
        self.asked.append(uuid)
        return 0

    def nvmlDeviceGetTotalEnergyConsumption(self, card, counter):  # noqa: N802
        self.millijoules += 1500
        counter._obj.value = self.millijoules
        return self.code


def test_the_energy_of_a_card_is_read_by_index_or_uuid():
    library = Nvml()
    meter = CardMeter("1", library)
    assert (meter.joules(), meter.joules()) == (1.5, 3.0)
    assert CardMeter("GPU-5a", library).joules() == 4.5
    assert library.asked == [1, b"GPU-5a"]
    watts = meter.idle_watts(seconds=0.05)
    assert watts is not None
    assert 0 < watts <= 1.5 / 0.05


def test_without_a_card_or_a_counter_there_is_no_reading():
    assert CardMeter(None).joules() is None
    assert CardMeter("0", Nvml(code=3)).joules() is None
    assert CardMeter("0", Nvml(code=3)).idle_watts() is None
