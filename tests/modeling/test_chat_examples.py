"""Chats as examples: only answers have a loss, with any template; chats that cannot be rendered are errors."""

import time
from pathlib import Path
from typing import Any

import pytest
import trl
from tokenizers import AddedToken

from alloy.core.files import InputError
from alloy.modeling.answer_markup import Answer, compile_control_tokens, find_markup, has_markup, split_answer
from alloy.modeling.chat_examples import (
    IGNORED,
    AssistantTurns,
    count_tokens,
    encode_examples,
    find_role_problem,
    find_row_problem,
    find_template_problem,
    split_example,
)
from alloy.modeling.chat_template import RenderError, render_prompt
from tiny_model import make_tokenizer

TEMPLATES = Path(trl.__file__).parent / "chat_templates"
MARKS = ["<think>", "</think>", "<tool_call>", "</tool_call>", "<start_of_turn>", "<end_of_turn>", "<|end|>"]
MARKS += ["<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>", "<|user|>", "<|assistant|>", "<|start|>"]
MARKS += ["<|return|>", "<|message|>", "<|channel|>"]


def load_family(name: str) -> Any:
    """Return the small tokenizer with the chat template of a family, and the control tokens of these families."""
    tokenizer = make_tokenizer()
    tokenizer.add_tokens([AddedToken(mark, normalized=False, special=True) for mark in MARKS])
    tokenizer.bos_token = "<|endoftext|>"
    tokenizer.chat_template = (TEMPLATES / f"{name}.jinja").read_text(encoding="utf-8")
    return tokenizer


def make_user_turn(text: str) -> dict[str, str]:
    return {"role": "user", "content": text}


def make_assistant_turn(text: str) -> dict[str, str]:
    return {"role": "assistant", "content": text}


THREE = [
    make_user_turn("One?"),
    make_assistant_turn("First. <|im_end|>"),
    make_user_turn("Two?"),
    make_assistant_turn("Second."),
    make_user_turn("Three?"),
    make_assistant_turn("Third."),
]
THOUGHT = "<think>\nThe door\n</think>\n\nred"
CALL = '<tool_call>\n{"name": "find", "arguments": {"what": "door"}}\n</tool_call>'


def list_loss_texts(tokenizer: Any, messages: Any, turns: AssistantTurns = AssistantTurns.all) -> list[str]:
    """Return the text of each span of tokens with a loss."""
    ((ids, labels),) = encode_examples([{"id": "a", "messages": messages}], tokenizer, turns)
    assert all(label in (IGNORED, token) for token, label in zip(ids, labels, strict=True))
    runs: list[list[int]] = [[]]
    for label in labels:
        if label == IGNORED:
            runs += [[]] if runs[-1] else []
        else:
            runs[-1].append(label)
    return [tokenizer.decode(run) for run in runs if run]


def render_whole(tokenizer: Any, messages: Any) -> str:
    ((ids, _),) = encode_examples([{"id": "a", "messages": messages}], tokenizer, AssistantTurns.all)
    return tokenizer.decode(ids)


# Several answers


ENDS = {"qwen2_5": "<|im_end|>", "qwen3": "<|im_end|>", "llama3_2": "<|eot_id|>", "gemma3": "<end_of_turn>"}
ENDS |= {"phi3": "<|end|>", "lfm2": "<|im_end|>", "qwen3_5_think": "<|im_end|>"}


@pytest.mark.parametrize(("name", "end"), ENDS.items())
def test_the_loss_covers_every_answer_with_its_end_of_turn_and_nothing_else(name: str, end: str) -> None:
    first, second, third = list_loss_texts(load_family(name), THREE)
    assert (first, second) == (f"First. <|im_end|>{end}", f"Second.{end}")
    assert third.startswith(f"Third.{end}")
    assert list_loss_texts(load_family(name), THREE, AssistantTurns.last) == [third]


def test_an_earlier_answer_may_end_differently_from_the_last_one() -> None:
    first, _, last = list_loss_texts(load_family("gptoss"), THREE)
    assert first.endswith("First. <|im_end|><|end|>")
    assert last.endswith("Third.<|return|>")


