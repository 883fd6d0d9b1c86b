"""A module in place of `vllm`, with the signatures of vllm 0.31.0; what is not in them is refused.

Copied by hand, names and defaults, from the wheel vllm-0.31.0-cp38-abi3-manylinux_2_28_x86_64.whl:
`LLM.__init__`, `generate`, `sleep`, `wake_up` from vllm/entrypoints/llm.py; what goes on to `EngineArgs` from
vllm/engine/arg_utils.py; `add_lora`, `remove_lora` from vllm/v1/engine/llm_engine.py, `shutdown` from
vllm/v1/engine/core_client.py; `SamplingParams` from vllm/sampling_params.py; `LoRARequest` from
vllm/lora/request.py; `CompletionOutput` from vllm/outputs.py; `Logprob` from vllm/logprobs.py.
"""

import sys
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

from tinyzero.sampling.vllm.engine import HandedOver, SampleSpec

# Of the many fields of EngineArgs, those that this may be called with.
ENGINE_ARGS = {
    "max_model_len", "max_num_seqs", "enable_lora", "max_lora_rank", "max_loras", "max_cpu_loras",
    "enable_sleep_mode", "logprobs_mode", "generation_config", "use_tqdm_on_load",
}  # fmt: skip
QUANTIZATION = {None, "fp8", "awq", "gptq", "torchao", "bitsandbytes"}  # the last one by the plugin
LORA_RANKS = {1, 8, 16, 32, 64, 128, 256, 320, 512}


class VLLMError(Exception):
    pass


@dataclass(kw_only=True)
class SamplingParams:
    n: int = 1
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    repetition_penalty: float = 1.0
    temperature: float = 1.0
    watermarking: bool = True
    top_p: float = 1.0
    top_k: int = 0
    min_p: float = 0.0
    seed: int | None = None
    stop: str | list[str] | None = None
    stop_token_ids: list[int] | None = None
    ignore_eos: bool = False
    max_tokens: int | None = 16
    min_tokens: int = 0
    logprobs: int | None = None
    prompt_logprobs: int | None = None
    detokenize: bool = True
    skip_special_tokens: bool = True
    spaces_between_special_tokens: bool = True
    include_stop_str_in_output: bool = False


@dataclass
class LoRARequest:
    lora_name: str
    lora_int_id: int
    lora_path: str = ""
    base_model_name: str | None = None
    tensorizer_config_dict: dict | None = None
    load_inplace: bool = False
    is_3d_lora_weight: bool = False

    def __post_init__(self):
        assert self.lora_int_id >= 1
        assert self.lora_path


@dataclass
class Logprob:
    logprob: float
    rank: int | None = None
    decoded_token: str | None = None


@dataclass
class CompletionOutput:
    index: int
    text: str
    token_ids: Any
    cumulative_logprob: float | None
    logprobs: Any
    finish_reason: str | None = None
    stop_reason: int | str | None = None


@dataclass
class FakeVllm:
    """What happens behind the module: `engine` samples, `log` says what was called, in order.

    Attributes:
        arguments: of the LLM. fails: name of a call -> the error it raises.
    """

    engine: Any
    log: list[str] = field(default_factory=list)
    arguments: dict[str, Any] = field(default_factory=dict)
    fails: dict[str, Exception] = field(default_factory=dict)
    loras: dict[int, LoRARequest] = field(default_factory=dict)
    parameters: list[SamplingParams] = field(default_factory=list)
    is_awake: bool = True

    def note(self, call):
        self.log.append(call)
        if error := self.fails.get(call.split()[0]):
            raise error

    def install(self, monkeypatch):
        vllm, request, exceptions = (
            ModuleType("vllm"),
            ModuleType("vllm.lora.request"),
            ModuleType("vllm.exceptions"),
        )
        request.LoRARequest, exceptions.VLLMError = LoRARequest, VLLMError
        vllm.SamplingParams = SamplingParams
        vllm.LLM = lambda *args, **kwargs: LLM(self, *args, **kwargs)
        modules = {"vllm": vllm, "vllm.lora": ModuleType("vllm.lora")}
        modules |= {"vllm.lora.request": request, "vllm.exceptions": exceptions}
        for name, module in modules.items():
            monkeypatch.setitem(sys.modules, name, module)
        return self


