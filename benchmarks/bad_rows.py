"""Malformed rows for `benchmarks/bad_inputs.py`: each field of each file of JSON Lines, the taxonomy, predictions."""

from collections.abc import Iterator
from typing import Any

from benchmarks.bad_case import (
    MISSING,
    Case,
    edit_row,
    list_bad_bytes,
    list_not_a_file,
    replace_text,
    rewrite_file,
    write_file,
    write_line,
)

PREPARED = "data/prepared"
COMMENTS, TAXONOMY = f"{PREPARED}/comments/comments.jsonl", f"{PREPARED}/comments/taxonomy.csv"
GENERAL = f"{PREPARED}/general/general.jsonl"
TEST, DEV = f"{PREPARED}/benchmark/test.jsonl", f"{PREPARED}/benchmark/dev.jsonl"
IFEVAL, CHAT = f"{PREPARED}/instructions/ifeval.jsonl", f"{PREPARED}/chat/prompts.jsonl"
PREDICTIONS = "data/predictions/tuned.jsonl"
READERS = {
    COMMENTS: ("stages.split",),
    GENERAL: ("stages.decontaminate",),
    TEST: ("stages.decontaminate",),
    DEV: ("stages.mmlu", "base"),
    IFEVAL: ("stages.ifeval", "base"),
    CHAT: ("stages.chat", "base"),
    PREDICTIONS: ("stages.score", "tuned"),
}
LINE = 3  # the line that is damaged

# Lines that are not one JSON object.
LINES = {
    "an array": b'[{"id": "x"}]',
    "a string": b'"text"',
    "a number": b"17",
    "null": b"null",
    "cut off": b'{"id": "x", "te',
    "two objects in a line": b'{"id": "x"} {"id": "y"}',
    "a comma after it": b'{"id": "x"},',
    "a Python dictionary": b"{'id': 'x', 'text': None}",
    "a comment": b"// nothing yet",
    "comma-separated values": b"id,text\n1,hello",
    "NaN": b'{"id": NaN}',
    "a number beyond a float": b'{"id": 1e999}',
    "nested a hundred thousand deep": b"[" * 100_000,
    "half of a surrogate pair": b'{"id": "\\ud800"}',
    "a raw control character": b'{"id": "a\x01b"}',
    "Latin-1": b'{"id": "caf\xe9"}',
}
# Values instead of a text. Those after `EMPTY` are strings.
NO_TEXT: dict[str, Any] = {"missing": MISSING, "null": None, "a number": 3.5, "a list": ["x"], "an object": {"x": 1}}
EMPTY: dict[str, Any] = {"empty": "", "only a zero-width space": "\u200b"}
TEXT = NO_TEXT | EMPTY
OPTIONAL = {what: value for what, value in TEXT.items() if value is not MISSING and value is not None}


def list_bad_fields(file: str, name: str, path: list[Any], values: dict[str, Any], line: int = LINE) -> Iterator[Case]:
    """Yield a case for each value that replaces a field."""
    for what, value in values.items():
        edit = edit_row(file, line, path, value)
        yield Case(file, f"`{name}`: {what}", edit, READERS[file], f"{file}:{line}")


def list_accepted(file: str, what: str, path: list[Any], value: object, warning: str = "") -> Case:
    """Return the case of a value that is accepted."""
    return Case(file, what, edit_row(file, LINE, path, value), READERS[file], warning, accepted=True)


def list_cases_of_any_file() -> Iterator[Case]:
    """Yield errors that any JSON Lines file can have."""
    for file, command in READERS.items():
        skipped = file == PREDICTIONS  # without a row: a hosted base has no tuned model
        yield from (case for case in list_not_a_file(file, command))
        yield from (case for case in list_bad_bytes(file, command) if not (skipped and case.what == "empty"))
        for what, line in LINES.items():
            yield Case(file, f"a line that is {what}", write_line(file, LINE, line), command, f"{file}:{LINE}")
        yield Case(
            file,
            "twenty bad lines",
            rewrite_file(file, lambda content: content + b"no JSON\n" * 20),
            command,
            f"{file}:",
        )


