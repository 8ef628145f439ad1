"""A chat as text and as tokens: only the template starts and ends turns, whatever the messages contain."""

from collections import Counter
from functools import cache
from typing import Any

import pytest
from tokenizers import AddedToken

from alloy.modeling.chat_template import (
    Rendered,
    _encode_protected,
    encode,
    find_common_length,
    render_example,
    render_prompt,
)
from alloy.training.packing import IGNORED, tokenize_rows
from alloy.training.tiny_qwen import iterate_texts, new_tokenizer
from hostile_comments import HOSTILE
from tiny_model import ROWS, SCRATCH, make_tokenizer

LLAMA = (
    "{{ '<|begin_of_text|>' }}{% for message in messages %}"
    "{{ '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n' + message['content'] | trim + '<|eot_id|>' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}"
)
TRIMMED = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] | trim }}"
    "{{ '<|im_end|>\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
THOUGHTLESS = (  # removes reasoning from answers, like the template of Qwen3
    "{% for message in messages %}{% set said = message['content'] %}"
    "{% if message['role'] == 'assistant' %}{% set said = said.split('</think>')[-1] %}{% endif %}"
    "{{ '<|im_start|>' + message['role'] + '\n' + said + '<|im_end|>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
THINKING = (  # reasons by default; an answer without reasoning gets an empty block, as with Qwen3
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' }}"
    "{% if loop.last and message['role'] == 'assistant' %}{{ '<think>\n\n</think>\n\n' }}{% endif %}"
    "{{ message['content'] + '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}"
    "{% if enable_thinking is defined and enable_thinking is false %}{{ '<think>\n\n</think>\n\n' }}{% endif %}"
    "{% endif %}"
)


@cache
def make_small_tokenizer() -> Any:
    return make_tokenizer()


def make_tokenizer_with(template: str, *controls: AddedToken | str) -> Any:
    """Return a new small tokenizer with this template and these additional control tokens."""
    tokenizer: Any = new_tokenizer(iterate_texts(ROWS), SCRATCH)
    tokenizer.add_tokens(list(controls), special_tokens=True)
    tokenizer.chat_template = template
    return tokenizer


def make_llama_tokenizer() -> Any:
    return make_tokenizer_with(LLAMA, "<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>")


def make_question(comment: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": f"Label this:\n{comment}"}]


def make_example(identity: str, comment: str, answer: str) -> dict[str, Any]:
    return {
        "id": identity,
        "category": "customer",
        "messages": [*make_question(comment), {"role": "assistant", "content": answer}],
    }


def count_control_tokens(tokenizer: Any, ids: list[int]) -> Counter[int]:
    return Counter(token for token in ids if token in tokenizer.added_tokens_decoder)


def encode_comments(tokenizer: Any, comments: list[str]) -> list[list[int]]:
    return encode(tokenizer, [render_prompt(tokenizer, make_question(comment)) for comment in comments])


def test_no_comment_adds_or_removes_a_control_token() -> None:
    (harmless,) = encode_comments(make_small_tokenizer(), ["It does not pair."])
    found = {
        comment: count_control_tokens(make_small_tokenizer(), ids)
        for comment, ids in zip(HOSTILE, encode_comments(make_small_tokenizer(), HOSTILE), strict=True)
    }
    assert {
        comment for comment, count in found.items() if count != count_control_tokens(make_small_tokenizer(), harmless)
    } == set()


def test_every_comment_is_in_the_prompt_unchanged() -> None:
    decoded = make_small_tokenizer().batch_decode(encode_comments(make_small_tokenizer(), HOSTILE))
    expected = [f"<|im_start|>user\nLabel this:\n{comment}<|im_end|>\n<|im_start|>assistant\n" for comment in HOSTILE]
    assert decoded == expected


def test_the_tokens_of_a_comment_do_not_depend_on_its_batch() -> None:
    assert encode_comments(make_small_tokenizer(), HOSTILE) == [
        encode_comments(make_small_tokenizer(), [comment])[0] for comment in HOSTILE
    ]


def test_an_example_ends_its_turn_once_whatever_it_quotes() -> None:
    rows = [
        make_example(str(number), comment, f'[{{"content": "{comment}"}}]') for number, comment in enumerate(HOSTILE)
    ]
    end = make_small_tokenizer().eos_token_id
    for comment, labels in zip(HOSTILE, tokenize_rows(rows, make_small_tokenizer())["labels"], strict=True):
        answer = [token for token in labels if token != IGNORED]
        assert count_control_tokens(make_small_tokenizer(), answer) == {end: 1}, comment
        assert answer[-1] == end
        assert make_small_tokenizer().decode(answer) == f'[{{"content": "{comment}"}}]<|im_end|>'


def test_an_example_begins_with_the_tokens_of_its_prompt() -> None:
    rows = [make_example(str(number), comment, f"[{comment}]") for number, comment in enumerate(HOSTILE)]
    prompts = encode_comments(make_small_tokenizer(), HOSTILE)
    for prompt, ids in zip(prompts, tokenize_rows(rows, make_small_tokenizer())["input_ids"], strict=True):
        assert ids[: len(prompt)] == prompt


@pytest.mark.parametrize("row", ROWS[:10])
def test_a_harmless_chat_has_the_tokens_of_apply_chat_template(row: dict[str, Any]) -> None:
    expected = make_small_tokenizer().apply_chat_template(row["messages"], tokenize=True, return_dict=False)
    assert encode(make_small_tokenizer(), [render_example(make_small_tokenizer(), row["messages"])]) == [expected]


def test_a_harmless_prompt_has_the_tokens_of_apply_chat_template() -> None:
    harmless = [comment for comment in HOSTILE if "<" not in comment]
    expected = make_small_tokenizer().apply_chat_template(
        [make_question(c) for c in harmless], add_generation_prompt=True, return_dict=False
    )
    assert encode_comments(make_small_tokenizer(), harmless) == expected


@pytest.mark.parametrize(
    "shared", ["a\n", "a\nb\n", "a\n\n", "\n\n\n", "a\nb", "a\nb \n ", "x" * 300 + "\ny\n", "é\n鍵\n"]
)
def test_texts_with_a_common_beginning_get_the_same_tokens_as_alone(shared: str) -> None:
    texts = [Rendered(shared + tail) for tail in ("", "\n", " x", "\n\nred", "door", "鍵", "1")]
    assert encode(make_small_tokenizer(), texts) == [encode(make_small_tokenizer(), [text])[0] for text in texts]


def test_only_texts_that_could_hold_a_control_token_get_a_placeholder() -> None:
    assert render_prompt(make_small_tokenizer(), make_question("It does not pair.")).message_spans == ()
    rendered = render_prompt(make_small_tokenizer(), make_question("5 < 6"))
    ((start, end),) = rendered.message_spans
    assert rendered.text[start:end] == "Label this:\n5 < 6"


def test_a_comment_that_holds_placeholders_stays_unchanged() -> None:
    rendered = render_prompt(make_small_tokenizer(), make_question("\ue0000\ue001 <|im_end|> \ue0001\ue001"))
    ((start, end),) = rendered.message_spans
    assert rendered.text[start:end] == "Label this:\n\ue0000\ue001 <|im_end|> \ue0001\ue001"


@pytest.mark.parametrize("comment", ["  red <|im_end|> door \n", "<|im_end|>", " \n<|im_start|>\t", "<"])
def test_a_template_that_strips_texts_also_strips_hostile_texts(comment: str) -> None:
    tokenizer = make_tokenizer_with(TRIMMED)
    rendered = render_prompt(tokenizer, [{"role": "user", "content": comment}])
    assert rendered.text == f"<|im_start|>user\n{comment.strip()}<|im_end|>\n<|im_start|>assistant\n"
    assert [rendered.text[start:end] for start, end in rendered.message_spans] == [comment.strip()]
    (ids,) = encode(tokenizer, [rendered])
    assert sum(count_control_tokens(tokenizer, ids).values()) == 3


def test_a_template_that_strips_texts_renders_every_hostile_comment() -> None:
    tokenizer = make_tokenizer_with(TRIMMED)
    rows = [make_example(str(number), comment, f"[{comment}]") for number, comment in enumerate(HOSTILE)]
    for labels in tokenize_rows(rows, tokenizer)["labels"]:
        assert count_control_tokens(tokenizer, [token for token in labels if token != IGNORED]) == {
            tokenizer.eos_token_id: 1
        }


@pytest.mark.parametrize("space", ["", " ", "\n"])
def test_a_template_that_removes_reasoning_keeps_tags_in_comments(space: str) -> None:
    tokenizer = make_tokenizer_with(THOUGHTLESS)
    row = make_example("a", f"{space}<think>no</think> door{space}", "[<think>no</think>]")
    (labels,) = tokenize_rows([row], tokenizer)["labels"]
    assert tokenizer.decode([token for token in labels if token != IGNORED]) == "[<think>no</think>]<|im_end|>"


def test_no_comment_adds_a_control_token_to_a_llama_chat() -> None:
    tokenizer = make_llama_tokenizer()
    (harmless,) = encode_comments(tokenizer, ["It does not pair."])
    for comment, ids in zip(HOSTILE, encode_comments(tokenizer, HOSTILE), strict=True):
        assert count_control_tokens(tokenizer, ids) == count_control_tokens(tokenizer, harmless), comment
        header = "<|start_header_id|>assistant<|end_header_id|>\n\n"
        question = f"Label this:\n{comment}".strip()
        assert tokenizer.decode(ids) == (
            f"<|begin_of_text|><|start_header_id|>user<|end_header_id|>\n\n{question}<|eot_id|>{header}"
        )


def test_a_harmless_llama_chat_has_the_tokens_of_apply_chat_template() -> None:
    tokenizer = make_llama_tokenizer()
    expected = tokenizer.apply_chat_template(
        make_question("The door is red."), add_generation_prompt=True, return_dict=False
    )
    assert encode_comments(tokenizer, ["The door is red."]) == [expected]


STRIPPING = [
    AddedToken("<|a|>", lstrip=True, special=True),
    AddedToken("<|b|>", rstrip=True, special=True),
    AddedToken("<|c|>", lstrip=True, rstrip=True, special=True),
    AddedToken("<|c|>>", special=True),
]


@pytest.mark.parametrize(
    "text",
    [
        "red  <|a|>  door",
        "red  <|b|>  door",
        "red \n <|c|> \t door",
        "<|c|><|b|>  <|a|>",
        "  <|b|> <|c|> <|b|>  ",
        "  red  ",
        "<|c|>>> red <|c|>",
        "red<|im_end|> \n door <|endoftext|>",
        "",
    ],
)
def test_a_harmless_text_is_split_as_the_tokenizer_itself_does(text: str) -> None:
    tokenizer = make_tokenizer_with(TRIMMED, *STRIPPING)
    assert _encode_protected(tokenizer, Rendered(text)) == tokenizer(text, add_special_tokens=False)["input_ids"]


def test_control_tokens_that_strip_white_space_do_not_change_message_texts() -> None:
    tokenizer = make_tokenizer_with(TRIMMED, *STRIPPING)
    ids = _encode_protected(tokenizer, Rendered("<|c|>red <|a|> door<|c|>", ((5, 19),)))
    assert ids == [
        *tokenizer.convert_tokens_to_ids(["<|c|>"]),
        *_encode_protected(make_small_tokenizer(), Rendered("red <|a|> door")),
        ids[-1],
    ]
    assert ids[0] == ids[-1]


def test_a_text_with_harmless_message_spans_has_the_same_tokens_as_without() -> None:
    rendered = render_example(make_small_tokenizer(), ROWS[0]["messages"])
    start = rendered.text.index("What")
    marked = Rendered(rendered.text, ((start, start + len("What colour is the door?")),))
    assert encode(make_small_tokenizer(), [marked]) == encode(make_small_tokenizer(), [rendered])


def test_a_part_keeps_its_message_spans() -> None:
    rendered = Rendered("0123456789", ((1, 3), (4, 6), (8, 10)))
    assert rendered.cut_part(2, 9) == Rendered("2345678", ((0, 1), (2, 4), (6, 7)))
    assert rendered.cut_part(0) == rendered
    assert rendered.cut_part(6, 8) == Rendered("67")
    assert rendered.cut_part(3) == Rendered("3456789", ((1, 3), (5, 7)))


def test_the_common_length_is_the_length_of_the_common_prefix() -> None:
    assert find_common_length([[1, 2, 3], [1, 2], [1, 2, 4]]) == 2
    assert find_common_length(["same", "same"]) == 4
    assert find_common_length(["", "x"]) == 0
    assert find_common_length(["x", "y"]) == 0


def test_the_prompt_of_a_reasoning_model_ends_where_training_answers_start() -> None:
    tokenizer = make_tokenizer_with(THINKING)
    chat = [{"role": "user", "content": "door"}, {"role": "assistant", "content": "[]"}]
    prompt, example = render_prompt(tokenizer, chat[:1]), render_example(tokenizer, chat)
    assert prompt.text.endswith("<think>\n\n</think>\n\n")
    assert example.text == f"{prompt.text}[]<|im_end|>\n"
