"""Base models as people have them: each is loaded right, or refused in one line before it is trained."""

import json
import shutil
from dataclasses import replace
from functools import partial

import pytest
import torch
from families import PEFT_WARNINGS, RIGHT, SIZES, make_family
from safetensors.torch import load_file, save_file
from settled import defaults, model_section
from tiny_models import make_model_folder
from transformers import AutoModelForCausalLM, BitsAndBytesConfig

from tinyzero.config import PolicyConfig
from tinyzero.errors import CheckpointError, ExportError, ModelLoadError, NotFinite, SamplerBroken
from tinyzero.export.adapters import read_adapter
from tinyzero.export.exportable import check_exportable
from tinyzero.export.folders import ExportRequest, export
from tinyzero.export.merge import merge
from tinyzero.export.weights import weight_files
from tinyzero.learning.scoring import score_completions
from tinyzero.policy.base_files import check_identity, identity
from tinyzero.policy.loading import load_policy
from tinyzero.policy.soundness import drop_noise, silence
from tinyzero.sampling import canary
from tinyzero.sampling.builtin import BuiltinSampler

pytestmark = PEFT_WARNINGS
IDS = torch.tensor([[5, 9, 33, 40, 7, 21]])


@pytest.fixture
def base(tiny_model_folder, tmp_path):
    return shutil.copytree(tiny_model_folder, tmp_path / "base")


def load(folder, **model):
    return load_policy(
        model_section(base=str(folder), **model), PolicyConfig(rank=4, alpha=8), device="cpu", temperature=1.0
    )


def refusal(folder, **model):
    with pytest.raises(ModelLoadError) as caught:
        load(folder, **model)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def change_config(folder, **values):
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def change_weights(folder, change):
    weights = change(load_file(folder / "model.safetensors"))
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def test_an_adapter_beside_the_weights_is_refused(base):
    load(base).save_adapter("shared", base / "written")
    for path in (base / "written" / "shared").iterdir():
        shutil.copy(path, base / path.name)
    said = refusal(base)
    assert "adapter_config.json" in said
    assert "merge it first" in said


@pytest.mark.parametrize("stored", ["bfloat16", "float32", "float16"])
@pytest.mark.parametrize("quantization", ["nf4", "none"])
def test_stored_nf4_computes_in_the_type_that_is_chosen(base, tmp_path, stored, quantization):
    folder = quantised(base, tmp_path, load_in_4bit=True, bnb_4bit_quant_type="nf4", dtype=stored)
    policy = load(folder, quantization=quantization, dtype="float32")
    floats = {one.dtype for one in policy.model.parameters() if one.is_floating_point()}
    assert floats == {policy.dtype} == {torch.float32}
    layer = policy.model.get_base_model().model.layers[0].self_attn.q_proj.base_layer
    assert layer.weight.dtype is torch.uint8
    check(policy)


@pytest.mark.parametrize("kept_in", ["bfloat16", "float32"])
def test_stored_nf4_may_be_kept_in_any_type(base, tmp_path, kept_in):
    """As for training in shards: the bytes of two, or four, weights' pairs in one number."""
    options = {"load_in_4bit": True, "bnb_4bit_quant_type": "nf4", "dtype": "bfloat16"}
    expected = load(quantised(base, tmp_path / "plain", **options))
    policy = load(quantised(base, tmp_path / "kept", bnb_4bit_quant_storage=kept_in, **options))
    with torch.no_grad():
        assert torch.equal(policy.model(input_ids=IDS).logits, expected.model(input_ids=IDS).logits)
    check_exportable(config_of(tmp_path / "kept" / "quantised"), policy.save)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"load_in_4bit": True, "bnb_4bit_quant_type": "fp4"}, "fp4"),
        ({"load_in_8bit": True}, "INT8"),
    ],
)
def test_other_stored_quantisations_are_refused_before_the_weights_are_read(base, tmp_path, options, named):
    change_config(base, quantization_config={"quant_method": "bitsandbytes", **options})
    (base / "model.safetensors").write_bytes(b"not read")
    assert f"are quantised ({named}" in refusal(base)


def test_weights_in_the_format_of_another_library_are_refused(base):
    change_config(base, quantization_config={"quant_method": "gptq", "bits": 4})
    assert "are quantised (gptq), and only NF4" in refusal(base)


