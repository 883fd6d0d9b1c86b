"""What auto comes to on a machine."""

import pytest
from settled import CARD, CPU, defaults, settled

from tinyzero.config import Config, load_config
from tinyzero.machine.hardware import Gpu, Machine
from tinyzero.machine.settling import decisions, settle, settle_recorded

CARD_WITHOUT_BF16 = Machine(memory_gib=16, gpu=Gpu(name="Tesla T4", memory_gib=14.6, has_bf16=False))
WITH_UNSLOTH = Machine(memory_gib=16, gpu=Gpu(name="a card", memory_gib=24), has_unsloth=True)


def of_machine(config):
    model = config.model
    return (
        config.hardware.device,
        model.quantization,
        model.dtype,
        model.loader,
        config.learner.optimizer,
    )


@pytest.mark.parametrize(
    ("machine", "expected"),
    [
        (CPU, ("cpu", "none", "float32", "transformers", "adamw")),
        (CARD, ("cuda", "nf4", "bfloat16", "transformers", "adamw8bit")),
        (CARD_WITHOUT_BF16, ("cuda", "nf4", "float16", "transformers", "adamw8bit")),
        (WITH_UNSLOTH, ("cuda", "nf4", "bfloat16", "unsloth", "adamw8bit")),
    ],
)
def test_auto_is_decided_by_the_machine(machine, expected):
    assert of_machine(defaults(machine)) == expected


def test_what_is_written_stays_on_every_machine():
    written = {
        "hardware": {"device": "cuda"},
        "model": {"quantization": "none", "dtype": "float16", "loader": "unsloth"},
        "learner": {"optimizer": "paged_adamw8bit"},
    }
    expected = ("cuda", "none", "float16", "unsloth", "paged_adamw8bit")
    assert of_machine(defaults(CARD, **written)) == of_machine(defaults(CPU, **written)) == expected


def test_a_cpu_preset_stays_on_the_cpu_beside_a_card():
    expected = ("cpu", "none", "float32", "transformers", "adamw")
    assert of_machine(defaults(WITH_UNSLOTH, hardware={"device": "cpu"})) == expected


def test_a_cpu_has_no_memory_to_page_to():
    assert defaults(CPU, learner={"optimizer": "paged_adamw8bit"}).learner.optimizer == "adamw8bit"


def test_two_adapters_are_left_to_transformers():
    per_role = {"adapters": "per-role"}
    assert defaults(WITH_UNSLOTH, policy=per_role).model.loader == "transformers"


def test_the_held_out_set_is_the_one_beside_the_base_model(tmp_path):
    assert defaults(model={"base": "nano"}).evaluation.heldout == "nano"
    assert defaults(model={"base": str(tmp_path)}).evaluation.heldout is None
    assert defaults(model={"base": "Qwen/Qwen2.5-Coder-1.5B"}).evaluation.heldout is None
    assert defaults(CARD, model={"base": "Qwen/Qwen2.5-Coder-1.5B"}).evaluation.heldout == "cruxeval"
    questions = {"game": "r-zero"}
    assert defaults(CARD, model={"base": "Qwen/x"}, selfplay=questions).evaluation.heldout == "gsm8k"
    (tmp_path / "heldout.jsonl").write_text("{}")
    assert defaults(model={"base": str(tmp_path)}).evaluation.heldout == str(tmp_path / "heldout.jsonl")
    assert defaults(evaluation={"heldout": "gsm8k"}).evaluation.heldout == "gsm8k"
    assert defaults(evaluation={"heldout": None}).evaluation.heldout is None


def test_a_settled_configuration_is_settled_on_every_machine():
    once = settled("qwen1.5b-24gb", ["sampling.batch_rows=auto"], CARD)
    assert settle(once, CPU) == once
    left = [
        f"{section}.{key}"
        for section, values in once.model_dump().items()
        for key, value in values.items()
        if value == "auto"
    ]
    assert left == ["model.frame"]  # the tokenizer decides that


def test_what_was_decided_can_be_told():
    config = load_config("qwen1.5b-24gb", ["sampling.batch_rows=auto"])
    assert decisions(config, settle(config, CARD)) == {
        "model.loader": "transformers",
        "model.dtype": "bfloat16",
        "sampling.batch_rows": 192,
        "learner.optimizer": "adamw8bit",
        "evaluation.heldout": "cruxeval",
    }


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"device": "cuda:0"}, ("cuda", "nf4", "bfloat16", "transformers", "adamw8bit")),
        ({"device": "cpu"}, ("cpu", "none", "float32", "transformers", "adamw")),
        ({}, ("cpu", "none", "float32", "transformers", "adamw")),
    ],
)
def test_a_run_of_an_earlier_version_is_settled_by_the_device_that_it_recorded(environment, expected):
    assert of_machine(settle_recorded(Config(), environment)) == expected
