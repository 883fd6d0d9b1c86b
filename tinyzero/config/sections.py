"""All knobs except those of the game, which are in tinyzero.config.game."""

from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from tinyzero.config.game import (
    AdvantagesConfig,
    CurriculumConfig,
    PoolConfig,
    RewardsConfig,
    RZeroConfig,
    SelfPlayConfig,
    WatchConfig,
)
from tinyzero.config.learner import LearnerConfig
from tinyzero.config.sampling import VLLM_RANKS, SamplingConfig
from tinyzero.config.section import Section
from tinyzero.types import Claim

Device = Literal["cpu", "cuda"]
Loader = Literal["transformers", "unsloth"]
Quantization = Literal["nf4", "none"]
Dtype = Literal["float32", "float16", "bfloat16"]


SAMPLES_STRIDE = 10
"""Of this many early steps, `run.keep_samples` keeps the samples of one."""


class RunConfig(Section):
    """When a run stops, and which files it keeps."""

    max_steps: int = Field(default=200, ge=1)
    """Steps, counted from the start of the run (also after a resume)."""
    max_minutes: float | None = Field(default=None, gt=0)
    """Wall minutes of this process after which the run stops at the end of a step; none = no limit."""
    seed: int = Field(default=0, ge=0)
    """Seed of all random numbers of the run."""
    output: str = "runs"
    """Folder in which run folders are created."""
    checkpoint_every_steps: int = Field(default=20, ge=1)
    """Steps between checkpoints; a kill loses at most this many steps."""
    checkpoint_every_minutes: float | None = Field(default=None, gt=0)
    """Minutes after which a checkpoint is due as well, at the end of a step; none = by steps only."""
    keep_checkpoints: int = Field(default=2, ge=1)
    """Number of newest checkpoints kept on disk, besides the best by held-out accuracy."""
    samples_per_step: int = Field(default=6, ge=0)
    """Prompts and answers written to samples.jsonl each step."""
    keep_samples: int | None = Field(default=None, ge=1)
    """Newest steps that keep all samples; of earlier steps, one in ten keeps them; none = all steps do."""
    plugins: tuple[str, ...] = ()
    """Your own code (docs/extending.md): Python files, relative to the file that names them, or modules. The
    same as `--plugin`, but with a question before the code runs."""
    expect: str | None = None
    """A claim that the end of the run is held against: heldout+3 says that sampled held-out accuracy rises
    by 3 points or more, heldout-2 that it falls, greedy+3 is about greedy answers. It cannot change later."""

    @field_validator("expect")
    @classmethod
    def _read_claim(cls, text: str | None) -> str | None:
        return None if text is None else str(Claim.parse(text))

    notify: str | None = None
    """A webhook's address (https://...) or a command that is told of alarms and of the end, as a JSON
    object. No file may set it and the run's folder does not keep it: give it with --set, on --resume too."""


class HardwareConfig(Section):
    """The hardware that a preset is written for; `train` checks it against the machine before loading."""

    device: Literal["auto", Device] = "auto"
    """Device of the model; auto: CUDA if available."""
    card: str | None = None
    """The card that the preset is written for, in the format of `tinyzero plan --gpu`; plans use it
    on machines without a GPU."""
    threads: int | None = Field(default=None, ge=1)
    """CPU threads for torch; none = one per core. Part of what makes a CPU run reproducible."""


class ModelConfig(Section):
    """The frozen base model."""

    base: str = "nano"
    """`nano` (in the package), a local folder, or a Hub id."""
    revision: str | None = None
    """Branch, tag or commit of a Hub id; pin it to reproduce a run."""
    frame: Literal["auto", "conversation"] = "auto"
    """The format around a prompt. auto: the chat template of the model's tokenizer, if it has one.
    conversation: R1-Zero's plain-text conversation, also for base models whose tokenizer has a template."""
    loader: Literal["auto", Loader] = "auto"
    """The library that loads the model. auto: unsloth if installed, with CUDA and a shared adapter;
    else transformers."""
    quantization: Literal["auto", Quantization] = "auto"
    """nf4 = 4 bit with double quantisation. auto: nf4 on CUDA, none on CPU."""
    dtype: Literal["auto", Dtype] = "auto"
    """Compute type. auto: float32 on CPU, bfloat16 on cards that support it, else float16."""
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
    """How prompts are written."""

    style: Literal["full", "direct", "compact"] = "full"
    """full: instructions in words, with room to reason first. direct: the same, with a prefill that begins
    the answer; for instruct models too small to reason. compact: a few tokens, for small contexts and cards;
    only a model trained on this form, such as nano, can answer in it."""