def quantised(base, tmp_path, *, dtype, **options):
    model = AutoModelForCausalLM.from_pretrained(
        base, dtype=getattr(torch, dtype),
        quantization_config=BitsAndBytesConfig(**options, bnb_4bit_compute_dtype=getattr(torch, dtype)),
    )  # fmt: skip
    folder = tmp_path / "quantised"
    model.save_pretrained(folder)
    for path in base.glob("tokenizer*"):
        shutil.copy(path, folder)
    for path in base.glob("*.jinja"):
        shutil.copy(path, folder)
    return folder


def check(policy, max_tokens=100):
    sampler = BuiltinSampler(policy, defaults().sampling, seed=0)
    score = partial(score_completions, policy)
    return canary.check_policy(
        policy, sampler, score, engine="builtin", temperature=1.0, max_tokens=max_tokens
    )


def test_weights_that_are_no_numbers_are_refused(base):
    def spoil(weights):
        weights["model.layers.1.mlp.up_proj.weight"][3, 4] = float("nan")
        return weights

    change_weights(base, spoil)
    assert "model.layers.1.mlp.up_proj.weight of" in refusal(base)


def test_logits_that_are_no_numbers_end_in_one_line(make_policy):
    """Of a model whose weights are finite, and whose activations are not."""
    policy = make_policy(randomize=False)
    policy.model.get_base_model().model.norm.weight.data.fill_(1e38)
    with pytest.raises(NotFinite) as caught:
        check(policy)
    assert "\n" not in str(caught.value)
    assert "CUDA" not in str(caught.value)


def test_a_tokenizer_that_is_larger_than_the_embedding_is_refused(tmp_path):
    folder = make_model_folder(tmp_path / "small", vocab_size=90)
    said = refusal(folder)
    assert "has 99 tokens" in said
    assert "90 rows" in said


def test_a_sentencepiece_file_alone_says_what_to_install(base):
    for path in base.glob("tokenizer*"):
        path.unlink()
    (base / "tokenizer.model").write_bytes(b"\x0a\x05")
    change_config(base, model_type="llama")
    assert "pip install sentencepiece" in refusal(base)


def test_noise_of_any_name_is_taken_out():
    config = {
        "hidden_dropout_prob": 0.1, "layerdrop": 0.5, "resid_pdrop": 0.2, "router_jitter_noise": 0.01,
        "drop_path_rate": 1, "attn_config": {"attn_pdrop": 0.1}, "use_dropout": True, "hidden_size": 1,
    }  # fmt: skip
    drop_noise(config)
    assert config == {
        "hidden_dropout_prob": 0, "layerdrop": 0, "resid_pdrop": 0, "router_jitter_noise": 0,
        "drop_path_rate": 0, "attn_config": {"attn_pdrop": 0}, "use_dropout": True, "hidden_size": 1,
    }  # fmt: skip
    module = torch.nn.Sequential(torch.nn.Dropout(0.3), torch.nn.Dropout1d(0.3))
    module.attention_dropout = 0.2
    silence(module)
    assert (module[0].p, module[1].p, module.attention_dropout) == (0, 0, 0)


@pytest.mark.parametrize("kind", ["roberta", "xlm-roberta"])
def test_a_head_of_several_layers_is_refused(tmp_path, kind):
    folder = make_family(tmp_path / "model", kind, {**SIZES, "is_decoder": True, "pad_token_id": 1})
    assert "has layers of its own (lm_head.dense)" in refusal(folder)


def test_a_configuration_that_transformers_refuses_is_one_line(base):
    change_config(base, hidden_size="wide")
    assert "hidden_size" in refusal(base)
    assert "wide" in refusal(base)


def test_noise_that_strikes_seldom_is_noticed(make_policy):
    """A layer left out in one of five passes, as under a name that nobody knows."""
    policy = make_policy(randomize=False)

    def skip(module, inputs, output):
        return inputs[0] if module.training and torch.rand(()) < 0.2 else output

    policy.model.get_base_model().model.layers[1].mlp.register_forward_hook(skip)
    with torch.random.fork_rng():
        torch.manual_seed(1)
        with pytest.raises(SamplerBroken, match="in training mode the model gives other answers"):
            check(policy)


