import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file, save_file
from settled import model_section
from transformers import AutoModelForCausalLM

from tinyzero.config import PolicyConfig
from tinyzero.errors import CheckpointError, HardwareError, ModelLoadError, NotFinite
from tinyzero.policy.fused_head import check_fused_head
from tinyzero.policy.loading import load_policy
from tinyzero.types import Prompt, Role

IDS = torch.tensor([[5, 9, 33, 40, 7, 21]])


def logits(policy):
    with torch.no_grad():
        return policy.model(input_ids=IDS).logits


def base_logits(folder):
    with torch.no_grad():
        return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)(input_ids=IDS).logits


def prompt(text="1+1", prefill=""):
    return Prompt(kind="deduction", text=text, prefill=prefill)


def test_a_fresh_adapter_changes_nothing(make_policy, tiny_model_folder):
    assert torch.equal(logits(make_policy(randomize=False)), base_logits(tiny_model_folder))


@pytest.mark.parametrize("adapters", ["shared", "per-role"])
def test_the_reference_is_the_base_bit_for_bit(make_policy, tiny_model_folder, adapters):
    policy = make_policy(adapters=adapters)
    worn = logits(policy)
    with policy.reference():
        assert torch.equal(logits(policy), base_logits(tiny_model_folder))
    assert not torch.allclose(worn, base_logits(tiny_model_folder))
    assert torch.equal(logits(policy), worn)


def test_leaving_the_reference_leaves_the_adapter_trainable(make_policy):
    policy = make_policy(adapters="per-role")
    policy.activate(Role.SOLVER)
    with policy.reference():
        pass
    assert all(parameter.requires_grad for parameter in policy.trainable_parameters("solver"))
    assert not any(parameter.requires_grad for parameter in policy.trainable_parameters("proposer"))


def test_roles_share_an_adapter_or_have_their_own(make_policy):
    assert make_policy(adapters="shared").adapters == ("shared",)
    policy = make_policy(adapters="per-role")
    assert policy.adapters == ("proposer", "solver")
    policy.activate(Role.PROPOSER)
    proposer = logits(policy)
    policy.activate(Role.SOLVER)
    assert not torch.allclose(proposer, logits(policy))
    policy.activate(Role.PROPOSER)
    assert torch.equal(proposer, logits(policy))


def test_a_frozen_role_plays_at_the_base_model(make_policy, tiny_model_folder):
    policy = make_policy(adapters="shared", frozen_roles=[Role.PROPOSER])
    policy.activate(Role.PROPOSER)
    assert policy.adapter_of(Role.PROPOSER) == ""
    assert torch.equal(logits(policy), base_logits(tiny_model_folder))
    policy.activate(Role.SOLVER)
    assert policy.adapter_of(Role.SOLVER) == "shared"
    assert not torch.allclose(logits(policy), base_logits(tiny_model_folder))


def test_adapters_are_float32_on_every_linear_layer_but_the_head(make_policy):
    policy = make_policy(adapters="per-role")
    linear_layers = 2 * 7  # two layers of q, k, v, o, gate, up, down
    for adapter in policy.adapters:
        parameters = policy.trainable_parameters(adapter)
        assert len(parameters) == linear_layers * 2
        assert {parameter.dtype for parameter in parameters} == {torch.float32}
    assert not [name for name, _ in policy.model.named_parameters() if "lora" in name and "lm_head" in name]


def test_the_seed_alone_decides_the_initial_adapters(make_policy):
    torch.manual_seed(1)
    before = torch.random.get_rng_state()
    first = make_policy(adapters="per-role", randomize=False, seed=3)
    assert torch.equal(torch.random.get_rng_state(), before)
    torch.manual_seed(2)
    second = make_policy(adapters="per-role", randomize=False, seed=3)
    other = make_policy(adapters="per-role", randomize=False, seed=4)

    def weights(policy, adapter):
        return torch.cat([parameter.flatten() for parameter in policy.trainable_parameters(adapter)])

    for adapter in first.adapters:
        assert torch.equal(weights(first, adapter), weights(second, adapter))
        assert not torch.equal(weights(first, adapter), weights(other, adapter))
    assert not torch.equal(weights(first, "proposer"), weights(first, "solver"))


def test_the_fused_head_scores_at_the_training_temperature(make_policy):
    policy = make_policy(temperature=0.7)
    with torch.no_grad():
        fused = policy.model(input_ids=IDS, labels=IDS, fused_lm_head=True)
    scores = (logits(policy)[:, :-1] / 0.7).log_softmax(-1)
    expected = scores.gather(-1, IDS[:, 1:, None])[..., 0]
    torch.testing.assert_close(fused.log_probs, expected, atol=1e-5, rtol=0)
    torch.testing.assert_close(fused.entropy, -(scores.exp() * scores).sum(-1), atol=1e-5, rtol=0)


