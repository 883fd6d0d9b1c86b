"""Writes an Ollama Modelfile from the model's chat template and end tokens."""

from pathlib import Path
from typing import Any

_MARK = "TINYZERO-PROMPT"


def write_modelfile(merged: Path, target: Path, *, gguf_name: str, temperature: float) -> None:
    """Describe the GGUF file `gguf_name` next to `target`. `merged` is the merged model's folder."""
    from transformers import AutoTokenizer, GenerationConfig

    tokenizer = AutoTokenizer.from_pretrained(merged, local_files_only=True, trust_remote_code=False)
    ends = GenerationConfig.from_pretrained(merged, local_files_only=True).eos_token_id
    stops = [
        str(tokenizer.convert_ids_to_tokens(end)) for end in (ends if isinstance(ends, list) else [ends])
    ]
    text = modelfile(gguf_name, template=single_turn(tokenizer), stops=stops, temperature=temperature)
    target.write_text(text, encoding="utf-8")


def modelfile(gguf_name: str, *, template: str | None, stops: list[str], temperature: float) -> str:
    """The Modelfile's text. Values that could end a quotation, and so add instructions, are omitted."""
    lines = [f"FROM ./{gguf_name}"]
    if template is not None:
        lines.append(f'TEMPLATE """{template}"""')
    lines += [f'PARAMETER stop "{stop}"' for stop in stops if _is_quotable(stop)]
    lines += [f"PARAMETER temperature {temperature:g}", "PARAMETER top_p 1", "PARAMETER top_k 0"]
    return "\n".join(lines) + "\n"


def single_turn(tokenizer: Any) -> str | None:  # noqa: ANN401  a tokenizer of transformers
    """The format of one user's turn as a Go template; None if the model's template cannot be converted."""
    if not tokenizer.chat_template:
        return "{{ .Prompt }}"
    turn = [{"role": "user", "content": _MARK}]
    frame = str(tokenizer.apply_chat_template(turn, tokenize=False, add_generation_prompt=True))
    before, mark, after = frame.partition(_MARK)
    is_plain = mark and _MARK not in after and not any(sign in frame for sign in ('"""', "{{", "}}"))
    return f"{before}{{{{ .Prompt }}}}{after}" if is_plain and not frame.endswith('"') else None


def _is_quotable(text: str) -> bool:
    return bool(text) and text.isprintable() and '"' not in text and "\\" not in text
