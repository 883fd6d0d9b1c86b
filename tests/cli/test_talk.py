"""`tinyzero chat` and `tinyzero solve`: without a terminal, streaming, side by side, judged by execution."""

import io
import json
from types import SimpleNamespace

import pytest

from tinyzero.cli import run
from tinyzero.cli.chat import converse, read_messages
from tinyzero.cli.screen import Screen
from tinyzero.cli.talk import Speaker
from tinyzero.config import Config
from tinyzero.types import Role

TASK = "def f(x):\n    return x + 1\nin: 41\n"


@pytest.fixture
def command(capsys, monkeypatch):
    def run_one(*arguments, typed=""):
        monkeypatch.setattr("sys.stdin", io.StringIO(typed))
        code = run(arguments)
        return code, *capsys.readouterr()

    return run_one


class Parrot:
    """A talk whose answers are scripted, and that looks whether each piece is out before the next is made."""

    def __init__(self, out, *, style="full", context=1000):
        self.out, self.asked = out, []
        self.config = Config.model_validate({"prompts": {"style": style}})
        self.speakers = [Speaker(label="base model", role=None), Speaker(label="step 4", role=Role.SOLVER)]
        self.policy = SimpleNamespace(
            context_tokens=context, encode_turns=lambda turns: [len(turn) for turn in turns for _ in turn]
        )

    def answer(self, speaker, ids, stream):
        self.asked.append((speaker.label, ids, stream))
        for piece in ("one ", "\x1b[2J", "two"):
            yield piece
            assert self.out.getvalue().endswith(piece.replace("\x1b", "\\x1b"))


@pytest.fixture
def screen():
    out, err = io.StringIO(), io.StringIO()
    screen = Screen(out, err)
    screen.out, screen.err = out, err
    yield screen
    screen.close()


def test_answers_stream_side_by_side_without_control_over_the_terminal(screen):
    talk = Parrot(screen.out)
    converse(talk, iter(["hi", "/new", "you"]), screen)
    both = "[base model] one \\x1b[2Jtwo\n[step 4] one \\x1b[2Jtwo\n"
    assert screen.out.getvalue() == both * 2
    assert [stream for _, _, stream in talk.asked] == ["chat/0", "chat/0", "chat/2", "chat/2"]
    assert [len(ids) for _, ids, _ in talk.asked] == [2, 2, 3, 3]  # /new forgot the first message


def test_a_conversation_is_remembered_until_it_no_longer_fits(screen):
    talk = Parrot(screen.out, context=16)
    converse(talk, iter(["hi", "you"]), screen)
    said = len("one \x1b[2Jtwo")
    assert [len(ids) for _, ids, _ in talk.asked] == [2, 2, 3, 3]
    assert "its beginning is left out" in screen.err.getvalue()
    roomy = Parrot(screen.out)
    converse(roomy, iter(["hi", "you"]), screen)
    assert [len(ids) for _, ids, _ in roomy.asked] == [2, 2, 2 + said + 3, 2 + said + 3]


def test_a_model_of_the_compact_style_sees_one_turn_at_a_time(screen):
    talk = Parrot(screen.out, style="compact")
    converse(talk, iter(["hi", "you"]), screen)
    assert [len(ids) for _, ids, _ in talk.asked] == [2, 2, 3, 3]


def test_a_message_may_span_lines(screen):
    typed = io.StringIO('one\n"""\ndef f(x):\n    return x\n"""\n/quit\nnever\n')
    assert list(read_messages(typed, screen)) == ["one\n", "def f(x):\n    return x\n"]


def test_a_conversation_has_help_and_ends_by_the_usual_words(screen):
    for word in ("/quit", "/exit", "exit", "quit"):
        typed = io.StringIO(f"one\n/help\n{word}\nnever\n")
        assert list(read_messages(typed, screen)) == ["one\n"]
    assert screen.err.getvalue().count("/help says this again") == 8


def test_all_of_a_piped_input_is_one_message(command, nano_run):
    code, out, err = command(
        "chat", str(nano_run.path), "--base", "--max-tokens", "8", typed=f"solve deduction\n{TASK}"
    )
    assert code == 0
    assert out.startswith("[base model] ")
    assert "\n[step 4] " in out
    assert "first-run, solver, step 4 (the last checkpoint), on cpu" in err
    assert "nano reads and writes small Python programs, and knows no language" in err
    again = command(
        "chat", str(nano_run.path), "--base", "--max-tokens", "8", typed=f"solve deduction\n{TASK}"
    )
    assert again[1] == out  # the seed names the answers