def test_a_prompt_is_one_user_turn_and_the_opening_of_the_answer(make_policy):
    policy = make_policy()
    text = policy.tokenizer.decode(policy.encode(prompt("1+1", prefill="It is ")))
    assert text == "<|im_start|>user\n1+1<|im_end|>\n<|im_start|>assistant\nIt is "


def test_a_model_without_a_chat_template_continues_a_conversation(make_policy, untemplated_model_folder):
    policy = make_policy(base=str(untemplated_model_folder))
    assert policy.decode(policy.encode(prompt("1+1"))).endswith("\nUser: 1+1\nAssistant:")
    assert policy.decode(policy.encode(prompt("1+1", prefill="It"))).endswith("\nUser: 1+1\nAssistant: It")


@pytest.mark.parametrize("chat", [True, False])
@pytest.mark.parametrize(
    "text", ["x = '<|im_end|>\n<|im_start|>user'", "<|<|im_end|><|im_end|>", "<|im_end|>"]
)
def test_control_tokens_that_a_model_wrote_are_text(make_policy, untemplated_model_folder, chat, text):
    policy = make_policy() if chat else make_policy(base=str(untemplated_model_folder))
    frame = policy.encode(prompt("", prefill="="))
    ids = policy.encode(prompt(text, prefill=text))
    assert policy.decode(ids).count(text) == 2  # decoding leaves out the special tokens of the frame
    assert [i for i in ids if i < 3] == [i for i in frame if i < 3]


def test_prompts_without_control_tokens_are_tokenised_in_one_piece(make_policy):
    policy = make_policy()
    text = "<|im_start|>user\na <| b<|im_end|>\n<|im_start|>assistant\n"
    assert policy.encode(prompt("a <| b")) == policy.tokenizer(text, add_special_tokens=False).input_ids


def test_every_known_end_token_stops(make_policy):
    policy = make_policy()
    assert policy.stop_ids == {0, 2}  # <|endoftext|> of the configuration, <|im_end|> of the vocabulary
    assert policy.pad_id == 0


def test_decoding_leaves_out_special_tokens(make_policy):
    a = 4 + ord("a") - ord(" ")  # after the three special tokens and the newline
    assert make_policy().decode([a, 2, 0]) == "a"


def test_saved_adapters_load_bit_for_bit(make_policy, tmp_path):
    saved = make_policy(adapters="per-role")
    saved.versions["solver"] = 7
    saved.save(tmp_path)
    loaded = make_policy(adapters="per-role", randomize=False)
    loaded.load(tmp_path)
    assert loaded.versions == {"proposer": 0, "solver": 7}
    for role in Role:
        saved.activate(role)
        loaded.activate(role)
        assert torch.equal(logits(saved), logits(loaded))


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated")
@pytest.mark.parametrize("number", [float("nan"), float("-inf")])
def test_an_adapter_that_is_not_finite_is_never_saved(make_policy, tmp_path, number):
    policy = make_policy(adapters="per-role")
    policy.trainable_parameters("solver")[3].data[0, 0] = number
    with pytest.raises(NotFinite, match=r"lora_B\.solver\.weight is not finite"):
        policy.save(tmp_path / "adapters")
    assert not (tmp_path / "adapters").exists()


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated")  # peft's own
def test_plain_peft_opens_a_saved_adapter(make_policy, tiny_model_folder, tmp_path):
    policy = make_policy(adapters="shared")
    policy.save(tmp_path)
    base = AutoModelForCausalLM.from_pretrained(tiny_model_folder, dtype=torch.float32)
    opened = PeftModel.from_pretrained(base, tmp_path / "shared")
    with torch.no_grad():
        assert torch.equal(opened(input_ids=IDS).logits, logits(policy))


def test_loading_keeps_the_worn_adapter_trainable(make_policy, tmp_path):
    policy = make_policy(adapters="per-role")
    policy.save(tmp_path)
    policy.load(tmp_path)
    policy.activate(Role.SOLVER)
    assert all(parameter.requires_grad for parameter in policy.trainable_parameters("solver"))


def test_adapters_of_another_mode_are_refused(make_policy, tmp_path):
    make_policy(adapters="shared").save(tmp_path)
    with pytest.raises(CheckpointError, match=r"holds the adapters \['shared'\]"):
        make_policy(adapters="per-role").load(tmp_path)


def test_a_checkpoint_without_adapters_is_one_clear_line(make_policy, tmp_path):
    with pytest.raises(CheckpointError, match="cannot read the adapters"):
        make_policy().load(tmp_path)


@pytest.mark.parametrize("base", ["/no/such/folder", "./gone", "a/b/c"])
def test_a_missing_folder_is_named(base):
    with pytest.raises(ModelLoadError, match=f"model.base is '{base}', but there is no such folder"):
        load_policy(model_section(base=base), PolicyConfig(), device="cpu", temperature=1.0)


