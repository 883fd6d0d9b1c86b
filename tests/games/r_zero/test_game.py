"""Turns of R-Zero with a scripted sampler; answers are the same where they are the same number."""

import json
import math
from collections import Counter

import pytest

from tinyzero.config import Config
from tinyzero.errors import CheckpointError
from tinyzero.games.r_zero.equivalence.comparer import AnswerComparer
from tinyzero.games.r_zero.game import RZero
from tinyzero.games.r_zero.question_set import QuestionSet
from tinyzero.tasks.records import to_record
from tinyzero.types import Completion, Role, Stage, Task, VerdictStatus

DICE = "<question>How many dots are on a die?</question>\n\\boxed{21}"
SUM = "<question>What is the sum of all whole numbers from one to one hundred?</question>\n\\boxed{5050}"
PROOF = "<question>Prove that there are infinitely many primes.</question>\n\\boxed{yes}"
PRIMES = "<question>How many primes are there below one hundred?</question>\n\\boxed{25}"
NONSENSE = "I would rather not."
UNANSWERED = "<question>How many primes are there below one hundred?</question>"


class Numbers:
    """Compares answers as numbers, and counts the calls."""

    def __init__(self):
        self.num_calls = 0

    def same(self, pairs):
        self.num_calls += 1
        return [float(first) == float(second) for first, second in pairs]


class ScriptedSampler:
    """Questions in order; answers to a question in order, by what it asks."""

    def __init__(self, questions, answers, probability=0.5):
        self.questions = questions
        self.answers = answers
        self.logprob = math.log(probability)
        self.requests = []
        self.max_chars = 10_000

    def sample(self, request):
        self.requests.append(request)
        return [
            [self.completion(text, request.role) for text in self.script(request, prompt)]
            for prompt in request.prompts
        ]

    def script(self, request, prompt):
        if request.role is Role.PROPOSER:
            lines = self.questions
        else:
            lines = next(lines for words, lines in self.answers.items() if words in prompt.text)
        return [lines[index % len(lines)] for index in range(request.num_samples)]

    def completion(self, text, role):
        return Completion(
            text=text, token_ids=(1, 2), sampler_logprobs=(self.logprob,) * 2, adapter=role, adapter_version=3
        )

    def fits(self, prompt):
        return len(prompt.text) <= self.max_chars


def boxed(*answers):
    return [f"So it is \\boxed{{{answer}}}" if answer else "No idea." for answer in answers]


def make_config(r_zero=None, **sections):
    turns = {"challenger_steps": 2, "solver_steps": 3, "questions": 4, "questions_per_step": 2}
    tree = {
        "selfplay": {"game": "r-zero", "proposals_per_step": 2, "attempts": 4},
        "r_zero": {**turns, "label_attempts": 4, **(r_zero or {})},
        "rewards": {"solver": "binary"},
        "advantages": {"estimator": "group"},
    }
    for name, values in sections.items():
        tree[name] = {**tree.get(name, {}), **values}
    return Config.model_validate(tree)


def make_game(config, sampler, comparer=None):
    return RZero(config, sampler=sampler, comparer=comparer or Numbers())


def prepared(game, step):
    return [counted(state) for state in game.prepare(step)]


def counted(state):
    assert state.what == "questions"
    return state.done, state.total


def test_challenger_and_solver_take_turns():
    game = make_game(make_config(), sampler=None)
    places = [game.place_of(step) for step in range(11)]
    assert [place.is_challenger for place in places] == [True, True, False, False, False] * 2 + [True]
    assert [place.turn for place in places] == [0] * 5 + [1] * 5 + [2]
    assert [place.step_of_turn for place in places] == [0, 1, 0, 1, 2] * 2 + [0]


def test_a_frozen_challenger_has_no_turn():
    game = make_game(make_config(selfplay={"train_proposer": False}), sampler=None)
    assert [game.place_of(step).is_challenger for step in range(4)] == [False] * 4
    assert [game.place_of(step).turn for step in range(4)] == [0, 0, 0, 1]


def test_a_challenger_earns_what_the_solver_is_unsure_of_less_what_is_repeated():
    sampler = ScriptedSampler(
        [DICE, SUM, NONSENSE, PROOF],
        {"dots": boxed("21", "21.0", "20", "19"), "sum": boxed("5050", "5050", "5050", "7")},
    )
    played = make_game(make_config(selfplay={"proposals_per_step": 4}), sampler).play(0)
    dice, total, nonsense, proof = played.rollouts
    # dots: half of the answers agree, so 1; a question unlike the others is a quarter of the batch
    assert dice.reward.terms == {"uncertainty": 1.0, "repetition": -0.25}
    # sum: three quarters agree
    assert total.reward.terms == {"uncertainty": 0.5, "repetition": -0.25}
    assert [rollout.reward.total for rollout in (nonsense, proof)] == [0, 0]
    assert [rollout.outcome.stage for rollout in (nonsense, proof)] == [Stage.PARSED, Stage.ALLOWED]
    assert sum(played.advantages) == pytest.approx(0)
    assert played.advantages[0] > played.advantages[1] > played.advantages[2] == played.advantages[3]


