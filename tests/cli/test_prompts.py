"""`presets NAME --show-prompts`: what a run would ask, as its model reads it."""

import json
import shutil

import pytest

from tinyzero.cli import run
from tinyzero.cli.prompts import _quoted

NAMES = ("deduction", "abduction", "induction")


@pytest.fixture
def shown(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")

    def run_one(*arguments):
        code = run(("presets", *arguments, "--show-prompts"))
        out, err = capsys.readouterr()
        return code, out, err

    return run_one


@pytest.fixture
def preset(tmp_path):
    def write(base, extra=""):
        path = tmp_path / "mine.toml"
        path.write_text(f'# A preset\n[model]\nbase = "{base}"\n{extra}')
        return str(path)

    return write


def headings(out):
    return [line for line in out.splitlines() if line.startswith("==")]


def test_nanos_prompts_are_shown_as_it_reads_them_with_their_tokens(shown):
    code, out, _ = shown("nano-cpu")
    assert code == 0
    expected = [f"== {role}, {kind} =" for kind in NAMES for role in ("proposer", "solver")]
    assert [line.rstrip("0123456789 oftkens").rstrip("=") + "=" for line in headings(out)] == expected
    assert all(line.endswith(" of 256 tokens") and len(line) == 80 for line in headings(out))
    assert max(map(len, out.splitlines())) <= 80
    assert "| <|user|>solve abduction\n| def f(words, n):\n" in out
    assert "| out: 'kiwi-plum-banana'<|end|><|assistant|>\n" in out


def test_the_token_counts_are_the_tokenizers(shown):
    code, out, _ = shown("nano-cpu", "--json")
    content = json.loads(out)
    assert code == 0
    assert (content["model"], content["style"], content["frame"]) == ("nano", "compact", "chat template")
    assert content["max_prompt_tokens"] == 256
    from transformers import AutoTokenizer

    from tinyzero.config import resolve_base

    tokenizer = AutoTokenizer.from_pretrained(resolve_base("nano"))
    assert len(content["prompts"]) == 6
    for row in content["prompts"]:
        assert row["num_tokens"] == len(tokenizer(row["rendered"]).input_ids) <= 256
        assert row["text"] in row["rendered"]


def test_as_many_references_are_shown_as_fit(shown, preset):
    path = preset("nano", '[prompts]\nstyle = "compact"\n[sampling]\nmax_prompt_tokens = 128\n')
    _, out, _ = shown(path, "--json")
    propose = json.loads(out)["prompts"][0]
    assert propose["text"].count("def f") == 1
    assert propose["num_tokens"] <= 128


def test_a_base_model_is_shown_its_conversation(shown, preset, untemplated_model_folder):
    kinds = '[selfplay]\nkinds = ["error-prediction"]\n'
    code, out, _ = shown(preset(untemplated_model_folder, kinds))
    assert code == 0
    assert "which has no chat template, in a conversation" in " ".join(out.split())
    assert len(headings(out)) == 2
    assert out.count("| Assistant: <think>\n") == 2
    assert "| User: How does the call `f({'nut': 2," in out


def test_a_tokenizer_that_is_not_here_is_not_fetched(shown, preset, monkeypatch):
    asked = []

    def no_network(host, *_, **__):
        asked.append(host)
        raise OSError("no network")

    monkeypatch.setattr("socket.getaddrinfo", no_network)
    path = preset("someone/model-that-nobody-has", '[prompts]\nstyle = "direct"\n')
    code, out, _ = shown(path)
    assert code == 0
    words = " ".join(out.split())
    assert (
        "The tokenizer of someone/model-that-nobody-has is not on this machine and was not downloaded"
        in words
    )
    assert "tokens" not in "".join(headings(out))
    assert "and the answer is begun with:\n| ```python\n| def f(\n" in out
    content = json.loads(shown(path, "--json")[1])
    assert content["frame"] is None
    assert {row["rendered"] for row in content["prompts"]} == {None}
    assert asked == []


def test_a_tokenizer_in_the_hubs_cache_is_used(shown, preset, monkeypatch, tmp_path, tiny_model_folder):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    cached = tmp_path / "models--someone--tiny"
    shutil.copytree(tiny_model_folder, cached / "snapshots" / "abc")
    (cached / "refs").mkdir()
    (cached / "refs" / "main").write_text("abc")
    content = json.loads(shown(preset("someone/tiny"), "--json")[1])
    assert content["frame"] == "chat template"
    for row in content["prompts"]:
        assert row["rendered"] == f"<|im_start|>user\n{row['text']}<|im_end|>\n<|im_start|>assistant\n"


def test_mistakes_are_one_line(shown, preset):
    assert shown() == (
        2,
        "",
        "error: --show-prompts needs a preset, as in tinyzero presets nano-cpu --show-prompts\n",
    )
    code, _, err = shown(preset("/no/such/folder"))
    assert (code, err.count("\n")) == (2, 1)
    assert "there is no such folder" in err
    code, _, err = shown(preset("nano", '[selfplay]\nkinds = ["deducton"]\n'))
    assert (code, err) == (
        2,
        "error: selfplay.kinds names 'deducton', which is none of deduction, abduction, induction, "
        "error-prediction; did you mean deduction?\n",
    )


def test_lines_that_do_not_fit_go_on_without_a_bar():
    text = "one two three\n    indented\n\n" + "x" * 12
    assert list(_quoted(text, 12)) == [
        "| one two",
        "  three",
        "|     indent",
        "  ed",
        "|",
        "| xxxxxxxxxx",
        "  xx",
    ]


def test_r_zero_shows_its_challengers_prompt_and_its_solvers(shown):
    code, out, _ = shown("r-zero-qwen1.5b-12gb")
    assert code == 0
    assert [line.split()[1:3] for line in headings(out)] == [
        ["proposer,", "question"],
        ["solver,", "question"],
    ]
    assert "Two dice are thrown" in out