def test_a_fresh_adapter_that_the_sampler_leaves_off_is_noticed(make_policy):
    policy, base = make_policy(randomize=False), make_policy(randomize=False)
    sampler = BuiltinSampler(base, defaults().sampling, seed=0)
    with pytest.raises(SamplerBroken, match="disagree about the same answers"):
        canary.check_policy(
            policy,
            sampler,
            partial(score_completions, policy),
            engine="vllm",
            temperature=1.0,
            max_tokens=100,
        )
    assert policy.is_fresh("shared")


def test_the_canary_leaves_the_policy_as_it_was(make_policy):
    for randomize in (True, False):
        policy = make_policy(randomize=randomize)
        before = [weight.detach().clone() for weight in policy.trainable_parameters("shared")]
        stop_ids, loads = policy.stop_ids, policy.loads
        check(policy)
        after = policy.trainable_parameters("shared")
        assert all(torch.equal(*pair) for pair in zip(before, after, strict=True))
        assert policy.stop_ids == stop_ids
        assert policy.loads > loads  # an engine that serves adapters takes them anew


def test_noise_that_is_hidden_is_noticed(make_policy):
    policy = make_policy(randomize=False)
    layer = policy.model.get_base_model().model.layers[0]
    layer.register_forward_hook(lambda module, _, out: out + module.training * torch.randn_like(out))
    with pytest.raises(SamplerBroken, match="in training mode the model gives other answers"):
        check(policy)


def test_a_fresh_adapter_that_changes_the_answers_is_noticed(make_policy):
    policy = make_policy(randomize=False)
    layer = policy.model.get_base_model().model.layers[0].mlp.up_proj
    layer.register_forward_hook(lambda module, _, out: out if module.disable_adapters else out * 1.01)
    with pytest.raises(SamplerBroken, match="a fresh adapter changes the model's answers by"):
        check(policy)


def test_a_model_that_changes_at_some_length_is_noticed_there(make_policy):
    """A window that no configuration names, and that a long pass has and single steps have not."""
    policy = make_policy()

    def hide(_module, inputs):
        (hidden,) = inputs
        return (hidden.roll(1, dims=1) if hidden.shape[1] > 130 else hidden,)

    policy.model.get_base_model().model.layers[1].mlp.register_forward_pre_hook(hide)
    check(policy, max_tokens=110)
    with pytest.raises(SamplerBroken, match="at sequences of about 200 tokens the sampler"):
        check(policy, max_tokens=200)


def test_a_context_that_is_shorter_than_the_run_is_told(make_policy, caplog):
    policy = make_policy()
    check(policy, max_tokens=100)
    assert not caplog.messages
    policy.context_tokens = 90
    check(policy, max_tokens=100)
    assert "context ends at 90 tokens here, and a prompt with its answer may have 100" in caplog.text


def test_a_row_that_is_wrong_among_many_is_noticed(make_policy):
    """A short answer beside a long one: a sampler's mistake at one of them is not averaged away."""
    policy = make_policy()

    class Slip(BuiltinSampler):
        def reaching(self, max_prompt_tokens):
            config = self._config.model_copy(update={"max_prompt_tokens": max_prompt_tokens})
            return Slip(self._policy, config, self._seed)

        def sample(self, request):
            samples = super().sample(request)
            if max(len(one.prompt_ids) for group in samples for one in group) < 150:
                return samples
            samples[-1][-1] = replace(samples[-1][-1], sampler_logprobs=shifted(samples[-1][-1], 0.03))
            return samples

    sampler, score = Slip(policy, defaults().sampling, seed=0), partial(score_completions, policy)
    with pytest.raises(SamplerBroken, match="at sequences of about 200 tokens"):
        canary.check_policy(policy, sampler, score, engine="builtin", temperature=1.0, max_tokens=200)


def shifted(completion, shift):
    return tuple(value + shift for value in completion.sampler_logprobs)


def test_rows_are_not_shared_where_places_count(make_policy):
    policy = make_policy()
    rotary = policy.model.get_base_model().model.rotary_emb

    def by_places(_module, inputs, options):
        ids = options["position_ids"]
        is_row = ids.shape[1] > 1
        return inputs, {"position_ids": torch.arange(ids.shape[1])[None] if is_row else ids}

    rotary.register_forward_pre_hook(by_places, with_kwargs=True)
    assert policy.shares_prompts
    assert not check(policy).shares_prompts
    assert not policy.shares_prompts


