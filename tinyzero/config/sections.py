"""Every knob, once; those of the game are in tinyzero.config.game."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from tinyzero.config.game import (
    AdvantagesConfig,
    CurriculumConfig,
    PoolConfig,
    RewardsConfig,
    RZeroConfig,
    SelfPlayConfig,
    WatchConfig,
)
from tinyzero.config.sampling import VLLM_RANKS, SamplingConfig
from tinyzero.config.section import Section

Device = Literal["cpu", "cuda"]
Loader = Literal["transformers", "unsloth"]
Quantization = Literal["nf4", "none"]
Dtype = Literal["float32", "float16", "bfloat16"]
Optimizer = Literal["adamw", "adamw8bit", "paged_adamw8bit"]


class RunConfig(Section):
    """When a run stops, and what it leaves behind."""

    max_steps: int = Field(default=200, ge=1)
    """Steps, counted from the run's beginning (also after a resume)."""
    max_minutes: float | None = Field(default=None, gt=0)
    """Wall minutes of this process after which the run stops at the end of a step; none = no limit."""
    seed: int = Field(default=0, ge=0)
    """Names every random number of the run."""
    output: str = "runs"
    """Folder in which run folders are made."""
    checkpoint_every_steps: int = Field(default=20, ge=1)
    """Steps between checkpoints; a kill loses at most these."""
    keep_checkpoints: int = Field(default=2, ge=1)
    """Newest checkpoints kept on disk."""
    samples_per_step: int = Field(default=6, ge=0)
    """Prompts and answers written to samples.jsonl each step."""


class HardwareConfig(Section):
    """What a preset was made for; `train` compares it with the machine before it loads anything."""

    device: Literal["auto", Device] = "auto"
    """Where the model lives; auto takes CUDA where there is one."""
    card: str | None = None
    """The card that the preset is made for, as `tinyzero plan --gpu` takes it; planned for on machines
    without a GPU."""
    threads: int | None = Field(default=None, ge=1)
    """CPU threads for torch; none = one per core. Part of what makes a CPU run reproducible."""


class ModelConfig(Section):
    """The frozen base model."""

    base: str = "nano"
    """`nano` (ships with the package), a local folder, or a Hub id."""
    revision: str | None = None
    """Branch, tag or commit of a Hub id; pin it to reproduce a run."""
    frame: Literal["auto", "conversation"] = "auto"
    """What is put around a prompt. auto: the chat template of the model's tokenizer, where it has one.
    conversation: the plain written one of R1-Zero; for base models whose tokenizer has a template as well."""
    loader: Literal["auto", Loader] = "auto"
    """What reads the model. auto: unsloth where it is installed, CUDA is there and the adapter is shared;
    else transformers."""
    quantization: Literal["auto", Quantization] = "auto"
    """nf4 = 4 bit with double quantisation. auto: nf4 on CUDA, none on CPU."""
    dtype: Literal["auto", Dtype] = "auto"
    """Compute type. auto: float32 on CPU, bfloat16 on cards that have it, else float16."""
    gradient_checkpointing: bool = False
    """Recompute activations in the backward pass: about 30 % slower, a fraction of the activation memory."""


class PolicyConfig(Section):
    """The LoRA adapters."""

    adapters: Literal["shared", "per-role"] = "shared"
    """One adapter that plays both roles, or one for each."""
    rank: int = Field(default=16, ge=1)
    """LoRA rank; reinforcement learning needs little."""
    alpha: int = Field(default=32, ge=1)
    """The update is scaled by alpha / rank."""


class PromptsConfig(Section):
    """How a model is asked."""

    style: Literal["full", "direct", "compact"] = "full"
    """full: instructions in words, with room to reason first. direct: the same, with the answer begun for the
    model; for instruct models too small to reason. compact: a few tokens, for small contexts and small cards;
    only a model that was taught the form, as nano was, answers in it unasked."""


