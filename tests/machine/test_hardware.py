"""What fits where, decided before anything is loaded."""

import pytest
from settled import settled

from tinyzero.cli.launch import Launch, check_fits, new_launch
from tinyzero.config import load_config
from tinyzero.errors import HardwareError
from tinyzero.machine.hardware import Gpu, Machine, look, parse_card
from tinyzero.machine.settling import settle
from tinyzero.machine.suitability import choose_preset, describe_fit, describe_numbers, plan_for, why_not

LAPTOP = Machine(memory_gib=16)
SMALL_CARD = Machine(memory_gib=32, gpu=Gpu(name="RTX 3050", memory_gib=7.8), has_driver=True)
BIG_CARD = Machine(memory_gib=64, gpu=Gpu(name="RTX 4090", memory_gib=23.6), has_driver=True)


def launch(machine, preset, *overrides):
    return Launch(preset=preset, config=settled(preset, overrides, machine))


def refusal(machine, preset, *overrides):
    with pytest.raises(HardwareError) as caught:
        check_fits(launch(machine, preset, *overrides), machine)
    return str(caught.value)


def test_a_cuda_preset_without_a_gpu_is_told_what_fits():
    assert refusal(LAPTOP, "qwen1.5b-24gb") == (
        "qwen1.5b-24gb needs a CUDA GPU with 24 GiB; this machine has none. "
        "nano-cpu fits here: tinyzero train --preset nano-cpu"
    )


def test_a_driver_that_torch_does_not_see_is_another_line():
    assert "torch sees none here (tinyzero doctor says more)" in refusal(
        Machine(memory_gib=16, has_driver=True), "qwen1.5b-24gb"
    )


def test_a_card_that_is_too_small_is_told_the_knob():
    message = refusal(SMALL_CARD, "qwen1.5b-24gb")
    assert message.startswith("qwen1.5b-24gb needs about ")
    assert "GiB, but RTX 3050 has 7.8 GiB; lower sampling.batch_rows (now 128). " in message
    assert message.endswith("qwen1.5b-8gb fits here: tinyzero train --preset qwen1.5b-8gb")


def test_turning_that_knob_makes_it_fit():
    small = launch(SMALL_CARD, "qwen1.5b-24gb", "sampling.batch_rows=16", "learner.micro_batch_tokens=2048")
    check_fits(small, SMALL_CARD)


def test_a_machine_without_the_memory_is_refused_on_the_cpu_too():
    message = refusal(Machine(memory_gib=1.3), "smollm2-135m-cpu")
    assert "but this machine has 1.3 GiB; lower sampling.batch_rows (now 72)" in message


def test_no_knob_is_named_where_none_would_help():
    assert refusal(Machine(memory_gib=0.9), "smollm2-135m-cpu") == (
        "smollm2-135m-cpu needs 1.2 GiB for its model alone, but this machine has 0.9 GiB; "
        "choose a smaller model.base. nano-cpu fits here: tinyzero train --preset nano-cpu"
    )


def card(memory_gib, *, has_bf16=True):
    return Machine(memory_gib=32, gpu=Gpu(name="a card", memory_gib=memory_gib, has_bf16=has_bf16))


@pytest.mark.parametrize(
    ("machine", "preset"),
    [
        (LAPTOP, "nano-cpu"),
        (card(3.8), "nano-cpu"),
        (card(5.8), "qwen0.5b-8gb"),
        (SMALL_CARD, "qwen1.5b-8gb"),
        (card(9.8), "qwen1.5b-8gb"),
        (card(11.76), "qwen1.5b-12gb"),
        (card(14.6, has_bf16=False), "qwen1.5b-16gb-t4"),
        (card(15.7), "qwen1.5b-12gb"),  # a card with bfloat16 does not make do with float16
        (card(22.0), "qwen1.5b-24gb"),
        (BIG_CARD, "qwen1.5b-24gb"),
        (card(31.4), "qwen7b-32gb"),
        (card(39.2), "qwen7b-32gb"),
        (card(44.1), "qwen14b-48gb"),
        (card(79.1), "qwen14b-48gb"),
        (Machine(memory_gib=32, gpu=Gpu(name="Tesla V100-SXM2-32GB", memory_gib=31.7)), "nano-cpu"),
    ],
)
def test_a_preset_is_picked_for_the_hardware(machine, preset):
    assert choose_preset(machine) == preset


