"""The tokenizer's files of an export: the base model's, with the frame that the run was trained in."""

import json
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tinyzero.config import Config
from tinyzero.errors import ExportError
from tinyzero.foreign import read_json_object

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from tinyzero.policy.frame import Frame

TEMPLATE = "chat_template.jinja"
_COPIED = ("tokenizer.json", "added_tokens.json", "tokenizer.model", "vocab.json", "merges.txt")
_CLEANED = ("tokenizer_config.json", "special_tokens_map.json")
_CODE = ("auto_map", "custom_pipelines")
"""Keys that name Python files, which are not exported."""
_PATH_KEY = re.compile(r"_?name_or_path|(.*_)?(path|file|dir|folder)")
_PATH = re.compile(r"(file://|~[/\\]|[A-Za-z]:[\\/]|\\\\).*|/[^/\s<>]+/.*", re.DOTALL)
_TOKENS = re.compile(r".*_tokens?|added_tokens_decoder")
"""Keys whose values are tokens, which may look like anything."""


def write_tokenizer(folder: Path, target: Path, template: str) -> None:
    """Copy the tokenizer of the model in `folder`, with `template` as its only chat template.

    Raises:
        ExportError: a file of it cannot be read.
    """
    for name in _COPIED:
        if (folder / name).is_file():
            shutil.copyfile(folder / name, target / name)
    for name in _CLEANED:
        if (folder / name).is_file():
            content = without_places(read_object(folder / name))
            if "chat_template" in content:  # older programs read it here
                content["chat_template"] = template
            write_object(target / name, content)
    (target / TEMPLATE).write_text(template, encoding="utf-8", newline="")


def without_places(content: Mapping[str, Any]) -> dict[str, Any]:
    """The content of a configuration without paths of a machine and without names of code."""
    return {
        name: _cleaned(name, value)
        for name, value in content.items()
        if name not in _CODE and not _is_place(name, value)
    }


def frame_of(config: Config, folder: Path, recorded: Mapping[str, Any]) -> "Frame":
    """The frame of a run whose base model lies in `folder`, without the model.

    Args:
        recorded: what the run records of its base model.

    Raises:
        ExportError: the tokenizer does not load.
    """
    from tinyzero.policy.frame import Frame, day_of
    from tinyzero.policy.loading import unframed

    return Frame(unframed(open_tokenizer(folder), config.model), day_of(recorded))


def open_tokenizer(folder: Path) -> "PreTrainedTokenizerBase":
    """The tokenizer in a folder, as any program opens it. Raises ExportError."""
    from transformers import AutoTokenizer

    try:
        tokenizer: Any = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, ImportError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ExportError(f"the tokenizer in {folder} does not load: {reason}") from error
    opened: PreTrainedTokenizerBase = tokenizer
    return opened


def conversation_ids(tokenizer: Any, messages: Sequence[Mapping[str, Any]]) -> list[int]:  # noqa: ANN401
    """The tokens of a conversation, up to the opening of the next answer, as any program makes them."""
    text = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    return list(tokenizer(text, add_special_tokens=False).input_ids)


def reasons_first(config: Config) -> bool:
    """Whether the run's prompts told a model without a chat template to reason first."""
    asks_in_words = config.selfplay.game == "r-zero" and config.r_zero.domain == "words"
    return config.prompts.style == "full" or asks_in_words


def read_object(path: Path) -> dict[str, Any]:
    """The JSON object in a file of the base model. Raises ExportError."""
    try:
        return read_json_object(path)
    except (OSError, ValueError) as error:
        raise ExportError(f"cannot read the base model's {path}: {error}") from error


def write_object(path: Path, content: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def _cleaned(name: str, value: Any) -> Any:  # noqa: ANN401  JSON
    if _TOKENS.fullmatch(name):
        return value
    if isinstance(value, dict):
        return without_places(value)
    if isinstance(value, list):
        return [_cleaned(name, each) for each in value if not _is_place(name, each)]
    return value


def _is_place(name: str, value: object) -> bool:
    if not isinstance(value, str) or _TOKENS.fullmatch(name) or name == "chat_template":
        return False
    return bool(_PATH_KEY.fullmatch(name) or _PATH.fullmatch(value))