class LearnerConfig(Section):
    """From rollouts to one optimizer step on the LoRA weights."""

    engine: Literal["builtin", "trl"] = "builtin"
    """Whose loss is minimised: TinyZero's own, or that of TRL's GRPOTrainer on the same rollouts. Their
    gradients are equal; trl costs one more forward pass, and computes a shared prompt once per answer. Under
    unsloth it is what unsloth puts in the place of TRL's, compared with ours at the first step."""
    optimizer: Literal["auto", Optimizer] = "auto"
    """adamw keeps its moments in 32 bit, adamw8bit (bitsandbytes) in 8; paged_adamw8bit lets them move to
    main memory when the card is full. auto: adamw8bit on CUDA, adamw on CPU."""
    lr: float = Field(default=2e-5, gt=0)
    """Learning rate of the LoRA weights, about ten times that of full fine-tuning."""
    schedule: Literal["constant", "linear"] = "constant"
    """linear: the learning rate falls to zero at run.max_steps, which averages noise out; for runs of a
    known length."""
    warmup_steps: int = Field(default=0, ge=0)
    """Steps over which the learning rate rises to its value; Adam's first steps are its least certain."""
    max_grad_norm: float = Field(default=1.0, gt=0)
    """Gradients are clipped to this norm."""
    micro_batch_tokens: Annotated[int, Field(ge=64)] | Literal["auto"] = 4096
    """Padded tokens per forward and backward. Lower this first when memory runs out. auto: as many as the
    memory of this machine's card has room for."""
    normalization: Literal["token", "sequence", "fixed"] = "token"
    """Loss per adapter: mean over completion tokens (DAPO), mean of sequence means (GRPO), or sum /
    (rollouts x completion budget) (Dr. GRPO)."""
    clip_low: float = Field(default=0.2, ge=0, lt=1)
    """Lower half-width of the ratio interval."""
    clip_high: float = Field(default=0.28, ge=0)
    """Upper half-width ("clip higher", DAPO)."""
    updates_per_round: int = Field(default=1, ge=1)
    """Optimizer steps on each round; the ratio is 1 and clipping inert at 1."""
    sampler_cap: float = Field(default=2.0, ge=1)
    """Cap of the weight exp(policy - sampler) that corrects the sampler's numerical gap."""
    kl_coef: float = Field(default=0.0, ge=0)
    """Weight of the KL divergence to the reference (adapter off); above 0 costs one more forward pass."""


class EvaluationConfig(Section):
    """Held-out tasks: how good the policy is at what it never trains on."""

    heldout: str | None = "auto"
    """auto: the set that lies beside the base model (nano has one), if any. nano: that set, for any model.
    gsm8k: 200 word problems from GSM8K, for R-Zero. Or a JSONL file of tasks; none = do not measure."""
    attempts: int = Field(default=8, ge=1)
    """Answers sampled for each held-out task, at the sampling temperature; a greedy one comes on top."""
    sampled_tasks: int | None = Field(default=None, ge=1)
    """Held-out tasks that get sampled answers and are measured on the way, chosen evenly; none = all. Before
    the first step and after the last, all tasks get a greedy answer."""
    every_steps: int | None = Field(default=None, ge=1)
    """Steps between measurements on the way; none = only before the first step and after the last."""
    attempts_between: int | None = Field(default=None, ge=1)
    """Answers sampled for each task on the way, where a curve needs fewer than a table; none = `attempts`."""
    curve: bool = False
    """Measure the base model at temperatures 0.7, 0.5 and 0.3 too, so that a gain in sampled accuracy can be
    told from what a lower temperature alone would gain. Half of `attempts` at each."""


class ExecutionConfig(Section):
    """Limits for untrusted programs. They are part of what a task is: do not change them in mid-run."""

    cpu_s: float = Field(default=0.25, gt=0, le=60)
    """CPU seconds for one run; a proposal must finish in half of it. Four times as many seconds of wall time
    stop a run that does not compute; one that a busy machine starves may go on up to four times that cap."""
    memory_mib: int = Field(default=512, ge=64)
    """Address space of one run, MiB."""
    workers: int | None = Field(default=None, ge=1)
    """Runs in flight at once; none = one per core."""
    allow_weak_sandbox: bool = False
    """Run even where the system cannot confine programs (macOS). They could then read your files."""


class TrackersConfig(Section):
    """Where metrics go besides the run's folder; nothing by default. `pip install 'tinyzero[trackers]'`."""

    tensorboard: bool = False
    """Event files in the run's folder."""
    wandb: bool = False
    """Weights & Biases; kept in the run's folder unless `online`."""
    trackio: bool = False
    """Trackio's local database."""
    project: str = Field(default="tinyzero", min_length=1)
    """The project's name at wandb and trackio."""
    online: bool = False
    """Let wandb send what it is told to its service; off, `wandb sync` can do that later."""