def test_who_writes_what_the_others_write_earns_less():
    sampler = ScriptedSampler([DICE, DICE, SUM, NONSENSE], {"dots": boxed("1", "2"), "sum": boxed("1", "2")})
    played = make_game(make_config(selfplay={"proposals_per_step": 4}), sampler).play(0)
    assert [rollout.reward.total for rollout in played.rollouts] == [0.5, 0.5, 0.75, 0]
    assert played.metrics["proposer/duplicate_share"] == pytest.approx(1 / 3)
    assert played.metrics["proposer/distinct_shapes"] == pytest.approx(2 / 3)
    (asked,) = [request for request in sampler.requests if request.role is Role.SOLVER]
    assert len(asked.prompts) == 2  # the same question is asked once


def test_a_reward_never_falls_below_zero():
    sampler = ScriptedSampler([DICE, DICE], {"dots": boxed("21")})
    played = make_game(make_config(), sampler).play(0)
    assert [rollout.reward.total for rollout in played.rollouts] == [0, 0]


def test_a_challengers_step_trains_the_challenger_alone_and_says_what_was_measured():
    sampler = ScriptedSampler([DICE, SUM], {"dots": boxed("21", "21", "20", ""), "sum": boxed("5050")})
    played = make_game(make_config(), sampler).play(0)
    assert {rollout.role for rollout in played.rollouts} == {Role.PROPOSER}
    statuses = [rollout.verdict.status for rollout in played.untrained[:4]]
    assert statuses == [VerdictStatus.CORRECT] * 2 + [VerdictStatus.WRONG, VerdictStatus.MALFORMED]
    assert [(task.message, task.outputs) for task in played.new_tasks] == [
        ("How many dots are on a die?", ("21",)),
        ("What is the sum of all whole numbers from one to one hundred?", ("5050",)),
    ]
    assert played.new_tasks[0].author == "proposer@3"
    assert played.metrics["proposer/question/majority_share"] == 0.75
    # clusters of 2, 1 and the unreadable one: entropy 1.5 log 2 of log 4; and one cluster
    assert played.metrics["proposer/question/consistency"] == pytest.approx((0.25 + 1) / 2)
    assert played.metrics["proposer/question/confidence"] == pytest.approx(0.5)
    assert "solver/accuracy" not in played.metrics  # nobody knows what is right


def test_questions_are_written_before_the_solvers_turn_and_those_of_middling_difficulty_are_kept():
    sampler = ScriptedSampler([DICE, SUM], {"dots": boxed("21", "21", "20", "19"), "sum": boxed("5050")})
    game = make_game(make_config(), sampler)
    assert prepared(game, 0) == prepared(game, 1) == []
    assert prepared(game, 2)[:3] == [(0, 4), (2, 4), (4, 4)]
    assert [(task.message, task.outputs) for task in game.questions.kept] == [
        ("How many dots are on a die?", ("21",))
    ]
    assert prepared(game, 2) == []
    streams = [request.stream for request in sampler.requests]
    assert len(set(streams)) == len(streams)


@pytest.mark.parametrize(
    ("distance", "agreeing", "kept"),
    [(0.25, 3, 1), (0.24, 3, 0), (0.5, 4, 1), (0.3, 8, 1), (0.3, 2, 1), (0.3, 9, 0), (0.3, 1, 0)],
)
def test_a_question_on_the_border_of_what_is_kept(distance, agreeing, kept):
    attempts = 4 if agreeing in (3, 4) else 10
    others = [str(30 + number) for number in range(attempts - agreeing)]
    sampler = ScriptedSampler([DICE], {"dots": boxed(*["21"] * agreeing, *others)})
    game = make_game(make_config({"max_distance": distance, "label_attempts": attempts}), sampler)
    prepared(game, 2)
    assert len(game.questions.kept) == kept


def test_a_label_that_nobody_is_sure_of_can_be_refused():
    answers = {"dots": boxed("21", "21", "20", "20")}
    for probability, kept in ((0.9, 1), (0.5, 0)):
        game = make_game(make_config({"min_confidence": 0.6}), ScriptedSampler([DICE], answers, probability))
        prepared(game, 2)
        assert len(game.questions.kept) == kept


