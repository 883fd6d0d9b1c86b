"""Made-up rollouts, for what does not look at verdicts."""

from tinyzero.types import (
    Answer,
    AttemptRollout,
    Completion,
    Prompt,
    ProposalRollout,
    Rejection,
    RewardBreakdown,
    Role,
    Stage,
    Verdict,
    VerdictStatus,
)


def rollout_of(role, *, prompt=None, completion=None, kind="deduction", task_id="", terms=None):
    """A refused proposal, or a wrong attempt."""
    answer = Answer(prompt=prompt or Prompt(kind=kind, text=""), completion=completion or Completion(text=""))
    reward = RewardBreakdown(terms=terms or {})
    if role is Role.PROPOSER:
        return ProposalRollout(answer=answer, reward=reward, outcome=Rejection(stage=Stage.PARSED))
    verdict = Verdict(status=VerdictStatus.WRONG)
    return AttemptRollout(answer=answer, reward=reward, task_id=task_id, verdict=verdict)