class EvaluationConfig(Section):
    """Measurements on held-out tasks, which never train."""

    heldout: str | None = "auto"
    """cruxeval: 400 tasks of the three kinds on programs of CRUXEval. gsm8k: 200 word problems from GSM8K,
    for R-Zero. nano: nano's own tasks. Or a JSONL file of tasks; none = do not measure. auto: the set in the
    base model's folder (nano has one); else on CUDA cruxeval or gsm8k, as the game is; else none."""
    attempts: int = Field(default=8, ge=1)
    """Answers sampled for each held-out task, at the sampling temperature, in addition to a greedy one."""
    sampled_tasks: int | None = Field(default=None, ge=1)
    """Held-out tasks with sampled answers, also used during training, chosen evenly; none = all. Before
    the first step and after the last, all tasks get a greedy answer."""
    every_steps: int | None = Field(default=None, ge=1)
    """Steps between measurements; none = only before the first step and after the last."""
    attempts_between: int | None = Field(default=None, ge=1)
    """Answers per task during training, since a curve needs fewer than a table; none = `attempts`."""
    curve: bool = False
    """Also measure the base model at temperatures 0.7, 0.5 and 0.3, so that a gain in sampled accuracy can be
    compared with the gain of a lower temperature alone. Half of `attempts` at each."""


class ExecutionConfig(Section):
    """Limits for untrusted programs. They are part of a task's definition: keep them during a run."""

    cpu_s: float = Field(default=0.25, gt=0, le=60)
    """CPU seconds for one run; a proposal must finish in half of it. Four times this in wall time
    stops a run that does not compute; a run that a busy machine starves gets up to four times that cap."""
    memory_mib: int = Field(default=512, ge=64)
    """Address space of one run, MiB."""
    workers: int | None = Field(default=None, ge=1)
    """Parallel runs; none = one per core."""
    allow_weak_sandbox: bool = False
    """Run even if the system cannot confine programs (macOS). They could then read your files."""


class TrackersConfig(Section):
    """Further destinations of metrics; all off by default. Each needs the package of its name."""

    tensorboard: bool = False
    """Event files in the run's folder."""
    wandb: bool = False
    """Weights & Biases; kept in the run's folder unless `online`."""
    trackio: bool = False
    """Trackio's local database."""
    project: str = Field(default="tinyzero", min_length=1)
    """The project's name in wandb and trackio."""
    online: bool = False
    """Let wandb upload its data; if off, `wandb sync` can do so later."""


_LATER_PENALTIES = ("failing_proposal", "duplicate_proposal")


class Config(Section):
    """The configuration of one run as written: a knob may be auto. In `Settled` all knobs are decided."""

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
        """Tokens of the longest prompt plus the longest completion."""
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
        if self.selfplay.proposals_per_step % self.selfplay.siblings:
            raise ValueError(
                f"selfplay.siblings is {self.selfplay.siblings}, which does not divide "
                f"selfplay.proposals_per_step ({self.selfplay.proposals_per_step}); change one of the two"
            )
        self._check_penalties()
        self._check_scale()
        self._check_solver_batch()
        self._check_r_zero()
        self._check_sampler()
        self._check_loss()
        return self

    def _check_loss(self) -> None:
        learner = self.learner
        if learner.clip_delta is not None and learner.clip_delta <= 1 + learner.clip_high:
            raise ValueError(
                f"learner.clip_delta is {learner.clip_delta}, not above 1 + learner.clip_high "
                f"({1 + learner.clip_high:g}); raise it, or set it to none"
            )
        is_token_mean = learner.objective == "cispo" or learner.entropy_coef > 0
        if learner.engine == "trl" and is_token_mean and learner.normalization != "token":
            raise ValueError(
                f'learner.normalization = "{learner.normalization}" is not what TRL has for CISPO and the '
                'entropy term; set it to "token", or learner.engine to "builtin"'
            )

    def _check_r_zero(self) -> None:
        if self.selfplay.game != "r-zero":
            return
        foreign = {
            "selfplay.separate_solver_batch": self.selfplay.separate_solver_batch,
            "selfplay.replays_per_step": self.selfplay.replays_per_step,
            "pool.seed_tasks": self.pool.seed_tasks,
            "curriculum.composite_share": self.curriculum.composite_share,
            "rewards.bonuses": self.rewards.bonuses,
            "rewards.solver_terms": self.rewards.solver_terms,
        }
        knob = next((name for name, value in foreign.items() if value), None)
        if knob is not None:
            raise ValueError(f'{knob} is for selfplay.game = "absolute-zero"; R-Zero does not use it')
        if self.r_zero.domain == "words" and self.r_zero.gate != RZeroConfig().gate:
            raise ValueError('r_zero.gate is for r_zero.domain = "programs"; questions in words have none')

    def _check_scale(self) -> None:
        if self.advantages.scale == "mean" and self.rewards.solver != "binary":
            raise ValueError(
                f'advantages.scale = "mean" divides by the mean reward, and rewards.solver = '
                f'"{self.rewards.solver}" has negative ones; set it to "binary"'
            )
        if self.advantages.scale == "mean" and self.rewards.solver_terms:
            raise ValueError(
                'advantages.scale = "mean" divides by the mean reward, which rewards.solver_terms can make '
                "negative; leave one of the two out"
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
        if self.advantages.estimator in ("group", "leave-one-out"):
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
