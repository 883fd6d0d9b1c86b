"""Rounds of Absolute Zero with a scripted sampler, the real kinds and the real executor."""

from dataclasses import replace
from random import Random

import pytest

from tinyzero.config import Config
from tinyzero.errors import ConfigError
from tinyzero.execution import Executor
from tinyzero.games.absolute_zero.briefs import draw_briefs
from tinyzero.games.absolute_zero.game import SEEDING_ROUNDS, AbsoluteZero
from tinyzero.tasks import KINDS
from tinyzero.tasks.pool.pool import add_imports
from tinyzero.types import Completion, Rejection, Role, Stage, Task, VerdictStatus

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
        script = self.lines[request.role]
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
    return [(rollout, advantage) for rollout, advantage in pairs if rollout.role is role]


def stage_of(proposal):
    """The stage that a proposal failed, None for a task."""
    return proposal.outcome.stage if isinstance(proposal.outcome, Rejection) else None


def briefs_of(game, turn, purpose=""):
    config, fits = game.config, game.sampler.fits
    return draw_briefs(turn, purpose, kinds=game.kinds, pool=game.pool, config=config, fits=fits)


def test_every_stage_of_the_funnel_refuses_what_it_is_there_for(executor):
    script = [NONSENSE, BANNED, BROKEN, RANDOM_HASH, ECHO, DOUBLE, DOUBLE]
    config = make_config(proposals_per_step=len(script))
    game = make_game(config, ScriptedSampler(proposer=script, solver=["42", "42", "42", "0"]), executor)
    played = game.play(0)
    proposals = [rollout for rollout, _ in by_role(played, Role.PROPOSER)]
    assert [stage_of(rollout) for rollout in proposals] == [
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
    assert all(rollout.task_id == proposal.outcome.id for rollout, _ in attempts)


@pytest.mark.parametrize("answer", ["42", "0"])
def test_a_task_that_always_or_never_succeeds_earns_its_proposer_nothing(executor, answer):
    sampler = ScriptedSampler(proposer=[DOUBLE], solver=[answer])
    played = make_game(make_config(proposals_per_step=1), sampler, executor).play(0)
    (proposal, _), *_ = by_role(played, Role.PROPOSER)
    assert isinstance(proposal.outcome, Task)
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
    stages = [stage_of(rollout) for rollout, _ in by_role(played, Role.PROPOSER)]
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
    assert [request.role for request in sampler.requests] == [Role.PROPOSER]
    assert [advantage for _, advantage in by_role(played, Role.PROPOSER)] == [-1, 1, -1, 1]
    assert played.new_tasks == []
    assert "solver/accuracy" not in played.metrics


def test_kinds_share_the_proposals_and_the_remainder_goes_round(executor):
    config = make_config(kinds=("deduction", "abduction", "induction"), proposals_per_step=4)
    game = make_game(config, ScriptedSampler(proposer=[DOUBLE, LENGTH], solver=["0"]), executor)
    game.play(0)
    kinds = [[brief.kind.name for brief in briefs_of(game, step)] for step in (0, 1)]
    assert kinds[0] == ["deduction", "abduction", "induction", "deduction"]
    assert kinds[1] == ["abduction", "induction", "deduction", "abduction"]


def test_later_proposals_see_earlier_tasks_and_the_draw_depends_on_the_step_alone(executor):
    config = make_config(proposals_per_step=1, references=5)
    sampler = ScriptedSampler(proposer=[DOUBLE], solver=["42", "0"])
    game = make_game(config, sampler, executor)
    assert "x * 2" not in briefs_of(game, 0)[0].prompt("compact").text
    game.play(0)
    assert "x * 2" in briefs_of(game, 1)[0].prompt("compact").text
    assert briefs_of(game, 1) == briefs_of(game, 1)


def test_a_task_too_long_to_be_shown_is_no_task(executor):
    sampler = ScriptedSampler(proposer=[DOUBLE, "def f(x):\n    return x + 1111111111\nin: 1"], solver=["42"])
    sampler.max_chars = 55
    played = make_game(make_config(proposals_per_step=2), sampler, executor).play(0)
    short, long = (rollout for rollout, _ in by_role(played, Role.PROPOSER))
    assert isinstance(short.outcome, Task)
    assert long.outcome.stage is Stage.ALLOWED
    assert "max_prompt_tokens" in long.outcome.detail


def test_as_many_references_are_shown_as_fit(executor):
    sampler = ScriptedSampler(proposer=[DOUBLE], solver=["42"])
    game = make_game(make_config(proposals_per_step=1, references=2), sampler, executor)
    game.play(0)
    (both,) = briefs_of(game, 1)
    assert len(both.references) == 2
    sampler.max_chars = 80
    (one,) = briefs_of(game, 1)
    assert one.references == both.references[:1]


def test_a_game_goes_on_where_it_was_saved(executor, tmp_path):
    config = make_config(proposals_per_step=1)
    sampler = ScriptedSampler(proposer=[DOUBLE], solver=["42", "0"])
    game = make_game(config, sampler, executor)
    game.play(0)
    game.save(tmp_path)
    resumed = make_game(config, sampler, executor)
    resumed.load(tmp_path)
    assert briefs_of(resumed, 1) == briefs_of(game, 1)
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


TRIPLE_PLUS = "def f(x):\n    return x * 3 + 1\nin: 2"
LENGTH = "def f(s):\n    return len(s)\nin: 'abc'"


def test_who_wrote_a_task_and_from_what_is_known(executor):
    played = make_game(
        make_config(proposals_per_step=1), ScriptedSampler(proposer=[DOUBLE], solver=["42", "0"]), executor
    ).play(0)
    (task,) = played.new_tasks
    assert task.author == "base@0"
    assert len(task.parents) == 1  # the seed that its proposer was shown


def test_a_program_that_differs_in_names_and_constants_only_is_no_news(executor):
    renamed = "def f(number):\n    return number * 7\nin: 4"
    sampler = ScriptedSampler(proposer=[DOUBLE, renamed], solver=["42", "0"])
    played = make_game(make_config(proposals_per_step=2), sampler, executor).play(0)
    assert [stage_of(rollout) for rollout, _ in by_role(played, Role.PROPOSER)] == [
        None,
        Stage.NEW,
    ]


def test_with_a_separate_batch_the_attempts_at_new_tasks_train_nothing(executor):
    config = make_config(proposals_per_step=1, separate_solver_batch=True)
    sampler = ScriptedSampler(proposer=[DOUBLE, TRIPLE_PLUS], solver=["42", "0"])
    sampler.lines[Role.PROPOSER] = [DOUBLE]
    game = make_game(config, sampler, executor)
    first = game.play(0)
    assert by_role(first, Role.SOLVER) == []  # no task yet but seeds
    assert [rollout.verdict.is_correct for rollout in first.untrained] == [True, False, True, False]
    assert first.rollouts[0].reward.total == 0.5  # learnability, from the attempts that train nothing
    sampler.lines[Role.PROPOSER] = [TRIPLE_PLUS]
    second = game.play(1)
    ((rollout, advantage),) = by_role(second, Role.SOLVER)  # one answer to the task of the step before
    assert rollout.task_id == first.new_tasks[0].id
    assert advantage == 0  # alone in its baseline group
    assert [task.id for task in second.replayed_tasks] == [rollout.task_id]
    assert second.metrics["replay/tasks"] == 1
    assert len(second.untrained) == 4


def test_replayed_tasks_are_those_of_mixed_success_and_train_again(executor):
    config = make_config(proposals_per_step=2, replays_per_step=5)
    # Two tasks: the first is solved twice in four attempts, the second never.
    sampler = ScriptedSampler(proposer=[DOUBLE, LENGTH], solver=["42", "0", "42", "0", "7", "7", "7", "7"])
    game = make_game(config, sampler, executor)
    first = game.play(0)
    sampler.lines[Role.PROPOSER], sampler.lines[Role.SOLVER] = [NONSENSE], ["42", "42", "42", "0"]
    second = game.play(1)
    assert [task.id for task in second.replayed_tasks] == [first.new_tasks[0].id]
    assert len(by_role(second, Role.SOLVER)) == 4
    assert second.metrics["replay/accuracy"] == 0.75
    assert second.metrics["tokens/replay"] == 12
    assert "solver/accuracy" not in second.metrics  # that is of new tasks
    measured = game.pool.entry(first.new_tasks[0].id).measurements
    assert [(one.step, one.correct, one.attempts) for one in measured] == [(0, 2, 4), (1, 3, 4)]


def test_bonuses_are_paid_by_name_and_within_their_cap(executor):
    rewards = {"bonuses": {"novelty": {"coefficient": 10, "cap": 0.25}, "complexity": {"coefficient": 1}}}
    config = make_config(proposals_per_step=1).model_copy(
        update={"rewards": Config.model_validate({"rewards": rewards}).rewards}
    )
    sampler = ScriptedSampler(proposer=[LENGTH], solver=["3", "0"])
    played = make_game(config, sampler, executor).play(0)
    assert played.rollouts[0].reward.terms == {"learnability": 0.5, "novelty": 0.25, "complexity": 0.0}
    assert played.metrics["reward/proposer/novelty"] == 0.25
    assert played.metrics["reward/solver/accuracy"] == 0.25  # the mean of 1 and -0.5


def test_an_unknown_bonus_is_named_with_the_nearest_one():
    config = Config.model_validate({"rewards": {"bonuses": {"noveltie": {}}}})
    with pytest.raises(ConfigError, match=r"'noveltie'.*did you mean novelty"):
        make_game(config, ScriptedSampler(), executor=None)


def test_a_pool_grows_to_its_size_before_the_first_step_and_is_reported_in_it(executor):
    config = make_config(proposals_per_step=2).model_copy(
        update={"pool": Config.model_validate({"pool": {"seed_tasks": 3}}).pool}
    )
    sampler = ScriptedSampler(proposer=[DOUBLE, NONSENSE], solver=["42"])
    game = make_game(config, sampler, executor)
    sizes = []
    for state in game.prepare(0):
        assert state.what == "tasks"
        sizes.append((state.done, state.total))
        sampler.lines[Role.PROPOSER] = [LENGTH, NONSENSE]
    assert sizes == [(2, 3), (3, 3)]
    assert len({request.stream for request in sampler.requests}) == 2
    assert all(request.role is Role.PROPOSER for request in sampler.requests)
    assert list(game.prepare(0)) == []  # once resumed, nothing is left to do
    assert game.rounds_prepared == 2
    sampler.lines[Role.PROPOSER] = [TRIPLE_PLUS, NONSENSE]
    played = game.play(0)
    assert ["len(s)" in task.program for task in played.new_tasks] == [False, True, False]
    assert {rollout.task_id for rollout, _ in by_role(played, Role.SOLVER)} == {played.new_tasks[2].id}


def test_preparing_goes_on_where_it_was_saved(executor, tmp_path):
    config = make_config(proposals_per_step=1).model_copy(
        update={"pool": Config.model_validate({"pool": {"seed_tasks": 4}}).pool}
    )
    proposals = [DOUBLE, TRIPLE_PLUS, LENGTH]

    def prepared(game, rounds):
        for _, proposal in zip(range(rounds), proposals[game.rounds_prepared :], strict=False):
            game.sampler.lines[Role.PROPOSER] = [proposal]
            next(game.prepare(0))
        return game

    whole = prepared(make_game(config, ScriptedSampler(proposer=[], solver=[]), executor), 3)
    half = prepared(make_game(config, ScriptedSampler(proposer=[], solver=[]), executor), 1)
    half.save(tmp_path)
    resumed = make_game(config, ScriptedSampler(proposer=[], solver=[]), executor)
    resumed.load(tmp_path)
    prepared(resumed, 2)
    assert resumed.pool.tasks("deduction") == whole.pool.tasks("deduction")
    streams = [request.stream for game in (half, resumed) for request in game.sampler.requests]
    assert streams == [request.stream for request in whole.sampler.requests]


def test_a_kind_that_has_no_subject_yet_leaves_its_turn_to_the_next(executor):
    config = make_config(kinds=("induction", "deduction"), proposals_per_step=2)
    sampler = ScriptedSampler(proposer=[DOUBLE], solver=["42", "0"])
    game = make_game(config, sampler, executor)
    assert [brief.kind.name for brief in briefs_of(game, 0)] == ["deduction", "deduction"]
    game.play(0)
    assert [brief.kind.name for brief in briefs_of(game, 1)] == ["induction", "deduction"]
    alone = make_game(make_config(kinds=("induction",)), sampler, executor)
    assert briefs_of(alone, 0)[0].references == KINDS["induction"].seeds()


def test_no_program_has_to_call_others_while_the_pool_is_filled(executor):
    curriculum = {"composite_share": 1.0, "composite_from_step": 0}
    config = make_config(proposals_per_step=1).model_copy(
        update={"curriculum": Config.model_validate({"curriculum": curriculum}).curriculum}
    )
    game = make_game(config, ScriptedSampler(proposer=[DOUBLE], solver=["42"]), executor)
    game.play(0)
    assert briefs_of(game, 100)[0].blocks != ()
    assert briefs_of(game, 100, purpose="seeding/")[0].blocks == ()


def test_a_model_that_writes_nothing_usable_does_not_hold_the_start_up_for_ever(executor):
    config = make_config(proposals_per_step=1).model_copy(
        update={"pool": Config.model_validate({"pool": {"seed_tasks": 300}}).pool}
    )
    game = make_game(config, ScriptedSampler(proposer=[NONSENSE], solver=[]), executor)
    assert len(list(game.prepare(0))) == SEEDING_ROUNDS


def test_programs_are_built_from_earlier_ones_once_the_curriculum_says_so(executor):
    curriculum = {"composite_share": 1.0, "composite_from_step": 1}
    config = make_config(proposals_per_step=1).model_copy(
        update={"curriculum": Config.model_validate({"curriculum": curriculum}).curriculum}
    )
    sampler = ScriptedSampler(proposer=[DOUBLE], solver=["42", "0"])
    game = make_game(config, sampler, executor)
    (first,) = game.play(0).new_tasks
    assert "g_0" not in sampler.requests[0].prompts[0].text
    sampler.lines[Role.PROPOSER] = ["def f(x):\n    return g_0(x) + 1\nin: 20"]
    played = game.play(100)
    assert "def g_0(x):\n    return x * 2" in sampler.requests[2].prompts[0].text
    (task,) = played.new_tasks
    assert task.outputs == ("41",)
    assert "def g_0(x):" in task.program
    assert task.parents[-1] == first.id
    sampler.lines[Role.PROPOSER] = ["def f(x):\n    return x + 1\nin: 20"]
    refused, *_ = game.play(101).rollouts
    assert refused.outcome.detail.startswith("does not call g_0")


def test_a_task_whose_result_has_changed_leaves_the_pool(executor):
    config = make_config(proposals_per_step=2).model_copy(
        update={"pool": Config.model_validate({"pool": {"recheck_share": 1.0}}).pool}
    )
    sampler = ScriptedSampler(proposer=[DOUBLE, LENGTH], solver=["42", "0"])
    game = make_game(config, sampler, executor)
    good, drifted = game.play(0).new_tasks
    assert game.pool.entry(drifted.id).is_mixed is False
    game.pool.remove(drifted.id)
    game.pool.add(replace(drifted, outputs=("4",)))  # as if len() meant something else by now
    sampler.lines[Role.PROPOSER] = [NONSENSE]
    played = game.play(1)
    assert played.metrics["pool/drifted"] == 1
    assert good.id in game.pool
    assert drifted.id not in game.pool


def test_siblings_are_proposals_of_one_prompt_in_turn_of_the_kinds(executor):
    other = DOUBLE.replace("* 2", "+ 2")
    sampler = ScriptedSampler(proposer=[DOUBLE, other, NONSENSE, NONSENSE], solver=["42", "23", "no", "no"])
    config = make_config(kinds=("deduction", "abduction"), siblings=2)
    played = make_game(config, sampler, executor).play(0)
    asked = sampler.requests[0]
    assert (len(asked.prompts), asked.num_samples) == (2, 2)
    proposals = by_role(played, Role.PROPOSER)
    assert [rollout.prompt.kind for rollout, _ in proposals] == ["deduction"] * 2 + ["abduction"] * 2
    assert [stage_of(rollout) for rollout, _ in proposals] == [None, None, Stage.PARSED, Stage.PARSED]
    assert sum(advantage for _, advantage in proposals[:2]) == pytest.approx(0)
    assert [advantage for _, advantage in proposals[2:]] == [0, 0]
