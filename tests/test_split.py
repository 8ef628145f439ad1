"""The split: stable, without copies on both sides, near the share that was asked, and nothing where a row is bad."""

import json
import os
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from stages.comments import Comment, Segment
from stages.records import InputError, read_json, read_jsonl
from stages.split import describe_task, divide, main
from stages.taxonomy import Taxonomy

REPOSITORY = Path(__file__).parents[1]
GOLDEN = Path(__file__).parent / "golden" / "split.json"
TAXONOMIES = {
    1: ("L1,description\nPraise,Good words\nProblem,\n", {"L1": "Praise"}),
    2: ("L1,L2,description\nSetup,Pairing,\nSetup,Easy setup,\n", {"L1": "Setup", "L2": "Pairing"}),
    3: ("L1,L2,L3,description\nSetup,Pairing,Bluetooth,\n", {"L1": "Setup", "L2": "Pairing", "L3": "Bluetooth"}),
}
PAIRING = TAXONOMIES[2][1]


def made(texts: list[str], **more: Any) -> list[Comment]:
    return [Comment(f"c{n}", text, (Segment(("Setup", "Pairing")),), **more) for n, text in enumerate(texts)]


def ids(comments: list[Comment]) -> set[str]:
    return {comment.id for comment in comments}


def many_texts(count: int) -> list[str]:
    rng = random.Random(0)
    words = ["the", "lamp", "lock", "app", "door", "light", "stops", "works", "never", "again", "since", "update"]
    return [f"{' '.join(rng.choices(words, k=6))} {number}" for number in range(count)]


def row(identity: str, text: str = "", **more: Any) -> dict[str, Any]:
    return {"id": identity, "text": text or f"It does not pair, says {identity}.", "segments": [PAIRING], **more}


def project(
    folder: Path, rows: list[Any], taxonomy: str = TAXONOMIES[2][0], on_bad_row: str = "stop", share: float = 0.5
) -> None:
    """Lay out params.yaml and data/mine as `split` finds them; a row given as bytes is written as it is."""
    (folder / "params.yaml").write_text(
        f"data: {{comments: mine}}\nsplit: {{test: {share}, on_bad_row: {on_bad_row}}}\n", encoding="utf-8"
    )
    (folder / "data" / "mine").mkdir(parents=True)
    lines = [line if isinstance(line, bytes) else json.dumps(line, ensure_ascii=False).encode() for line in rows]
    (folder / "data" / "mine" / "comments.jsonl").write_bytes(b"".join(line + b"\n" for line in lines))
    (folder / "data" / "mine" / "taxonomy.csv").write_text(taxonomy, encoding="utf-8")


GOOD = [row(f"g{number}") for number in range(8)]


def fault(folder: Path) -> list[str]:
    """Run `split` where it must fail, and return its lines; nothing may be written."""
    with pytest.raises(InputError) as caught:
        main()
    assert sorted(path.name for path in (folder / "data").iterdir()) == ["mine"], "a fault leaves nothing behind"
    return str(caught.value).splitlines()


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_comment_never_moves_when_others_are_added() -> None:
    texts = many_texts(400)
    few, many = divide(made(texts[:100]), 0.2), divide(made(texts), 0.2)
    assert ids(few[0]) <= ids(many[0])
    assert ids(few[1]) <= ids(many[1])


def test_a_comment_keeps_its_side_wherever_it_stands_in_the_file() -> None:
    comments = made(many_texts(100))
    assert ids(divide(comments, 0.3)[1]) == ids(divide(comments[::-1], 0.3)[1])


def test_each_side_keeps_the_order_of_the_file() -> None:
    for side in divide(made(many_texts(100)), 0.5):
        numbers = [int(comment.id[1:]) for comment in side]
        assert numbers == sorted(numbers)


def test_a_larger_test_set_holds_the_smaller_one() -> None:
    comments = made(many_texts(300))
    small, large = ids(divide(comments, 0.1)[1]), ids(divide(comments, 0.3)[1])
    assert small < large


def test_copies_of_a_text_stay_on_one_side() -> None:
    texts = many_texts(200)
    copies = [*texts, *(text.upper() for text in texts), *(f" {text.replace(' ', '  ')}\n" for text in texts)]
    _, test = divide(made(copies), 0.5)
    numbers = {int(comment.id[1:]) for comment in test}
    assert {number % 200 for number in numbers if number < 200} == {number % 200 for number in numbers}
    assert len(numbers) == 3 * len({number % 200 for number in numbers})


def test_copies_that_write_an_accent_in_two_ways_stay_on_one_side() -> None:
    composed = [f"caf\u00e9 {number}" for number in range(50)]
    decomposed = [text.replace("\u00e9", "e\u0301") for text in composed]
    sides = [[comment.id for comment in divide(made(texts), 0.5)[1]] for texts in (composed, decomposed)]
    assert sides[0] == sides[1]


