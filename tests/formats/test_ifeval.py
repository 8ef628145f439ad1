"""Prompts with instructions are checked on reading: what lm-eval would draw or fall over is one clear line."""

import json
from pathlib import Path
from typing import Any

import pytest

from alloy.core.files import InputError
from alloy.formats.ifeval import check_prompt, load_prompts

Row = dict[str, Any]
WORDS, KEYWORDS, TITLE = "length_constraints:number_words", "keywords:existence", "detectable_format:title"


def prompt(key: Any = 1, names: Any = (TITLE,), kwargs: Any = ({},), text: Any = "Write a poem.") -> Row:
    names, kwargs = (list(value) if isinstance(value, tuple) else value for value in (names, kwargs))
    return {"key": key, "prompt": text, "instruction_id_list": names, "kwargs": kwargs}


def words(**kwargs: Any) -> Row:
    return prompt(names=(WORDS,), kwargs=(kwargs,))


def keywords(*given: Any) -> Row:
    return prompt(names=(KEYWORDS,), kwargs=({"keywords": list(given)},))


def write(path: Path, *rows: Row) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_prompts_keep_their_order_and_lose_the_null_arguments(tmp_path: Path) -> None:
    second = words(num_words=5, relation="less than", keywords=None, letter=None)
    rows = load_prompts(write(tmp_path / "ifeval.jsonl", prompt(9), {**second, "more": 1}, prompt(3)))
    assert rows == [prompt(9), words(num_words=5, relation="less than"), prompt(3)]


NUMBER, WORD_LIST = "write a whole number above 0", "write a list of words"
BAD = {
    "no key": (prompt(None), "`key` is None; write a whole number that no other prompt has"),
    "a text as key": (prompt("1"), "`key` is '1'; write a whole number"),
    "true as key": (prompt(True), "`key` is True; write a whole number"),
    "an empty prompt": (prompt(text=" \n"), "`prompt` is missing or empty"),
    "no prompt": (prompt(text=None), "`prompt` is missing or empty"),
    "no instructions": (prompt(names=None), "`instruction_id_list` is missing or empty"),
    "an empty list": (prompt(names=(), kwargs=()), "`instruction_id_list` is missing or empty"),
    "no kwargs": (prompt(kwargs=None), "`kwargs` must be a list of objects"),
    "kwargs that are texts": (prompt(kwargs=("",)), "`kwargs` must be a list of objects"),
    "kwargs too few": (prompt(names=(TITLE, TITLE)), "2 instructions and 1 kwargs; write one for each"),
    "an unknown instruction": (
        prompt(names=("format:title",)),
        "instruction 'format:title' is none that lm-eval knows",
    ),
    "a number as instruction": (prompt(names=(3,)), "instruction 3 is none that lm-eval knows"),
    "a list as instruction": (prompt(names=([TITLE],)), f"instruction ['{TITLE}'] is none that lm-eval knows"),
    "an argument too many": (prompt(kwargs=({"num_words": 3},)), f"{TITLE} takes no `num_words`; remove it"),
    "an argument too few": (words(num_words=3), f"{WORDS} has no `relation`; add it, else lm-eval would draw one"),
    "a null argument": (words(num_words=None, relation="at least"), f"{WORDS} has no `num_words`"),
    # lm-eval takes 0 for an argument that is not there
    "a zero": (words(num_words=0, relation="at least"), f"{WORDS}: `num_words` is 0; {NUMBER}"),
    "a number in a text": (words(num_words="3", relation="at least"), f"{WORDS}: `num_words` is '3'; {NUMBER}"),
    "half a word": (words(num_words=1.5, relation="at least"), f"{WORDS}: `num_words` is 1.5; {NUMBER}"),
    "another relation": (words(num_words=3, relation="at most"), f"{WORDS}: lm-eval refuses "),
    "an unknown language": (
        prompt(names=("language:response_language",), kwargs=({"language": "xx"},)),
        "language:response_language: lm-eval refuses {'language': 'xx'}",
    ),
    "a word as keywords": (
        prompt(names=(KEYWORDS,), kwargs=({"keywords": "lamp"},)),
        f"{KEYWORDS}: `keywords` is 'lamp'; {WORD_LIST}",
    ),
    "no keyword": (keywords(), f"{KEYWORDS}: `keywords` is []; {WORD_LIST}"),
    "an empty keyword": (keywords("a", ""), f"{KEYWORDS}: `keywords` is ['a', '']; {WORD_LIST}"),
    "a number among keywords": (keywords("a", 5), f"{KEYWORDS}: `keywords` is ['a', 5]; {WORD_LIST}"),
    "a keyword that is no pattern": (keywords("(plus"), f"{KEYWORDS}: `keywords`: lm-eval reads '(plus' as a pattern"),
    "a number as phrase": (
        prompt(names=("startend:end_checker",), kwargs=({"end_phrase": 5},)),
        "startend:end_checker: `end_phrase` is 5; write a text",
    ),
}


@pytest.mark.parametrize(("row", "wanted"), BAD.values(), ids=BAD)
def test_a_bad_prompt_is_one_line_with_its_place(tmp_path: Path, row: Row, wanted: str) -> None:
    path = write(tmp_path / "ifeval.jsonl", prompt(2), row)
    with pytest.raises(InputError) as caught:
        load_prompts(path)
    assert str(caught.value).startswith(f"{path}:2: {wanted}")
    assert "\n" not in str(caught.value)


def test_a_key_stands_once(tmp_path: Path) -> None:
    path = write(tmp_path / "ifeval.jsonl", prompt(2), prompt(1), prompt(2))
    with pytest.raises(InputError, match=r":3: `key` 2 is that of a row before"):
        load_prompts(path)


def test_a_line_that_is_no_json_is_named(tmp_path: Path) -> None:
    path = tmp_path / "ifeval.jsonl"
    path.write_text(json.dumps(prompt()) + "\n{\n")
    with pytest.raises(InputError, match=r"ifeval\.jsonl:2: not valid JSON"):
        load_prompts(path)


def test_a_checked_prompt_is_canonical_already() -> None:
    row = check_prompt(words(num_words=5, relation="at least", letter=None))
    assert check_prompt(row) == row


def test_null_for_the_arguments_of_an_instruction_is_none() -> None:
    row = {**prompt(1), "kwargs": [None for _ in prompt(1)["kwargs"]]}
    assert check_prompt(row) == check_prompt({**row, "kwargs": [{} for _ in row["kwargs"]]})
