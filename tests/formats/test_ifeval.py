"""Prompts with instructions are checked when they are read: each error is one line with its location."""

import json
from pathlib import Path
from typing import Any

import pytest

from alloy.core.files import InputError
from alloy.formats.ifeval import check_prompt, load_prompts

Row = dict[str, Any]
WORDS, KEYWORDS, TITLE = "length_constraints:number_words", "keywords:existence", "detectable_format:title"


def make_prompt(key: Any = 1, names: Any = (TITLE,), kwargs: Any = ({},), text: Any = "Write a poem.") -> Row:
    names, kwargs = (list(value) if isinstance(value, tuple) else value for value in (names, kwargs))
    return {"key": key, "prompt": text, "instruction_id_list": names, "kwargs": kwargs}


def make_words_prompt(**kwargs: Any) -> Row:
    return make_prompt(names=(WORDS,), kwargs=(kwargs,))


def make_keywords_prompt(*values: Any) -> Row:
    return make_prompt(names=(KEYWORDS,), kwargs=({"keywords": list(values)},))


def write_prompts(path: Path, *rows: Row) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_prompts_keep_their_order_and_lose_the_null_arguments(tmp_path: Path) -> None:
    row = make_words_prompt(num_words=5, relation="less than", keywords=None, letter=None)
    rows = load_prompts(write_prompts(tmp_path / "ifeval.jsonl", make_prompt(9), {**row, "more": 1}, make_prompt(3)))
    assert rows == [make_prompt(9), make_words_prompt(num_words=5, relation="less than"), make_prompt(3)]


END_CHECKER, LANGUAGE = "startend:end_checker", "language:response_language"
INVALID_PROMPTS = {  # a row, and the key and value in its error
    "a null key": (make_prompt(None), ("`key`", "None")),
    "a string as key": (make_prompt("1"), ("`key`", "'1'")),
    "true as key": (make_prompt(True), ("`key`", "True")),
    "an empty prompt": (make_prompt(text=" \n"), ("`prompt`",)),
    "a null prompt": (make_prompt(text=None), ("`prompt`",)),
    "null instructions": (make_prompt(names=None), ("`instruction_id_list`",)),
    "an empty list of instructions": (make_prompt(names=(), kwargs=()), ("`instruction_id_list`",)),
    "null kwargs": (make_prompt(kwargs=None), ("`kwargs`",)),
    "a string in kwargs": (make_prompt(kwargs=("",)), ("`kwargs`",)),
    "fewer kwargs than instructions": (make_prompt(names=(TITLE, TITLE)), ("`kwargs`", "2", "1")),
    "an unknown instruction": (make_prompt(names=("format:title",)), ("'format:title'", TITLE)),
    "a number as instruction": (make_prompt(names=(3,)), (" 3;", TITLE)),
    "a list as instruction": (make_prompt(names=([TITLE],)), (f"['{TITLE}']", WORDS)),
    "an unexpected argument": (make_prompt(kwargs=({"num_words": 3},)), (TITLE, "`num_words`")),
    "a missing argument": (make_words_prompt(num_words=3), (WORDS, "`relation`")),
    "a null argument": (make_words_prompt(num_words=None, relation="at least"), (WORDS, "`num_words`")),
    # for lm-eval, 0 is a missing argument
    "num_words of 0": (make_words_prompt(num_words=0, relation="at least"), (WORDS, "`num_words`", " 0")),
    "a string instead of a number": (
        make_words_prompt(num_words="3", relation="at least"),
        (WORDS, "`num_words`", "'3'"),
    ),
    "a fractional num_words": (make_words_prompt(num_words=1.5, relation="at least"), (WORDS, "`num_words`", "1.5")),
    "an unknown relation": (make_words_prompt(num_words=3, relation="at most"), (WORDS, "'relation': 'at most'")),
    "an unknown language": (
        make_prompt(names=(LANGUAGE,), kwargs=({"language": "xx"},)),
        (LANGUAGE, "'language': 'xx'"),
    ),
    "a string instead of keywords": (
        make_prompt(names=(KEYWORDS,), kwargs=({"keywords": "lamp"},)),
        (KEYWORDS, "`keywords`", "'lamp'"),
    ),
    "an empty list of keywords": (make_keywords_prompt(), (KEYWORDS, "`keywords`", "[]")),
    "an empty keyword": (make_keywords_prompt("a", ""), (KEYWORDS, "`keywords`", "['a', '']")),
    "a number among keywords": (make_keywords_prompt("a", 5), (KEYWORDS, "`keywords`", "['a', 5]")),
    "a keyword that is not a pattern": (make_keywords_prompt("(plus"), (KEYWORDS, "`keywords`", "'(plus'")),
    "a keyword that takes forever": (make_keywords_prompt("(a+)+$"), (KEYWORDS, "`keywords`", "'(a+)+$'")),
    "an unfinished escape": (make_keywords_prompt("a\\"), (KEYWORDS, "`keywords`")),
    "several unlimited repeats": (make_keywords_prompt("a*a*a*b"), (KEYWORDS, "`keywords`")),
    **{
        f"a pattern as {field}": (make_prompt(names=(name,), kwargs=({field: value, **more},)), (name, f"`{field}`"))
        for name, field, value, more in [
            ("keywords:frequency", "keyword", "(a|a)+$", {"frequency": 1, "relation": "at least"}),
            ("keywords:forbidden_words", "forbidden_words", ["x", "(a+)+b"], {}),
            ("detectable_content:postscript", "postscript_marker", "(", {}),
            ("detectable_content:postscript", "postscript_marker", "(a+)+b", {}),
            ("detectable_format:multiple_sections", "section_spliter", "(a+)+b", {"num_sections": 2}),
        ]
    },
    "a number as phrase": (
        make_prompt(names=(END_CHECKER,), kwargs=({"end_phrase": 5},)),
        (END_CHECKER, "`end_phrase`", " 5"),
    ),
}