class Undecided(Numbers):
    """Leaves every pair of different answers undecided."""

    num_undecided = 0

    def same(self, pairs):
        verdicts = super().same(pairs)
        self.num_undecided += verdicts.count(False)
        return verdicts


def test_answers_that_could_not_be_compared_are_counted_in_the_step_that_they_belong_to():
    sampler = ScriptedSampler([DICE], {"dots": boxed("21", "20", "19", "19")})
    game = make_game(make_config(), sampler, Undecided())
    assert game.play(0).metrics["questions/undecided"] == 3  # of the three values, every two
    prepared(game, 2)
    written = game.comparer.num_undecided - 3
    assert written > 0
    solved = game.play(2).metrics["questions/undecided"]
    assert solved == game.comparer.num_undecided - 3 > written


def test_a_label_keeps_the_unit_that_its_cluster_has():
    sampler = ScriptedSampler([DICE], {"dots": boxed("21", r"21\text{ cm}", "20", "19")})
    with AnswerComparer() as comparer:
        [task] = make_game(make_config(), sampler, comparer).play(0).new_tasks
    assert task.outputs == (r"21\text{ cm}",)


def test_a_solver_learns_what_its_majority_said():
    sampler = ScriptedSampler([DICE, SUM], {"dots": boxed("21", "20"), "sum": boxed("5050", "0")})
    game = make_game(make_config(), sampler)
    prepared(game, 2)
    sampler.answers = {"dots": boxed("21.0", "20", "", "21"), "sum": boxed("0", "0", "0", "0")}
    played = game.play(2)
    by_task = {task.id: task.message for task in played.new_tasks}
    rewards = {}
    for rollout, advantage in zip(played.rollouts, played.advantages, strict=True):
        rewards.setdefault(by_task[rollout.task_id].split()[2], []).append((rollout.reward.total, advantage))
    assert rewards["dots"] == [(1, 1), (0, -1), (0, -1), (1, 1)]
    assert rewards["the"] == [(0, 0)] * 4
    assert {rollout.role for rollout in played.rollouts} == {Role.SOLVER}
    assert played.metrics["solver/accuracy"] == 0.25
    assert played.metrics["questions/kept"] == 2
    assert played.metrics["questions/kept_share"] == 0.5
    assert game.play(3).new_tasks == []
    assert len(game.play(3).replayed_tasks) == 2


def test_confidence_is_a_small_extra_where_verdicts_differ_and_nothing_where_they_agree():
    config = make_config({"confidence_weight": 0.1, "solver_steps": 1})
    sampler = ScriptedSampler([DICE, SUM], {"dots": boxed("21", "20"), "sum": boxed("1", "2")})
    game = make_game(config, sampler)
    prepared(game, 2)
    sampler.answers = {"dots": boxed("21", "20", "21", ""), "sum": boxed("1")}
    played = game.play(2)
    by_question = {}
    for rollout in played.rollouts:
        by_question.setdefault(rollout.prompt.text.split()[1], []).append(rollout.reward.terms)
    assert by_question["many"] == [
        {"accuracy": 1, "confidence": pytest.approx(0.05)},
        {"accuracy": 0, "confidence": pytest.approx(0.05)},
        {"accuracy": 1, "confidence": pytest.approx(0.05)},
        {"accuracy": 0, "confidence": 0},
    ]
    assert by_question["is"] == [{"accuracy": 1, "confidence": 0}] * 4


@pytest.mark.parametrize(("size", "count"), [(5, 2), (17, 16), (3, 4), (4, 4), (7, 3)])
def test_every_question_comes_once_before_one_comes_again_in_whole_batches(size, count):
    tasks = [Task(id=str(n), kind="question", program="", inputs=(), outputs=("1",)) for n in range(size)]
    questions = QuestionSet(turn=0, kept=tasks)
    seen = Counter()
    for place in range(12):
        batch = [task.id for task in questions.draw(count, place, seed=3)]
        assert len(set(batch)) == len(batch) == min(size, count)
        seen.update(batch)
        counts = [seen[task.id] for task in tasks]
        assert max(counts) - min(counts) <= 1
    orders = [[task.id for task in questions.draw(count, place, seed=3)] for place in range(12)]
    assert size <= count or len({tuple(order) for order in orders}) > 2  # not the same again and again


def test_without_a_question_to_learn_from_the_challenger_plays_on_and_the_next_step_writes_again():
    sampler = ScriptedSampler([SUM], {"sum": boxed("5050"), "dots": boxed("21", "20")})
    game = make_game(make_config(), sampler)
    assert prepared(game, 2) == [(0, 4), (2, 4), (4, 4), (4, 6), (6, 6)]
    assert {rollout.role for rollout in game.play(2).rollouts} == {Role.PROPOSER}
    assert prepared(game, 3) == [(6, 8), (8, 8)]
    sampler.questions = [DICE]
    assert prepared(game, 3) == []  # once a step, also after a resume
    assert prepared(game, 4) == [(8, 10), (10, 10)]
    played = game.play(4)
    assert {rollout.role for rollout in played.rollouts} == {Role.SOLVER}
    assert [task.message for task in played.new_tasks] == ["How many dots are on a die?"]