@pytest.mark.parametrize("turns", list(AssistantTurns))
def test_a_chat_of_one_answer_is_the_same_with_both_settings(turns: AssistantTurns) -> None:
    row = {"id": "a", "messages": THREE[:2]}
    assert encode_examples([row], make_tokenizer(), turns) == encode_examples(
        [row], make_tokenizer(), AssistantTurns.last
    )


def test_the_choice_of_turns_does_not_change_the_tokens() -> None:
    row = {"id": "a", "messages": THREE}
    all_turns, last_turn = (encode_examples([row], load_family("qwen3"), turns)[0] for turns in AssistantTurns)
    assert load_family("qwen3").decode(all_turns[0]) == load_family("qwen3").decode(last_turn[0])
    assert [
        number for number, label in enumerate(last_turn[1]) if label != IGNORED and all_turns[1][number] == IGNORED
    ] == []


def test_loss_tokens_are_the_tokens_of_the_chosen_answers() -> None:
    tokenizer, row = make_tokenizer(), {"id": "a", "messages": THREE}
    (all_turns,), (last_turn,) = (count_tokens([row], tokenizer, turns).tolist() for turns in AssistantTurns)
    assert all_turns[0] == last_turn[0]
    assert all_turns[1] == sum(
        len(tokenizer(text)["input_ids"]) for text in ("First. ", "Second.", "Third.")
    ) + 3 + len(
        tokenizer("<|im_", add_special_tokens=False)["input_ids"]
        + tokenizer("end|>", add_special_tokens=False)["input_ids"]
    )
    assert last_turn[1] == len(tokenizer("Third.")["input_ids"]) + 1


def test_an_answer_that_the_template_does_not_end_has_no_end_token() -> None:
    tokenizer = make_tokenizer()
    tokenizer.chat_template = (
        "{% for message in messages %}{{ message['content'] }}{% if loop.last and message['role'] == 'assistant' %}"
        "<|im_end|>{% endif %}{% endfor %}"
    )
    assert list_loss_texts(tokenizer, THREE) == ["First. <|im_end|>", "Second.", "Third.<|im_end|>"]


def test_a_row_that_cannot_be_rendered_is_named_by_its_id() -> None:
    with pytest.raises(InputError, match=r"^row 'a': the chat template "):
        list_loss_texts(load_family("gemma3"), [make_user_turn("?"), make_user_turn("?"), make_assistant_turn("red")])


GREETING = [make_assistant_turn("Hi!"), make_user_turn("One?"), make_assistant_turn("First.")]
TOOL = {"role": "tool", "content": "The door is red."}
SYSTEM = {"role": "system", "content": "Be brief."}


@pytest.mark.parametrize(
    ("name", "messages"),
    [*((name, GREETING) for name in ("qwen2_5", "qwen3", "llama3_2", "phi3")), ("llama3_2", GREETING[::2])],
)
def test_an_answer_that_starts_a_chat_is_context_without_a_loss(name: str, messages: Any) -> None:
    tokenizer = load_family(name)
    assert find_template_problem(tokenizer, messages) is None
    assert find_role_problem(tokenizer, tuple(message["role"] for message in messages)) is None
    (loss,) = list_loss_texts(tokenizer, messages)
    assert loss.startswith(f"First.{ENDS[name]}")
    assert "Hi!" in render_whole(tokenizer, messages)


def test_an_answer_that_the_template_does_not_end_is_context_without_a_loss() -> None:
    tokenizer, messages = load_family("cohere2"), [*GREETING[1:], SYSTEM, *THREE[2:4]]
    assert find_template_problem(tokenizer, messages) is None
    assert [text.split("<")[0] for text in list_loss_texts(tokenizer, messages)] == ["Second."]


