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
        return [
            [Completion(text=text, token_ids=(7,) * len(text)) for text in group[: request.num_samples]]
            for group in self.texts[: len(request.prompts)]
        ]

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
    measured = probe.measure(0)
    rates = {name: value for name, value in measured.items() if name.endswith(("/sampled", "/greedy"))}
    assert rates == {
        "heldout/deduction/sampled": 0.75,
        "heldout/abduction/sampled": 0.5,  # 20 + 1 is not a literal, and nothing is evaluated
        "heldout/far/sampled": 0.5,
        "heldout/mean/sampled": 0.625,
        "heldout/deduction/greedy": 1.0,
        "heldout/abduction/greedy": 0.0,
        "heldout/far/greedy": 0.0,
        "heldout/mean/greedy": 0.5,
    }


def test_thinking_and_lengths_are_those_of_the_sampled_answers(make_probe):
    thought = "<think>\n21 * 2 -> 42\n</think>42"  # 31 characters, and as many tokens here
    probe = make_probe(ScriptedSampler(("42", thought), (thought, thought), ("21", "1"), ("0", "42")))
    measured = probe.measure(0)
    assert measured["heldout/deduction/thinking_share"] == 0.75
    assert measured["heldout/abduction/thinking_share"] == 0
    assert measured["heldout/mean/thinking_share"] == 0.375
    assert measured["heldout/deduction/answer_tokens"] == ((2 + 31) / 2 + 31) / 2
    assert measured["heldout/far/answer_tokens"] == 1.5


def test_on_the_way_fewer_tasks_and_attempts_and_the_figures_are_of_the_same_tasks(make_probe):
    many = HeldOutSet(name="many", tasks=tuple(held_out(f"{number}") for number in range(6)))
    sampler = ScriptedSampler(*[("42", "42", "0", "0")] * 6)
    evaluation = {"attempts": 4, "attempts_between": 1, "sampled_tasks": 3}
    probe = make_probe(sampler, held_out=many, evaluation=evaluation)
    at_the_start = probe.measure(0, is_end=False)
    on_the_way = probe.measure(10, is_end=False)
    at_the_end = probe.measure(20, is_end=True)
    asked = [(len(request.prompts), request.num_samples) for request in sampler.requests]
    assert asked == [(3, 4), (6, 1), (3, 1), (3, 1), (3, 4), (6, 1)]
    assert [figures["heldout/deduction/sampled"] for figures in (at_the_start, on_the_way, at_the_end)] == [
        0.5,
        1.0,
        0.5,
    ]
    rows = {row.decoding: row.tasks for row in probe.compare().rows}
    assert rows == {"sampled": 3, "greedy": 6}


def test_a_run_that_ends_where_it_was_measured_on_the_way_is_measured_on_all(make_probe):
    probe = make_probe(ScriptedSampler(*[("42", "42")] * 4))
    for step, is_end in ((0, True), (4, False), (4, False), (4, True), (4, True)):
        probe.measure(step, is_end=is_end)
    assert len(probe.sampler.requests) == 6


def test_what_stopped_on_the_way_is_compared_on_the_tasks_of_both(make_probe):
    many = HeldOutSet(name="many", tasks=tuple(held_out(f"{number}") for number in range(6)))
    sampler = ScriptedSampler(*[("42", "42")] * 6)
    probe = make_probe(sampler, held_out=many, evaluation={"attempts": 2, "sampled_tasks": 2})
    probe.measure(0)
    probe.measure(5, is_end=False)
    assert {row.tasks for row in probe.compare().rows} == {2}


def test_the_gain_since_the_base_has_its_lower_end_in_the_metrics(make_probe):
    probe = make_probe(ScriptedSampler(*[("0", "0")] * 4))
    assert "heldout/mean/gain_low" not in probe.measure(0)
    probe.sampler.texts = [("42", "42"), ("42", "42"), ("21", "21"), ("0", "0")]
    assert probe.measure(3)["heldout/mean/gain_low"] == 1.0  # every task of a kind, from 0 to 1


def test_the_curve_measures_the_untrained_model_at_lower_temperatures_once(make_probe):
    sampler = ScriptedSampler(*[("0", "0", "42", "42")] * 2, *[("0", "0", "0", "0")] * 2)
    probe = make_probe(sampler, evaluation={"attempts": 4, "curve": True})
    probe.measure(0)
    asked = [(request.temperature, request.num_samples) for request in sampler.requests]
    assert asked == [(0.8, 4), (0.0, 1), (0.7, 2), (0.5, 2), (0.3, 2)]
    probe.sampler.texts = [("42", "42", "42", "0")] * 2 + [("21",) * 4] * 2
    probe.measure(9)
    assert len(sampler.requests) == 7
    comparison = probe.compare()
    # Half of the attempts are two, and both are wrong; after training 3/4 and 1, the mean of the kinds.
    assert [(row.decoding, row.before, row.after) for row in comparison.untrained] == [
        (name, 0.0, 0.875) for name in ("temperature 0.7", "temperature 0.5", "temperature 0.3")
    ]
    others = {row.decoding: (row.before, row.after) for row in comparison.others}
    assert others == {
        "thinking_share": (0.0, 0.0),
        "answer_tokens": ((1.5 + 1) / 2, (1.75 + 2) / 2),
        "pass@4": (0.5, 1.0),
        "majority": (0.25, 1.0),  # two against two is a coin for deduction, 0 for abduction
    }


def test_the_same_few_answers_are_shown_after_every_measurement(make_probe):
    probe = make_probe(ScriptedSampler(("42", "0"), ("0", "0"), ("21", "0"), ("1", "0")))
    assert probe.shown() == []
    probe.measure(0)
    shown = probe.shown()
    assert [(item["id"], item["answer"], item["is_correct"]) for item in shown] == [
        ("a", "42", True),
        ("b", "0", False),
        ("c", "21", True),
        ("d", "1", False),
    ]
    assert shown[0]["prompt"] == f"solve deduction\n{DOUBLE}\nin: 21"
    assert (shown[0]["kind"], shown[0]["tokens"]) == ("deduction", 2)


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


def test_scores_of_a_set_with_other_tasks_are_left_behind_with_a_warning(make_probe, tmp_path, caplog):
    probe = make_probe(ScriptedSampler(("42", "42"), ("42", "42"), ("21", "21"), ("42", "42")))
    probe.measure(0)
    probe.save(tmp_path)
    others = HeldOutSet(name="others", tasks=(held_out("x"), held_out("y")))
    other = make_probe(ScriptedSampler(("42", "0"), ("0", "0")), others)
    other.load(tmp_path)
    (line,) = [record.getMessage() for record in caplog.records]
    assert line.startswith("the held-out set others shares no task")
    assert other.measure(5)["heldout/mean/sampled"] == 0.25
    assert other.compare() is None


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