def test_a_task_is_solved_and_judged(command, nano_run, tmp_path):
    (tmp_path / "task").write_text(TASK)
    code, out, _ = command("solve", str(nano_run.path), str(tmp_path / "task"))
    assert code == 0
    (verdict,) = [line for line in out.splitlines() if line.startswith("verdict: ")]
    assert (verdict == "verdict: correct") is ("read: 42\n" in out)
    assert (verdict == "verdict: correct") is ("right: 42\n" not in out)


def test_attempts_of_both_models_are_counted_for_programs(command, nano_run):
    code, out, _ = command(
        "solve", str(nano_run.path), "--attempts", "3", "--base", "--json", "--checkpoint", "2", typed=TASK
    )
    assert code == 0
    rows = [json.loads(line) for line in out.splitlines()]
    assert [row["model"] for row in rows] == ["base model"] * 3 + ["step 2"] * 3
    for row in rows:
        assert (row["verdict"] == "correct") is (row["read"] == "42")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["chat", "no-such-run"], "no run no-such-run"),
        (["solve", "RUN", "/no/such/file"], "cannot read /no/such/file: No such file or directory"),
        (["chat", "RUN", "--checkpoint", "7"], "has no checkpoint of step 7; there are 2, 4"),
        (["chat", "RUN", "--temperature", "-1"], "--temperature is -1; it must be 0 (greedy) or more"),
        (["solve", "no-such-run"], "no run no-such-run"),
        (["solve", "RUN"], "there is no task: the input is empty; a program and `in: 3` asks for the output"),
        (["solve", "RUN", "def f(x)..."], "; a task itself goes to standard input, or into a file"),
        (
            ["export", "RUN", "--what", "adapter", "--dtype", "fp16"],
            "--dtype has no meaning for --what adapter",
        ),
        (["export", "RUN", "--what", "tasks", "--role", "solver"], "--role has no meaning for --what tasks"),
        (["export", "RUN", "--checkpoint", "newest"], "it must be best, last or the number of a step"),
        (["push", "RUN", "--repo", "a/b/c"], "--repo is 'a/b/c'; it must be name or owner/name"),
        (["push", "RUN", "--repo", "m", "--branch", "a b"], "--branch is 'a b'"),
    ],
)
def test_every_mistake_is_one_line(command, nano_run, arguments, said):
    code, out, err = command(*(str(nano_run.path) if word == "RUN" else word for word in arguments))
    assert (code, out) == (2, "")
    assert said in err
    assert err.splitlines()[-1].startswith("error: ")


def test_a_push_without_a_token_says_how_to_get_one(command, nano_run, monkeypatch):
    monkeypatch.setattr("huggingface_hub.get_token", lambda: None)
    code, out, err = command("push", str(nano_run.path), "--repo", "m")
    assert (code, out) == (2, "")
    assert err == "error: no Hub token: run `hf auth login`, or set the environment variable HF_TOKEN\n"
    assert not (nano_run.path / "export").exists()


def test_a_dry_run_needs_no_token_and_shows_what_would_be_sent(command, nano_run, monkeypatch):
    monkeypatch.setattr("huggingface_hub.get_token", lambda: None)
    code, out, _ = command("push", str(nano_run.path), "--repo", "m", "--what", "tasks", "--dry-run")
    assert code == 0
    assert out.splitlines()[0] == "data set m, private, branch main"
    assert out.splitlines()[-1] == "dry run: nothing was sent"
    assert [line.split()[0] for line in out.splitlines()[2:-2]] == [
        "README.md",
        "tasks.jsonl",
        "tinyzero.json",
    ]


def test_an_exported_adapter_is_named_on_standard_output(command, nano_run, tmp_path):
    code, out, err = command(
        "export", str(nano_run.path), "--what", "adapter", "--output", str(tmp_path / "a")
    )
    assert (code, out) == (0, f"{tmp_path / 'a'}\n")
    assert "step 4: the last checkpoint" in err
    assert (tmp_path / "a" / "adapter_model.safetensors").exists()


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("export", {"--what", "--role", "--checkpoint", "--merge-base", "--dtype", "--output",
                    "--yes-plugins"}),
        ("push", {"--repo", "--public", "--what", "--role", "--checkpoint", "--merge-base", "--dtype",
                  "--branch", "--replace", "--dry-run", "--yes-plugins"}),
        ("chat", {"--role", "--base", "--checkpoint", "--temperature", "--max-tokens", "--seed",
                  "--yes-plugins"}),
        ("solve", {"--base", "--attempts", "--checkpoint", "--temperature", "--seed", "--json",
                   "--allow-weak-sandbox", "--yes-plugins"}),
    ],
)  # fmt: skip
def test_the_options_are_frozen_and_none_takes_a_token(name, options):
    import typer

    from tinyzero.cli import app

    command = typer.main.get_command(app).commands[name]
    assert {name for each in command.params for name in each.opts if name.startswith("--")} == options