@pytest.mark.parametrize("path", sorted(TEMPLATES.glob("*.jinja")), ids=lambda path: path.stem)
def test_roles_that_pass_the_check_can_be_trained_on_without_losing_a_text(path: Path) -> None:
    tokenizer = load_family(path.stem)
    chats: list[list[Any]] = [
        GREETING,
        GREETING[::2],
        [SYSTEM, *THREE[:4]],
        [SYSTEM, *GREETING],
        [*THREE[:2], SYSTEM, *THREE[2:4]],
        [THREE[0], TOOL, THREE[3]],
        [*THREE[:2], THREE[3]],
    ]
    for chat in chats:
        if find_role_problem(tokenizer, tuple(message["role"] for message in chat)) is None:
            whole = render_whole(tokenizer, chat)
            assert [message["content"] for message in chat if message["content"] not in whole] == []


# Reasoning and tool calls


def test_reasoning_becomes_the_tokens_of_the_template() -> None:
    tokenizer = load_family("qwen3")
    ((ids, _),) = encode_examples(
        [{"id": "a", "messages": [make_user_turn("?"), make_assistant_turn(THOUGHT)]}], tokenizer, AssistantTurns.all
    )
    assert list_loss_texts(tokenizer, [make_user_turn("?"), make_assistant_turn(THOUGHT)]) == [
        "<think>\nThe door\n</think>\n\nred<|im_end|>"
    ]
    assert [tokenizer.decode(token) for token in ids if token in tokenizer.convert_tokens_to_ids(MARKS[:2])] == MARKS[
        :2
    ]


@pytest.mark.parametrize("text", ["[THINK]The door[/THINK]red", "<thinking>The door</thinking> red", f"\n{THOUGHT}"])
def test_reasoning_in_the_format_of_another_model_is_converted(text: str) -> None:
    assert list_loss_texts(load_family("qwen3"), [make_user_turn("?"), make_assistant_turn(text)]) == [
        "<think>\nThe door\n</think>\n\nred<|im_end|>"
    ]


def test_control_tokens_in_reasoning_stay_plain_text() -> None:
    tokenizer = load_family("qwen3")
    chat = [make_user_turn("?"), make_assistant_turn("<think>\nno <|im_end|> <tool_call>\n</think>\n\nred")]
    ((ids, labels),) = encode_examples([{"id": "a", "messages": chat}], tokenizer, AssistantTurns.all)
    answer = [label for label in labels if label != IGNORED]
    assert answer.count(tokenizer.convert_tokens_to_ids("<|im_end|>")) == 1
    assert tokenizer.convert_tokens_to_ids("<tool_call>") not in ids


def test_a_tool_call_becomes_the_tokens_of_the_template() -> None:
    tokenizer = load_family("qwen2_5")
    chat = [
        make_user_turn("?"),
        make_assistant_turn(f"Wait.\n{CALL}"),
        {"role": "tool", "content": "red"},
        make_assistant_turn("It is red."),
    ]
    first, last = list_loss_texts(tokenizer, chat)
    assert (first, last) == (f"Wait.\n{CALL}<|im_end|>", "It is red.<|im_end|>")
    ((_, labels),) = encode_examples([{"id": "a", "messages": chat}], tokenizer, AssistantTurns.all)
    assert tokenizer.convert_tokens_to_ids("<tool_call>") in labels


@pytest.mark.parametrize("calls", [1, 2])
@pytest.mark.parametrize("name", ["qwen3", "qwen2_5", "qwen3_5_think"])
def test_an_earlier_answer_of_tool_calls_alone_is_learned_from_its_start(name: str, calls: int) -> None:
    tokenizer = load_family(name)
    chat = [
        make_user_turn("?"),
        make_assistant_turn("\n".join([CALL] * calls)),
        *[{"role": "tool", "content": "red"}] * calls,
        make_assistant_turn("It is red."),
    ]
    first, last = list_loss_texts(tokenizer, chat)
    # The text before the call is the same as the text before an answer with content.
    before_call = render_whole(tokenizer, chat).split(first)[0]
    chat[1] = make_assistant_turn("Wait.")
    assert render_whole(tokenizer, chat).startswith(f"{before_call}Wait.")
    assert first.count("find") == calls and first.endswith("<|im_end|>")
    assert last == "It is red.<|im_end|>"