def test_the_files_are_those_that_transformers_reads(base):
    """An index may be left from before the shards were joined."""
    index = {"weight_map": {"model.norm.weight": "model-00001-of-00002.safetensors"}}
    (base / "model.safetensors.index.json").write_text(json.dumps(index))
    shutil.copy(base / "model.safetensors", base / "model-00001-of-00002.safetensors")
    assert [path.name for path in weight_files(base)] == ["model.safetensors"]
    load(base)


def config_of(base):
    from tinyzero.config import Config, load_config

    tree = load_config("nano-cpu").model_dump()
    tree["model"] |= {"base": str(base), "quantization": "none"}
    tree["policy"] |= {"adapters": "shared", "rank": 4, "alpha": 8}
    return Config.model_validate(tree)


def test_weights_that_are_links_can_be_exported(base, tmp_path):
    shutil.move(base / "model.safetensors", tmp_path / "elsewhere.safetensors")
    (base / "model.safetensors").symlink_to(tmp_path / "elsewhere.safetensors")
    check_exportable(config_of(base), load(base).save)
    (base / "LICENSE").symlink_to(tmp_path / "elsewhere.safetensors")
    with pytest.raises(ExportError, match="LICENSE is a link to a place outside"):
        check_exportable(config_of(base), load(base).save)


def test_weights_that_were_saved_without_a_head_are_merged_into(base, tmp_path, make_policy):
    change_weights(base, lambda weights: {name.removeprefix("model."): one for name, one in weights.items()})
    policy = make_policy(base=str(base))
    check_exportable(config_of(base), policy.save)
    policy.save(tmp_path / "adapters")
    target = tmp_path / "merged"
    shutil.copytree(base, target)
    (target / "model.safetensors").unlink()
    adapter = read_adapter(tmp_path / "adapters" / "shared")
    merge(base, adapter, target, merge_base="bf16", dtype="fp32", trained_dtype=torch.float32)
    with torch.no_grad():
        expected = policy.model(input_ids=IDS).logits
        merged = AutoModelForCausalLM.from_pretrained(target)(input_ids=IDS).logits
    torch.testing.assert_close(merged, expected, atol=1e-4, rtol=0)


def test_a_run_that_could_not_be_exported_does_not_begin(tmp_path):
    for name, reason in (("gpt2", "fan_in_fan_out"), ("qwen3_moe", "rank_pattern")):
        folder = make_family(tmp_path / name, *RIGHT[name])
        with pytest.raises(ExportError) as caught:
            check_exportable(config_of(folder), load(folder).save)
        said = str(caught.value)
        assert "could not be exported, so it does not begin" in said
        assert reason in said
        assert "tmp" not in said.replace(str(folder), "")


def test_a_base_is_known_again_until_one_of_its_files_changes(base):
    recorded = identity(base)
    assert set(recorded["files"]) >= {"config.json", "model.safetensors", "tokenizer.json"}
    check_identity(recorded, base, "resume")
    check_identity({}, base, "resume")  # a run from before anything was recorded
    (base / "README.md").write_text("words do not count")
    check_identity(recorded, base, "resume")

    def change(weights):
        weights["model.norm.weight"] += 1
        return weights

    change_weights(base, change)
    with pytest.raises(CheckpointError, match=r"model\.safetensors changed since; put the files"):
        check_identity(recorded, base, "resume")


@pytest.mark.parametrize("what", ["adapter", "merged"])
def test_an_export_from_a_base_that_has_changed_is_refused(base, tiny_run, tmp_path, what):
    run = tiny_run(base=base)
    run.write_base(identity(base))
    change_config(base, rms_norm_eps=0.1)
    with pytest.raises(CheckpointError, match=r"config\.json changed since; put the files"):
        export(run, ExportRequest(what=what), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_adapters_of_another_base_are_not_taken_over(make_policy, tmp_path):
    policy = make_policy()
    policy.save(tmp_path / "saved")
    path = tmp_path / "saved" / "shared" / "adapter_model.safetensors"
    weights = load_file(path)
    save_file({name.replace("up_proj", "other"): one for name, one in weights.items()}, path)
    with pytest.raises(CheckpointError, match="holds other weights than this base model's adapters have"):
        make_policy(randomize=False).load(tmp_path / "saved")


def test_a_new_file_that_decides_is_a_change(base):
    recorded = identity(base, commit="abc")
    (base / "generation_config.json").unlink(missing_ok=True)
    (base / "chat_template.jinja").write_text("another")
    with pytest.raises(CheckpointError, match=r"set model\.revision to abc"):
        check_identity(recorded, base, "export")
