"""From what a challenger wrote to questions: parsed, run if they are programs, short enough to be asked."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from tinyzero.config import Config
from tinyzero.errors import ConfigError
from tinyzero.games.r_zero.program_question import ProgramQuestion
from tinyzero.games.r_zero.question import QUESTION
from tinyzero.games.r_zero.survey import Survey
from tinyzero.tasks.judging import verify
from tinyzero.types import Answer, Prompt, Proposal, Rejection, Runner, Sampler, Stage, Task

_ENOUGH, _ENOUGH_AT_THE_END = 64, 16
"""Questions, or answers, of which a model that can play R-Zero has written some that are readable."""


class QuestionReader:
    """Questions in words, or about programs, as `r_zero.domain` says."""

    def __init__(self, config: Config, *, sampler: Sampler, runner: Runner | None) -> None:
        """Choose the domain.

        Args:
            sampler: says which prompts fit. runner: runs programs; questions in words need none.
        """
        self._config = config
        self._sampler = sampler
        self._runner = runner
        self._programs = ProgramQuestion(config.r_zero.gate) if config.r_zero.domain == "programs" else None

    def prompt(self) -> Prompt:
        """What the challenger is asked."""
        style = self._config.prompts.style
        return self._programs.propose_prompt(style) if self._programs else QUESTION.propose_prompt([], style)

    def read(self, answers: Sequence[Answer], step: int) -> list[Task | Rejection]:
        """For each answer, the question in it, or the reason why it cannot be used."""
        proposals = [self._parse(answer) for answer in answers]
        return [
            outcome if isinstance(outcome, Rejection) else self._asked(outcome, answer)
            for outcome, answer in zip(self._verify(proposals, step), answers, strict=True)
        ]

    def _parse(self, answer: Answer) -> Proposal | Rejection:
        max_chars = self._config.pool.max_program_chars
        if self._programs:
            return self._programs.parse_proposal(answer.text, max_program_chars=max_chars)
        is_begun = bool(answer.prompt.prefill)
        return QUESTION.parse_proposal(answer.text, [], max_program_chars=max_chars, is_begun=is_begun)

    def _verify(self, proposals: Sequence[Proposal | Rejection], step: int) -> list[Task | Rejection]:
        if self._programs and self._runner:
            kinds = {QUESTION.name: self._programs}
            return verify(proposals, kinds=kinds, runner=self._runner, step=step)
        return [
            proposal if isinstance(proposal, Rejection) else QUESTION.verify(proposal, step)
            for proposal in proposals
        ]

    def _asked(self, question: Task, answer: Answer) -> Task | Rejection:
        task = replace(question, author=answer.completion.policy)
        if self._sampler.fits(QUESTION.solve_prompt(task, self._config.prompts.style)):
            return task
        return Rejection(stage=Stage.ALLOWED, detail="too long for sampling.max_prompt_tokens")


def check_readable(
    seen: Counter[str],
    outcomes: Sequence[Task | Rejection],
    surveys: Sequence[Survey],
    config: Config,
    *,
    step: int,
) -> None:
    """Count questions and answers, and raise as soon as it is plain that none can be read.

    Such a run learns nothing, since all its rewards are 0, and stays as it is.

    Args:
        seen: see `QuestionSet`; is added to.

    Raises:
        ConfigError: the model writes no questions, or does not answer any.
    """
    texts = [text for survey in surveys for text in survey.texts]
    is_read = [isinstance(outcome, Task) for outcome in outcomes]
    seen.update({"questions": len(is_read), "questions read": sum(is_read)})
    seen.update({"answers": len(texts), "answers read": sum(map(bool, texts))})
    enough = _ENOUGH_AT_THE_END if step + 1 >= config.run.max_steps else _ENOUGH
    for what in ("questions", "answers"):
        if seen[what] and not seen[f"{what} read"] and seen[what] >= enough:
            raise ConfigError(_why_unreadable(what, seen[what], outcomes, config))


def _why_unreadable(what: str, number: int, outcomes: Sequence[Task | Rejection], config: Config) -> str:
    refused = [outcome.detail for outcome in outcomes if isinstance(outcome, Rejection)]
    reason = f" (the last one: {refused[-1]})" if what == "questions" and refused else ""
    preset = "" if config.r_zero.domain == "programs" else ", or --preset r-zero-nano-cpu"
    return (
        f"{config.model.base} cannot play R-Zero: it wrote {number} {what}, and none can be read{reason}; "
        f"set another model.base or prompts.style{preset}"
    )