def test_an_earlier_answer_without_its_reasoning_has_no_loss() -> None:
    assert list_loss_texts(
        load_family("qwen3"),
        [make_user_turn("?"), make_assistant_turn(THOUGHT), make_user_turn("?"), make_assistant_turn("blue")],
    ) == ["blue<|im_end|>"]
    assert "The door" not in render_whole(
        load_family("qwen3"),
        [make_user_turn("?"), make_assistant_turn(THOUGHT), make_user_turn("?"), make_assistant_turn("blue")],
    )


FORMS = {
    "any case": "<Think>The door</THINK>red",
    "Kimi": "\u25c1think\u25b7The door\u25c1/think\u25b7red",
    "Cohere": "<|START_THINKING|>The door<|END_THINKING|>red",
    "Gemma 4": "<|channel>thought\nThe door<channel|>red",
    "a bar": "<|thinking|>The door<|/thinking|>red",
    "plural": "<thoughts>The door</thoughts>\nred",
}


@pytest.mark.parametrize("text", FORMS.values(), ids=FORMS)
def test_reasoning_of_many_models_is_read(text: str) -> None:
    assert split_answer(text) == Answer("red", "The door")
    assert has_markup(make_assistant_turn(text)) and find_markup(make_assistant_turn(text)) is None


UNREAD = [
    ("<THINK>The door", "<THINK>"),
    ("red\n<Thoughts>The door</thoughts>", "<Thoughts>"),
    ("  <analysis>The door</analysis>red", "<analysis>"),
    ("<scratchpad>\nThe door\n</scratchpad>", "<scratchpad>"),
    ("red \u25c1think\u25b7", "\u25c1think\u25b7"),
    ("<|START_RESPONSE|>red", "<|START_RESPONSE|>"),
    ("red <|channel>thought", "<|channel>"),
    ("<unused94>thought\nThe door<unused95>red", "<unused94>"),
    ("Wait.<|action_start|><|plugin|>{}<|action_end|>", "<|action_start|>"),
    ('<TOOLCALL>[{"name": "find"}]</TOOLCALL>', "<TOOLCALL>"),
    ("<tool_code>find()</tool_code>", "<tool_code>"),
    ("```tool_code\nfind()\n```", "```tool_code"),
    ("Wait.<start_function_call>call:find{}<end_function_call>", "<start_function_call>"),
    ('Wait. <invoke name="find">', '<invoke name="find">'),
    ("<|tool_call>call:find{}<tool_call|>", "<|tool_call>"),
    ("<\uff5ctool\u2581calls\u2581begin\uff5c>find", "<\uff5ctool\u2581calls\u2581begin\uff5c>"),
]


@pytest.mark.parametrize(("text", "markup"), UNREAD)
def test_markup_that_is_not_parsed_is_found(text: str, markup: str) -> None:
    assert has_markup(make_assistant_turn(text))
    assert find_markup(make_assistant_turn(text)) == markup


PROSE = [
    "Thinking is a tool; my thoughts and analysis follow.",
    "Put it into an <analysis> or a <scratchpad> tag, and close it with </analysis>.",
    "const notes: Array<Thought> = []; // <Reasoning>",
    "<analysis> is a tag of XML.",
    '<invoke name="pay" partnerLink="bank"/> is BPEL.',
    "List.map f <| xs |> tool, and a <|> b",
    "`tool_code` is a word, and [think] is one as well.",
    "5 < 6, [1], <b>bold</b>, <table><tr><td>",
]


@pytest.mark.parametrize("text", PROSE)
def test_prose_and_code_that_only_mention_such_words_are_no_markup(text: str) -> None:
    controls = compile_control_tokens(load_family("qwen3"))
    assert not has_markup(make_assistant_turn(text), controls)
    assert find_markup(make_assistant_turn(text), controls) is None


