"""The content of a proposer's prompt: a kind, earlier tasks as references, earlier programs it must call."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from random import Random

from tinyzero.config import Config, CurriculumConfig
from tinyzero.tasks.base import Kind, Style
from tinyzero.tasks.composite import compose, usable_blocks, with_blocks
from tinyzero.tasks.pool.pool import Pool
from tinyzero.tasks.program_and_input import ProgramAndInput
from tinyzero.types import Prompt, Proposal, Rejection, Task

_TRIED = 8
_RAMP_STEPS = 100  # the share of composite programs and their number of blocks rise linearly over it
_MOST_BLOCKS = 2
"""Candidate programs for each building block; not every program can be a block."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Brief:
    """The order for one proposal.

    Attributes:
        references: earlier tasks in the prompt. blocks: tasks whose programs the proposal must call.
        sources: the programs of the blocks, as functions g_0, g_1, ...
    """

    kind: Kind
    references: tuple[Task, ...]
    blocks: tuple[Task, ...] = ()
    sources: tuple[str, ...] = ()

    def prompt(self, style: Style) -> Prompt:
        prompt = self.kind.propose_prompt(self.references, style)
        return with_blocks(prompt, self.sources, style) if self.sources else prompt

    def read(self, answer: str, max_program_chars: int) -> Proposal | Rejection:
        """The proposal in an answer, or the reason why the answer has none."""
        proposal = self.kind.parse_proposal(answer, self.references, max_program_chars=max_program_chars)
        if isinstance(proposal, Rejection) or not self.sources:
            return proposal
        parents = (*proposal.parents, *(task.id for task in self.blocks))
        return compose(replace(proposal, parents=parents), self.sources, max_program_chars)

    def shortened(self) -> "Brief | None":
        """The brief with one reference less, or without blocks; None if nothing can be removed."""
        if len(self.references) > 1:
            return replace(self, references=self.references[:-1])
        return replace(self, blocks=(), sources=()) if self.blocks else None


def draw_briefs(
    turn: int,
    purpose: str = "",
    *,
    kinds: Mapping[str, Kind],
    pool: Pool,
    config: Config,
    fits: Callable[[Prompt], bool],
) -> list[Brief]:
    """One brief for each of the P prompts of a step, shortened until its prompt fits.

    Args:
        turn: the step. purpose: random stream of rounds that are not steps, such as `"seeding/"`. Proposals
            of such rounds need not call earlier programs.
    """
    briefs = []
    num_prompts = config.selfplay.proposals_per_step // config.selfplay.siblings
    for place, name in enumerate(kinds_in_turn(list(kinds), turn, num_prompts)):
        stream = f"{config.run.seed}/{purpose}{turn}"
        brief = _draw(_from(name, kinds), pool, config, Random(f"{stream}/refs/{place}"))
        if not purpose:
            brief = _with_blocks(brief, turn, pool, config, Random(f"{stream}/blocks/{place}"))
        briefs.append(_that_fits(brief, config.prompts.style, fits))
    return briefs


def kinds_in_turn(names: Sequence[str], step: int, count: int) -> list[str]:
    """The kind of each of `count` proposals. If they do not divide evenly, the extra ones rotate by step."""
    return [names[(step * count + place) % len(names)] for place in range(count)]


def _from(name: str, kinds: Mapping[str, Kind]) -> list[Kind]:
    """All kinds in order, starting with the named kind."""
    names = list(kinds)
    start = names.index(name)
    return [kinds[name] for name in (*names[start:], *names[:start])]


def _draw(in_turn: Sequence[Kind], pool: Pool, config: Config, rng: Random) -> Brief:
    """A brief for the first kind that can propose. If none can, the first kind gets a seed as reference."""
    for kind in in_turn:
        references = kind.draw_references(pool, config.selfplay.references, rng)
        if references is not None:
            return Brief(kind=kind, references=tuple(references))
    return Brief(kind=in_turn[0], references=in_turn[0].seeds()[:1])


def _with_blocks(brief: Brief, step: int, pool: Pool, config: Config, rng: Random) -> Brief:
    count = num_blocks(config.curriculum, step, rng)
    if count == 0 or not isinstance(brief.kind, ProgramAndInput):  # other kinds have a fixed program
        return brief
    candidates = pool.programs(count * _TRIED, rng)
    blocks, sources = usable_blocks(candidates, count, config.pool.max_program_chars // 2)
    return replace(brief, blocks=blocks, sources=sources)


def num_blocks(curriculum: CurriculumConfig, step: int, rng: Random) -> int:
    """How many earlier programs a proposal of this step must call; 0 for a plain proposal."""
    if curriculum.composite_share == 0 or step < curriculum.composite_from_step:
        return 0
    ramp = min(1.0, (step - curriculum.composite_from_step + 1) / _RAMP_STEPS)
    if rng.random() >= ramp * curriculum.composite_share:
        return 0
    return max(1, round(ramp * _MOST_BLOCKS))


def _that_fits(brief: Brief, style: Style, fits: Callable[[Prompt], bool]) -> Brief:
    while not fits(brief.prompt(style)) and (shorter := brief.shortened()) is not None:
        brief = shorter
    return brief
