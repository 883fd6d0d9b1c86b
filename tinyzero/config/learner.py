"""Knobs of learning: the loss, its optimizer and its batches."""

from typing import Annotated, Literal

from pydantic import Field

from tinyzero.config.section import Section

Optimizer = Literal["adamw", "adamw8bit", "paged_adamw8bit"]


class LearnerConfig(Section):
    """How rollouts become optimizer steps on the LoRA weights."""

    engine: Literal["builtin", "trl"] = "builtin"
    """The loss: TinyZero's own, or that of TRL's GRPOTrainer on the same rollouts. Their
    gradients are equal; trl costs one more forward pass, and computes a shared prompt once per answer. Under
    unsloth it is unsloth's replacement of TRL's loss, checked against the built-in one at the first step."""
    optimizer: Literal["auto", Optimizer] = "auto"
    """adamw keeps its moments in 32 bit, adamw8bit (bitsandbytes) in 8; paged_adamw8bit lets them move to
    main memory when the card is full. auto: adamw8bit on CUDA, adamw on CPU."""
    lr: float = Field(default=2e-5, gt=0, le=1e30)
    """Learning rate of the LoRA weights, about ten times that of full fine-tuning."""
    schedule: Literal["constant", "linear"] = "constant"
    """linear: the learning rate falls to zero at run.max_steps, which averages noise out; for runs of a
    known length."""
    warmup_steps: int = Field(default=0, ge=0)
    """Steps over which the learning rate rises to its value; Adam's first steps are the least reliable."""
    max_grad_norm: float = Field(default=1.0, gt=0)
    """Gradients are clipped to this norm."""
    micro_batch_tokens: Annotated[int, Field(ge=64)] | Literal["auto"] = 4096
    """Padded tokens per forward and backward. Lower this first when memory runs out. auto: as many as the
    memory of this machine's card allows."""
    normalization: Literal["token", "sequence", "fixed"] = "token"
    """Loss per adapter: mean over completion tokens (DAPO), mean of sequence means (GRPO), or sum /
    (rollouts x completion budget) (Dr. GRPO)."""
    clip_low: float = Field(default=0.2, ge=0, lt=1)
    """Lower half-width of the ratio interval."""
    clip_high: float = Field(default=0.28, ge=0)
    """Upper half-width ("clip higher", DAPO)."""
    clip_delta: float | None = Field(default=None, gt=1)
    """Upper limit of the ratio where the advantage is negative, above 1 + clip_high (dual clip): one token
    that has become far more likely does not rule the step. none = no limit; 3 in the published code."""
    ratio: Literal["token", "sequence"] = "token"
    """token: a ratio per token (PPO). sequence: the geometric mean over a completion, which all its tokens
    share (GSPO); it moves far less, and its authors clip at 3e-4 and 4e-4."""
    objective: Literal["clipped", "cispo"] = "clipped"
    """clipped: PPO's, in which a clipped token has no gradient. cispo: the ratio, cut off at 1 + clip_high,
    is a constant weight of the logprob, so that every token keeps its gradient (CISPO)."""
    mask_truncated: bool = False
    """Completions that ran out of budget have no gradient, and their tokens do not count (DAPO): being cut
    off says nothing about an answer. Their rewards still count in the baselines of others."""
    entropy_coef: float = Field(default=0.0, ge=0)
    """Weight of the policy's entropy, whose tokens count as in the loss. It is added to the objective: above
    0, the policy keeps more of its choices."""
    updates_per_round: int = Field(default=1, ge=1)
    """Optimizer steps per round; with 1, the ratio is 1 and clipping has no effect."""
    sampler_cap: float = Field(default=2.0, ge=1)
    """Cap of the weight exp(policy - sampler) that corrects the sampler's numerical gap."""
    kl_coef: float = Field(default=0.0, ge=0)
    """Weight of the KL divergence to the reference (adapter off); above 0 costs one more forward pass."""