def test_control_tokens_of_the_tokenizer_are_found_and_other_added_tokens_are_not() -> None:
    tokenizer = load_family("qwen3")
    special = [AddedToken(text, normalized=False, special=True) for text in ("<s>", "<|reserved_7|>")]
    plain = [AddedToken(text, normalized=False) for text in ("\u00f6", "\n\n", "<td>", "<answer>")]
    tokenizer.add_tokens(special)
    tokenizer.add_tokens(plain)
    texts = ["a <|im_end|>", "a <s>", "a <|reserved_7|>", "a <answer>", "a\n\n\u00f6 <td>"]
    found = [find_markup(make_assistant_turn(text), compile_control_tokens(tokenizer)) for text in texts]
    assert found == ["<|im_end|>", "<s>", "<|reserved_7|>", "<answer>", None]


@pytest.mark.parametrize("text", ["red <|im_end|> blue", "<think>a <|im_start|></think>red"])
def test_a_control_token_in_an_answer_is_refused_and_in_a_question_it_is_text(text: str) -> None:
    tokenizer = load_family("qwen3")
    problem = find_row_problem(tokenizer, [make_user_turn("?"), make_assistant_turn(text)])
    assert problem and "message 2" in problem and "<|im_" in problem
    assert find_row_problem(tokenizer, [make_user_turn(text), make_assistant_turn("red")]) is None


UNUSABLE = {
    "reasoning that the template cannot render": ("qwen2_5", [make_user_turn("?"), make_assistant_turn(THOUGHT)]),
    "reasoning that does not end": ("qwen3", [make_user_turn("?"), make_assistant_turn("<think>The door")]),
    "reasoning that does not begin": ("qwen3", [make_user_turn("?"), make_assistant_turn("The door</think>red")]),
    "reasoning after the answer": ("qwen3", [make_user_turn("?"), make_assistant_turn(f"red {THOUGHT}")]),
    "a tool call that the template cannot render": ("gemma3", [make_user_turn("?"), make_assistant_turn(CALL)]),
    "a tool call that is no JSON": (
        "qwen3",
        [make_user_turn("?"), make_assistant_turn("<tool_call>find(door)</tool_call>")],
    ),
    "a tool call before the answer": ("qwen3", [make_user_turn("?"), make_assistant_turn(f"{CALL} red")]),
    "a tool call of another model": ("qwen3", [make_user_turn("?"), make_assistant_turn("<|python_tag|>find()")]),
    "a tool call that holds a control token": (
        "qwen3",
        [make_user_turn("?"), make_assistant_turn(CALL.replace("door", "<|im_end|>"))],
    ),
    "an earlier tool call that the template leaves out": (
        "phi3",
        [make_user_turn("?"), make_assistant_turn(CALL), make_user_turn("?"), make_assistant_turn("red")],
    ),
    "two turns of the user": ("gemma3", [make_user_turn("?"), make_user_turn("?"), make_assistant_turn("red")]),
    "a tool": (
        "gemma3",
        [make_user_turn("?"), make_assistant_turn("red"), {"role": "tool", "content": "x"}, make_assistant_turn("red")],
    ),
}


@pytest.mark.parametrize(("name", "messages"), UNUSABLE.values(), ids=UNUSABLE)
def test_the_reason_why_a_chat_cannot_be_rendered_is_one_line(name: str, messages: Any) -> None:
    problem = find_template_problem(load_family(name), messages)
    assert problem and "\n" not in problem
    assert find_row_problem(load_family(name), messages)


LEFT_OUT = {
    "a sentence before a tool call": ("llama3_1", 2, [make_user_turn("?"), make_assistant_turn(f"Wait.\n{CALL}")]),
    "an earlier sentence before a tool call": (
        "llama3_1",
        2,
        [make_user_turn("?"), make_assistant_turn(f"Wait.\n{CALL}"), TOOL, make_assistant_turn("red")],
    ),
    "a result of a tool": ("phi3", 2, [make_user_turn("?"), TOOL, make_assistant_turn("red")]),
    "a later system message": ("gptoss", 3, [*GREETING[1:], SYSTEM, *THREE[2:4]]),
}