def list_comment_cases() -> Iterator[Case]:
    """Yield errors in comments."""
    yield from list_bad_fields(COMMENTS, "id", ["id"], TEXT)
    yield from list_bad_fields(COMMENTS, "text", ["text"], TEXT)
    lists = {"missing": MISSING, "null": None, "a text": "x", "an object": {}, "empty": [], "a list of texts": ["x"]}
    yield from list_bad_fields(COMMENTS, "segments", ["segments"], lists | {"a list of null": [None]})
    yield from list_bad_fields(COMMENTS, "L1", ["segments", 0, "L1"], TEXT | {"not in the taxonomy": "Nowhere"})
    yield from list_bad_fields(COMMENTS, "L4", ["segments", 0, "L4"], TEXT | {"a path instead": "Setup > Pairing"})
    yield from list_bad_fields(COMMENTS, "content", ["segments", 0, "content"], OPTIONAL)
    yield from list_bad_fields(COMMENTS, "emotion", ["segments", 0, "emotion"], OPTIONAL)
    yield from list_bad_fields(COMMENTS, "L9", ["segments", 0, "L9"], {"a level too many": "x"})
    yield from list_bad_fields(COMMENTS, "mood", ["segments", 0, "mood"], {"a field that segments do not have": "x"})
    yield from list_bad_fields(COMMENTS, "lang", ["lang"], {"a number": 3, "a list": ["en"]})
    yield from list_bad_fields(COMMENTS, "split", ["split"], {"unknown": "validation", "a number": 1, "empty": ""})
    yield from list_bad_fields(COMMENTS, "id", ["id"], {"the id of another row": "demo-0001"})
    hostile = {"an escape sequence": "\x1b[31mred", "a line break": "one\ntwo", "a million letters": "x" * 10**6}
    yield from list_bad_fields(
        COMMENTS, "L1", ["segments", 0, "L1"], {f"{what} in it": text for what, text in hostile.items()}
    )
    yield list_accepted(COMMENTS, "`lang`: null", ["lang"], None)
    yield list_accepted(COMMENTS, "`emotion`: null", ["segments", 0, "emotion"], None)
    yield list_accepted(COMMENTS, "an unknown key", ["Split"], "test", "`Split`")
    yield list_accepted(COMMENTS, "a text of a million letters", ["text"], "x" * 10**6)
    yield list_accepted(COMMENTS, "a text of control characters and letters", ["text"], "a\x01\x1b[31mb\u202ec")
    yield list_accepted(
        COMMENTS, "a content that the text does not have", ["segments", 0, "content"], "elsewhere", "content"
    )
    for side in ("train", "test"):
        yield Case(
            COMMENTS,
            f"every comment is in {side}",
            rewrite_file(
                COMMENTS, lambda content, side=side: content.replace(b'{"id"', b'{"split":"%b","id"' % side.encode())
            ),
            READERS[COMMENTS],
            f"{COMMENTS}: ",
        )
    yield Case(
        COMMENTS, "one row", rewrite_file(COMMENTS, lambda rows: rows.splitlines()[0]), READERS[COMMENTS], COMMENTS
    )


def list_taxonomy_cases() -> Iterator[Case]:
    """Yield errors in the taxonomy."""
    command, header = ("stages.split",), "L1,L2,L3,L4,description\n"
    yield from list_not_a_file(TAXONOMY, command)
    yield from list_bad_bytes(TAXONOMY, command, read=("UTF-16",))
    headers = {
        "no header": "Smart lock,Hardware,Bolt,Jams,x\n",
        "names in lower case": "l1,l2,l3,l4,description\n",
        "names with spaces": "Level 1,Level 2,Level 3,Level 4,description\n",
        "a level left out": "L1,L2,L4,L5,description\n",
        "levels from 0": "L0,L1,L2,L3,description\n",
        "levels in another order": "L2,L1,L3,L4,description\n",
        "a level twice": "L1,L1,L2,L3,description\n",
        "a description twice": "L1,L2,L3,description,description\n",
        "an unknown column": "L1,L2,L3,L4,notes\n",
        "a column without a name between others": "L1,,L2,L3,L4\n",
        "an unclosed quote": 'L1,L2,L3,"L4,description\n',
        "columns of one name": "label,label,label,label,label\n",
    }
    for what, line in headers.items():
        location = TAXONOMY if "quote" in what else f"{TAXONOMY}:1"  # a quoted cell extends to the last line
        yield Case(TAXONOMY, f"header: {what}", replace_text(TAXONOMY, header, line), command, location)
    rows = {
        "a cell too few": "Smart lock,Hardware,Bolt",
        "a cell too many": "a,b,c,d,e,f",
        "an empty label": "Smart lock,,Bolt,Jams,x",
        "a label of a zero-width space": "Smart lock,\u200b,Bolt,Jams,x",
        "a line break in a label": 'Smart lock,"Hard\nware",Bolt,Jams,x',
        "a path that comes twice": "Smart lock,Power,Battery,Drains too fast,again",
        "a path that comes twice, spelled otherwise": "Smart lock,Power ,Battery,Drains\u00a0too fast,again",
        "a quote inside a cell": 'Smart lock,"Hard"ware",Bolt,Jams,x',
        "an unclosed quote": 'Smart lock,Hardware,"Bolt,Jams,x',
        "a cell of eleven million letters": f"Smart lock,{'x' * 11_000_000},Bolt,Jams,x",
        "separated by tabs": "Smart lock\tHardware\tBolt\tJams\tx",
    }
    for what, line in rows.items():
        yield Case(TAXONOMY, what, write_line(TAXONOMY, 2, line.encode()), command, f"{TAXONOMY}:")
    yield Case(TAXONOMY, "only a header", write_file(TAXONOMY, header.encode()), command, TAXONOMY)
    yield Case(
        TAXONOMY, "only a column `description`", write_file(TAXONOMY, b"description\nx\n"), command, f"{TAXONOMY}:1"
    )
    yield Case(TAXONOMY, "another taxonomy", write_file(TAXONOMY, b"L1,L2\nA,B\n"), command, f"{COMMENTS}:1")
    yield Case(TAXONOMY, "JSON Lines", write_file(TAXONOMY, b'{"L1": "A"}\n{"L1": "B"}\n'), command, f"{TAXONOMY}:1")
    valid = {
        "separated by semicolons, as in half of Europe": lambda text: (
            text.replace(";", " ").replace(",", ";") if '"' not in text else text
        ),
        "a line `sep=,` above": lambda text: f"sep=,\n{text}",
        "empty lines at the end": lambda text: f"{text}\n,,,,\n,,,,\n",
    }
    for what, change in valid.items():
        edit = rewrite_file(TAXONOMY, lambda content, change=change: change(content.decode()).encode())
        yield Case(TAXONOMY, what, edit, command, "", accepted=True)
    formula = write_line(TAXONOMY, 2, b"Smart lock,Hardware,Bolt,Jams,=cmd|' /C calc'!A0")
    yield Case(TAXONOMY, "a description that is a formula", formula, command, "", accepted=True)


