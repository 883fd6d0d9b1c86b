"""Rank 0 plays the run and tells each of its moves beforehand; the other ranks make the same move.

What a person or the clock decides is decided on rank 0 alone: the others wait for its next move.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from hashlib import blake2b
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tinyzero.evaluation.comparison import Comparison
from tinyzero.ranks.world import World
from tinyzero.run.checkpoints import Stateful
from tinyzero.trainer import Game, Learner, Probe, Trainer
from tinyzero.types import Preparation, Rollout, Round


@contextmanager
def leading(world: World, trainer: Trainer) -> Iterator[None]:
    """While in the block, the parts of rank 0's trainer tell the other ranks what they do."""
    trainer.policy = _LedPart(world, "policy", trainer.policy)
    trainer.game = _LedGame(world, trainer.game)
    trainer.learner = _LedLearner(world, trainer.learner)
    trainer.probe = None if trainer.probe is None else _LedProbe(world, trainer.probe)
    inner = trainer.vacated
    trainer.vacated = lambda: _vacated(world, inner)
    yield
    world.tell("end")


class Follower:
    """A rank that makes the moves of rank 0 with a trainer of its own, and writes nothing."""

    def __init__(self, world: World, trainer: Trainer, check: Callable[[], None]) -> None:
        """Follow with these parts.

        Args:
            check: compares the sampler's probabilities with the learner's.
        """
        self._world, self._trainer, self._check = world, trainer, check
        self._preparing: Iterator[Preparation] = iter(())
        self._rollouts: Sequence[Rollout] = ()
        self._advantages: Sequence[float] = ()
        self._away = ExitStack()

    def follow(self) -> None:
        """Make every move until the run ends."""
        moves: Mapping[str, Callable[[Any], None]] = {
            "load": self._load,
            "check": lambda _: self._check(),
            "prepare": self._begin_to_prepare,
            "prepare on": lambda _: self._prepare_on(),
            "play": self._play,
            "learn": lambda _: self._learn(),
            "measure": self._measure,
            "vacate": lambda _: self._vacate(),
            "come back": lambda _: self._away.close(),
        }
        while (order := self._world.hear())[0] != "end":
            name, argument = order
            moves[name](argument)

    def _load(self, sent: tuple[str, Mapping[str, bytes]]) -> None:
        name, files = sent
        parts = {"policy": self._trainer.policy, "game": self._trainer.game, "learner": self._trainer.learner}
        part: Stateful | None = parts.get(name, self._trainer.probe)
        with TemporaryDirectory(prefix="tinyzero-") as folder:
            for path, content in files.items():
                target = Path(folder, path)
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(content)
            if part is not None:
                part.load(Path(folder))

    def _begin_to_prepare(self, step: int) -> None:
        self._preparing = self._trainer.game.prepare(step)

    def _prepare_on(self) -> None:
        next(self._preparing, None)

    def _play(self, step: int) -> None:
        played = self._trainer.game.play(step)
        self._world.agree("round", digest(played))
        self._rollouts, self._advantages = played.rollouts, played.advantages

    def _learn(self) -> None:
        self._trainer.release_memory()
        learned = self._trainer.learner.update(self._rollouts, self._advantages)
        _rank_metrics(self._world, learned)

    def _measure(self, when: tuple[int, bool]) -> None:
        step, is_end = when
        if self._trainer.probe is not None:
            self._trainer.probe.measure(step, is_end=is_end)

    def _vacate(self) -> None:
        self._away.enter_context(self._trainer.vacated())


def digest(played: Round) -> str:
    """Of what a round teaches: the tokens and the advantages."""
    taught = [rollout.completion.token_ids for rollout in played.rollouts], list(played.advantages)
    return blake2b(repr(taught).encode(), digest_size=16).hexdigest()


def _rank_metrics(world: World, learned: Mapping[str, float]) -> dict[str, float]:
    """See that all ranks took the same optimizer step; returns how long each has waited since the last."""
    world.agree("optimizer step", sorted(learned.items()))
    waits, world.waited_s = world.gather(world.waited_s), 0.0
    return {
        "ranks/count": float(world.size),
        **{f"ranks/{rank}/wait_s": waited for rank, waited in enumerate(waits)},
    }


class _LedPart:
    """A part whose state the other ranks take over when rank 0 loads it."""

    def __init__(self, world: World, name: str, part: Stateful) -> None:
        self._world, self._name, self._part = world, name, part

    def save(self, folder: Path) -> None:
        self._part.save(folder)

    def load(self, folder: Path) -> None:
        files = {
            str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()
        }
        self._world.tell("load", (self._name, files))
        self._part.load(folder)


class _LedGame(_LedPart):
    def __init__(self, world: World, game: Game) -> None:
        super().__init__(world, "game", game)
        self._game = game

    def prepare(self, step: int) -> Iterator[Preparation]:
        self._world.tell("prepare", step)
        preparing = self._game.prepare(step)
        while True:
            self._world.tell("prepare on")
            state = next(preparing, None)
            if state is None:
                return
            yield state

    def play(self, step: int) -> Round:
        self._world.tell("play", step)
        played = self._game.play(step)
        self._world.agree("round", digest(played))
        return played


class _LedLearner(_LedPart):
    def __init__(self, world: World, learner: Learner) -> None:
        super().__init__(world, "learner", learner)
        self._learner = learner

    def update(self, rollouts: Sequence[Rollout], advantages: Sequence[float]) -> Mapping[str, float]:
        self._world.tell("learn")
        learned = self._learner.update(rollouts, advantages)
        return {**learned, **_rank_metrics(self._world, learned)}


class _LedProbe(_LedPart):
    def __init__(self, world: World, probe: Probe) -> None:
        super().__init__(world, "probe", probe)
        self._probe = probe

    @property
    def num_tasks(self) -> int:
        return self._probe.num_tasks

    def measure(self, step: int, *, is_end: bool) -> Mapping[str, float]:
        self._world.tell("measure", (step, is_end))
        return self._probe.measure(step, is_end=is_end)

    def shown(self) -> Sequence[Mapping[str, object]]:
        return self._probe.shown()

    def compare(self) -> Comparison | None:
        return self._probe.compare()


@contextmanager
def _vacated(world: World, vacated: Callable[[], AbstractContextManager[float]]) -> Iterator[float]:
    """All ranks leave their cards while rank 0 has left its own."""
    world.tell("vacate")
    try:
        with vacated() as freed_gib:
            yield freed_gib
    finally:
        world.tell("come back")