@pytest.mark.parametrize("share", [0.05, 0.2, 0.5, 0.8])
def test_the_share_is_near_what_was_asked(share: float) -> None:
    _, test = divide(made(many_texts(2000)), share)
    assert abs(len(test) / 2000 - share) < 0.03  # three deviations at most


def test_a_given_split_is_kept_whatever_the_hash_says() -> None:
    texts = many_texts(50)
    train, test = divide(made(texts, split="test"), 0.0)
    assert (len(train), len(test)) == (0, 50)
    train, test = divide(made(texts, split="train"), 1.0)
    assert (len(train), len(test)) == (50, 0)


def test_a_given_split_moves_no_other_comment() -> None:
    texts = many_texts(60)
    free = made(texts)
    mixed = [*made(texts[:30], split="train"), *free[30:]]
    assert ids(divide(mixed, 0.4)[1]) == {comment.id for comment in divide(free[30:], 0.4)[1]}


def test_the_made_texts_go_where_they_went_before() -> None:
    _, test = divide(made(many_texts(60)), 0.25)
    assert [comment.id for comment in test] == json.loads(GOLDEN.read_text(encoding="utf-8"))


def test_the_task_is_what_the_comments_show() -> None:
    taxonomy = Taxonomy(("L1", "L2"), {("Setup", "Pairing"): "", ("Setup", "Easy"): ""})
    bare = Comment("a", "x", (Segment(("Setup", "Pairing")),))
    full = Comment("b", "y", (Segment(("Setup", "Easy"), "y", "joy"), Segment(("Setup", "Easy"), None, "anger")))
    levels = {"levels": ["L1", "L2"], "leaves": 2}
    assert describe_task([bare], taxonomy) == {**levels, "has_content": False, "emotions": [], "most_segments": 1}
    assert describe_task([bare, full], taxonomy) == {
        **levels,
        "has_content": True,
        "emotions": ["anger", "joy"],
        "most_segments": 2,
    }


@pytest.mark.parametrize("depth", TAXONOMIES)
def test_a_taxonomy_of_any_depth_is_split(here: Path, depth: int) -> None:
    taxonomy, labels = TAXONOMIES[depth]
    rows = [{**row(f"c{number}"), "segments": [labels]} for number in range(20)]
    project(here, rows, taxonomy)
    main()
    written = [*read_jsonl("data/split/train.jsonl"), *read_jsonl("data/split/test.jsonl")]
    assert sorted(written, key=lambda one: int(one["id"][1:])) == rows
    assert read_json("data/split/task.json")["levels"] == list(labels)
    assert Taxonomy.from_rows(read_json("data/split/taxonomy.json")).levels == tuple(labels)
    assert read_json("data/split/rejects.json") == []


def test_the_same_input_gives_the_same_bytes(here: Path) -> None:
    project(here, GOOD)
    main()
    first = {path.name: path.read_bytes() for path in Path("data/split").iterdir()}
    main()
    assert {path.name: path.read_bytes() for path in Path("data/split").iterdir()} == first
    assert set(first) == {"train.jsonl", "test.jsonl", "taxonomy.json", "task.json", "rejects.json"}


BAD = {
    "malformed JSON": (b'{"id": "x", ', "not valid JSON at column"),
    "no object": (b"[]", "list where an object belongs; write one {...} a line"),
    "not UTF-8": (b'{"id": "x", "text": "caf\xe9"}', "byte 25 is not UTF-8; save the file as UTF-8"),
    "missing text": (row("x") | {"text": None}, "comment 'x': `text` is missing or empty; give the comment or drop"),
    "unknown label": (
        row("x", segments=[{"L1": "Setup", "L2": "Easy"}]),
        "label 'Setup > Easy' is not in the taxonomy (did you mean 'Setup > Easy setup'?)",
    ),
    "duplicate id": (row("g0"), "id 'g0' stands already in line 1; give each its own id"),
    "wrong depth": (row("x", segments=[{"L1": "Setup"}]), "a segment has levels L1; the taxonomy has L1..L2"),
}


@pytest.mark.parametrize(("line", "wanted"), BAD.values(), ids=BAD)
def test_a_bad_row_stops_the_split_with_one_line(here: Path, line: Any, wanted: str) -> None:
    project(here, [*GOOD, line])
    named, mend = fault(here)
    assert named.startswith(f"data/mine/comments.jsonl:9: {wanted}")
    assert mend == "no split was made; correct the rows, or set split.on_bad_row: reject to leave them out"


