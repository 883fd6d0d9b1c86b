"""From a settled configuration to a trainer: sandbox, model, sampler, learner, game, probe."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from tinyzero.config import Settled
from tinyzero.evaluation.heldout import find_set, read_set
from tinyzero.evaluation.probe import HeldOutProbe
from tinyzero.execution import Executor
from tinyzero.games.choice import ALL_KINDS, choose_game
from tinyzero.games.r_zero.equivalence.comparer import AnswerComparer
from tinyzero.ranks.seams import Seams
from tinyzero.run.folder import RunFolder
from tinyzero.run.observer import Observer
from tinyzero.sampling.choice import MakeSampler, choose_sampler
from tinyzero.trainer import Trainer
from tinyzero.types import Resident, Role, Sampler

if TYPE_CHECKING:
    from tinyzero.ranks.world import World


@contextmanager
def assemble(
    config: Settled,
    run: RunFolder,
    observers: Sequence[Observer] = (),
    progress: Callable[[str], None] = lambda _: None,
    make_sampler: MakeSampler | None = None,
    world: "World | None" = None,
) -> Iterator[Trainer]:
    """A trainer for `config`, at the newest checkpoint of `run`; leaving the block stops its processes.

    Args:
        progress: is told what is being waited for, a few words at a time.
        make_sampler: gives a sampler of one's own; its completions must be those of the policy that learns,
            with token ids and logprobs. None for the one that the configuration names. Where it is a
            `Resident` too, it sleeps while the learner learns, and is closed in the end.
        world: of several processes that play the run, of which this is rank 0; the others `follow`.

    Raises:
        ConfigError: the sampler that is asked for cannot be on this machine.
        ExecutorBroken: the sandbox does not hold on this machine.
        ModelLoadError: the base model cannot be loaded.
        SamplerBroken: its answers are not those of the policy that is trained.
        CheckpointError: the run has checkpoints and none can be read.
    """
    with (
        _built(config, run, observers, progress, make_sampler, Seams(world)) as (trainer, check),
        nullcontext() if world is None else _leading(world, trainer),
    ):
        progress("reading the newest checkpoint")
        trainer.restore()
        progress("comparing the sampler's probabilities with the learner's")
        if world is not None:
            world.tell("check")
        check()
        yield trainer


def follow(world: "World", make_sampler: MakeSampler | None = None) -> RunFolder:
    """Take part in the run that rank 0 trains, until it ends. Returns its folder on the first machine.

    Raises:
        RankLost: another process has ended.
        RanksDiffer: this one does not compute what rank 0 computes.
        TinyZeroError: as `assemble`.
    """
    from tinyzero.ranks.following import Follower

    config, world.run = world.share(_nothing_to_tell)
    run = RunFolder(Path(world.run))
    with _built(config, run, (), lambda _: None, make_sampler, Seams(world)) as (trainer, check):
        Follower(world, trainer, check).follow()
    return run


def _nothing_to_tell() -> tuple[Settled, str]:
    raise AssertionError("only rank 0 tells")


def _leading(world: "World", trainer: Trainer) -> AbstractContextManager[None]:
    from tinyzero.ranks.following import leading

    return leading(world, trainer)


@contextmanager
def _built(
    config: Settled,
    run: RunFolder,
    observers: Sequence[Observer],
    progress: Callable[[str], None],
    make_sampler: MakeSampler | None,
    seams: Seams,
) -> Iterator[tuple[Trainer, Callable[[], None]]]:
    """A trainer at its start, and what compares the sampler's probabilities with the learner's."""
    # Torch and transformers take seconds to import, so nothing above this line has done it.
    progress("starting the sandbox")
    execution = seams.execution(config.execution)
    with (
        Executor(execution) as executor,
        AnswerComparer(
            workers=execution.workers or os.cpu_count() or 1,
            allow_weak_sandbox=execution.allow_weak_sandbox,
        ) as comparer,
        ExitStack() as held,
    ):
        make_sampler = make_sampler or choose_sampler(config)
        progress(f"loading {config.model.base}")
        from tinyzero.config import resolve_base
        from tinyzero.learning.learner import LoraLearner
        from tinyzero.learning.scoring import score_completions
        from tinyzero.policy.base_files import know_again
        from tinyzero.policy.device import prepare_device, release_memory
        from tinyzero.policy.frame import day_of
        from tinyzero.policy.loading import load_policy
        from tinyzero.policy.vacating import vacated
        from tinyzero.sampling.builtin import BuiltinSampler
        from tinyzero.sampling.canary import check_policy

        recorded = seams.share(run.base)
        policy = load_policy(
            config.model,
            config.policy,
            device=prepare_device(config.hardware),
            temperature=config.sampling.temperature,
            seed=config.run.seed,
            frozen_roles=() if config.selfplay.train_proposer else (Role.PROPOSER,),
            longest_sequence=config.longest_sequence,
            today=day_of(recorded),
            progress=progress,
        )
        progress(f"computing the checksums of {config.model.base}")
        base = {**know_again(config.model, recorded, "resume"), "today": str(policy.frame.today)}
        seams.agree("base model", base.get("files"))
        seams.write(lambda: run.write_base(base))
        budgets = {
            Role.PROPOSER: config.selfplay.proposal_tokens,
            Role.SOLVER: config.selfplay.answer_tokens,
        }
        if config.sampling.engine != "builtin":
            progress(f"getting the sampler ready ({config.sampling.engine})")
        own_sampler = make_sampler(policy, config)
        sleep = held.enter_context(_keeping(own_sampler))
        sampler, runner = seams.sampler(own_sampler), seams.runner(executor)

        def make_room() -> None:
            sleep()
            release_memory()

        learner = LoraLearner(
            policy,
            config.learner,
            config.sampling.temperature,
            completion_budgets=budgets,
            total_rounds=config.run.max_steps,
            spread=seams.spread(policy),
        )
        held_out = find_set(config.evaluation.heldout, resolve_base("nano"))
        trainer = Trainer(
            config=config,
            run=run,
            policy=policy,
            game=choose_game(config, sampler=sampler, executor=runner, comparer=seams.comparer(comparer)),
            learner=learner,
            probe=HeldOutProbe(
                held_out=read_set(held_out, ALL_KINDS),
                sampler=sampler,
                runner=runner,
                kinds=ALL_KINDS,
                config=config,
            )
            if held_out
            else None,
            device=str(policy.device),
            sandbox_tier=str(executor.tier),
            observers=observers,
            release_memory=make_room,
            sampler_metrics=sampler.metrics if isinstance(sampler, BuiltinSampler) else dict,
            vacated=partial(vacated, policy, learner, device=policy.device, sleep=sleep),
        )

        def check() -> None:
            check_policy(
                policy,
                own_sampler,
                partial(score_completions, policy),
                engine=config.sampling.engine,
                temperature=config.sampling.temperature,
                max_tokens=config.longest_sequence,
            )

        yield trainer, check


@contextmanager
def _keeping(sampler: Sampler) -> Iterator[Callable[[], None]]:
    """Gives what puts the sampler to sleep; leaving the block ends what it holds."""
    if not isinstance(sampler, Resident):
        yield lambda: None
        return
    try:
        yield sampler.sleep
    finally:
        sampler.close()
