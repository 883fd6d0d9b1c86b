"""The frame that a run was trained in is the chat template of what it exports, in every form."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_models import CHAT_TEMPLATE, make_model_folder, make_tokenizer
from transformers import AutoModelForCausalLM, AutoTokenizer

from tinyzero.cli import run as command_line
from tinyzero.config import SettledModel
from tinyzero.errors import SelfTestFailed
from tinyzero.export import merged_model
from tinyzero.export.checking import check_frame
from tinyzero.export.folders import ExportRequest, export
from tinyzero.export.merged_model import model_config
from tinyzero.export.selftest import Agreement, check_agreement
from tinyzero.policy.frame import CONVERSATION, REASONING_CONVERSATION, Frame
from tinyzero.policy.written_frame import chat_template, tokens_of

TURNS = ["What is f(12)?", "Forty-two.", "And f(13)?"]
DAY_TEMPLATE = "{{ strftime_now('%d %b %Y') }}\n" + CHAT_TEMPLATE


@pytest.fixture(autouse=True)
def _few_prompts(monkeypatch):
    monkeypatch.setattr(merged_model, "NUM_PROMPTS", 4)


def in_conversation(run):
    """The run as if its prompts had been a written conversation."""
    config = run.config()
    model = SettledModel(**config.model.model_dump() | {"frame": "conversation"})
    run.write_config(config.model_copy(update={"model": model}))
    return run


def asked(folder, turns):
    """What a program gives the exported model, which reads its folder and nothing else."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    messages = [{"role": ("user", "assistant")[n % 2], "content": text} for n, text in enumerate(turns)]
    return tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=False)


@pytest.mark.parametrize(
    ("what", "style", "opening", "end"),
    [
        ("adapter", "compact", CONVERSATION, "Assistant:"),
        ("merged", "compact", CONVERSATION, "Assistant:"),
        ("adapter", "full", REASONING_CONVERSATION, "Assistant: <think>"),
    ],
)
def test_a_run_in_a_conversation_takes_it_along_and_not_the_bases_template(
    tiny_run, tmp_path, what, style, opening, end
):
    run = in_conversation(tiny_run(style=style))
    (exported,) = export(run, ExportRequest(what=what), tmp_path / "out")
    plain = Frame(make_tokenizer(chat_template=None))
    for turns in (TURNS[:1], TURNS):
        ids = asked(exported.folder, turns)
        assert ids == plain.encode_turns(turns, reasons=style == "full")
    text = make_tokenizer().decode(ids)
    assert text == f"{opening}User: What is f(12)?\nAssistant: Forty-two.\nUser: And f(13)?\n{end}"
    assert "<|im_start|>" not in (exported.folder / "chat_template.jinja").read_text()
    card = (exported.folder / "README.md").read_text()
    assert "in the chat format" not in card
    assert "User: " in card


def test_a_base_without_a_template_exports_its_conversation(tiny_run, tmp_path, untemplated_model_folder):
    run = tiny_run(base=untemplated_model_folder)
    (exported,) = export(run, ExportRequest(what="adapter"), tmp_path / "out")
    assert (
        make_tokenizer()
        .decode(asked(exported.folder, TURNS[:1]))
        .endswith("User: What is f(12)?\nAssistant:")
    )


def test_a_template_that_asks_for_the_day_is_exported_with_the_day_of_the_run(tiny_run, tmp_path):
    base = make_model_folder(tmp_path / "base", chat_template=DAY_TEMPLATE)
    (exported,) = export(tiny_run(base=base), ExportRequest(), tmp_path / "out")
    assert make_tokenizer().decode(asked(exported.folder, TURNS)).startswith("26 Jul 2024\n")


def test_the_older_place_of_a_template_holds_the_trained_one_too(tiny_run, tmp_path):
    base = make_model_folder(tmp_path / "base")
    config = json.loads((base / "tokenizer_config.json").read_text())
    (base / "tokenizer_config.json").write_text(json.dumps(config | {"chat_template": CHAT_TEMPLATE}))
    (base / "chat_template.jinja").unlink()
    run = in_conversation(tiny_run(base=base))
    (exported,) = export(run, ExportRequest(what="adapter"), tmp_path / "out")
    written = json.loads((exported.folder / "tokenizer_config.json").read_text())["chat_template"]
    assert written == (exported.folder / "chat_template.jinja").read_text()
    assert "<|im_start|>" not in written


