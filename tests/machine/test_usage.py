import pytest

from tinyzero.machine.usage import UsageProbe, parse_gpu


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
