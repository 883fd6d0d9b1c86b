"""A model that writes hostile text: no step ends with it, the run resumes, and people can look at it."""

from functools import partial

import pytest
from forced import ForcedSampler, r_zero_config
from settled import settled
from tasks.test_hostile_text import answers

from tinyzero.assembly import assemble
from tinyzero.cli import run as command
from tinyzero.games.choice import ALL_KINDS
from tinyzero.run.folder import RunFolder
from tinyzero.run.recorder import Recorder
from tinyzero.run.records import read
from tinyzero.types import Role

# No tokenizer decodes to half a character, and a prompt cannot hold a NUL.
TEXTS = [text for text in answers() if text.isprintable() or "\ud800" not in text]
OSC = "\x1b]0;title\x07\x1b]52;c;aGk=\x07\x1b[2J"
SOUND = {
    Role.PROPOSER: f"def f(x):\n    return [x, '{OSC.encode('unicode_escape').decode()}']\nin: 'a'",
    Role.SOLVER: f"'{OSC}'",
}
QUESTION = f"<question>What is 2 + 2? {OSC}</question>\\boxed{{4}}"


class Hostile(ForcedSampler):
    """Every line is short in tokens, however long its text is."""

    def say(self, prompt, text, request):
        said = super().say(prompt, "in", request)
        return type(said)(**{name: getattr(said, name) for name in said.__slots__} | {"text": text})


def script(request, prompt, index):
    if prompt.kind not in ALL_KINDS:  # the check of the sampler at the start
        return None
    if index == 0:
        if prompt.kind == "question":
            return QUESTION if request.role is Role.PROPOSER else "\\boxed{4}"
        return SOUND[request.role]
    return TEXTS[(sum(map(ord, request.stream)) + 31 * len(prompt.text) + index) % len(TEXTS)]


def play(config, run):
    with assemble(config, run, make_sampler=partial(Hostile, script=script)) as trainer:
        trainer.observers = (Recorder(run, preset="test"),)
        trainer.restore()
        trainer.train()


CONFIGS = {
    "absolute-zero": lambda steps: settled(
        "nano-cpu",
        [
            f"run.max_steps={steps}", "selfplay.proposals_per_step=8", "selfplay.attempts=4",
            "hardware.threads=1", 'evaluation.heldout="none"', "sampling.max_prompt_tokens=256",
        ],
    ),
    "r-zero": lambda steps: r_zero_config('evaluation.heldout="none"', f"run.max_steps={steps}"),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("game", CONFIGS)
def test_a_run_meets_hostile_text_resumes_and_is_shown(game, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    run = RunFolder.create(tmp_path / "runs", "x", CONFIGS[game](2))
    play(CONFIGS[game](2), run)
    play(CONFIGS[game](4), run)
    assert [record["step"] for record in read(run.metrics)] == [1, 2, 3, 4]
    samples = list(read(run.samples))
    assert any("\x1b]" in sample["completion"] or "\\x1b" in sample["completion"] for sample in samples)
    for arguments in (
        ("watch", "x", "--once"), ("report", "x"), ("tasks", "x"), ("tasks", "x", "--verify"), ("runs",),
        ("tasks", "x", "--export", "t.jsonl"), ("tasks", "x", "--export", "folder"),
    ):  # fmt: skip
        assert command(arguments) in (0, 1, 2), arguments
        shown = "".join(capsys.readouterr())
        assert "\x1b]" not in shown, arguments
        assert "\x07" not in shown, arguments
    page = (run.path / "report.html").read_text("utf-8")
    assert "\x1b" not in page