class LLM:
    def __init__(
        self,
        fake,
        model: str,
        *,
        runner="auto",
        convert="auto",
        tokenizer: str | None = None,
        tokenizer_mode="auto",
        skip_tokenizer_init: bool = False,
        trust_remote_code: bool = False,
        tensor_parallel_size: int = 1,
        dtype="auto",
        quantization=None,
        revision: str | None = None,
        tokenizer_revision: str | None = None,
        seed: int = 0,
        gpu_memory_utilization: float = 0.92,
        enforce_eager: bool = False,
        hf_token=None,
        hf_overrides=None,
        kv_cache_memory_bytes: int | None = None,
        compilation_config=None,
        **kwargs,
    ):
        fake.arguments = {
            key: value for key, value in locals().items() if key not in ("self", "fake", "kwargs")
        }
        fake.arguments |= kwargs
        assert set(kwargs) <= ENGINE_ARGS, set(kwargs) - ENGINE_ARGS
        assert quantization in QUANTIZATION
        assert dtype in ("auto", "half", "float16", "bfloat16", "float", "float32")
        assert kwargs.get("max_lora_rank", 16) in LORA_RANKS
        assert kwargs.get("max_cpu_loras") >= kwargs.get("max_loras", 1)
        assert 0 < gpu_memory_utilization <= 1
        self.fake = fake
        fake.note("LLM")
        self.llm_engine = LLMEngine(fake)

    def generate(
        self,
        prompts,
        sampling_params=None,
        *,
        use_tqdm=True,
        lora_request=None,
        priority=None,
        tokenization_kwargs=None,
        mm_processor_kwargs=None,
    ):
        fake = self.fake
        fake.note("generate")
        assert fake.is_awake
        assert len(prompts) == len(sampling_params)
        assert use_tqdm is False
        fake.parameters += sampling_params
        adapter = None
        if lora_request is not None:
            adapter = HandedOver(
                name=lora_request.lora_name,
                number=lora_request.lora_int_id,
                folder=Path(lora_request.lora_path),
            )
            fake.engine.served = {adapter.name: adapter}
        return [
            self.one(prompt["prompt_token_ids"], wanted, adapter)
            for prompt, wanted in zip(prompts, sampling_params, strict=True)
        ]

    def one(self, prompt_ids, wanted, adapter):
        asked = SampleSpec(prompt_ids=tuple(prompt_ids), seed=wanted.seed, max_tokens=wanted.max_tokens)
        assert wanted.ignore_eos  # else the model's own end tokens are added to these
        (drawn,) = self.fake.engine.generate(
            [asked], adapter=adapter, temperature=wanted.temperature, stop_ids=wanted.stop_token_ids
        )
        places = [
            {token: Logprob(logprob, rank=2), -1: Logprob(-0.1, rank=1)}
            for token, logprob in zip(drawn.token_ids, drawn.logprobs, strict=True)
        ]
        output = CompletionOutput(0, "", list(drawn.token_ids), None, places, finish_reason="stop")
        return SimpleNamespace(prompt_token_ids=prompt_ids, outputs=[output], finished=True)

    def sleep(self, level: int = 1, mode="abort"):
        self.fake.note(f"sleep {level}")
        assert self.fake.is_awake
        self.fake.is_awake = False

    def wake_up(self, tags: list[str] | None = None):
        self.fake.note("wake_up")
        assert not self.fake.is_awake
        self.fake.is_awake = True


class LLMEngine:
    def __init__(self, fake):
        self.fake = fake
        self.engine_core = SimpleNamespace(shutdown=self.shutdown)

    def add_lora(self, lora_request: LoRARequest) -> bool:
        self.fake.note(f"add_lora {lora_request.lora_int_id}")
        assert self.fake.is_awake
        assert (Path(lora_request.lora_path) / "adapter_config.json").is_file()
        self.fake.loras[lora_request.lora_int_id] = lora_request
        return True

    def remove_lora(self, lora_id: int) -> bool:
        self.fake.note(f"remove_lora {lora_id}")
        assert self.fake.is_awake
        return self.fake.loras.pop(lora_id, None) is not None

    def shutdown(self, timeout: float | None = None) -> None:
        self.fake.note("shutdown")
