"""What a frame makes of templates and tokenizers as people have them."""

from datetime import date, datetime

import pytest
from tiny_models import CHAT_TEMPLATE, make_tokenizer
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, processors
from transformers import PreTrainedTokenizerFast

from tinyzero.errors import ModelLoadError
from tinyzero.games.choice import ALL_KINDS
from tinyzero.games.r_zero.question import read_answer
from tinyzero.policy.frame import TODAY, Frame, end_of_turn
from tinyzero.policy.pieces import Reader, thought_tags
from tinyzero.tasks.answers import final_part, proposal_parts, written_program
from tinyzero.types import Answer, Completion, Prompt, Rejection

TURNS = "{% for m in messages %}{{ '<|' + m['role'] + '|>' + m['content'] }}<|end|>{% endfor %}"
OPENING = "{% if add_generation_prompt %}<|assistant|>{% endif %}"


def ask(text="1+1", **more):
    return Prompt(kind="deduction", text=text, **more)


def tokenizer_of(template, *tokens):
    tokenizer = make_tokenizer(chat_template=template)
    tokenizer.add_special_tokens({"additional_special_tokens": list(tokens)})
    tokenizer.chat_template = template
    return tokenizer


def llama(*, special=("<s>", "</s>")):
    """SentencePiece as Llama 2 has it: a space before any text, and before any text after a control token."""
    letters = ["▁", *(chr(code) for code in range(33, 127)), "\n"]
    vocabulary = {token: place for place, token in enumerate(["<unk>", *special, *letters])}
    tokenizer = Tokenizer(models.BPE(vocabulary, [], unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    tokenizer.add_special_tokens([AddedToken(token, normalized=False) for token in special])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", unk_token="<unk>"
    )


@pytest.mark.parametrize(
    ("form", "written"),
    [
        ("%d %b %Y", "26 Jul 2024"),
        ("%B %d, %Y", "July 26, 2024"),
        ("%Y-%m-%d", "2024-07-26"),
        ("%-d.%-m.", "26.7."),
    ],
)
def test_a_template_that_asks_for_the_day_is_told_the_same_one_always(form, written):
    template = (
        f"{{%- if strftime_now is defined %}}{{{{ strftime_now('{form}') }}}}|{{%- endif %}}{CHAT_TEMPLATE}"
    )
    frame = Frame(make_tokenizer(chat_template=template))
    assert frame.render(["hi"]).startswith(f"{written}|")
    assert datetime.now().date() != TODAY
    assert Frame(make_tokenizer(chat_template=template), date(2031, 2, 3)).render(["hi"]) != frame.render(
        ["hi"]
    )


@pytest.mark.parametrize("template", ["<|im_start|> $A <|endoftext|>", "$A <|endoftext|>", "<|im_start|> $A"])
def test_nothing_that_a_tokenizer_adds_ends_a_prompt(template):
    tokenizer = make_tokenizer(chat_template=None)
    specials = [("<|endoftext|>", 0), ("<|im_start|>", 1)]
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single=template, pair=template + " $B", special_tokens=specials
    )
    ids = Frame(tokenizer).encode(ask("x = '<|im_end|>'", prefill="It"))
    assert tokenizer.convert_ids_to_tokens(ids[-2:]) == ["I", "t"]
    assert [number for number in ids if number < 3] == [1] * template.startswith("<|im_start|>")


def test_a_template_that_wants_a_message_in_parts_gets_it():
    template = CHAT_TEMPLATE.replace(
        "{{ message['content'] }}",
        "{% for part in message['content'] if part['type'] == 'text' %}{{ part['text'] }}{% endfor %}",
    )
    assert template != CHAT_TEMPLATE
    parts, plain = (Frame(make_tokenizer(chat_template=one)) for one in (template, CHAT_TEMPLATE))
    assert parts.encode(ask()) == plain.encode(ask())
    assert parts.encode_turns(["a", "b", "c"]) == plain.encode_turns(["a", "b", "c"])


