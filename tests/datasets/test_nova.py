"""Training data of Nova becomes canonical comments and a taxonomy, with any prompt around the comments."""

import gzip
import json
import re
from pathlib import Path
from typing import Any

import pytest

from alloy.core.files import InputError, read_jsonl, write_folder, write_jsonl
from alloy.datasets.nova import convert_nova
from alloy.datasets.nova_prompt import Wrapper, find_common_wrapper
from alloy.formats.taxonomy import load_taxonomy
from hostile_comments import HOSTILE
from stages.split import read_comments

Row = dict[str, Any]
LOCK = {"content": "lock jams", "E1": "Door", "E2": "Lock: how it turns", "emotion": "anger"}
PRICE = {"content": "dear", "E1": "Price", "E2": "Too dear: costs too much", "emotion": "anger"}


def make_example(comment: str, *segments: Row, prompt: str = "Label this:\n{}\nAnswer in JSON.", **fields: Any) -> Row:
    turns = (prompt.format(comment), json.dumps(list(segments) or [LOCK]))
    comments = [
        {"role": role, "content": [{"text": text}]} for role, text in zip(("user", "assistant"), turns, strict=True)
    ]
    return {"schemaVersion": "bedrock-conversation-2024", "messages": comments, **fields}


FIRST, SECOND = make_example("The lock jams.", LOCK), make_example("Good, but dear!", PRICE, LOCK)


def run_conversion() -> None:
    """Convert as the stage `prepare` does."""
    comments: list[str] = []
    write_folder("data/prepared/comments", lambda folder: comments.extend(convert_nova(Path("data/nova/raw"), folder)))
    print("".join(f"convert: {line}\n" for line in comments), end="")


