"""From a configuration to a trainer that is ready to go: sandbox, model, sampler, learner, game, probe."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

from tinyzero.config import Config
from tinyzero.equivalence import AnswerComparer
from tinyzero.evaluation.heldout import find_set, read_set
from tinyzero.evaluation.probe import HeldOutProbe
from tinyzero.execution import Executor
from tinyzero.games.absolute_zero import AbsoluteZero
from tinyzero.games.r_zero import RZero
from tinyzero.planning import is_open
from tinyzero.runs.folder import RunFolder
from tinyzero.runs.observer import Observer
from tinyzero.tasks import ALL_KINDS, KINDS
from tinyzero.trainer import Game, Trainer
from tinyzero.types import Comparer, Role, Runner, Sampler

if TYPE_CHECKING:
    from tinyzero.policy import Policy


@contextmanager
def assemble(
    config: Config,
    run: RunFolder,
    observers: Sequence[Observer] = (),
    progress: Callable[[str], None] = lambda _: None,
    make_sampler: Callable[["Policy", Config], Sampler] | None = None,
) -> Iterator[Trainer]:
    """A trainer for `config`, at the newest checkpoint of `run`; leaving the block stops its processes.

    Args:
        progress: is told what is being waited for, a few words at a time.
        make_sampler: gives a sampler of one's own; its completions must be those of the policy that learns,
            with token ids and logprobs. None for the one that the configuration names.

    Raises:
        ExecutorBroken: the sandbox does not hold on this machine.
        ModelLoadError: the base model cannot be loaded.
        SamplerBroken: its answers are not those of the policy that is trained.
        CheckpointError: the run has checkpoints and none can be read.
    """
    assert not is_open(config), "the command line puts numbers where a knob says auto"  # noqa: S101
    # Torch and transformers take seconds to import, so nothing above this line has done it.
    progress("starting the sandbox")
    with (
        Executor(config.execution) as executor,
        AnswerComparer(
            workers=config.execution.workers or os.cpu_count() or 1,
            timeout_s=config.r_zero.compare_s,
            allow_weak_sandbox=config.execution.allow_weak_sandbox,
        ) as comparer,
    ):
        progress(f"loading {config.model.base}")
        from tinyzero.learning.learner import LoraLearner
        from tinyzero.learning.scoring import score_completions
        from tinyzero.policy import load_policy, prepare_device, release_memory, resolve_base
        from tinyzero.sampling.canary import check_sampler

        policy = load_policy(
            config.model,
            config.policy,
            device=prepare_device(config.hardware),
            temperature=config.sampling.temperature,
            seed=config.run.seed,
            frozen_roles=() if config.selfplay.train_proposer else (Role.PROPOSER,),
            progress=progress,
        )
        budgets = {
            Role.PROPOSER: config.selfplay.proposal_tokens,
            Role.SOLVER: config.selfplay.answer_tokens,
        }
        sampler = (make_sampler or builtin_sampler)(policy, config)
        held_out = find_set(config.evaluation.heldout, resolve_base(config.model.base), resolve_base("nano"))
        trainer = Trainer(
            config=config,
            run=run,
            policy=policy,
            game=make_game(config, sampler=sampler, executor=executor, comparer=comparer),
            learner=LoraLearner(
                policy,
                config.learner,
                config.sampling.temperature,
                completion_budgets=budgets,
                total_rounds=config.run.max_steps,
            ),
            probe=HeldOutProbe(
                held_out=read_set(held_out, ALL_KINDS),
                sampler=sampler,
                runner=executor,
                kinds=ALL_KINDS,
                config=config,
            )
            if held_out
            else None,
            device=str(policy.device),
            sandbox_tier=str(executor.tier),
            observers=observers,
            release_memory=release_memory,
        )
        progress("reading the newest checkpoint")
        trainer.restore()
        progress("comparing the sampler's probabilities with the learner's")
        check_sampler(
            sampler,
            partial(score_completions, policy),
            engine=config.sampling.engine,
            temperature=config.sampling.temperature,
        )
        yield trainer


def make_game(config: Config, *, sampler: Sampler, executor: Runner, comparer: Comparer) -> Game:
    """The game that is configured. Raises ConfigError for an unknown kind or bonus."""
    if config.selfplay.game == "r-zero":
        return RZero(config, sampler=sampler, comparer=comparer)
    return AbsoluteZero(config, sampler=sampler, executor=executor, kinds=KINDS)


def builtin_sampler(policy: "Policy", config: Config) -> Sampler:
    """The sampler that decodes with the very module that learns."""
    from tinyzero.sampling.builtin import BuiltinSampler

    return BuiltinSampler(policy, config.sampling, config.run.seed)