def test_a_card_that_cannot_train_is_refused_with_the_reason():
    volta = Machine(memory_gib=32, gpu=Gpu(name="Tesla V100-SXM2-32GB", memory_gib=31.7), has_driver=True)
    message = refusal(volta, "qwen1.5b-24gb")
    assert message.startswith("Tesla V100-SXM2-32GB cannot train qwen1.5b-24gb: it is Volta ")
    assert message.endswith("nano-cpu fits here: tinyzero train --preset nano-cpu")


def test_what_is_picked_leaves_a_tenth_free():
    for memory_gib in range(6, 48):
        machine = card(memory_gib)
        chosen = settled(choose_preset(machine), machine=machine)
        assert plan_for(chosen).least_gib <= 0.9 * memory_gib


def test_bfloat16_is_refused_where_there_is_none():
    t4 = Machine(memory_gib=13, gpu=Gpu(name="Tesla T4", memory_gib=14.6, has_bf16=False))
    assert refusal(t4, "qwen1.5b-8gb", "model.dtype=bfloat16").startswith(
        "qwen1.5b-8gb computes in bfloat16, which Tesla T4 cannot; set model.dtype to float16"
    )
    check_fits(launch(t4, "qwen1.5b-8gb"), t4)


AUTO = ["sampling.batch_rows=auto", "learner.micro_batch_tokens=auto"]


def test_a_knob_left_to_the_machine_is_a_number_before_anything_starts():
    started = new_launch("qwen1.5b-24gb", None, AUTO, SMALL_CARD)
    assert (started.config.sampling.batch_rows, started.config.learner.micro_batch_tokens) == (24, 8192)
    assert started.remarks == (
        "sampling.batch_rows = 24, learner.micro_batch_tokens = 8192: a peak of 6.5 of 7.8 GiB (RTX 3050)",
    )
    check_fits(started, SMALL_CARD)


def test_numbers_stay_and_are_not_talked_about():
    config = load_config("qwen1.5b-24gb")
    assert describe_numbers(config, settle(config, SMALL_CARD), SMALL_CARD) == ""


def test_a_model_of_unknown_shape_gets_safe_numbers_and_a_word_about_it():
    config = load_config("qwen1.5b-24gb", [*AUTO, "model.base=someone/some-model"])
    chosen = settle(config, BIG_CARD)
    words = describe_numbers(config, chosen, BIG_CARD)
    assert (chosen.sampling.batch_rows, chosen.learner.micro_batch_tokens) == (32, 2048)
    assert "safe values, for the shape of someone/some-model is not known" in words


def test_open_knobs_make_a_preset_fit_and_not_only_look_so():
    assert why_not("x", settled("qwen1.5b-24gb", AUTO, SMALL_CARD), SMALL_CARD) is None
    message = why_not("x", settled("qwen7b-24gb", AUTO, SMALL_CARD), SMALL_CARD)
    assert message.startswith("x needs about ")
    assert message.endswith("lower sampling.batch_rows (now 8)")


@pytest.mark.parametrize(
    ("answer", "name", "usable_gib"),
    [
        ("NVIDIA GeForce RTX 4090, 24564\n", "RTX 4090", 23.52),
        ("Tesla T4, 15360\nTesla T4, 15360\n", "T4", 14.7),
        ("NVIDIA Fancy 1, 4096\n", "NVIDIA Fancy 1", 4.0),
    ],
)
def test_the_driver_s_tool_tells_the_card(answer, name, usable_gib):
    found = parse_card(answer)
    assert found.name == name
    assert found.usable_gib == pytest.approx(usable_gib)


@pytest.mark.parametrize("answer", ["", "No devices were found\n", "NVIDIA-SMI has failed, [N/A]"])
def test_a_driver_that_names_no_card_has_none(answer):
    assert parse_card(answer) is None


def test_auto_means_the_gpu_where_there_is_one():
    config = load_config("smollm2-135m-cpu", ["hardware.device=auto"])
    assert settle(config, BIG_CARD).hardware.device == "cuda"
    assert settle(config, LAPTOP).hardware.device == "cpu"
    assert why_not("x", settle(config, LAPTOP), LAPTOP) is None


def test_a_model_of_unknown_shape_is_not_refused():
    config = settled("smollm2-135m-cpu", ["model.base=someone/some-model"])
    assert why_not("x", config, Machine(memory_gib=0.1)) is None
    assert describe_fit(config, LAPTOP).startswith("no memory estimate: the shape of someone/some-model")


def test_the_estimate_is_shown_against_what_is_there():
    assert describe_fit(settled("qwen1.5b-24gb", machine=BIG_CARD), BIG_CARD).endswith(
        "GiB (+-15 %) of 23.6 GiB (RTX 4090)"
    )


def test_this_machine_has_some_memory():
    assert 0.1 < look().memory_gib < 100_000