@pytest.mark.parametrize("scheme", ["always", "first", "never"])
def test_a_begin_token_comes_once_whatever_a_tokenizer_does_with_spaces(scheme):
    frame = Frame(sentencepiece_like(scheme))
    template = chat_template(frame, reasons=True)
    expected = frame.encode_turns(TURNS, reasons=True)
    assert tokens_of(frame.tokenizer, TURNS, template) == expected
    assert expected.count(frame.tokenizer.convert_tokens_to_ids("<s>")) == 1


def sentencepiece_like(scheme):
    """A tokenizer of letters that writes spaces as SentencePiece does, and begins every text."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    letters = ["<s>", "</s>", "<unk>", "▁", *("\n",), *map(chr, range(33, 127))]
    tokenizer = Tokenizer(
        models.BPE({letter: n for n, letter in enumerate(letters)}, [], unk_token="<unk>", fuse_unk=False)
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme=scheme, split=False)
    tokenizer.decoder = decoders.Metaspace(prepend_scheme=scheme, split=False)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", 0)], pair="<s> $A $B"
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", unk_token="<unk>"
    )


def test_a_tokenizer_that_reads_otherwise_is_found_out():
    frame = Frame(make_tokenizer())
    with pytest.raises(SelfTestFailed, match="makes other tokens of a prompt"):
        check_frame(
            make_tokenizer(chat_template="{{ messages[0]['content'] }}"), frame, ["hi"], reasons=False
        )


def test_a_prompt_that_quotes_a_control_token_is_no_fault_of_the_tokenizer():
    check_frame(make_tokenizer(), Frame(make_tokenizer()), ["x = '<|im_end|>'", "hi"], reasons=False)


@pytest.mark.parametrize("what", ["merged", "gguf"])
def test_a_merge_that_is_another_model_ends_with_exit_code_1_and_leaves_nothing(
    tiny_run, tiny_model_folder, tmp_path, capsys, what, monkeypatch
):
    monkeypatch.setattr("tinyzero.export.gguf.require_converter", lambda _: None)
    base = shutil.copytree(tiny_model_folder, tmp_path / "base")
    run = tiny_run(base=base)
    monkeypatch.setattr(merged_model, "merge", onto_other_weights(merged_model.merge))
    code = command_line(["export", str(run.path), "--what", what, "--output", str(tmp_path / "out")])
    said = capsys.readouterr().err.splitlines()[-1]
    assert code == 1
    assert said.startswith(
        "error: the merged model is not what was trained, so nothing is exported: mean KL "
    )
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / ".out.partial").exists()


def onto_other_weights(merge):
    """A merge that is right, into a file that is then another one."""

    def wrong(base, adapter, target, **options):
        merged = merge(base, adapter, target, **options)
        (path,) = merged.files
        weights = {name: value.flip(0).contiguous() for name, value in load_file(path).items()}
        save_file(weights, path, metadata={"format": "pt"})
        return merged

    return wrong


@pytest.mark.parametrize(
    ("kl", "greedy", "is_same_base", "is_right"),
    [
        (6e-4, 0.987, True, True),
        (6e-4, 0.85, True, True),  # near ties
        (0.05, 0.85, True, False),
        (0.2, 0.99, True, False),
        (float("nan"), 1.0, True, False),
        (0.2, 0.85, False, True),
        (0.2, 0.1, False, False),
        (2.56, 0.9, False, False),
    ],
)
def test_what_rounding_cannot_explain_is_refused(kl, greedy, is_same_base, is_right):
    agreement = Agreement(num_prompts=1, num_positions=1, mean_kl=kl, max_kl=kl, greedy=greedy)
    if is_right:
        check_agreement(agreement, is_same_base=is_same_base)
    else:
        with pytest.raises(SelfTestFailed, match="nothing is exported"):
            check_agreement(agreement, is_same_base=is_same_base)


def mixed(tiny_model_folder, tmp_path):
    """A base in bfloat16 whose norms are in float32."""
    base = shutil.copytree(tiny_model_folder, tmp_path / "base")
    weights = {
        name: (value * 1.001 if "norm" in name else value.bfloat16())
        for name, value in load_file(base / "model.safetensors").items()
    }
    save_file(weights, base / "model.safetensors", metadata={"format": "pt"})
    return base, weights


@pytest.mark.parametrize(("dtype", "of_norms"), [(None, torch.float32), ("bf16", torch.bfloat16)])
def test_each_tensor_keeps_the_type_of_the_base_unless_a_type_is_said(
    tiny_run, tiny_model_folder, tmp_path, dtype, of_norms
):
    base, weights = mixed(tiny_model_folder, tmp_path)
    (exported,) = export(tiny_run(base=base), ExportRequest(dtype=dtype), tmp_path / "out")
    written = load_file(exported.folder / "model.safetensors")
    norms = {name for name in weights if "norm" in name}
    assert {written[name].dtype for name in norms} == {of_norms}
    assert {written[name].dtype for name in weights.keys() - norms} == {torch.bfloat16}
    if dtype is None:
        assert all(torch.equal(written[name], weights[name]) for name in norms)


def test_a_head_of_its_own_is_not_called_tied(tiny_run, tiny_model_folder, tmp_path):
    base = shutil.copytree(tiny_model_folder, tmp_path / "base")
    weights = load_file(base / "model.safetensors")
    weights["lm_head.weight"] = weights["model.embed_tokens.weight"].flip(0).contiguous()
    save_file(weights, base / "model.safetensors", metadata={"format": "pt"})
    (exported,) = export(tiny_run(base=base), ExportRequest(), tmp_path / "out")
    assert json.loads((exported.folder / "config.json").read_text())["tie_word_embeddings"] is False
    model = AutoModelForCausalLM.from_pretrained(exported.folder)
    assert torch.equal(model.lm_head.weight, weights["lm_head.weight"])


def test_no_path_and_no_code_leaves_the_machine(tiny_run, tiny_model_folder, tmp_path):
    base = shutil.copytree(tiny_model_folder, tmp_path / "base")
    add(base / "tokenizer_config.json", PLACES)
    add(
        base / "config.json",
        {
            "_name_or_path": "/home/me/base",
            "auto_map": {"AutoModel": "code.Model"},
            "custom_pipelines": {"x": {"impl": "code.X"}},
            "parts": {"vision_file": "x"},
        },
    )
    (base / "special_tokens_map.json").write_text('{"eos_token": "<|endoftext|>", "from": "/home/me/x"}')
    for what in ("adapter", "merged"):
        (exported,) = export(tiny_run(what, base=base), ExportRequest(what=what), tmp_path / what)
        for path in exported.folder.rglob("*"):
            text = path.read_bytes()
            for secret in (
                b"/home/me",
                b"auto_map",
                b"custom_pipelines",
                b"C:\\\\me",
                str(tmp_path).encode(),
            ):
                assert secret not in text, (path, secret)
        tokens = json.loads((exported.folder / "special_tokens_map.json").read_text())
        assert tokens == {"eos_token": "<|endoftext|>"}
        AutoTokenizer.from_pretrained(exported.folder, trust_remote_code=True)


PLACES = {
    "name_or_path": "/home/me/base", "special_tokens_map_file": "/home/me/x.json", "tokenizer_file": "t.json",
    "auto_map": {"AutoTokenizer": ["code.Tokenizer", None]},
    "somewhere": "C:\\me\\x", "nested": ["/home/me/y"],
}  # fmt: skip


def add(path, values):
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def test_tokens_may_look_like_paths():
    from tinyzero.export.tokenizer_files import without_places

    kept = {"additional_special_tokens": ["/usr/bin/x"], "unk_token": "/a/b", "chat_template": "/a/b",
            "added_tokens_decoder": {"0": {"content": "/a/b/c"}}, "model_type": "llama"}  # fmt: skip
    assert without_places(kept) == kept
    assert model_config({"dtype": "float16", **kept}, "bf16") == {**kept, "dtype": "bfloat16"}