def list_general_cases() -> Iterator[Case]:
    """Yield errors in general examples."""
    for key in ("id", "category", "source"):
        yield from list_bad_fields(GENERAL, key, [key], TEXT)
    for key in ("lang", "license"):
        yield from list_bad_fields(GENERAL, key, [key], OPTIONAL)
        yield list_accepted(GENERAL, f"`{key}`: null", [key], None)
    lists = {"missing": MISSING, "null": None, "a text": "x", "empty": [], "a list of texts": ["x", "y"]}
    yield from list_bad_fields(
        GENERAL, "messages", ["messages"], lists | {"no answer": [{"role": "user", "content": "x"}]}
    )
    yield from list_bad_fields(GENERAL, "role", ["messages", 0, "role"], TEXT | {"unknown": "human"})
    yield from list_bad_fields(GENERAL, "content", ["messages", 0, "content"], TEXT)
    yield from list_bad_fields(GENERAL, "content of the answer", ["messages", 1, "content"], TEXT)
    yield from list_bad_fields(GENERAL, "source", ["source"], {"the customers'": "customer"})
    yield from list_bad_fields(GENERAL, "id", ["id"], {"the id of another row": "one_word-3304"})
    yield list_accepted(GENERAL, "an unknown key", ["weight"], 2, "`weight`")
    yield list_accepted(GENERAL, "a message of a million letters", ["messages", 0, "content"], "word " * 200_000)


def list_benchmark_cases() -> Iterator[Case]:
    """Yield errors in multiple-choice questions."""
    for file in (TEST, DEV):
        yield from list_bad_fields(file, "subject", ["subject"], TEXT)
        yield from list_bad_fields(file, "question", ["question"], TEXT)
        lists = {"missing": MISSING, "null": None, "a text": "ABCD", "three": ["a", "b", "c"], "numbers": [1, 2, 3, 4]}
        yield from list_bad_fields(file, "choices", ["choices"], lists | {"one empty": ["a", "b", "c", ""]})
        answers = {"missing": MISSING, "null": None, "a letter": "A", "4": 4, "-1": -1, "true": True, "a fraction": 1.5}
        yield from list_bad_fields(file, "answer", ["answer"], answers)
        other = edit_row(file, LINE, ["subject"], "a subject in only one file")
        yield Case(file, "`subject`: only in this file", other, READERS[file], "a subject in only one file")
    yield list_accepted(TEST, "an unknown key", ["explanation"], "x", "`explanation`")
    yield Case(
        f"{PREPARED}/benchmark", "a file instead of the folder",
        lambda project: (_remove_folder(project), (project / PREPARED / "benchmark").write_text("x")),
        READERS[TEST], f"{PREPARED}/benchmark",
    )  # fmt: skip


def _remove_folder(project: Any) -> None:  # noqa: ANN401 (a path)
    from alloy.core.files import remove_path

    remove_path(project / PREPARED / "benchmark")


