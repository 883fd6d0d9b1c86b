"""Rank 0 trains as ever; the other rank makes the same moves with parts of its own."""

import json
from contextlib import contextmanager

import pytest
from rollouts import rollout_of
from thread_world import together

from tinyzero.config import Config
from tinyzero.errors import RanksDiffer
from tinyzero.ranks.following import Follower, leading
from tinyzero.run.control import Request, ask, take
from tinyzero.run.events import Paused
from tinyzero.run.folder import RunFolder
from tinyzero.run.observer import StopReason
from tinyzero.trainer import Trainer
from tinyzero.types import Completion, Preparation, Role, Round


class Part:
    """Its moves are its state."""

    def __init__(self):
        self.moves = []

    def save(self, folder):
        (folder / "deep").mkdir()
        (folder / "deep" / "moves.json").write_text(json.dumps(self.moves))

    def load(self, folder):
        self.moves = json.loads((folder / "deep" / "moves.json").read_text())


class Game(Part):
    def __init__(self, shift=0):
        super().__init__()
        self.shift = shift

    def prepare(self, step):
        for done in range(3 if step == 0 and not self.moves else 0):
            self.moves.append(f"prepared {done}")
            yield Preparation(what="tasks", done=done, total=3)

    def play(self, step):
        self.moves.append(f"played {step}")
        completion = Completion(text="", token_ids=(step + self.shift,))
        return Round(
            rollouts=[rollout_of(Role.SOLVER, completion=completion)],
            advantages=[0.5],
            new_tasks=[],
            metrics={},
            seconds={},
        )


class Learner(Part):
    def __init__(self, loss=1.0):
        super().__init__()
        self.loss = loss

    def update(self, rollouts, advantages):
        self.moves.append([rollout.completion.token_ids[0] for rollout in rollouts] + list(advantages))
        return {"learner/shared/loss": self.loss}


class Probe(Part):
    num_tasks = 2

    def measure(self, step, *, is_end):
        self.moves.append(f"measured {step} {is_end}")
        return {"heldout/mean/sampled": 0.5}

    def shown(self):
        return []

    def compare(self):
        return None


class Rank:
    """A trainer of scripted parts, and what became of its device."""

    def __init__(self, run, *, observers=(), shift=0, loss=1.0, steps=3):
        self.device = []
        self.parts = {"policy": Part(), "game": Game(shift), "learner": Learner(loss), "probe": Probe()}
        self.trainer = Trainer(
            config=Config.model_validate({"run": {"max_steps": steps}, "evaluation": {"every_steps": 2}}),
            run=run,
            device="cpu",
            sandbox_tier="none",
            observers=observers,
            release_memory=lambda: self.device.append("released"),
            vacated=self.vacated,
            **self.parts,
        )

    @contextmanager
    def vacated(self):
        self.device.append("left")
        yield 1.5
        self.device.append("back")

    def moves(self):
        return {name: part.moves for name, part in self.parts.items()}


class Reports:
    """Hears every step; a pause lasts until it is told."""

    def __init__(self, run):
        self.run, self.reports = run, []

    def on_start(self, start):
        ask(self.run, Request.PAUSE)  # after what an earlier process was asked is forgotten

    def on_step(self, report):
        self.reports.append(report)

    def on_event(self, event):
        if isinstance(event, Paused):
            take(self.run, Request.PAUSE)

    def on_end(self, summary):
        pass


def new_run(tmp_path):
    return RunFolder.create(tmp_path, "run", Config())


def play(leader, follower, *, restores=False):
    """Rank 0 trains to the end; returns its summary."""

    def rank(world):
        if world.rank:
            Follower(world, follower.trainer, lambda: follower.device.append("checked")).follow()
            return None
        with leading(world, leader.trainer):
            if restores:
                leader.trainer.restore()
            return leader.trainer.train()

    return together(rank)[0]


def test_the_other_rank_makes_every_move_and_hears_of_pauses(tmp_path):
    run = new_run(tmp_path)
    reports = Reports(run)
    leader, follower = Rank(run, observers=[reports]), Rank(RunFolder(tmp_path / "elsewhere"))
    summary = play(leader, follower)
    assert (summary.step, summary.reason) == (3, StopReason.MAX_STEPS)
    assert follower.moves() == leader.moves()
    assert leader.moves()["game"] == [f"prepared {i}" for i in range(3)] + [f"played {i}" for i in range(3)]
    assert leader.moves()["learner"] == [[0, 0.5], [1, 0.5], [2, 0.5]]
    assert leader.moves()["probe"][:3] == ["measured 0 True", "measured 2 False", "measured 3 True"]
    assert follower.device.count("left") == follower.device.count("back") == leader.device.count("left") == 1
    assert follower.device.count("released") == 3
    assert not (tmp_path / "elsewhere").exists()
    waits = reports.reports[-1].metrics
    assert waits["ranks/count"] == 2
    assert min(waits["ranks/0/wait_s"], waits["ranks/1/wait_s"]) >= 0


def test_a_resumed_run_begins_on_all_ranks_where_rank_0_found_it(tmp_path):
    run = new_run(tmp_path)
    first = Rank(run, steps=2)
    first.trainer.train()  # alone
    leader, follower = Rank(run), Rank(RunFolder(tmp_path / "elsewhere"))
    assert play(leader, follower, restores=True).step == 3
    assert follower.moves() == leader.moves()
    assert leader.moves()["game"][-3:] == ["played 0", "played 1", "played 2"]


def test_rank_0_stops_all_when_it_is_asked_to(tmp_path):
    run = new_run(tmp_path)
    leader, follower = Rank(run), Rank(RunFolder(tmp_path / "elsewhere"))
    leader.trainer.request_stop()
    assert play(leader, follower).reason is StopReason.REQUESTED
    assert follower.moves() == leader.moves()
    assert "played 0" not in follower.moves()["game"]


@pytest.mark.parametrize(
    ("change", "what"), [({"shift": 1}, "round"), ({"loss": 1.0000001}, "optimizer step")]
)
def test_ranks_that_differ_end_the_run(tmp_path, change, what):
    leader, follower = Rank(new_run(tmp_path)), Rank(RunFolder(tmp_path / "elsewhere"), **change)
    with pytest.raises(RanksDiffer, match=f"rank 1 has another {what} than rank 0.*--resume runs/here"):
        play(leader, follower)
