"""The tokenizer: byte-level BPE that keeps digits, and the characters inside string literals, single.

A model this small computes on characters; a merge inside a literal ("re" of 'tree') would hide them from it.
Words of the program and of the prompts become one token instead.
"""

from collections.abc import Iterable, Sequence

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

from tinyzero.types import Prompt

PAD, USER, ASSISTANT, END = "<|pad|>", "<|user|>", "<|assistant|>", "<|end|>"
CHAT_TEMPLATE = (
    "{% for message in messages %}<|{{ message['role'] }}|>{{ message['content'] }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)

# Followed on its line by an even number of quotes, so not inside a string literal.
_OUTSIDE = r"(?=(?:[^'\n]*'[^'\n]*')*[^'\n]*(?:\n|\z))"
_CHUNKS = "|".join((
    r"</?think>\n",
    r"def f\(",
    r"\)?:?\n +",
    rf"\b(?:in|out|msg): {_OUTSIDE}",
    rf" ?\b(?:for|in|if|else|not|return)\b ?{_OUTSIDE}",
    rf"\.[a-z]+\({_OUTSIDE}",
    rf", reverse=True{_OUTSIDE}",
    rf"[A-Za-z_]+\(?{_OUTSIDE}",
    rf" (?:[-+*/%<>=!]+) {_OUTSIDE}",
    rf"\b(?:True|False)\b{_OUTSIDE}",
    rf"[,:] {_OUTSIDE}",
    r"\[::-1\]",
    r"`+",
    r"[\s\S]",
))  # fmt: skip


def train_tokenizer(texts: Iterable[str], *, vocab_size: int) -> PreTrainedTokenizerFast:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(_CHUNKS), behavior="isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
    ])  # fmt: skip
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=[PAD, USER, ASSISTANT, END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        eos_token=END,
        additional_special_tokens=[USER, ASSISTANT],
        chat_template=CHAT_TEMPLATE,
        clean_up_tokenization_spaces=False,
        padding_side="left",
        model_max_length=1024,
    )


def encode_prompt(tokenizer: PreTrainedTokenizerBase, prompt: Prompt) -> list[int]:
    """Token ids of a prompt exactly as the policy renders it: user turn, opening of the answer, prefill."""
    turn = [{"role": "user", "content": prompt.text}]
    text = tokenizer.apply_chat_template(turn, tokenize=False, add_generation_prompt=True)
    return list(tokenizer(f"{text}{prompt.prefill}", add_special_tokens=False).input_ids)


def scored_tokens(
    tokenizer: PreTrainedTokenizerBase, answer: str, unscored: Sequence[tuple[int, int]]
) -> list[bool]:
    """Whether each token of `encode_answer` is to be learned: none that begins within `unscored`."""
    offsets = tokenizer(f"{answer}{END}", add_special_tokens=False, return_offsets_mapping=True)[
        "offset_mapping"
    ]
    return [not any(start <= begin < end for start, end in unscored) for begin, _ in offsets]


def encode_answer(tokenizer: PreTrainedTokenizerBase, answer: str) -> list[int]:
    """Token ids of an answer and the end of its turn."""
    return list(tokenizer(f"{answer}{END}", add_special_tokens=False).input_ids)
