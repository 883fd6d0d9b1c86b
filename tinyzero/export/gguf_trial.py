"""Tries a GGUF file out: llama.cpp and the merged model are asked the same, and must say the same."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from statistics import fmean
from typing import Any

from tinyzero.errors import SelfTestFailed
from tinyzero.export.checking import Opened
from tinyzero.export.merge import Dtype
from tinyzero.export.selftest import score
from tinyzero.export.tokenizer_files import conversation_ids

_PACKAGE = "xllamacpp"
_CHILD = Path(__file__).with_name("llama_cpp_child.py")
_RESULT = "RESULT "
_NUM_TOKENS, _MOST_TEXTS = 16, 8
_PASSED_ON = ("PATH", "LANG", "LC_ALL", "LC_CTYPE", "TMPDIR", "LD_LIBRARY_PATH", "VIRTUAL_ENV", "SYSTEMROOT")
_TIMEOUT_S = 3600  # against hanging alone
_MOST_GAP: dict[Dtype, float] = {"fp32": 0.01, "fp16": 0.05, "bf16": 0.1}
"""Nats by which log-probabilities may differ on average. llama.cpp rounds what it multiplies to the file's
type; tiny models differ by 0.00001, 0.003 and 0.02."""
_QUESTION, _ANSWER = "What is 6 * 7?", "42"
_CHATS: tuple[tuple[tuple[str, str], ...], ...] = (
    (("user", _QUESTION),),
    (("user", _QUESTION), ("assistant", _ANSWER), ("user", "And 7 * 8?")),
    (("system", "Be brief."), ("user", _QUESTION)),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Trial:
    """One conversation. `expected_ids`: what the exported tokenizer makes of it."""

    messages: list[dict[str, str]]
    expected_ids: list[int]


def can_try() -> bool:
    """Whether llama.cpp is installed as a Python package."""
    return find_spec(_PACKAGE) is not None


def try_out(path: Path, opened: Opened, texts: Sequence[str], *, dtype: Dtype, home: Path) -> None:
    """Compare tokens, template and greedy answers of llama.cpp with the merged model's.

    Args:
        opened: the merged model. texts: prompts of the run. home: a folder without secrets.

    Raises:
        SelfTestFailed: they differ, or llama.cpp cannot run the file.
    """
    chats = [*_CHATS, *((("user", text),) for text in texts[:_MOST_TEXTS])]
    trials = [trial for chat in chats if (trial := _trial(opened.tokenizer, chat))]
    answers = _ask(path, trials, home)
    for trial, answer in zip(trials, answers, strict=True):
        if answer["prompt_ids"] != trial.expected_ids:
            raise SelfTestFailed(
                f"llama.cpp makes other tokens of {trial.messages[-1]['content'][:60]!r} than the merged "
                "model's tokenizer, so nothing is exported; export with --what merged"
            )
    gap = _gap(opened.model, answers)
    if not gap <= _MOST_GAP[dtype]:
        raise SelfTestFailed(
            f"llama.cpp answers otherwise than the merged model ({gap:.2g} nats a token apart, at most "
            f"{_MOST_GAP[dtype]:g}), so nothing is exported: the converter or llama.cpp does not know this "
            "model; export with --what merged"
        )


def _trial(tokenizer: Any, chat: Sequence[tuple[str, str]]) -> _Trial | None:  # noqa: ANN401
    """None where the chat template does not take such a conversation."""
    messages = [{"role": role, "content": content} for role, content in chat]
    try:
        return _Trial(messages=messages, expected_ids=conversation_ids(tokenizer, messages))
    except Exception:  # noqa: BLE001  a template is a program, and may refuse a system prompt or a second turn
        return None


def _ask(path: Path, trials: Sequence[_Trial], home: Path) -> list[dict[str, Any]]:
    import torch

    longest = max(len(trial.expected_ids) for trial in trials)
    request = {
        "model": str(path),
        "chats": [trial.messages for trial in trials],
        "num_tokens": _NUM_TOKENS,
        "context_tokens": longest + 2 * _NUM_TOKENS,
        "num_threads": torch.get_num_threads(),
    }
    environment = bare_environment(os.environ, home)
    result = subprocess.run(
        [sys.executable, str(_CHILD)], input=json.dumps(request), env=environment, capture_output=True,
        text=True, check=False, errors="replace", timeout=_TIMEOUT_S,
    )  # fmt: skip
    answers = [line for line in result.stdout.splitlines() if line.startswith(_RESULT)]
    if not answers:
        lines = [line.strip() for line in result.stderr.splitlines() if line.strip()]
        reason = next((line for line in reversed(lines) if "error" in line.lower()), "it said nothing")
        raise SelfTestFailed(f"llama.cpp cannot run the GGUF file: {reason[:300]}")
    found: list[dict[str, Any]] = json.loads(answers[-1].removeprefix(_RESULT))
    return found


def _gap(model: Any, answers: Sequence[dict[str, Any]]) -> float:  # noqa: ANN401
    """Mean nats between the two log-probabilities of a token, or by which it misses the likeliest one."""
    import torch

    answered = [answer for answer in answers if answer["token_ids"]]
    if not answered:
        return 0.0
    sequences = [answer["prompt_ids"] + answer["token_ids"] for answer in answered]
    starts = [len(answer["prompt_ids"]) for answer in answered]
    logprobs = score(model, sequences, starts, model.device)
    tokens = torch.tensor([token for answer in answered for token in answer["token_ids"]])
    said = [logprob for answer in answered for logprob in answer["logprobs"]]
    own = logprobs.gather(1, tokens[:, None])[:, 0]
    missed = (logprobs.max(-1).values - own).tolist()
    pairs = zip(own.tolist(), said, missed, strict=True)
    gaps = [gap if other is None else max(gap, abs(one - other)) for one, other, gap in pairs]
    return fmean(gaps)


def bare_environment(environment: Mapping[str, str], home: Path) -> dict[str, str]:
    """The environment of a foreign program: without tokens, and a home folder without the login store."""
    kept = {name: environment[name] for name in _PASSED_ON if name in environment}
    return {**kept, "HOME": str(home), "HF_HUB_OFFLINE": "1", "PYTHONDONTWRITEBYTECODE": "1"}