_LATER_PENALTIES = ("failing_proposal", "duplicate_proposal")


class Config(Section):
    """One run as it is written: a knob may say auto. `Settled` is the same with all of them decided."""

    run: RunConfig = RunConfig()
    hardware: HardwareConfig = HardwareConfig()
    model: ModelConfig = ModelConfig()
    policy: PolicyConfig = PolicyConfig()
    prompts: PromptsConfig = PromptsConfig()
    selfplay: SelfPlayConfig = SelfPlayConfig()
    r_zero: RZeroConfig = RZeroConfig()
    curriculum: CurriculumConfig = CurriculumConfig()
    pool: PoolConfig = PoolConfig()
    rewards: RewardsConfig = RewardsConfig()
    advantages: AdvantagesConfig = AdvantagesConfig()
    sampling: SamplingConfig = SamplingConfig()
    learner: LearnerConfig = LearnerConfig()
    evaluation: EvaluationConfig = EvaluationConfig()
    execution: ExecutionConfig = ExecutionConfig()
    watch: WatchConfig = WatchConfig()
    trackers: TrackersConfig = TrackersConfig()

    @property
    def longest_sequence(self) -> int:
        """Tokens of the longest prompt with the longest completion."""
        longest_completion = max(self.selfplay.proposal_tokens, self.selfplay.answer_tokens)
        return self.sampling.max_prompt_tokens + longest_completion

    @model_validator(mode="after")
    def _check_across_sections(self) -> Self:
        kinds = self.selfplay.kinds
        if len(set(kinds)) < len(kinds):
            raise ValueError(f"selfplay.kinds names a kind twice: {', '.join(kinds)}")
        if self.selfplay.references > self.pool.capacity:
            raise ValueError(
                f"selfplay.references is {self.selfplay.references}, but pool.capacity only "
                f"{self.pool.capacity}; raise it"
            )
        self._check_penalties()
        self._check_scale()
        self._check_solver_batch()
        self._check_r_zero()
        self._check_sampler()
        return self

    def _check_r_zero(self) -> None:
        if self.selfplay.game != "r-zero":
            return
        foreign = {
            "selfplay.separate_solver_batch": self.selfplay.separate_solver_batch,
            "selfplay.replays_per_step": self.selfplay.replays_per_step,
            "pool.seed_tasks": self.pool.seed_tasks,
            "curriculum.composite_share": self.curriculum.composite_share,
            "rewards.bonuses": self.rewards.bonuses,
        }
        wanted = next((name for name, value in foreign.items() if value), None)
        if wanted is not None:
            raise ValueError(f'{wanted} is for selfplay.game = "absolute-zero"; R-Zero has no such thing')

    def _check_scale(self) -> None:
        if self.advantages.scale == "mean" and self.rewards.solver != "binary":
            raise ValueError(
                f'advantages.scale = "mean" divides by the mean reward, and rewards.solver = '
                f'"{self.rewards.solver}" has negative ones; set it to "binary"'
            )

    def _check_penalties(self) -> None:
        malformed = self.rewards.malformed_proposal
        for name in _LATER_PENALTIES:
            value = getattr(self.rewards, name)
            if malformed > value:
                raise ValueError(
                    f"rewards.malformed_proposal is {malformed}, above rewards.{name} ({value}): the "
                    "proposer would learn to be unreadable; lower it"
                )

    def _check_solver_batch(self) -> None:
        if not self.selfplay.separate_solver_batch:
            return
        if self.advantages.estimator != "task-relative":
            raise ValueError(
                f"selfplay.separate_solver_batch asks one answer to a task, and advantages.estimator "
                f'"{self.advantages.estimator}" compares several; set it to "task-relative"'
            )
        if self.selfplay.replays_per_step:
            raise ValueError(
                "selfplay.separate_solver_batch trains on earlier tasks already; set "
                "selfplay.replays_per_step to 0"
            )

    def _check_sampler(self) -> None:
        largest = VLLM_RANKS[-1]
        if self.sampling.engine == "vllm" and self.policy.rank > largest:
            raise ValueError(
                f"policy.rank is {self.policy.rank}, and vLLM serves at most {largest}; lower it"
            )
