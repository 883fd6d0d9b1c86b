"""From a configuration to a trainer that is ready to go: sandbox, model, sampler, learner, game, probe."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial

from tinyzero.config import Config
from tinyzero.equivalence import AnswerComparer
from tinyzero.evaluation.heldout import find_set, read_set
from tinyzero.evaluation.probe import HeldOutProbe
from tinyzero.execution import Executor
from tinyzero.games.choice import choose_game
from tinyzero.planning import is_open
from tinyzero.planning.memory import longest_sequence
from tinyzero.runs.folder import RunFolder
from tinyzero.runs.observer import Observer
from tinyzero.sampling.choice import MakeSampler, choose_sampler
from tinyzero.tasks import ALL_KINDS
from tinyzero.trainer import Trainer
from tinyzero.types import Resident, Role, Sampler


@contextmanager
def assemble(
    config: Config,
    run: RunFolder,
    observers: Sequence[Observer] = (),
    progress: Callable[[str], None] = lambda _: None,
    make_sampler: MakeSampler | None = None,
) -> Iterator[Trainer]:
    """A trainer for `config`, at the newest checkpoint of `run`; leaving the block stops its processes.

    Args:
        progress: is told what is being waited for, a few words at a time.
        make_sampler: gives a sampler of one's own; its completions must be those of the policy that learns,
            with token ids and logprobs. None for the one that the configuration names. Where it is a
            `Resident` too, it sleeps while the learner learns, and is closed in the end.

    Raises:
        ConfigError: the sampler that is asked for cannot be on this machine.
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
        ExitStack() as held,
    ):
        make_sampler = make_sampler or choose_sampler(config)
        progress(f"loading {config.model.base}")
        from tinyzero.learning.learner import LoraLearner
        from tinyzero.learning.scoring import score_completions
        from tinyzero.policy import load_policy, prepare_device, release_memory, resolve_base
        from tinyzero.policy.loading import day_of, know_again
        from tinyzero.sampling.canary import check_policy

        recorded = run.base()
        policy = load_policy(
            config.model,
            config.policy,
            device=prepare_device(config.hardware),
            temperature=config.sampling.temperature,
            seed=config.run.seed,
            frozen_roles=() if config.selfplay.train_proposer else (Role.PROPOSER,),
            today=day_of(recorded),
            progress=progress,
        )
        progress(f"recording which {config.model.base} this is")
        run.write_base({**know_again(config.model, recorded, "resume"), "today": str(policy.frame.today)})
        budgets = {
            Role.PROPOSER: config.selfplay.proposal_tokens,
            Role.SOLVER: config.selfplay.answer_tokens,
        }
        if config.sampling.engine != "builtin":
            progress(f"getting the sampler ready ({config.sampling.engine})")
        sampler = make_sampler(policy, config)
        sleep = held.enter_context(_keeping(sampler))

        def make_room() -> None:
            sleep()
            release_memory()

        held_out = find_set(config.evaluation.heldout, resolve_base(config.model.base), resolve_base("nano"))
        trainer = Trainer(
            config=config,
            run=run,
            policy=policy,
            game=choose_game(config, sampler=sampler, executor=executor, comparer=comparer),
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
            release_memory=make_room,
        )
        progress("reading the newest checkpoint")
        trainer.restore()
        progress("comparing the sampler's probabilities with the learner's")
        check_policy(
            policy,
            sampler,
            partial(score_completions, policy),
            engine=config.sampling.engine,
            temperature=config.sampling.temperature,
            max_tokens=longest_sequence(config),
        )
        yield trainer


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