def test_a_folder_that_holds_no_model_is_one_clear_line(tmp_path: Path):
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "no-such-architecture"}))
    with pytest.raises(ModelLoadError) as caught:
        load_policy(model_section(base=str(tmp_path)), PolicyConfig(), device="cpu", temperature=1.0)
    assert str(tmp_path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.fixture
def copied_folder(tiny_model_folder, tmp_path):
    return shutil.copytree(tiny_model_folder, tmp_path / "model")


def load_complaint(folder):
    with pytest.raises(ModelLoadError) as caught:
        load_policy(model_section(base=str(folder)), PolicyConfig(), device="cpu", temperature=1.0)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_half_a_download_is_one_clear_line(copied_folder):
    os.truncate(copied_folder / "model.safetensors", 5000)
    assert load_complaint(copied_folder).startswith(f"cannot load the model in {copied_folder}: ")


def test_missing_weights_are_not_made_up(copied_folder):
    weights = load_file(copied_folder / "model.safetensors")
    del weights["model.layers.1.mlp.up_proj.weight"]
    save_file(weights, copied_folder / "model.safetensors", metadata={"format": "pt"})
    assert "lacks 1 weights (model.layers.1.mlp.up_proj.weight ...)" in load_complaint(copied_folder)


def test_a_missing_tokenizer_is_named(copied_folder):
    """Qwen2's is made without its files, and is empty."""
    for path in copied_folder.glob("tokenizer*"):
        path.unlink()
    config = json.loads((copied_folder / "config.json").read_text())
    (copied_folder / "config.json").write_text(json.dumps(config | {"model_type": "qwen2"}))
    assert "has no tokenizer; copy its tokenizer.json" in load_complaint(copied_folder)


def test_nobody_is_asked_whether_to_run_a_models_own_code(copied_folder, monkeypatch):
    config = json.loads((copied_folder / "config.json").read_text())
    config |= {"model_type": "no-such-architecture", "auto_map": {"AutoConfig": "code.Config"}}
    (copied_folder / "config.json").write_text(json.dumps(config))
    monkeypatch.setattr("builtins.input", lambda *_: pytest.fail("asked"))
    assert "custom code" in load_complaint(copied_folder)


def test_a_model_with_sliding_windows_is_refused(tmp_path: Path):
    config = {"model_type": "gemma3_text", "num_hidden_layers": 2, "layer_types": ["sliding_attention"] * 2}
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(ModelLoadError, match="has layers of sliding_attention"):
        load_policy(model_section(base=str(tmp_path)), PolicyConfig(), device="cpu", temperature=1.0)


@pytest.mark.parametrize("adapters", ["shared", "per-role"])
def test_a_four_bit_base_keeps_its_adapters_in_float32(make_policy, adapters):
    policy = make_policy(adapters=adapters, quantization="nf4")
    weight = policy.model.get_base_model().model.layers[0].self_attn.q_proj.base_layer.weight
    assert weight.dtype is torch.uint8
    for adapter in policy.adapters:
        assert {parameter.dtype for parameter in policy.trainable_parameters(adapter)} == {torch.float32}
    worn = logits(policy)
    with policy.reference():
        assert not torch.allclose(logits(policy), worn)


def test_a_four_bit_policy_that_has_sampled_learns_as_one_that_has_not(make_policy):
    """Sampling must leave the 4-bit weights in a layout that passes gradients on."""
    gradients = []
    for has_sampled in (False, True):
        policy = make_policy(quantization="nf4")
        if has_sampled:
            logits(policy)
        policy.model.train()
        policy.model(input_ids=IDS).logits.logsumexp(-1).sum().backward()
        parameters = policy.trainable_parameters("shared")
        gradients.append(torch.cat([parameter.grad.flatten() for parameter in parameters]))
    assert gradients[0].norm() > 0
    torch.testing.assert_close(gradients[1], gradients[0])


def test_a_trl_without_a_fused_head_for_the_cpu_is_named():
    check_fused_head(torch.device("cuda"), "1.15.0")
    check_fused_head(torch.device("cpu"), "1.16.2")
    with pytest.raises(HardwareError, match=r"pip install 'trl>=1.16'"):
        check_fused_head(torch.device("cpu"), "1.15.0")


def test_the_first_heavy_import_is_left_to_load_policy():
    """Unsloth, where it is used, must be able to come before these."""
    program = (
        "import sys, tinyzero.policy, tinyzero.sampling.builtin, tinyzero.learning.learner\n"
        "print(sorted({'transformers', 'trl', 'peft', 'bitsandbytes'} & set(sys.modules)))"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert run.stdout == "[]\n"


def test_saved_adapters_are_the_same_files_in_each_process_and_open_to_other_users(make_policy, tmp_path):
    make_policy().save(tmp_path)
    folder = tmp_path / "shared"
    modules = json.loads((folder / "adapter_config.json").read_text())["target_modules"]
    assert modules == sorted(modules)
    modes = {path.stat().st_mode for path in folder.iterdir()}
    assert len(modes) == 1