@pytest.mark.parametrize(
    ("template", "problem"),
    [
        ("{{ raise_exception('a system prompt is needed') }}", "a system prompt is needed"),
        (
            "{% for m in messages %}<|im_start|>{{ m['role'] }}{% endfor %}",
            "it leaves out what the user says",
        ),
        ("{{ messages[0]['content'][:5] }}", "it leaves out what the user says"),
        ("{{ messages[0]['content'].no_such.attribute }}", "no_such"),
        ("{% if %}", "Expected an expression"),
        ({"rag": CHAT_TEMPLATE, "tool_use": CHAT_TEMPLATE}, "no default"),
    ],
)
def test_a_template_that_cannot_be_used_is_one_line(template, problem):
    with pytest.raises(ModelLoadError) as caught:
        Frame(make_tokenizer(chat_template=template))
    said = str(caught.value)
    assert problem in said
    assert "\n" not in said
    assert "set model.frame to conversation" in said


@pytest.mark.parametrize(
    ("template", "end"),
    [
        (CHAT_TEMPLATE, "<|im_end|>"),
        (TURNS + OPENING, "<|end|>"),  # Phi-3
        (TURNS.replace("<|end|>", "<end_of_turn>\n") + OPENING, "<end_of_turn>"),  # Gemma
        (TURNS.replace("<|end|>", "\n<|eot_id|>") + OPENING, "<|eot_id|>"),  # Llama 3
        (TURNS.replace("<|end|>", "") + OPENING, "<|user|>"),  # GLM-4: the next turn begins
        ("{% for m in messages %}### {{ m['content'] }}\n{% endfor %}", None),  # Alpaca
        ("{% if messages|length > 1 %}{{ raise_exception('one turn') }}{% endif %}" + TURNS, None),
        ("{% if messages|length > 2 %}{{ raise_exception('one question') }}{% endif %}" + TURNS, "<|end|>"),
        (None, None),
    ],
)
def test_the_end_of_a_turn_is_read_off_the_template(template, end):
    tokenizer = tokenizer_of(template, "<|user|>", "<|assistant|>", "<|end|>", "<end_of_turn>", "<|eot_id|>")
    found = end_of_turn(tokenizer)
    assert (found and tokenizer.convert_ids_to_tokens(found)) == end


@pytest.mark.parametrize("text", ["x = '</s>'", "a</s>", "</s></s> b", "' </s>", "<s>1</s>2"])
@pytest.mark.parametrize("chat", [None, "{% for m in messages %}<s>{{ m['content'] }}{% endfor %}"])
def test_a_quoted_control_token_keeps_its_letters_together(text, chat):
    tokenizer = llama()
    tokenizer.chat_template = chat
    frame = Frame(tokenizer)
    ids = frame.encode(ask(f"print({text})"))
    assert f"print({text})" in tokenizer.decode(ids)
    assert [number for number in ids if number in (1, 2)] == [1] * bool(chat)


def test_text_without_control_tokens_is_one_piece_for_sentencepiece_too():
    tokenizer = llama()
    tokenizer.chat_template = "{{ messages[0]['content'] }}"
    assert (
        Frame(tokenizer).encode(ask("a b < s>")) == tokenizer("a b < s>", add_special_tokens=False).input_ids
    )


@pytest.mark.parametrize(
    ("token", "tag"),
    [
        ("<think>", "<think>"), ("</think>", "</think>"), ("[THINK]", "<think>"), ("[/THINK]", "</think>"),
        ("<|begin_of_thought|>", "<think>"), ("<|end_of_thought|>", "</think>"), ("<seed:think>", "<think>"),
        ("<|END_THINKING|>", "</think>"), ("◁think▷", "<think>"), ("◁/think▷", "</think>"),
        ("<|im_end|>", ""), ("<nothink>", ""), ("<|rethink|>", ""), ("/no_think", ""), ("<tool_call>", ""),
    ],
)  # fmt: skip
def test_tags_of_thoughts_are_known_whatever_they_are_called(token, tag):
    assert thought_tags([token, "<|im_end|>"]).get(token, "") == tag