def read_error(path: Path) -> str:
    with pytest.raises(InputError) as caught:
        load_prompts(path)
    return str(caught.value)


@pytest.mark.parametrize(("row", "parts"), INVALID_PROMPTS.values(), ids=INVALID_PROMPTS)
def test_an_invalid_prompt_is_an_error_with_location_key_and_value(
    tmp_path: Path, row: Row, parts: tuple[str, ...]
) -> None:
    path = write_prompts(tmp_path / "ifeval.jsonl", make_prompt(2), row)
    error = read_error(path)
    assert error.startswith(f"{path}:2: ")
    assert all(part in error for part in parts), error
    assert "\n" not in error


def test_the_error_of_a_duplicate_key_names_its_line(tmp_path: Path) -> None:
    path = write_prompts(tmp_path / "ifeval.jsonl", make_prompt(2), make_prompt(1), make_prompt(2))
    assert read_error(path).startswith(f"{path}:3: duplicate `key` 2")


def test_a_line_that_is_not_json_is_named_in_the_error(tmp_path: Path) -> None:
    path = tmp_path / "ifeval.jsonl"
    path.write_text(json.dumps(make_prompt()) + "\n{\n")
    assert read_error(path).startswith(f"{path}:2: ")


@pytest.mark.parametrize("keyword", ["P.S.", "co-op", "a b", "it's", "é", "C\\+\\+", "\\(c\\)", "#1", "50%"])
def test_plain_and_escaped_keywords_are_valid(keyword: str) -> None:
    row = make_keywords_prompt(keyword)
    assert check_prompt(row) == row


def test_the_error_of_a_pattern_has_the_escaped_text(tmp_path: Path) -> None:
    error = read_error(write_prompts(tmp_path / "ifeval.jsonl", make_keywords_prompt("C++")))
    assert r'"C\\+\\+"' in error


def test_checking_a_checked_prompt_changes_nothing() -> None:
    row = check_prompt(make_words_prompt(num_words=5, relation="at least", letter=None))
    assert check_prompt(row) == row


def test_null_kwargs_mean_no_arguments() -> None:
    row = {**make_prompt(1), "kwargs": [None for _ in make_prompt(1)["kwargs"]]}
    assert check_prompt(row) == check_prompt({**row, "kwargs": [{} for _ in row["kwargs"]]})