@pytest.mark.parametrize(("line", "wanted"), BAD.values(), ids=BAD)
def test_a_rejected_row_is_listed_and_the_others_are_split(here: Path, line: Any, wanted: str) -> None:
    project(here, [*GOOD[:4], line, *GOOD[4:]], on_bad_row="reject")
    main()
    (reject,) = read_json("data/split/rejects.json")
    assert (reject["file"], reject["line"]) == ("data/mine/comments.jsonl", 5)
    assert reject["reason"].startswith(wanted)
    written = [*read_jsonl("data/split/train.jsonl"), *read_jsonl("data/split/test.jsonl")]
    assert sorted(one["id"] for one in written) == [good["id"] for good in GOOD]


def test_every_fault_of_a_file_is_named_at_once(here: Path) -> None:
    project(here, [*GOOD, *(line for line, _ in BAD.values())])
    lines = fault(here)
    assert [line.split(": ")[0] for line in lines[:-1]] == [f"data/mine/comments.jsonl:{n}" for n in range(9, 16)]


@pytest.mark.parametrize(("count", "rest"), [(20, None), (21, "and 1 more bad rows"), (65, "and 45 more bad rows")])
def test_many_faults_are_cut_with_a_count(here: Path, count: int, rest: str | None) -> None:
    project(here, [*GOOD, *([b"{"] * count)])
    *named, mend = fault(here)
    assert len([line for line in named if line.startswith("data/mine/comments.jsonl:")]) == 20
    assert named[20:] == ([rest] if rest else [])
    assert mend.startswith("no split was made")


def test_rejects_are_all_listed_however_many(here: Path) -> None:
    project(here, [*GOOD, *([b"{"] * 65)], on_bad_row="reject")
    main()
    assert [reject["line"] for reject in read_json("data/split/rejects.json")] == list(range(9, 74))


BROKEN = {
    "a repeated path": ("L1,L2\nSetup,Pairing\nSetup,Pairing\n", "taxonomy.csv:3: path 'Setup > Pairing' stands alr"),
    "no CSV": ('L1,L2\nSetup,"Pairing\n', "taxonomy.csv:2: not valid CSV"),
    "a wrong header": ("theme,topic\nSetup,Pairing\n", "taxonomy.csv:1: columns are 'theme,topic'; name them L1,L2"),
    "a missing cell": ("L1,L2\nSetup\n", "taxonomy.csv:2: 1 cells under 2 columns"),
    "an empty cell": ("L1,L2\nSetup,\n", "taxonomy.csv:2: L2 is empty; write (none) where a level does not apply"),
    "an empty file": ("", "taxonomy.csv:1: columns are ''; name them L1,L2,..,description"),
}


@pytest.mark.parametrize("on_bad_row", ["stop", "reject"])
@pytest.mark.parametrize(("taxonomy", "wanted"), BROKEN.values(), ids=BROKEN)
def test_a_broken_taxonomy_always_stops_the_split(here: Path, taxonomy: str, wanted: str, on_bad_row: str) -> None:
    project(here, GOOD, taxonomy, on_bad_row)
    (line,) = fault(here)
    assert line.startswith(f"data/mine/{wanted}")


@pytest.mark.parametrize("on_bad_row", ["stop", "reject"])
def test_an_empty_file_of_comments_says_what_to_write(here: Path, on_bad_row: str) -> None:
    project(here, [], on_bad_row=on_bad_row)
    assert fault(here) == ["data/mine/comments.jsonl: the file is empty; write one JSON object a line"]


def test_a_folder_that_does_not_exist_is_one_line(here: Path) -> None:
    project(here, GOOD)
    Path("params.yaml").write_text("data: {comments: yours}\n", encoding="utf-8")
    (line,) = fault(here)
    assert line.startswith("data/yours/taxonomy.csv: no such file")


@pytest.mark.parametrize(("share", "sides"), [(0, "8 train and 0 test"), (1, "0 train and 8 test")])
def test_a_side_without_comments_is_refused(here: Path, share: float, sides: str) -> None:
    project(here, GOOD, share=share)
    (line,) = fault(here)
    assert line.startswith(f"data/mine/comments.jsonl: {sides} comments; add comments or change split.test")


def test_a_file_of_nothing_but_rejects_says_why(here: Path) -> None:
    project(here, [b"{", b"{"], on_bad_row="reject")
    assert any("comments.jsonl:1: not valid JSON" in line for line in fault(here))


def test_the_stage_ends_with_status_1_its_lines_and_no_traceback(here: Path) -> None:
    project(here, [*GOOD, b"{"])
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    done = subprocess.run(
        [sys.executable, "-m", "stages.split"], env=environment, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (1, "")
    lines = done.stderr.splitlines()
    assert lines[0].startswith("split: data/mine/comments.jsonl:9: not valid JSON")
    assert lines[1].startswith("split: no split was made")
    assert len(lines) == 2