@pytest.fixture
def raw(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    folder = Path("data/nova/raw")
    folder.mkdir(parents=True)
    return folder


def read_converted() -> list[Row]:
    run_conversion()
    return read_jsonl("data/prepared/comments/comments.jsonl")


def read_texts() -> list[str]:
    return [row["text"] for row in read_converted()]


def read_error() -> str:
    with pytest.raises(InputError) as caught:
        run_conversion()
    assert list(Path("data/prepared").iterdir()) == [], "a failed command writes no output"
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(("name", "pack"), [("a.jsonl", bytes), ("a.jsonl.gz", gzip.compress), ("d/A.JSONL", bytes)])
def test_conversations_become_comments_and_the_taxonomy_of_their_labels(raw: Path, name: str, pack: Any) -> None:
    (raw / name).parent.mkdir(exist_ok=True)
    (raw / name).write_bytes(pack("".join(json.dumps(row) + "\n" for row in (FIRST, SECOND)).encode()))
    lock = {"content": "lock jams", "L1": "Door", "L2": "Lock", "emotion": "anger"}
    price = {"content": "dear", "L1": "Price", "L2": "Too dear", "emotion": "anger"}
    rows = read_converted()
    assert [(row["text"], row["segments"]) for row in rows] == [
        ("The lock jams.", [lock]),
        ("Good, but dear!", [price, lock]),
    ]
    assert all(set(row) == {"id", "text", "segments"} for row in rows)
    taxonomy = load_taxonomy("data/prepared/comments/taxonomy.csv")
    assert taxonomy.levels == ("L1", "L2")
    assert taxonomy.leaves == {("Door", "Lock"): "how it turns", ("Price", "Too dear"): "costs too much"}
    assert len(read_comments(Path("data/prepared/comments/comments.jsonl"), taxonomy).rows) == 2


@pytest.mark.parametrize(
    "prompt",
    [
        "{}",
        "Label this comment as JSON:\n{}",
        "Comment: {}",
        'Taxonomy:\nDoor > Lock\n\n<comment>\n{}\n</comment>\nThe text is "quoted".',
        'The customer said "{}". Label it.',
        "[INST] {} [/INST]",
        "意见:{}",
        "Comment:\n{}\n\nComment ends here: answer.",
    ],
)
def test_text_that_all_user_turns_share_is_not_part_of_the_comment(raw: Path, prompt: str) -> None:
    comments = ["The lock jams.", "The lock is loud.", "Good, but dear!", "  Indented.", "Comment: twice"]
    write_jsonl(raw / "a.jsonl", (make_example(text, {"L1": "x"}, prompt=prompt) for text in comments))
    assert read_texts() == comments


def test_words_that_comments_share_by_chance_stay_in_the_comments(raw: Path) -> None:
    comments = ["I like the lock.", "I like the price."]
    write_jsonl(raw / "a.jsonl", (make_example(text, {"L1": "x"}, prompt="Label: {}") for text in comments))
    assert read_texts() == comments


@pytest.mark.parametrize("prompt", ["{}", "Text:\n{}", "<c>{}</c>"])
def test_hostile_comments_are_kept_unchanged(raw: Path, prompt: str) -> None:
    write_jsonl(raw / "a.jsonl", (make_example(text, {"L1": "x"}, prompt=prompt) for text in HOSTILE))
    assert read_texts() == HOSTILE


def test_the_shared_text_does_not_depend_on_the_order_of_the_turns() -> None:
    turns = [f"Taxonomy: {'x > y; ' * 500}\nText: <{text}> end" for text in HOSTILE]
    expected = Wrapper(f"Taxonomy: {'x > y; ' * 500}\nText: <", "> end")
    assert (
        find_common_wrapper(turns)
        == find_common_wrapper(reversed(turns))
        == find_common_wrapper(sorted(turns))
        == expected
    )


def test_the_last_turns_of_a_longer_conversation_are_the_comment_and_its_labels(raw: Path) -> None:
    example_turns = make_example("An example", PRICE)["messages"]
    rows = [
        {**row, "system": [{"text": "Be brief."}], "messages": example_turns + row["messages"]}
        for row in (FIRST, SECOND)
    ]
    write_jsonl(raw / "a.jsonl", rows)
    assert read_texts() == ["The lock jams.", "Good, but dear!"]


def test_equal_conversations_need_a_prompt_file(raw: Path) -> None:
    write_jsonl(raw / "a.jsonl", [FIRST, FIRST])
    assert re.match(r"data/nova/raw: .*\{comment\} .*prompt\.txt", read_error())
    (raw / "prompt.txt").write_text("Label this:\n{comment}\nAnswer in JSON.\n")
    assert read_texts() == ["The lock jams."] * 2


def test_the_error_of_a_content_partly_in_the_prompt_names_its_line(raw: Path) -> None:
    dear_segment = {"content": "Price: dear", "L1": "x"}
    rows = [
        make_example(f"Price: {price}", segment) for price, segment in (("dear", dear_segment), ("fair", {"L1": "x"}))
    ]
    write_jsonl(raw / "a.jsonl", rows)
    assert re.match(r"data/nova/raw/a\.jsonl:1: .*'Price: dear' .*prompt\.txt", read_error())
    (raw / "prompt.txt").write_text("Label this:\n{comment}\nAnswer in JSON.")
    assert read_texts() == ["Price: dear", "Price: fair"]


def test_a_content_that_is_not_in_the_comment_is_kept(raw: Path) -> None:
    write_jsonl(
        raw / "a.jsonl", [make_example("It jams", {"content": "the lock", "L1": "x"}), make_example("b", {"L1": "x"})]
    )
    assert read_texts() == ["It jams", "b"]


def test_the_error_of_a_turn_without_the_prompt_names_its_line(raw: Path) -> None:
    write_jsonl(raw / "a.jsonl", [FIRST, make_example("x", prompt="Otherwise: {}")])
    (raw / "prompt.txt").write_text("Label this:\n{comment}\nAnswer in JSON.")
    assert re.match(r"data/nova/raw/a\.jsonl:2: .*prompt\.txt", read_error())


@pytest.mark.parametrize(("text", "times"), [("Label this:", 0), ("{comment} {comment}", 2)])
def test_the_error_of_a_prompt_without_exactly_one_placeholder_names_the_file(raw: Path, text: str, times: int) -> None:
    write_jsonl(raw / "a.jsonl", [FIRST, SECOND])
    (raw / "prompt.txt").write_text(text)
    assert re.match(rf"data/nova/raw/prompt\.txt: .*\{{comment\}} .*\bgot {times}\b", read_error())


def test_the_removed_prompt_is_printed(raw: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_jsonl(raw / "a.jsonl", [FIRST, SECOND])
    run_conversion()
    counts, prompt = capsys.readouterr().out.splitlines()
    assert re.findall(r"\d+", counts) == ["2", "2", "2"]
    assert re.findall(r"\d+", prompt) == ["12", "16"]
    assert all(text in prompt for text in (r"'Label this:\n'", r"'\nAnswer in JSON.'"))


def test_without_a_prompt_nothing_is_removed(raw: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_jsonl(raw / "a.jsonl", (make_example(text, prompt="{}") for text in ("One", "Two")))
    run_conversion()
    assert re.findall(r"\d+", capsys.readouterr().out.splitlines()[1]) == ["0", "0"]


def test_ids_come_from_the_rows_or_from_the_text_and_are_unique(raw: Path) -> None:
    rows = [
        make_example("One", id="mine"),
        make_example("Two"),
        make_example("One"),
        make_example("Two", PRICE),
        make_example("x", id=17),
    ]
    write_jsonl(raw / "a.jsonl", rows)
    names = [row["id"] for row in read_converted()]
    assert names[0] == "mine"
    assert names[4] == "17"
    assert names[3] == f"{names[1]}-2"
    assert len(set(names)) == 5
    write_jsonl(raw / "a.jsonl", [make_example("New", PRICE), make_example("Two", LOCK, PRICE)])
    assert read_converted()[1]["id"] == names[1], "the id depends only on the text"


def test_the_error_of_a_duplicate_id_names_both_lines(raw: Path) -> None:
    write_jsonl(raw / "a.jsonl", [make_example("One", id="x"), SECOND])
    write_jsonl(raw / "b.jsonl", [make_example("Two", id="x")])
    assert re.match(r"data/nova/raw/b\.jsonl:1: .*id 'x' .*data/nova/raw/a\.jsonl:1\b", read_error())


def test_next_to_a_training_file_the_test_file_is_the_test_set(raw: Path) -> None:
    write_jsonl(raw / "test.jsonl", [make_example("One"), make_example("Two", split="train", lang="en")])
    assert [row.get("split") for row in read_converted()] == [None, "train"]
    (raw / "train.jsonl.gz").write_bytes(gzip.compress(json.dumps(make_example("Three")).encode()))
    write_jsonl(raw / "validation.jsonl", [make_example("Four")])
    rows = read_converted()
    assert [row["split"] for row in rows] == ["test", "train", "train", "train"]
    assert [row.get("lang") for row in rows] == [None, "en", None, None]


def test_levels_may_be_named_l_or_e_with_any_depth(raw: Path) -> None:
    l_levels = {f"L{depth}": f"l{depth}" for depth in (10, *range(1, 10))}
    e_levels = {key.replace("L", "E"): label for key, label in l_levels.items()}
    write_jsonl(raw / "a.jsonl", [make_example("One", l_levels), make_example("Two", e_levels)])
    rows = read_converted()
    assert rows[0]["segments"] == rows[1]["segments"] == [{f"L{d}": f"l{d}" for d in range(1, 11)}]


def test_words_around_the_list_and_other_keys_are_left_out(raw: Path) -> None:
    row = make_example("One", {"L1": " a ", "content": " ", "emotion": None, "why": "x"})
    row["messages"][1]["content"][0]["text"] = f"Here:\n```json\n{row['messages'][1]['content'][0]['text']}\n```"
    write_jsonl(raw / "a.jsonl", [row, make_example("Two", {"L1": "a"})])
    assert [row["segments"] for row in read_converted()] == [[{"L1": "a"}]] * 2


def test_a_name_with_two_descriptions_keeps_the_first_and_prints_both(
    raw: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    leaves = ["Lock", "Lock: turns", "Lock: jams", "Lock:turns ", "Key: opens"]
    write_jsonl(raw / "a.jsonl", (make_example(f"c{n}", {"L1": "Door", "L2": leaf}) for n, leaf in enumerate(leaves)))
    run_conversion()
    (line,) = capsys.readouterr().out.splitlines()[2:]
    assert re.findall("'[^']*'", line) == ["'Door > Lock'", "'turns'", "'jams'"]
    leaves = load_taxonomy("data/prepared/comments/taxonomy.csv").leaves
    assert leaves == {("Door", "Key"): "opens", ("Door", "Lock"): "turns"}


def test_a_taxonomy_file_is_used_and_its_leaves_keep_their_colons(raw: Path) -> None:
    (raw / "taxonomy.csv").write_text("L1,L2,description\nDoor,Lock: new,\nDoor,Lock,any other\nDoor,Never seen,\n")
    rows = [make_example(f"c{leaf}", {"L1": "Door", "L2": leaf}) for leaf in ("Lock: new", "Lock: old")]
    write_jsonl(raw / "a.jsonl", rows)
    assert [row["segments"][0]["L2"] for row in read_converted()] == ["Lock: new", "Lock"]
    assert load_taxonomy("data/prepared/comments/taxonomy.csv").leaves == {
        ("Door", "Lock"): "any other",
        ("Door", "Lock: new"): "",
        ("Door", "Never seen"): "",
    }


def test_the_error_of_a_taxonomy_with_another_depth_names_both_depths(raw: Path) -> None:
    (raw / "taxonomy.csv").write_text("L1\nDoor\n")
    write_jsonl(raw / "a.jsonl", [FIRST, SECOND])
    assert re.match(r"data/nova/raw/taxonomy\.csv: expected 2 levels .*\b1\b", read_error())


def make_example_with_answer(text: str) -> Row:
    row = make_example("x")
    row["messages"][1]["content"][0]["text"] = text
    return row


LIST_EXPECTED = "last turn .*JSON list"
INVALID_ROWS = {
    "text instead of JSON": (make_example_with_answer("Sorry."), LIST_EXPECTED),
    "truncated JSON": (make_example_with_answer('[{"L1": "x"'), LIST_EXPECTED),
    "a list of words": (make_example_with_answer('["Door"]'), LIST_EXPECTED),
    "unclosed brackets": (make_example_with_answer("[" * 100_000 + "]"), LIST_EXPECTED),
    "an empty list": (make_example_with_answer("[]"), "last turn .*segment"),
    "a segment without levels": (make_example("x", {"content": "x"}), "segment 1: .*none$"),
    "a missing second level": (make_example("x", LOCK, {"E1": "a", "E3": "b"}), "segment 2: .*E1, E3$"),
    "E and L levels together": (make_example("x", {"E1": "a", "L2": "b"}), "segment 1: .*E1, L2$"),
    "a duplicate level": (make_example("x", {"E1": "a", "L1": "b"}), "segment 1: .*E1, L1$"),
    "an empty level": (make_example("x", {"E1": "a", "E2": " "}), "segment 1: .*`E2`.*' '"),
    "a level that is null": (make_example("x", {"E1": None, "E2": "a"}), "segment 1: .*E2$"),
    "fewer levels": (make_example("x", {"E1": "a"}), r"segment 1: .*\b2 .*\b1\b"),
    "a description without a label": (make_example("x", {"E1": "a", "E2": ": turns"}), "segment 1: .*': turns'"),
    "a number as emotion": (make_example("x", {**LOCK, "emotion": 1}), r"segment 1: .*`emotion`.*\b1\b"),
    "another schema": (
        make_example("x", schemaVersion="2"),
        "`schemaVersion`: .*bedrock-conversation-2024.*'2'",
    ),
    "a string as messages": ({"messages": "x"}, "`messages`"),
    "empty messages": ({"messages": []}, r"\bnone\b"),
    "a question without an answer": (
        {"messages": FIRST["messages"][:1]},
        r"\buser\b",
    ),
    "content as a string": (
        {"messages": [{"role": "user", "content": "x"}, *FIRST["messages"][1:]]},
        "`content`",
    ),
    "an image": (
        {"messages": [{"role": "user", "content": [{"image": {}}]}, *FIRST["messages"][1:]]},
        "`content` .*image",
    ),
    "an empty comment": (make_example(" "), r"\{comment\} .*prompt\.txt"),
}


@pytest.mark.parametrize(("row", "expected"), INVALID_ROWS.values(), ids=INVALID_ROWS)
@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz"])
def test_an_error_names_file_and_line(raw: Path, name: str, row: Row, expected: str) -> None:
    lines = "\n".join(json.dumps(example) for example in (FIRST, SECOND)) + "\n\n" + json.dumps(row) + "\n"
    (raw / name).write_bytes(lines.encode() if name == "a.jsonl" else gzip.compress(lines.encode()))
    assert re.match(rf"data/nova/raw/{re.escape(name)}:4: .*?{expected}", read_error())


def test_a_malformed_line_is_named_in_the_error(raw: Path) -> None:
    (raw / "a.jsonl").write_text(json.dumps(FIRST) + '\n{"messages": \n')
    assert read_error().startswith("data/nova/raw/a.jsonl:2: ")


def test_an_empty_folder_says_what_to_put_there(raw: Path) -> None:
    (raw / ".gitkeep").touch()
    assert read_error().startswith("data/nova/raw: ")


def test_null_counts_as_missing_and_labels_are_normalized(raw: Path) -> None:
    raw_segment = {
        "content": None,
        "E1": "Ha\u00adrdware",
        "E2": "Ja\u0308ms:  it\njams ",
        "E3": None,
        "emotion": " joy\u200b",
    }
    (raw / "train.jsonl").write_text(
        json.dumps(make_example("Good.", raw_segment, split=None)) + "\n", encoding="utf-8"
    )
    (raw / "test.jsonl").write_text(
        json.dumps(make_example("Bad.", raw_segment, lang=None, split=None)) + "\n", encoding="utf-8"
    )
    segment = {"L1": "Hardware", "L2": "J\u00e4ms", "emotion": "joy"}
    assert [(row["split"], row["segments"]) for row in read_converted()] == [("test", [segment]), ("train", [segment])]
    assert load_taxonomy("data/prepared/comments/taxonomy.csv").leaves == {("Hardware", "J\u00e4ms"): "it jams"}