def list_ifeval_cases() -> Iterator[Case]:
    """Yield errors in prompts with instructions that a program can check."""
    keys = {"missing": MISSING, "null": None, "a text": "1", "a fraction": 1.5, "true": True, "of another prompt": 1}
    yield from list_bad_fields(IFEVAL, "key", ["key"], keys)
    yield from list_bad_fields(IFEVAL, "prompt", ["prompt"], TEXT)
    lists = {"missing": MISSING, "null": None, "a text": "x", "empty": [], "numbers": [1], "unknown": ["no:such"]}
    yield from list_bad_fields(IFEVAL, "instruction_id_list", ["instruction_id_list"], lists)
    given = {"missing": MISSING, "null": None, "a text": "x", "empty": [], "a list of texts": ["x"], "two": [{}, {}]}
    yield from list_bad_fields(IFEVAL, "kwargs", ["kwargs"], given)
    arguments = {"missing": MISSING, "null": None, "a text": "3", "0": 0, "a fraction": 1.5, "a list": [3]}
    yield from list_bad_fields(IFEVAL, "num_bullets", ["kwargs", 0, "num_bullets"], arguments)
    yield from list_bad_fields(IFEVAL, "extra", ["kwargs", 0, "extra"], {"unknown": 1})
    pattern = encode_line(key=3, prompt="x", instruction_id_list=["keywords:existence"], kwargs=[{"keywords": ["("]}])
    yield Case(
        IFEVAL, "a keyword that is not a pattern", write_line(IFEVAL, 3, pattern), READERS[IFEVAL], f"{IFEVAL}:3"
    )
    text = edit_row(IFEVAL, LINE, ["prompt"], MISSING)
    yield Case(IFEVAL, "no prompt, read by decontaminate", text, ("stages.decontaminate",), f"{IFEVAL}:{LINE}")


def encode_line(**row: object) -> bytes:
    """Return a row as one line of JSON."""
    import orjson

    return orjson.dumps(row)


def list_chat_cases() -> Iterator[Case]:
    """Yield errors in plain chat prompts."""
    yield from list_bad_fields(CHAT, "id", ["id"], TEXT | {"of another prompt": "fact"})
    yield from list_bad_fields(CHAT, "category", ["category"], TEXT)
    lists = {"missing": MISSING, "null": None, "a text": "Hi!", "empty": [], "a list of texts": ["Hi!"]}
    answer = [{"role": "user", "content": "Hi!"}, {"role": "assistant", "content": "Hello."}]
    yield from list_bad_fields(CHAT, "messages", ["messages"], lists | {"the last is an answer": answer})
    yield from list_bad_fields(CHAT, "role", ["messages", 0, "role"], TEXT | {"unknown": "human"})
    yield from list_bad_fields(CHAT, "content", ["messages", 0, "content"], TEXT)
    yield list_accepted(CHAT, "an unknown key", ["weight"], 2, "`weight`")


def list_prediction_cases() -> Iterator[Case]:
    """Yield errors in predictions."""
    yield from list_bad_fields(PREDICTIONS, "id", ["id"], TEXT | {"of another comment": "demo-0001"})
    yield from list_bad_fields(PREDICTIONS, "hash", ["hash"], NO_TEXT | {"of another text": "0" * 16})
    yield from list_bad_fields(PREDICTIONS, "raw", ["raw"], NO_TEXT)
    flags = {"missing": MISSING, "null": None, "a text": "yes", "a number": 1}
    yield from list_bad_fields(PREDICTIONS, "valid", ["valid"], flags)
    lists = {
        "missing": MISSING,
        "null": None,
        "a text": "x",
        "an object": {},
        "a list of texts": ["x"],
        "null in it": [None],
    }
    yield from list_bad_fields(PREDICTIONS, "segments", ["segments"], lists)
    segment = {"content": "x", "L1": "a", "L2": "b", "L3": "c", "L4": "d", "emotion": "joy"}
    for key in ("L1", "content", "emotion"):
        for what, value in {"a number": 3, "a list": ["x"], "an object": {"x": 1}}.items():
            yield from list_bad_fields(
                PREDICTIONS, f"{key} of a segment", ["segments"], {what: [{**segment, key: value}]}
            )
    yield from list_bad_fields(PREDICTIONS, "L1 of a segment", ["segments"], {"missing": [{"L2": "b"}]})
    doubled = rewrite_file(PREDICTIONS, lambda content: content * 500)
    yield Case(PREDICTIONS, "more rows than comments", doubled, READERS[PREDICTIONS], PREDICTIONS)


def list_cases() -> Iterator[Case]:
    """Yield all cases of this module."""
    for group in (
        list_cases_of_any_file,
        list_comment_cases,
        list_taxonomy_cases,
        list_general_cases,
        list_benchmark_cases,
        list_ifeval_cases,
        list_chat_cases,
        list_prediction_cases,
    ):
        yield from group()