def test_tags_of_thoughts_may_have_other_words_where_they_are_pairs():
    pairs = ["<mm:think>", "</mm:think>", "<longcat_think>", "</longcat_think>", "/no_think", "<|no_think|>"]
    assert thought_tags(pairs) == {
        "<mm:think>": "<think>", "</mm:think>": "</think>",
        "<longcat_think>": "<think>", "</longcat_think>": "</think>",
    }  # fmt: skip


@pytest.mark.parametrize(("opening", "closing"), [("<think>", "</think>"), ("[THINK]", "[/THINK]")])
def test_a_thought_in_special_tokens_is_still_one_in_the_text(opening, closing):
    tokenizer = tokenizer_of(CHAT_TEMPLATE, opening, closing, "<answer>", "</answer>")
    ids = tokenizer(f"{opening}5{closing}<answer>6</answer><|im_end|>", add_special_tokens=False).input_ids
    text = Reader(tokenizer).text(ids)
    assert text == "<think>5</think><answer>6</answer>"
    assert final_part(text) == "6"


THINKING = CHAT_TEMPLATE.replace("assistant\n{% endif %}", "assistant\n<think>\n{% endif %}")


def test_a_thought_that_the_template_begins_belongs_to_the_answer():
    assert THINKING != CHAT_TEMPLATE
    frame = Frame(make_tokenizer(chat_template=THINKING))
    assert frame.begun(ask()) == "<think>"
    assert Frame(make_tokenizer()).begun(ask()) == ""
    special = CHAT_TEMPLATE.replace("assistant\n{% endif %}", "assistant\n[THINK]{% endif %}")
    assert Frame(tokenizer_of(special, "[THINK]", "[/THINK]")).begun(ask()) == "<think>"
    conversation = Frame(make_tokenizer(chat_template=None))
    assert conversation.begun(ask(reasons=True)) == "<think>"
    assert conversation.begun(ask()) == ""


def test_a_begun_answer_ends_the_thought_that_the_template_begins():
    frame = Frame(make_tokenizer(chat_template=THINKING))
    prompt = ask(prefill="It is ")
    assert frame.tokenizer.decode(frame.encode(prompt)).endswith("assistant\n<think>\n\n</think>\n\nIt is ")
    assert frame.begun(prompt) == ""


@pytest.mark.parametrize("begun", ["", "<think>"])
@pytest.mark.parametrize("kind", sorted(ALL_KINDS))
def test_a_draft_in_a_thought_that_never_ends_is_no_answer(kind, begun):
    draft = (
        "Let me see.\n```python\ndef f(x):\n    return x\n```\n```input\n1\n```\n```output\n6\n```\n"
        "\\boxed{6}\nOutput: 6\n<answer>6</answer>\n<question>What is 2 + 2, and why?</question> \\boxed{4}"
    )
    text = draft if begun else f"<think>\n{draft}"
    answer = Answer(prompt=ask(), completion=Completion(text=text, begun=begun, finish_reason="length")).text
    assert final_part(answer) == ""
    assert read_answer(answer) == ""
    assert written_program(answer) == ""
    assert not proposal_parts(answer).program
    assert isinstance(ALL_KINDS[kind].parse_proposal(answer, []), Rejection)


def test_an_answer_after_a_thought_is_read_whoever_began_it():
    for text, begun in (("<think>5</think>6", ""), ("5</think>6", "<think>"), ("5\n</think>\n6", "")):
        answer = Answer(prompt=ask(), completion=Completion(text=text, begun=begun)).text
        assert final_part(answer).strip() == "6"


def test_an_earlier_thought_is_not_shown_again():
    frame = Frame(make_tokenizer())
    expected = frame.encode_turns(["Hi", "Hello!", "1+1"])
    assert frame.encode_turns(["Hi", "<think>\nA greeting.\n</think>\n\nHello!", "1+1"]) == expected
    begun = Frame(make_tokenizer(chat_template=THINKING))
    ids = begun.encode_turns(["Hi", "A greeting.</think>\n\nHello!", "1+1"])
    assert "assistant\nHello!<|im_end|>" in begun.tokenizer.decode(ids)
    assert "greeting" not in begun.tokenizer.decode(begun.encode_turns(["Hi", "A greeting", "1+1"]))