@pytest.mark.parametrize(("name", "number", "messages"), LEFT_OUT.values(), ids=LEFT_OUT)
def test_a_row_is_refused_if_the_template_leaves_out_a_text(name: str, number: int, messages: Any) -> None:
    problem = find_row_problem(load_family(name), messages)
    assert problem and f"leaves out the content of message {number}" in problem


@pytest.mark.parametrize("empty", ["", " \n"])
def test_an_empty_message_may_be_left_out(empty: str) -> None:
    chat = [*GREETING[1:], {"role": "system", "content": empty}, *THREE[2:4]]
    assert find_row_problem(load_family("gptoss"), chat) is None


@pytest.mark.parametrize("field", ["tool_calls", "reasoning_content", "function_call"])
def test_reasoning_and_tool_calls_in_fields_of_a_message_are_found(field: str) -> None:
    problem = find_template_problem(
        load_family("qwen3"), [make_user_turn("?"), {**make_assistant_turn("red"), field: "x"}]
    )
    assert problem and field in problem
    assert (
        find_template_problem(load_family("qwen3"), [make_user_turn("?"), {**make_assistant_turn("red"), field: None}])
        is None
    )


def test_tags_in_user_messages_are_text() -> None:
    assert (
        find_template_problem(
            load_family("qwen3"), [make_user_turn("What is <think> and <tool_call>?"), make_assistant_turn("A tag.")]
        )
        is None
    )
    assert "<think>" in taught_context(load_family("qwen3"), "<think>x</think>")


def taught_context(tokenizer: Any, text: str) -> str:
    ids = [
        part.text
        for part in split_example(tokenizer, [make_user_turn(text), make_assistant_turn("A tag.")], AssistantTurns.all)
    ]
    return ids[0]


def test_roles_decide_for_all_chats_of_these_roles() -> None:
    tokenizer = load_family("gemma3")
    assert find_role_problem(tokenizer, ("user", "assistant")) is None
    problem = find_role_problem(tokenizer, ("user", "user", "assistant"))
    assert problem and problem.startswith("roles user, user, assistant: ") and "\n" not in problem


def test_a_prompt_that_the_template_cannot_render_is_an_error_of_one_line() -> None:
    with pytest.raises(RenderError, match="the chat template "):
        render_prompt(load_family("gemma3"), [make_user_turn("?"), make_user_turn("?")])


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("red", Answer("red")),
        ("<think>a</think>red", Answer("red", "a")),
        ("<think></think>\n\nred", Answer("red", "")),
        (CALL, Answer("", None, (("find", {"what": "door"}),))),
        (f"<think>a</think>b\n{CALL}{CALL}", Answer("b", "a", (("find", {"what": "door"}),) * 2)),
        ('<tool_call>["find"]</tool_call>', Answer('<tool_call>["find"]</tool_call>')),
        ('[{"content": "<think>a</think>"}]', Answer('[{"content": "<think>a</think>"}]')),
    ],
)
def test_an_answer_is_split_into_its_parts(text: str, answer: Answer) -> None:
    assert split_answer(text) == answer


def test_markup_is_found_only_if_it_was_not_parsed() -> None:
    assert find_markup(make_assistant_turn(f"{THOUGHT}\n{CALL}")) is None
    assert find_markup(make_assistant_turn("a <think> b")) == "<think>"
    assert find_markup(make_assistant_turn("5 < 6, [1] and <b>")) is None


# Dates


@pytest.mark.parametrize("name", ["llama3_2", "gptoss"])
def test_a_template_that_writes_the_date_writes_the_same_on_any_day(name: str, monkeypatch: Any) -> None:
    text = render_prompt(load_family(name), [make_user_turn("?")]).text
    assert "2024" in text
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 10**8)
    assert time.strftime("%Y") not in text
    assert render_prompt(load_family(name), [make_user_turn("?")]).text == text
