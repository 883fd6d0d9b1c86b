"""What fits where, decided before anything is loaded."""

import pytest

from tinyzero.cli.hardware import Gpu, Machine, choose_preset, describe_fit, look, why_not
from tinyzero.cli.launch import Job, check_fits
from tinyzero.config import load_config
from tinyzero.errors import HardwareError

LAPTOP = Machine(memory_gib=16)
SMALL_CARD = Machine(memory_gib=32, gpu=Gpu(name="RTX 3050", memory_gib=7.8), has_driver=True)
BIG_CARD = Machine(memory_gib=64, gpu=Gpu(name="RTX 4090", memory_gib=23.6), has_driver=True)


def job(preset, *overrides):
    return Job(preset=preset, config=load_config(preset, overrides))


def refusal(asked, machine):
    with pytest.raises(HardwareError) as caught:
        check_fits(asked, machine)
    return str(caught.value)


def test_a_cuda_preset_without_a_gpu_is_told_what_fits():
    assert refusal(job("qwen1.5b-24gb"), LAPTOP) == (
        "qwen1.5b-24gb needs a CUDA GPU with 24 GiB; this machine has none. "
        "nano-cpu fits here: tinyzero train --preset nano-cpu"
    )


def test_a_driver_that_torch_does_not_see_is_another_line():
    assert "torch sees none here (tinyzero doctor says more)" in refusal(
        job("qwen1.5b-24gb"), Machine(memory_gib=16, has_driver=True)
    )


def test_a_card_that_is_too_small_is_told_the_knob():
    message = refusal(job("qwen1.5b-24gb"), SMALL_CARD)
    assert message.startswith("qwen1.5b-24gb needs about ")
    assert "GiB, but RTX 3050 has 7.8 GiB; lower sampling.batch_rows (now 128). nano-cpu fits here" in message


def test_turning_that_knob_makes_it_fit():
    check_fits(job("qwen1.5b-24gb", "sampling.batch_rows=16", "learner.micro_batch_tokens=2048"), SMALL_CARD)


def test_a_machine_without_the_memory_is_refused_on_the_cpu_too():
    message = refusal(job("smollm2-135m-cpu"), Machine(memory_gib=1.3))
    assert "but this machine has 1.3 GiB; lower sampling.batch_rows (now 72)" in message


def test_no_knob_is_named_where_none_would_help():
    assert refusal(job("smollm2-135m-cpu"), Machine(memory_gib=0.9)) == (
        "smollm2-135m-cpu needs 1.2 GiB for its model alone, but this machine has 0.9 GiB; "
        "choose a smaller model.base. nano-cpu fits here: tinyzero train --preset nano-cpu"
    )


def test_a_preset_is_picked_for_the_hardware():
    assert choose_preset(LAPTOP) == "nano-cpu"
    assert choose_preset(SMALL_CARD) == "nano-cpu"
    assert choose_preset(BIG_CARD) == "qwen1.5b-24gb"


def test_auto_means_the_gpu_where_there_is_one():
    config = load_config("smollm2-135m-cpu", ["hardware.device=auto"])
    assert BIG_CARD.device_for(config) == "cuda"
    assert LAPTOP.device_for(config) == "cpu"
    assert why_not("x", config, LAPTOP) is None


def test_a_model_of_unknown_shape_is_not_refused():
    config = load_config("smollm2-135m-cpu", ["model.base=someone/some-model"])
    assert why_not("x", config, Machine(memory_gib=0.1)) is None
    assert describe_fit(config, LAPTOP).startswith("no memory estimate: the shape of someone/some-model")


def test_the_estimate_is_shown_against_what_is_there():
    assert describe_fit(load_config("qwen1.5b-24gb"), BIG_CARD).endswith(
        "GiB (+-15 %) of 23.6 GiB (RTX 4090)"
    )


def test_this_machine_has_some_memory():
    assert 0.1 < look().memory_gib < 100_000
