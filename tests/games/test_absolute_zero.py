"""Rounds of Absolute Zero with a scripted sampler, the real kinds and the real executor."""

from dataclasses import replace
from random import Random

import pytest

from tinyzero.config import Config
from tinyzero.errors import ConfigError
from tinyzero.execution import Executor
from tinyzero.games.absolute_zero import AbsoluteZero
from tinyzero.pool import add_imports
from tinyzero.tasks import KINDS
from tinyzero.types import Completion, Role, Stage, VerdictStatus

DOUBLE = "def f(x):\n    return x * 2\nin: 21"
BROKEN = "def f(x):\n    return x / 0\nin: 1"
RANDOM_HASH = "def f(x):\n    return list({x, 'b', 'c', 'd', 'e'})\nin: 'a'"
ECHO = "def f(x):\n    return x\nin: 5"
BANNED = "import os\ndef f(x):\n    return os.getpid()\nin: 5"
NONSENSE = "no program at all"


class ScriptedSampler:
    """Gives each role its lines in order, over and over, and remembers what it was asked."""

    def __init__(self, **lines):
        self.lines = {Role(role): script for role, script in lines.items()}
        self.max_chars = 10_000
        self.requests = []

    def sample(self, request):
        self.requests.append(request)
        script = self.lines[request.prompts[0].role]
        texts = iter(script * 1000)
        return [
            [Completion(text=next(texts), token_ids=(1, 2, 3)) for _ in range(request.num_samples)]
            for _ in request.prompts
        ]

    def fits(self, prompt):
        return len(prompt.text) <= self.max_chars


@pytest.fixture(scope="module")
def executor():
    with Executor() as executor:
        yield executor


def make_config(**selfplay):
    values = {"kinds": ("deduction",), "proposals_per_step": 4, "attempts": 4, "references": 2} | selfplay
    return Config.model_validate({"selfplay": values, "prompts": {"style": "compact"}})


def make_game(config, sampler, executor):
    return AbsoluteZero(config, sampler=sampler, executor=executor, kinds=KINDS)


def by_role(played, role):
    pairs = zip(played.rollouts, played.advantages, strict=True)
    return [(rollout, advantage) for rollout, advantage in pairs if rollout.prompt.role is role]


def test_every_stage_of_the_funnel_refuses_what_it_is_there_for(executor):
    script = [NONSENSE, BANNED, BROKEN, RANDOM_HASH, ECHO, DOUBLE, DOUBLE]
    config = make_config(proposals_per_step=len(script))
    game = make_game(config, ScriptedSampler(proposer=script, solver=["42", "42", "42", "0"]), executor)
    played = game.play(0)
    proposals = [rollout for rollout, _ in by_role(played, Role.PROPOSER)]
    assert [rollout.rejection and rollout.rejection.stage for rollout in proposals] == [
        Stage.PARSED,
        Stage.ALLOWED,
        Stage.RAN,
        Stage.DETERMINISTIC,
        Stage.NONTRIVIAL,
        None,
        Stage.NEW,
    ]
    assert [rollout.reward.total for rollout in proposals] == [-1, -0.5, -0.5, -0.5, -0.5, 0.25, -0.5]
    assert played.metrics["proposer/deduction/new"] == 1
    assert played.metrics["proposer/valid_share"] == pytest.approx(1 / 7)


def test_attempts_measure_the_difficulty_and_train_the_solver(executor):
    sampler = ScriptedSampler(proposer=[DOUBLE], solver=["42", "42", "41", "what?"])
    config = make_config(proposals_per_step=1)
    played = make_game(config, sampler, executor).play(0)
    (proposal, proposal_advantage), *_ = by_role(played, Role.PROPOSER)
    attempts = by_role(played, Role.SOLVER)
    assert proposal.reward.terms == {"learnability": 0.5}
    assert proposal_advantage == 0  # alone in its baseline group
    assert [rollout.verdict.status for rollout, _ in attempts] == [
        VerdictStatus.CORRECT,
        VerdictStatus.CORRECT,
        VerdictStatus.WRONG,
        VerdictStatus.MALFORMED,
    ]
    rewards = [1.0, 1.0, -0.5, -1.0]  # mean 0.125, population variance 0.796875
    expected = [(reward - 0.125) / 0.796875**0.5 for reward in rewards]
    assert [advantage for _, advantage in attempts] == pytest.approx(expected)
    assert all(rollout.task_id == proposal.task_id for rollout, _ in attempts)


@pytest.mark.parametrize("answer", ["42", "0"])
def test_a_task_that_always_or_never_succeeds_earns_its_proposer_nothing(executor, answer):
    sampler = ScriptedSampler(proposer=[DOUBLE], solver=[answer])
    played = make_game(make_config(proposals_per_step=1), sampler, executor).play(0)
    (proposal, _), *_ = by_role(played, Role.PROPOSER)
    assert proposal.rejection is None
    assert proposal.reward.total == 0
    assert played.metrics["solver/mixed_share"] == 0


def test_abduction_accepts_any_preimage(executor):
    square = "def f(x):\n    return x * x\nin: 3"
    sampler = ScriptedSampler(proposer=[square], solver=["3", "-3", "4", "3.0"])
    config = make_config(kinds=("abduction",), proposals_per_step=1)
    played = make_game(config, sampler, executor).play(0)
    statuses = [rollout.verdict.is_correct for rollout, _ in by_role(played, Role.SOLVER)]
    assert statuses == [True, True, False, False]  # 3.0 gives 9.0, which is no 9


