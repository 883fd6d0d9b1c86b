"""Shared by `chat` and `solve`: the trained policy and its base model, which stream their answers."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tinyzero.cli.screen import Screen
    from tinyzero.config import Config
    from tinyzero.policy.policy import Policy
    from tinyzero.run.folder import RunFolder
    from tinyzero.sampling.builtin import BuiltinSampler
    from tinyzero.types import Role


@dataclass(frozen=True, slots=True, kw_only=True)
class Speaker:
    """A model that answers: the run's policy in one role, or the untrained base model.

    Attributes:
        role: None for the base model.
    """

    label: str
    role: "Role | None"


@dataclass(frozen=True, slots=True, kw_only=True)
class Talk:
    """A loaded policy.

    Attributes:
        speakers: the models that answer each message, in order.
    """

    policy: "Policy"
    sampler: "BuiltinSampler"
    config: "Config"
    speakers: Sequence[Speaker]
    max_tokens: int
    temperature: float

    def answer(self, speaker: Speaker, ids: Sequence[int], stream: str) -> Iterator[str]:
        """Pieces of one answer, as they are sampled."""
        return self.sampler.stream(
            speaker.role, ids, max_tokens=self.max_tokens, temperature=self.temperature, stream=stream
        )


def open_talk(
    run: "RunFolder",
    screen: "Screen",
    *,
    role: "Role",
    checkpoint: str,
    with_base: bool,
    max_tokens: int | None,
    temperature: float | None,
    seed: int,
) -> Talk:
    """Load the run's policy at a checkpoint. Arguments that are None use the training values.

    Raises:
        CheckpointError: no such checkpoint. ModelLoadError: the base model. ConfigError: a wrong value.
    """
    from tinyzero.errors import ConfigError
    from tinyzero.run.trained import choose_snapshot, load_trained
    from tinyzero.sampling.builtin import BuiltinSampler
    from tinyzero.types import Role

    if temperature is not None and temperature < 0:
        raise ConfigError(f"--temperature is {temperature:g}; it must be 0 (greedy) or more")
    config = run.config()
    snapshot = choose_snapshot(run, checkpoint)
    screen.wait(f"loading {config.model.base} and the adapter of step {snapshot.step}")
    policy = load_trained(run, snapshot)
    screen.close_wait()
    screen.note(f"{run.name}, {role}, step {snapshot.step} ({snapshot.why}), on {policy.device}")
    base = [Speaker(label="base model", role=None)] if with_base else []
    budget = config.selfplay.proposal_tokens if role is Role.PROPOSER else config.selfplay.answer_tokens
    return Talk(
        policy=policy,
        sampler=BuiltinSampler(policy, config.sampling, seed),
        config=config,
        speakers=[*base, Speaker(label=f"step {snapshot.step}", role=role)],
        max_tokens=max_tokens or budget,
        temperature=config.sampling.temperature if temperature is None else temperature,
    )