def test_a_set_that_is_half_written_is_gone_on_with(tmp_path):
    def fresh():
        return make_game(make_config(), ScriptedSampler([DICE, SUM], {"": boxed("1", "2")}))

    whole, half, resumed = fresh(), fresh(), fresh()
    prepared(whole, 2)
    half_way = half.prepare(2)
    assert [counted(next(half_way)), counted(next(half_way))] == [(0, 4), (2, 4)]
    half.save(tmp_path)
    resumed.load(tmp_path)
    assert prepared(resumed, 2) == [(2, 4), (4, 4)]
    assert resumed.questions == whole.questions
    assert [rollout.prompt for rollout in resumed.play(2).rollouts] == [
        rollout.prompt for rollout in whole.play(2).rollouts
    ]


def test_a_new_turn_has_new_questions():
    sampler = ScriptedSampler([DICE], {"": boxed("1", "2")})
    game = make_game(make_config(), sampler)
    prepared(game, 2)
    assert [task.message for task in game.questions.kept] == ["How many dots are on a die?"]
    sampler.questions = [SUM]
    assert prepared(game, 7)[:3] == [(0, 4), (2, 4), (4, 4)]
    assert game.questions.turn == 1
    assert [task.message.split()[2] for task in game.questions.kept] == ["the"]


def test_a_question_is_reported_as_new_once_with_the_attempts_at_it():
    sampler = ScriptedSampler([DICE, SUM], {"": boxed("1", "2")})
    game = make_game(make_config(), sampler)
    assert [task.message.split()[2] for task in game.play(0).new_tasks] == ["dots", "the"]
    assert game.play(1).new_tasks == []
    sampler.questions = [DICE, PRIMES]
    prepared(game, 2)
    played = game.play(2)
    assert [task.message.split()[2] for task in played.new_tasks] == ["primes"]
    assert [task.message.split()[2] for task in played.replayed_tasks] == ["dots"]
    attempted = {rollout.task_id for rollout in played.rollouts}
    assert {task.id for task in (*played.new_tasks, *played.replayed_tasks)} == attempted


def test_answers_that_say_nothing_are_not_the_majority():
    sampler = ScriptedSampler([DICE], {"dots": [r"\boxed{.}", r"\boxed{$}", r"\boxed{\text{}}", ""]})
    played = make_game(make_config(), sampler).play(0)
    assert {rollout.verdict.status for rollout in played.untrained} == {VerdictStatus.MALFORMED}
    assert played.rollouts[0].reward.total == 0


def test_unreadable_questions_in_a_checkpoint_are_an_error(tmp_path):
    game = make_game(make_config(), ScriptedSampler([DICE], {"": boxed("1", "2")}))
    game.save(tmp_path)
    saved = json.loads((tmp_path / "questions.json").read_text())
    game.load(tmp_path)
    unlabelled = {**to_record(Task(id="x", kind="question", program="", inputs=(), outputs=()))}
    damaged = ({**saved, "num_written": 1, "kept": [unlabelled]}, {**saved, "kept": [{"id": 3}]})
    none_written = {**saved, "kept": [{**unlabelled, "outputs": ["1"]}]}
    for content in ("", "[]", *map(json.dumps, (*damaged, none_written))):
        (tmp_path / "questions.json").write_text(content)
        with pytest.raises(CheckpointError, match="questions"):
            game.load(tmp_path)


def test_a_question_that_no_prompt_holds_is_none():
    sampler = ScriptedSampler([DICE, UNANSWERED], {"": boxed("1", "2")})
    sampler.max_chars = 20
    played = make_game(make_config(), sampler).play(0)
    assert [rollout.outcome.detail for rollout in played.rollouts] == [
        "too long for sampling.max_prompt_tokens",
        "no \\boxed answer after the question",
    ]
    assert played.metrics["proposer/valid_share"] == 0
    assert played.new_tasks == []


def test_the_comparer_is_asked_in_few_calls():
    numbered = [f"<question>What is {n} times {n + 1}?</question>\\boxed{{0}}" for n in range(20)]
    comparer = Numbers()
    config = make_config(selfplay={"proposals_per_step": 20})
    make_game(config, ScriptedSampler(numbered, {"": boxed("1", "2", "3", "1")}), comparer).play(0)
    assert comparer.num_calls <= 4  # a wave for each further answer