def test_an_error_prediction_is_verified_and_solved(executor):
    divide = "def f(x, y):\n    return 12 // (x - y)\nin: 3, 3"
    harmless = "def f(x, y):\n    return x + y\nin: 3, 3"
    raising = "def f(x, y):\n    if x == y:\n        raise KeyError\n    return x\nin: 3, 3"
    # Sets of texts are ordered by the hash seed: 'b' is the third in one process and the first in the other.
    by_hash = (
        "def f(x):\n    i = list({'a', 'b', 'c', 'd', 'e'}).index('b')\n    return 1 // i + [x][i]\nin: 3"
    )
    answers = ["ZeroDivisionError", "zerodivisionerror: by zero", "NoError", "who knows"]
    sampler = ScriptedSampler(proposer=[divide, harmless, raising, by_hash], solver=answers)
    played = make_game(make_config(kinds=("error-prediction",)), sampler, executor).play(0)
    (task,) = played.new_tasks
    assert (task.inputs, task.outputs) == (("3, 3",), ("'ZeroDivisionError'",))
    proposals = [rollout.rejection for rollout, _ in by_role(played, Role.PROPOSER)]
    stages = [rejection and rejection.stage for rejection in proposals]
    assert stages == [None, Stage.NONTRIVIAL, Stage.ALLOWED, Stage.DETERMINISTIC]
    assert [rollout.verdict.status for rollout, _ in by_role(played, Role.SOLVER)] == [
        VerdictStatus.CORRECT,
        VerdictStatus.CORRECT,
        VerdictStatus.WRONG,
        VerdictStatus.MALFORMED,
    ]
    assert played.metrics["solver/error-prediction/accuracy"] == 0.5


def test_a_round_without_a_task_asks_no_solver_and_still_scores_the_proposals(executor):
    sampler = ScriptedSampler(proposer=[NONSENSE, ECHO], solver=[])
    played = make_game(make_config(), sampler, executor).play(0)
    assert [request.prompts[0].role for request in sampler.requests] == [Role.PROPOSER]
    assert [advantage for _, advantage in by_role(played, Role.PROPOSER)] == [-1, 1, -1, 1]
    assert played.new_tasks == []
    assert "solver/accuracy" not in played.metrics


def test_kinds_share_the_proposals_and_the_remainder_goes_round(executor):
    config = make_config(kinds=("deduction", "abduction", "induction"), proposals_per_step=4)
    game = make_game(config, ScriptedSampler(proposer=[NONSENSE], solver=[]), executor)
    assert game.kinds_in_turn(0) == ["deduction", "abduction", "induction", "deduction"]
    assert game.kinds_in_turn(1) == ["abduction", "induction", "deduction", "abduction"]


def test_later_proposals_see_earlier_tasks_and_the_draw_depends_on_the_step_alone(executor):
    config = make_config(proposals_per_step=1, references=5)
    sampler = ScriptedSampler(proposer=[DOUBLE], solver=["42", "0"])
    game = make_game(config, sampler, executor)
    assert "x * 2" not in game.propose(game.draw_references(0), 0)[0].prompt.text
    game.play(0)
    assert "x * 2" in game.propose(game.draw_references(1), 1)[0].prompt.text
    assert game.draw_references(1) == game.draw_references(1)


def test_a_task_too_long_to_be_shown_is_no_task(executor):
    sampler = ScriptedSampler(proposer=[DOUBLE, "def f(x):\n    return x + 1111111111\nin: 1"], solver=["42"])
    sampler.max_chars = 55
    played = make_game(make_config(proposals_per_step=2), sampler, executor).play(0)
    short, long = (rollout for rollout, _ in by_role(played, Role.PROPOSER))
    assert short.rejection is None
    assert long.rejection.stage is Stage.ALLOWED
    assert "max_prompt_tokens" in long.rejection.detail


def test_as_many_references_are_shown_as_fit(executor):
    sampler = ScriptedSampler(proposer=[DOUBLE], solver=["42"])
    game = make_game(make_config(proposals_per_step=1, references=2), sampler, executor)
    game.play(0)
    (both,) = game.draw_references(1)
    assert len(both) == 2
    sampler.max_chars = 80
    (one,) = game.draw_references(1)
    assert one == both[:1]


def test_a_game_goes_on_where_it_was_saved(executor, tmp_path):
    config = make_config(proposals_per_step=1)
    sampler = ScriptedSampler(proposer=[DOUBLE], solver=["42", "0"])
    game = make_game(config, sampler, executor)
    game.play(0)
    game.save(tmp_path)
    resumed = make_game(config, sampler, executor)
    resumed.load(tmp_path)
    assert resumed.draw_references(1) == game.draw_references(1)
    assert resumed.play(1).metrics["proposer/valid_share"] == 0  # the pool holds the task already


def test_an_unknown_kind_is_named_with_the_nearest_one():
    sampler = ScriptedSampler(proposer=[], solver=[])
    with pytest.raises(ConfigError, match=r"'deducton'.*did you mean deduction"):
        make_game(make_config(kinds=("deducton",)), sampler, executor=None)


def test_imported_tasks_join_a_loaded_pool_where_they_fit(executor, tmp_path):
    sampler = ScriptedSampler(proposer=[DOUBLE], solver=["42"])
    game = make_game(make_config(), sampler, executor)
    game.save(tmp_path)
    game.play(0)
    (task,) = [task for task in game.pool.references("deduction", 9, Random(0)) if task.step >= 0]
    long = replace(task, id="long", program=f"def f(x):\n    return x + {'1' * 200}")
    add_imports(tmp_path, [task, long, replace(task, id="other", kind="induction")])
    sampler.max_chars = 150
    game.load(tmp_path)
    assert task.id in game.pool
    assert "long" not in game.pool
    assert "other" not in game.pool
    assert game.play(0).metrics["proposer/deduction/new"] == 0  # it is no news any more
