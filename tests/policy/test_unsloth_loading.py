"""What a CPU can tell about the unsloth path: the guards, and which calls it makes."""

import sys
from types import ModuleType

import pytest
import torch
from peft import LoraConfig, get_peft_model
from settled import model_section
from transformers import AutoModelForCausalLM

from tinyzero.config import PolicyConfig
from tinyzero.errors import ModelLoadError
from tinyzero.policy import loading
from tinyzero.policy.unsloth_loading import check_masks_are_heeded

CPU = torch.device("cpu")


def base_of(policy):
    return policy.model.get_base_model()


def test_a_forward_pass_that_heeds_masks_is_taken(make_policy):
    policy = make_policy()
    check_masks_are_heeded(base_of(policy), CPU)
    assert not base_of(policy).training


@pytest.mark.parametrize("ignores_in", [True, False])
def test_a_forward_pass_that_ignores_masks_is_refused(make_policy, ignores_in):
    base = base_of(make_policy())

    def ignore(module, inputs, options):
        is_ignored = module.training is ignores_in
        return inputs, {**options, "attention_mask": None} if is_ignored else options

    base.base_model.register_forward_pre_hook(ignore, with_kwargs=True)
    with pytest.raises(ModelLoadError, match="ignores attention masks"):
        check_masks_are_heeded(base, CPU)


class FastModel:
    """Unsloth's interface as far as we use it, on top of transformers and peft."""

    asked: dict

    @staticmethod
    def from_pretrained(model_name, *, config, dtype, **options):
        FastModel.asked = options
        return AutoModelForCausalLM.from_pretrained(model_name, config=config, dtype=dtype), object()

    @staticmethod
    def get_peft_model(
        base, *, r, lora_alpha, lora_dropout, bias, target_modules, use_gradient_checkpointing
    ):
        torch.manual_seed(3407)
        FastModel.asked |= {"checkpointing_of_adapters": use_gradient_checkpointing}
        lora = LoraConfig(
            r=r, lora_alpha=lora_alpha, lora_dropout=lora_dropout, bias=bias, target_modules=target_modules
        )
        return get_peft_model(base, lora)


@pytest.fixture
def use_unsloth(monkeypatch):
    """From its call on, models are loaded through the interface above."""

    def use():
        module = ModuleType("unsloth")
        module.FastModel = FastModel
        monkeypatch.setitem(sys.modules, "unsloth", module)
        monkeypatch.setattr(loading, "import_stack", lambda *_, **__: "")

    return use


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated")
@pytest.mark.parametrize("adapters", ["shared", "per-role"])
def test_unsloths_model_wears_the_adapters_that_transformers_would(
    use_unsloth, make_policy, tiny_model_folder, adapters
):
    plain = make_policy(adapters=adapters, randomize=False, seed=3)
    use_unsloth()
    before = torch.random.get_rng_state()
    policy = loading.load_policy(
        model_section(base=str(tiny_model_folder), loader="unsloth", gradient_checkpointing=True),
        PolicyConfig(adapters=adapters, rank=4, alpha=8),
        device="cpu",
        temperature=1.0,
        seed=3,
    )
    assert (plain.loader, policy.loader) == ("transformers", "unsloth")
    assert torch.equal(torch.random.get_rng_state(), before)
    assert policy.adapters == plain.adapters
    for adapter in policy.adapters:
        pairs = zip(policy.trainable_parameters(adapter), plain.trainable_parameters(adapter), strict=True)
        assert all(torch.equal(one, other) and one.dtype is torch.float32 for one, other in pairs)
    assert all(
        ("lora" in name) or not parameter.requires_grad for name, parameter in policy.model.named_parameters()
    )


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated")
def test_unsloth_is_asked_for_this_very_model(use_unsloth, tiny_model_folder):
    """Its default is to take its own upload in place of the model that one names."""
    use_unsloth()
    options = {"base": str(tiny_model_folder), "quantization": "nf4", "loader": "unsloth"}
    loading.load_policy(model_section(**options), PolicyConfig(rank=4), device="cpu", temperature=1.0)
    assert FastModel.asked == {
        "revision": "main",
        "max_seq_length": 512,
        "offload_embedding": False,
        "load_in_4bit": True,
        "load_in_16bit": False,
        "device_map": {"": "cpu"},
        "trust_remote_code": False,
        "use_exact_model_name": True,
        "use_gradient_checkpointing": False,
        "checkpointing_of_adapters": False,
    }


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated")
@pytest.mark.parametrize(("longest", "told"), [(300, 300), (131072, 512)])
def test_unsloth_plans_memory_with_the_longest_row_of_the_run(use_unsloth, tiny_model_folder, longest, told):
    """With the model's context it would move the embeddings of a model like Llama 3.1 to main memory."""
    use_unsloth()
    loading.load_policy(
        model_section(base=str(tiny_model_folder), loader="unsloth"),
        PolicyConfig(rank=4),
        device="cpu",
        temperature=1.0,
        longest_sequence=longest,
    )
    assert FastModel.asked["max_seq_length"] == told
