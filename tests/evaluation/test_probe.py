"""The probe with a scripted sampler, the real kinds and the real executor."""

import pytest

from tinyzero.config import Config
from tinyzero.errors import CheckpointError, ConfigError
from tinyzero.evaluation.heldout import HeldOutSet, HeldOutTask
from tinyzero.evaluation.probe import HeldOutProbe
from tinyzero.execution import Executor
from tinyzero.tasks import KINDS
from tinyzero.types import Completion, Task

DOUBLE = "def f(x):\n    return x * 2"


def held_out(name, kind="deduction", stratum=""):
    task = Task(id=name, kind=kind, program=DOUBLE, inputs=("21",), outputs=("42",))
    return HeldOutTask(task=task, stratum=stratum)


SET = HeldOutSet(
    name="mine",
    tasks=(held_out("a"), held_out("b"), held_out("c", "abduction"), held_out("d", stratum="far")),
)


class ScriptedSampler:
    """Answers the tasks with the given texts, one tuple per task; greedy with the first of each."""

    def __init__(self, *texts):
        self.texts = texts
        self.requests = []
        self.max_chars = 1000

    def sample(self, request):
        self.requests.append(request)
        return [[Completion(text=text) for text in group[: request.num_samples]] for group in self.texts]

    def fits(self, prompt):
        return len(prompt.text) <= self.max_chars


@pytest.fixture(scope="module")
def executor():
    with Executor() as executor:
        yield executor


@pytest.fixture
def make_probe(executor):
    def make(sampler, held_out=SET, **settings):
        config = Config.model_validate(
            {"evaluation": {"attempts": 2}, "prompts": {"style": "compact"}, "sampling": {"temperature": 0.8}}
            | settings
        )
        return HeldOutProbe(held_out=held_out, sampler=sampler, runner=executor, kinds=KINDS, config=config)

    return make


def test_rates_are_shares_of_right_answers_checked_by_execution(make_probe):
    probe = make_probe(ScriptedSampler(("42", "41"), ("42", "42"), ("20 + 1", "21"), ("0", "42")))
    assert probe.measure(0) == {
        "heldout/deduction/sampled": 0.75,
        "heldout/abduction/sampled": 0.5,  # 20 + 1 is no literal, and nothing is evaluated
        "heldout/far/sampled": 0.5,
        "heldout/mean/sampled": 0.625,
        "heldout/deduction/greedy": 1.0,
        "heldout/abduction/greedy": 0.0,
        "heldout/far/greedy": 0.0,
        "heldout/mean/greedy": 0.5,
    }


def test_every_measurement_asks_the_same_with_the_same_random_numbers(make_probe):
    sampler = ScriptedSampler(*[("42", "42")] * 4)
    probe = make_probe(sampler)
    probe.measure(0)
    probe.measure(3)
    sampled, greedy, *later = sampler.requests
    assert later == [sampled, greedy]
    assert (sampled.num_samples, sampled.temperature) == (2, 0.8)
    assert (greedy.num_samples, greedy.temperature) == (1, 0.0)


def test_a_step_is_measured_once(make_probe):
    sampler = ScriptedSampler(*[("42", "42")] * 4)
    probe = make_probe(sampler)
    assert probe.measure(2) == probe.measure(2)
    assert len(sampler.requests) == 2


def test_the_comparison_is_of_the_last_with_the_first(make_probe):
    probe = make_probe(ScriptedSampler(("0", "42"), ("0", "0"), ("1", "1"), ("0", "0")))
    probe.measure(0)
    assert probe.compare() is None
    for step, texts in ((5, ("0", "0")), (9, ("42", "42"))):
        probe.sampler.texts = (texts, texts, ("21", "1"), ("0", "0"))
        probe.measure(step)
    comparison = probe.compare()
    assert (comparison.set_name, comparison.attempts, comparison.step) == ("mine", 2, 9)
    changes = {(row.name, row.decoding): (row.before, row.after) for row in comparison.rows}
    assert changes == {
        ("deduction", "sampled"): (0.25, 1.0),
        ("abduction", "sampled"): (0.0, 0.5),
        ("mean", "sampled"): (0.125, 0.75),
        ("far", "sampled"): (0.0, 0.0),
        ("deduction", "greedy"): (0.0, 1.0),
        ("abduction", "greedy"): (0.0, 1.0),
        ("mean", "greedy"): (0.0, 1.0),
        ("far", "greedy"): (0.0, 0.0),
    }


def test_saved_scores_come_back_the_same(make_probe, tmp_path):
    probe = make_probe(ScriptedSampler(*[("42", "0")] * 4))
    probe.measure(0)
    probe.measure(4)
    probe.save(tmp_path)
    other = make_probe(ScriptedSampler())
    other.load(tmp_path)
    assert other.compare() == probe.compare()
    assert other.measure(4) == probe.measure(4)


def test_a_probe_that_has_not_measured_is_saved_as_such(make_probe, tmp_path):
    make_probe(ScriptedSampler()).save(tmp_path)
    other = make_probe(ScriptedSampler())
    other.load(tmp_path)
    assert other.first is other.last is None


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"first": 1, "last": null}'])
def test_damaged_scores_are_one_clear_error(make_probe, tmp_path, content):
    (tmp_path / "heldout.json").write_text(content)
    with pytest.raises(CheckpointError, match="cannot read the held-out scores"):
        make_probe(ScriptedSampler()).load(tmp_path)


def test_a_prompt_that_does_not_fit_is_refused_before_the_run(make_probe):
    sampler = ScriptedSampler()
    sampler.max_chars = 10
    with pytest.raises(ConfigError, match=r"held-out task a does not fit into sampling.max_prompt_tokens"):
        make_probe(sampler)
